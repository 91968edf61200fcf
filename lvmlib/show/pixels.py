"""From batches of images to the bytes of one picture."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Bytes = NDArray[np.uint8]

WHITE = 255


def to_bytes(images: Tensor, what: str = "images") -> Bytes:
    """Images in [0, 1] as bytes with the channels last; values outside are clipped.

    Args:
        images: Grey or colour images on any device, shape (count, 1 or 3, height, width).
        what: What an error calls them.

    Returns:
        Three equal channels for grey, shape (count, height, width, 3).

    Raises:
        ValueError: Another shape, no images, values that are not floating point, NaN.
    """
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[1] not in (1, 3):
        raise ValueError(f"The {what} have shape {shape}; pass (count, channels, height, width) with 1 or 3 channels.")
    if 0 in shape:
        raise ValueError(f"The {what} have shape {shape}: there is nothing to draw; pass at least one image.")
    if not images.is_floating_point():
        raise ValueError(f"The {what} are {images.dtype}; pass floating point in [0, 1]; of bytes, images / 255.")
    values = images.detach().float().cpu().numpy()
    broken = int(np.isnan(values).any(axis=(1, 2, 3)).sum())
    if broken:
        raise ValueError(f"NaN in {broken} of {shape[0]} {what}; find the step that made it before drawing them.")
    scaled = (255 * values.clip(0, 1)).round().astype(np.uint8)
    return np.broadcast_to(scaled.transpose(0, 2, 3, 1), (shape[0], *shape[2:], 3))


def tile(images: Bytes, columns: int, gap: tuple[int, int] = (1, 1)) -> Bytes:
    """One picture of many: image i in row i // columns and column i % columns, on white.

    Args:
        images: Shape (count, height, width, 3).
        columns: Images a row.
        gap: White pixels between rows and between columns.

    Returns:
        Shape (rows·(height + gap[0]) − gap[0], columns·(width + gap[1]) − gap[1], 3).
    """
    count, height, width, channels = images.shape
    rows = math.ceil(count / columns)
    cells = np.full((rows * columns, height + gap[0], width + gap[1], channels), WHITE, dtype=np.uint8)
    cells[:count, :height, :width] = images
    picture = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)
    picture = picture.reshape(rows * cells.shape[1], columns * cells.shape[2], channels)
    return picture[: picture.shape[0] - gap[0], : picture.shape[1] - gap[1]]


def enlarge(images: Bytes, zoom: int) -> Bytes:
    """Every pixel as a square of zoom × zoom pixels; (…, height, width, 3) as in :func:`tile`."""
    return images.repeat(zoom, axis=-3).repeat(zoom, axis=-2)


def default_columns(count: int) -> int:
    """Up to ten images a row, or a square of more, and no ragged last row where the count allows."""
    square = math.ceil(math.sqrt(count))
    most = max(square, min(count, 10))
    return next((columns for columns in range(most, square - 1, -1) if count % columns == 0), most)
