"""Pictures that move."""

from __future__ import annotations

import base64
import html
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from lvmlib.show.figure import Figure, write
from lvmlib.show.pixels import Bytes, default_columns, enlarge, tile, to_bytes

_SIDE = 192  # screen pixels
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
        source = base64.b64encode(self.gif).decode()
        return f'<img src="data:image/gif;base64,{source}" alt="{html.escape(self.alt)}">'

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
) -> Animation:
    """Frames as a GIF that loops, at a palette of 64 greys or 128 colours.

    Args:
        frames: Images in [0, 1], shape (frames, 1 or 3, height, width); several side by side in every frame, shape
            (frames, count, 1 or 3, height, width); or figures of one size.
        seconds: Length of one loop; a GIF counts in hundredths and shows no frame for less than two.
        alt: What the animation shows, for those who cannot see it.
        scale: Screen pixels an image pixel, for frames that are images.
        columns: Images a row, for frames that hold several.

    Raises:
        ValueError: No frames, images of another shape or with NaN, or figures of different sizes.
    """
    pixels = _enlarged(frames, scale, columns) if isinstance(frames, Tensor) else _drawn(frames)
    grey = bool((pixels == pixels[..., :1]).all())
    first, *others = _in_greys(pixels) if grey else _in_colours(pixels)
    pause = max(2, round(100 * seconds / len(pixels)))
    file = io.BytesIO()
    first.save(file, "gif", save_all=True, append_images=others, duration=10 * pause, loop=0)
    what = "images." if isinstance(frames, Tensor) else f"pictures, the last: {frames[-1].alt}"
    return Animation(file.getvalue(), alt or f"Animation of {len(pixels)} {what}")


def _enlarged(images: Tensor, scale: int | None, columns: int | None) -> Bytes:
    if images.ndim == 5:
        count = images.shape[1]
        together = to_bytes(images.flatten(0, 1), "frames")
        rows = together.reshape(len(images), count, *together.shape[1:])
        pixels = np.stack([tile(frame, columns or default_columns(count)) for frame in rows])
    else:
        pixels = to_bytes(images, "frames")
    return enlarge(pixels, scale or max(1, _SIDE // max(pixels.shape[1:3])))


def _drawn(figures: Sequence[Figure]) -> Bytes:
    if not figures:
        raise ValueError("There are no frames; pass at least one.")
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
