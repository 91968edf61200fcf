"""Masks for in-painting: which pixels of an image are observed, and what becomes of those that are not."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["centre", "completed", "disc", "expanded", "greyed", "right_half", "scattered", "writing"]

Size = int | tuple[int, int]


def centre(size: Size, hidden: int) -> Tensor:
    """Hide a square in the middle; `centre(32, 12)` is the mask of Kuntz, Lim & Johansen, 2023.

    Args:
        size: Of the images: one side, or (height, width), in pixels.
        hidden: Side of the square, in pixels.

    Returns:
        bool (height, width), True where observed.

    Raises:
        ValueError: The square is not smaller than the image, or has no pixel.
    """
    height, width = _pair(size)
    if not (0 < hidden <= min(height, width)) or height == width == hidden:
        raise ValueError(
            f"A square of side {hidden} cannot be hidden in {height}×{width} pixels; choose a side from 1 "
            "that leaves some observed."
        )
    observed = torch.ones(height, width, dtype=torch.bool)
    top, left = (height - hidden) // 2, (width - hidden) // 2
    observed[top : top + hidden, left : left + hidden] = False
    return observed


def right_half(size: Size) -> Tensor:
    """Hide the right half; bool (height, width), True where observed.

    Raises:
        ValueError: The image is less than two pixels wide.
    """
    height, width = _pair(size)
    if width < 2:
        raise ValueError(f"An image {width} pixel wide has no halves; give at least 2.")
    return (torch.arange(width) < width // 2).expand(height, width).clone()


def disc(size: Size, diameter: float) -> Tensor:
    """Hide the pixels whose centres lie within a disc in the middle; bool (height, width), True where observed.

    Raises:
        ValueError: The disc covers all pixels or none.
    """
    height, width = _pair(size)
    rows, columns = (torch.arange(side) - (side - 1) / 2 for side in (height, width))
    observed = rows[:, None].square() + columns.square() > (diameter / 2) ** 2
    return _some_of_each(observed, f"A disc of diameter {diameter:g}", "choose another diameter")


def scattered(size: Size, share: float, *, generator: torch.Generator) -> Tensor:
    """Hide pixels at random, that share of them, rounded; bool (height, width), True where observed.

    Raises:
        ValueError: All pixels would be hidden, or none.
    """
    height, width = _pair(size)
    hidden = round(share * height * width)
    if not (0 < hidden < height * width):
        raise ValueError(
            f"A share of {share:g} hides {hidden} of {height * width} pixels; choose one that hides some "
            "and leaves some."
        )
    order = torch.randperm(height * width, generator=generator, device=generator.device).cpu()
    return (order >= hidden).reshape(height, width)


def writing(size: Size, word: str) -> Tensor:
    """Hide what a word covers, as wide as the image allows; bool (height, width), True where observed.

    Raises:
        ValueError: The word leaves no trace at this size.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = _pair(size)
    page = Image.new("L", (width, height))
    draw = ImageDraw.Draw(page)
    for points in range(2 * height, 4, -1):
        box = draw.textbbox((0, 0), word, font=(font := ImageFont.load_default(points)))
        if box[2] - box[0] <= width and box[3] - box[1] <= height:
            left, top = (width - box[0] - box[2]) / 2, (height - box[1] - box[3]) / 2
            draw.text((left, top), word, font=font, fill=255)
            break
    observed = torch.tensor(list(page.tobytes()), dtype=torch.uint8).reshape(height, width) < 128
    return _some_of_each(observed, f"The word {word!r}", "choose another word")


def expanded(x: Tensor, observed: Tensor) -> Tensor:
    """A mask as large as the images, once both are known to be fit for in-painting.

    Args:
        x: Images (batch, channels, height, width), or one without the batch axis, on any scale.
        observed: bool, True where a pixel is known, of any shape that broadcasts to that of `x`: (height, width),
            (1 or channels, height, width), or a mask an image, (batch, 1 or channels, height, width).

    Returns:
        bool, of the shape of `x` and on its device; a view that is not to be written to.

    Raises:
        TypeError: The mask is not bool, or the images are not floating-point.
        ValueError: The mask has another shape, or hides all of an image; or an image holds NaN or infinity, be it in a
            hidden pixel.
    """
    if observed.dtype != torch.bool:
        raise TypeError(f"The mask is {observed.dtype}; give torch.bool, True where a pixel is observed.")
    if not x.is_floating_point() or x.ndim < 3:
        raise TypeError(
            f"The images are {x.dtype} of shape {tuple(x.shape)}; give floating-point numbers "
            "(batch, channels, height, width)."
        )
    try:
        mask = observed.to(x.device).expand(x.shape)
    except RuntimeError:
        raise ValueError(
            f"A mask {tuple(observed.shape)} does not fit images {tuple(x.shape)}; give (height, width), "
            "(channels, height, width), or (batch, 1, height, width) for a mask an image."
        ) from None
    if (image := _first(~x.isfinite().flatten(-3).all(-1))) is not None:
        raise ValueError(
            f"{image} holds NaN or infinity; put any finite number there, and hide the pixel if its value is not known."
        )
    if (image := _first(~mask.flatten(-3).any(-1))) is not None:
        raise ValueError(f"{image} has no observed pixel; leave at least one (True is observed, False hidden).")
    return mask


def completed(x: Tensor, drawn: Tensor, observed: Tensor) -> Tensor:
    """Images with their hidden pixels filled in: those of `x`, bit by bit, where observed, and of `drawn` elsewhere.

    Args:
        x: Images (batch, channels, height, width).
        drawn: Images of the same shape, after any leading axes, such as (draws, batch, channels, height, width).
        observed: As for `expanded`.

    Returns:
        Images of the shape of `drawn` and the dtype of `x`.

    Raises:
        TypeError, ValueError: As for `expanded`; or `drawn` has another shape.
    """
    mask = expanded(x, observed)
    if drawn.ndim < x.ndim or drawn.shape[drawn.ndim - x.ndim :] != x.shape:
        raise ValueError(
            f"What was drawn is {tuple(drawn.shape)} and the images are {tuple(x.shape)}; give "
            "(…, *shape of the images)."
        )
    return torch.where(mask, x, drawn.to(x.dtype))


def greyed(x: Tensor, observed: Tensor, grey: float = 0.5) -> Tensor:
    """Images with their hidden pixels painted grey, for pictures; arguments and errors as for `expanded`."""
    return x.masked_fill(~expanded(x, observed), grey)


def _pair(size: Size) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"The images are {height}×{width} pixels; give a height and a width from 1 up.")
    return height, width


def _some_of_each(observed: Tensor, what: str, advice: str) -> Tensor:
    if observed.all() or not observed.any():
        height, width = observed.shape
        raise ValueError(f"{what} hides {'none' if observed.all() else 'all'} of {height}×{width} pixels; {advice}.")
    return observed


def _first(found: Tensor) -> str | None:
    """The first image of which something was found, by name."""
    if not found.any():
        return None
    return f"Image {int(found.flatten().nonzero()[0])}" if found.ndim else "The image"
