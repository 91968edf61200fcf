"""Images, and images beside what a model makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from lvmlib.show.figure import Figure
from lvmlib.show.mosaic import mosaic
from lvmlib.show.pixels import default_columns, to_bytes

_READ_OUT = 20
"""More titles than this are not repeated in the alternative text."""


def grid(
    images: Tensor,
    *,
    columns: int | None = None,
    titles: Sequence[object] | None = None,
    title: str | None = None,
    alt: str | None = None,
    scale: float | None = None,
) -> Figure:
    """Images in rows, the first at the top left.

    Args:
        images: Grey or colour in [0, 1], values outside are clipped; shape (count, 1 or 3, height, width), any device.
        columns: Images a row; without it up to ten.
        titles: One above each image, for example its class.
        title: Above the picture.
        alt: What the picture shows, for those who cannot see it.
        scale: Screen pixels an image pixel, in steps of ½.

    Raises:
        ValueError: The images have another shape or hold NaN, or there are not as many titles.
    """
    pixels = to_bytes(images)
    count = len(pixels)
    if titles is not None and len(titles) != count:
        raise ValueError(f"There are {count} images and {len(titles)} titles; pass one title an image.")
    if columns is not None and columns < 1:
        raise ValueError(f"columns is {columns}; it must be at least 1.")
    columns = min(columns or default_columns(count), count)
    captions = None if titles is None else [str(caption) for caption in titles]
    shown = f"{count} images in rows of {columns}" if count > 1 else "one image"
    titled = f", titled {', '.join(captions)}" if captions and count <= _READ_OUT else ""
    alt = alt or f"{title or 'Images'}: {shown}{titled}."
    return mosaic(pixels, columns, alt=alt, title=title, captions=captions, scale=scale)


def reconstructions(
    originals: Tensor,
    *reconstructions: Tensor,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    alt: str | None = None,
    scale: float | None = None,
) -> Figure:
    """Originals in the upper row and, under each, what one or more models make of it.

    Args:
        originals: Images as :func:`grid` takes them, shape (count, channels, height, width).
        reconstructions: One batch of the same shape for each further row.
        labels: A name for every row, from the top.
        title, alt, scale: As in :func:`grid`.

    Raises:
        ValueError: No reconstructions, or shapes or the number of labels do not fit.
    """
    if not reconstructions:
        raise ValueError("There are only originals; pass at least one batch of reconstructions after them.")
    for row in reconstructions:
        if row.shape != originals.shape:
            raise ValueError(f"The originals have shape {tuple(originals.shape)}, reconstructions {tuple(row.shape)}.")
    if labels is None:
        models = [f"model {number}" for number in range(1, len(reconstructions) + 1)]
        labels = ["original", *(models if len(models) > 1 else ["reconstruction"])]
    if len(labels) != 1 + len(reconstructions):
        raise ValueError(f"There are {1 + len(reconstructions)} rows and {len(labels)} labels; pass one label a row.")
    rows = [to_bytes(originals, "originals"), *(to_bytes(row, "reconstructions") for row in reconstructions)]
    count = len(originals)
    alt = alt or f"{title or 'Reconstructions'}: {count} images a row; from the top, {', '.join(labels)}."
    rows_at = (range(len(rows)), labels)
    return mosaic(np.concatenate(rows), count, alt=alt, title=title, rows_at=rows_at, scale=scale)
