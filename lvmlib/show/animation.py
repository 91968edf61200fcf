"""Pictures that move."""

from __future__ import annotations

import base64
import html
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from torch import Tensor

from lvmlib.front_end import img
from lvmlib.show.figure import DPI, Figure, look, write
from lvmlib.show.mosaic import CAPTION, WIDEST, room
from lvmlib.show.pixels import WHITE, Bytes, default_columns, enlarge, tile, to_bytes

_SIDE, _STRIP, _MARGIN = 192, 20, 4  # screen pixels
_GREYS, _COLOURS = 64, 128
_HTML = re.compile(r'<img src="data:image/gif;base64,([\w+/=]+)" alt="([^"]*)">')


@dataclass(frozen=True)
class Animation:
    """A looping GIF that a notebook shows.

    Attributes:
        gif: The file's bytes.
        alt: What it shows, in a sentence.
    """

    gif: bytes
    alt: str

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the GIF file, all of it or nothing.

        Raises:
            ValueError: The name does not end in .gif.
        """
        if Path(path).suffix.lower() != ".gif":
            raise ValueError(f"{path} does not end in .gif, the only format an animation is saved in.")
        write(path, self.gif)

    def __repr__(self) -> str:
        return f"<animation: {self.alt}>"

    def _repr_html_(self) -> str:
        # nbconvert knows no image/gif, and JupyterLab drops the alternative text of one.
        return img("image/gif", self.gif, self.alt)

    @classmethod
    def from_html(cls, text: str) -> Animation | None:
        """The animation that a notebook shows as this HTML, or None if it is anything else."""
        written = _HTML.fullmatch(text.strip())
        return cls(base64.b64decode(written[1]), html.unescape(written[2])) if written else None


def gif(
    frames: Tensor | Sequence[Figure],
    *,
    seconds: float = 4.0,
    alt: str | None = None,
    scale: int | None = None,
    columns: int | None = None,
    titles: Sequence[object] | None = None,
    frame_titles: Sequence[object] | None = None,
) -> Animation:
    """Frames as a GIF that loops, at a palette of 64 greys or 128 colours.

    Args:
        frames: Images in [0, 1], shape (frames, 1 or 3, height, width); several side by side in every frame, shape
            (frames, count, 1 or 3, height, width); or figures of one size.
        seconds: Length of one loop; a GIF counts in hundredths and shows no frame for less than two.
        alt: What the animation shows, for those who cannot see it.
        scale: Screen pixels an image pixel, for frames that are images.
        columns: Images a row, for frames that hold several.
        titles: One above each image of a frame, the same in all frames, for example the model that draws it.
        frame_titles: One above each frame, for example the code's value in it.

    Raises:
        ValueError: No frames, images of another shape or with NaN, figures of different sizes or with titles of
            images, or not as many titles as there are images or frames.
    """
    told = [str(title) for title in titles] if titles is not None else []
    pixels = _enlarged(frames, scale, columns, told) if isinstance(frames, Tensor) else _drawn(frames, told)
    if frame_titles is not None:
        pixels = _under(pixels, [str(title) for title in frame_titles])
    grey = bool((pixels == pixels[..., :1]).all())
    first, *others = _in_greys(pixels) if grey else _in_colours(pixels)
    pause = max(2, round(100 * seconds / len(pixels)))
    file = io.BytesIO()
    first.save(file, "gif", save_all=True, append_images=others, duration=10 * pause, loop=0)
    what = "images" if isinstance(frames, Tensor) else f"pictures, the last: {frames[-1].alt.removesuffix('.')}"
    beside = f", side by side {', '.join(told)}" if told else ""
    return Animation(file.getvalue(), alt or f"Animation of {len(pixels)} {what}{beside}.")


def _enlarged(images: Tensor, scale: int | None, columns: int | None, titles: Sequence[str]) -> Bytes:
    """The frames in screen pixels, shape (frames, height, width, 3)."""
    several = images if images.ndim == 5 else images[:, None]
    together = to_bytes(several.flatten(0, 1), "frames")
    count, height, width = several.shape[1], *together.shape[1:3]
    if titles and len(titles) != count:
        raise ValueError(f"A frame holds {count} images and there are {len(titles)} titles; pass one an image.")
    columns = min(columns or default_columns(count), count)
    frames = together.reshape(len(images), count, height, width, 3)
    if titles:
        return _captioned(frames, columns, titles, scale or max(1, min(WIDEST // (columns * width), _SIDE // height)))
    pixels = np.stack([tile(frame, columns) for frame in frames])
    return enlarge(pixels, scale or max(1, _SIDE // max(pixels.shape[1:3])))


def _captioned(frames: Bytes, columns: int, titles: Sequence[str], scale: int) -> Bytes:
    """Every row of images under a strip with their titles; shapes as in :func:`_enlarged`."""
    length, count, height, width, _ = frames.shape
    _, between = room(titles, width, 1, scale)
    left = between // 2
    spaced = np.full((length, count, height, width + between, 3), WHITE, dtype=np.uint8)
    spaced[:, :, :, left : left + width] = frames
    parts = []
    for start in range(0, count, columns):
        row, words = spaced[:, start : start + columns], titles[start : start + columns]
        middles = [(index * (width + between) + left + width / 2) * scale for index in range(len(words))]
        strip = _words(dict(zip(middles, words, strict=True)), columns * (width + between) * scale, "center")
        drawn = np.stack([tile(frame, columns, (0, 0)) for frame in row])
        parts += [np.repeat(strip[None], length, axis=0), enlarge(drawn, scale)]
    return np.concatenate(parts, axis=1)


def _under(pixels: Bytes, titles: Sequence[str]) -> Bytes:
    """The frames, each with its title on a strip above it."""
    if len(titles) != len(pixels):
        raise ValueError(f"There are {len(pixels)} frames and {len(titles)} frame titles; pass one a frame.")
    strips = [_words({_MARGIN: title}, pixels.shape[2], "left") for title in titles]
    return np.concatenate([np.stack(strips), pixels], axis=1)


def _words(words: Mapping[float, str], width: int, align: Literal["left", "center"]) -> Bytes:
    """Words in black on a white strip at these screen pixels from the left, shape (height, width, 3)."""
    strip = Figure(", ".join(words.values()), figsize=(width / DPI, _STRIP / DPI))
    with look():
        for place, word in words.items():
            strip.text(place / width, 0.5, word, ha=align, va="center", size=CAPTION)
    return strip.pixels()


def _drawn(figures: Sequence[Figure], titles: Sequence[str]) -> Bytes:
    if not figures:
        raise ValueError("There are no frames; pass at least one.")
    if titles:
        raise ValueError("Frames that are figures have their own titles; titles are for frames that are images.")
    pixels = [figure.pixels() for figure in figures]
    sizes = sorted({(frame.shape[1], frame.shape[0]) for frame in pixels})
    if len(sizes) > 1:
        raise ValueError(f"The figures have sizes {sizes} in pixels; an animation needs one size for all.")
    return np.stack(pixels)


def _in_greys(frames: Bytes) -> list[Image.Image]:
    levels = np.linspace(0, 255, _GREYS).round().astype(np.uint8)
    images = [Image.fromarray(np.rint(frame[..., 0] * ((_GREYS - 1) / 255)).astype(np.uint8)) for frame in frames]
    for image in images:
        image.putpalette(levels.repeat(3).tobytes())
    return images


def _in_colours(frames: Bytes) -> list[Image.Image]:
    """Every frame in the colours that all of them together use most, so that nothing flickers."""
    strip = Image.fromarray(frames.reshape(-1, frames.shape[2], 3))
    palette = strip.quantize(_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
