"""What a decoder makes of chosen codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lvmlib.profile import profile
from lvmlib.show.figure import Figure
from lvmlib.show.mosaic import mosaic
from lvmlib.show.pixels import to_bytes


def traversal(
    strips: Tensor,
    *,
    row_labels: Sequence[object] | None = None,
    column_labels: Sequence[object] | None = None,
    base: int | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
    alt: str | None = None,
    scale: float | None = None,
) -> Figure:
    """Decoded images, one row for what is traversed (a latent unit, a pair of images) and one column a step.

    Args:
        strips: Images in [0, 1], shape (rows, columns, 1 or 3, height, width).
        row_labels: One on the left of each row, for example its latent unit.
        column_labels: One below each column, for example the code's value there.
        base: The column (0, 1, …) that shows the code everything starts from; it gets a frame.
        xlabel, ylabel: What the columns and the rows are.
        title, alt, scale: As in :func:`lvmlib.show.grid`.

    Raises:
        ValueError: The strips have another shape, the number of labels does not fit, or base is no column.
    """
    if strips.ndim != 5:
        raise ValueError(f"The strips have shape {tuple(strips.shape)}; pass (rows, columns, channels, height, width).")
    rows, columns = strips.shape[:2]
    if base is not None and not 0 <= base < columns:
        raise ValueError(f"base is {base} and there are {columns} columns; pass one from 0 to {columns - 1}.")
    rows_at, columns_at = _labels(row_labels, rows, "row"), _labels(column_labels, columns, "column")
    along = f", along a row {xlabel}" if xlabel else ""
    named = f"; from the top, {', '.join(rows_at[1])}".replace("\n", " ") if rows_at else ""
    framed = "" if base is None else f", the base framed in column {base + 1}"
    alt = alt or f"{title or 'Traversal'}: {rows} rows of {columns} images{along}{framed}{named}."
    return mosaic(
        to_bytes(strips.flatten(0, 1), "strips"),
        columns,
        alt=alt,
        title=title,
        rows_at=rows_at,
        columns_at=columns_at,
        xlabel=xlabel,
        ylabel=ylabel,
        framed=base,
        scale=scale,
    )


def manifold(
    decode: Callable[[Tensor], Tensor],
    *,
    size: int = 15,
    title: str | None = None,
    alt: str | None = None,
    scale: float | None = None,
) -> Figure:
    """What a decoder of two latents draws over the middle of each of size × size equally probable cells of the prior.

    Kingma & Welling, *Auto-Encoding Variational Bayes*, 2014, appendix A: the codes are the quantiles (i + ½) / size of
    a standard normal. The first latent grows to the right, the second upwards.

    Args:
        decode: From codes z, shape (size², 2) on the profile's device, to images in [0, 1], shape
            (size², 1 or 3, height, width). It is called once, without gradients.
        size: Images a side.
        title, alt, scale: As in :func:`lvmlib.show.grid`.

    Raises:
        ValueError: decode returns another number of images, or what is no image.
    """
    if size < 1:
        raise ValueError(f"size is {size}; it must be at least 1.")
    quantiles = torch.special.ndtri((torch.arange(size, dtype=torch.float64) + 0.5) / size)
    z2, z1 = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    codes = torch.stack([z1.flatten(), z2.flatten()], 1).float().to(profile.device)
    with torch.no_grad():
        images = decode(codes)
    if len(images) != len(codes):
        raise ValueError(f"decode returned {len(images)} images for {len(codes)} codes; it must return one a code.")
    places = torch.linspace(0, size - 1, min(size, 5)).round().int().tolist()
    labels = [short(quantiles[place].item()) for place in places]
    edge = short(quantiles[-1].item())
    alt = alt or f"{title or 'Latent manifold'}: {size} by {size} decoded images, z₁ to the right and z₂ up to ±{edge}."
    return mosaic(
        to_bytes(images, "decoded images"),
        size,
        alt=alt,
        title=title,
        rows_at=([size - 1 - place for place in places], labels),
        columns_at=(places, labels),
        xlabel="z₁",
        ylabel="z₂",
        gap=0,
        scale=scale,
    )


def short(value: float) -> str:
    # Rounding first, and adding 0, so that −0.001 is written 0 and not −0.
    return f"{round(value, 2) + 0:g}".replace("-", "−")


def _labels(labels: Sequence[object] | None, count: int, what: str) -> tuple[range, list[str]] | None:
    if labels is None:
        return None
    if len(labels) != count:
        raise ValueError(f"There are {count} {what}s and {len(labels)} {what} labels; pass one a {what}.")
    return range(count), [short(label) if isinstance(label, float) else str(label) for label in labels]
