"""Many images as one exactly drawn picture with labels around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from lvmlib.show.figure import DPI, PALETTE, SHARPNESS, Figure, look
from lvmlib.show.pixels import Bytes, enlarge, tile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDEST, _CELL = 680, 64  # screen pixels
CAPTION = 8  # points
_FRAME = PALETTE[1]
_HAIR = 1e-6
"""Screen pixels: matplotlib before 3.11 rounds a figure's size down and an image's up, and both must stay whole."""

Ticks = tuple[Sequence[float], Sequence[str]]


def mosaic(
    images: Bytes,
    columns: int,
    *,
    alt: str,
    title: str | None = None,
    captions: Sequence[str] | None = None,
    rows_at: Ticks | None = None,
    columns_at: Ticks | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    framed: int | None = None,
    gap: int = 1,
    scale: float | None = None,
) -> Figure:
    """Images side by side, each of their pixels a whole number of drawn pixels.

    Args:
        images: Shape (count, height, width, 3).
        columns: Images a row.
        captions: One above each image.
        rows_at, columns_at: Rows and columns (0, 1, …) to label on the left and below, and their labels.
        framed: A column with a frame around it, its label in the frame's colour.
        gap: White image pixels between images; captions widen it as far as they need.
        scale: Screen pixels an image pixel, in steps of ½; without it, whatever suits a notebook.
    """
    _, height, width, _ = images.shape
    scale = _default_scale(height, columns * (width + gap)) if scale is None else scale
    zoom = max(1, round(scale * SHARPNESS))
    figure = Figure(alt)
    with look():
        gaps = room(captions, width, gap, zoom / SHARPNESS) if captions else (gap, gap)
        picture = tile(images, columns, gaps)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(enlarge(picture, zoom), extent=(0, picture.shape[1], picture.shape[0], 0), interpolation="nearest")
        axes.set(xticks=[], yticks=[], xlabel=xlabel, ylabel=ylabel)
        axes.spines[:].set_visible(False)
        axes.set_title(title or "", pad=CAPTION + 12 if captions else 6)
        for index, caption in enumerate(captions or ()):
            row, column = divmod(index, columns)
            place = (column * (width + gaps[1]) + width / 2, row * (height + gaps[0]))
            axes.annotate(caption, place, (0, 3), textcoords="offset points", ha="center", va="bottom", size=CAPTION)
        if rows_at:
            axes.set_yticks([row * (height + gaps[0]) + height / 2 for row in rows_at[0]], rows_at[1])
        if columns_at:
            axes.set_xticks([column * (width + gaps[1]) + width / 2 for column in columns_at[0]], columns_at[1])
        axes.tick_params(length=0 if gap else 3)
        if framed is not None:
            _frame(axes, framed, width + gaps[1], gaps, picture.shape[0])
        _wrap(figure, picture.shape[1] * zoom / SHARPNESS, picture.shape[0] * zoom / SHARPNESS)
    return figure


def _frame(axes: Axes, column: int, stride: int, gaps: tuple[int, int], height: int) -> None:
    down, across = gaps
    corner = (column * stride - across / 2, -down / 2)
    axes.add_patch(Rectangle(corner, stride, height + down, fill=False, edgecolor=_FRAME, linewidth=2, clip_on=False))
    middle = corner[0] + stride / 2
    for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
        if abs(place - middle) < 1:
            label.set(color=_FRAME, weight="bold")


def _default_scale(height: int, width: int) -> float:
    scale = min(_CELL / height, WIDEST / width)
    return max(1, math.floor(scale * SHARPNESS)) / SHARPNESS


def room(captions: Sequence[str], width: int, gap: int, scale: float) -> tuple[int, int]:
    """The gaps, in image pixels, at which no caption touches an image below or a caption beside it."""
    with look():
        text = Figure("").text(0, 0, "", size=CAPTION)
        sizes = []
        for caption in captions:
            text.set_text(caption)
            sizes.append(text.get_window_extent().size)
    widest, highest = np.max(sizes, axis=0)
    down, across = math.ceil((highest + 10) / scale), math.ceil((widest + 8) / scale) - width
    return max(gap, down), max(gap, across)


def _wrap(figure: Figure, width: float, height: float, margin: int = 4) -> None:
    """Give the only axes a size in screen pixels and the figure room for all that stands around them."""
    axes = figure.axes[0]
    figure.set_size_inches(width / DPI, height / DPI)
    around = figure.get_tightbbox()
    left, below = (math.ceil(max(0, -inches) * DPI) + margin for inches in (around.x0, around.y0))
    right = math.ceil(max(0, around.x1 * DPI - width)) + margin
    above = math.ceil(max(0, around.y1 * DPI - height)) + margin
    across, up = math.ceil(left + width + right), math.ceil(below + height + above)
    figure.set_size_inches((across + _HAIR) / DPI, (up + _HAIR) / DPI)
    place = (left + _HAIR) / across, (below + _HAIR) / up
    axes.set_position((*place, (width - 2 * _HAIR) / across, (height - 2 * _HAIR) / up))
