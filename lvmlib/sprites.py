"""White sprites on black with all their factors of variation known, drawn on demand.

The factors are those of dSprites (Matthey, Higgins, Hassabis & Lerchner, 2017): shape × scale × orientation × x × y,
737,280 combinations. Orientations here stop short of 2π, which would repeat 0. A square looks the same after a
quarter turn and an ellipse after half a turn, so different orientations can give one picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

FACTORS = {"shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32}
SHAPES = ("square", "ellipse", "heart")
TOTAL = math.prod(FACTORS.values())

SCALES = torch.linspace(0.5, 1, FACTORS["scale"])
RADIUS = 0.22  # of the largest sprite's circumscribed circle, in units of the image's shorter side
CHUNK = 256


def factors_of(cells: Tensor) -> Tensor:
    """Factor values of numbered combinations, counted with y fastest.

    Args:
        cells: int64 in 0 … TOTAL − 1, shape (N,).

    Returns:
        int64, shape (N, 5), columns as in FACTORS.
    """
    return torch.stack(torch.unravel_index(cells, tuple(FACTORS.values())), dim=1)


def render(factors: Tensor, size: int | tuple[int, int] = 64, antialias: bool = True) -> Tensor:
    """Draw one sprite for each row of factors.

    Every shape turns and grows about its centre of mass and stays inside the image at all positions. Orientation
    turns anticlockwise, x goes right, y goes down.

    Args:
        factors: integers, shape (N, 5): shape, scale, orientation, x, y.
        size: pixels, one side or (height, width).
        antialias: grey edges by the covered area; otherwise every pixel is 0 or 1.

    Returns:
        float32 in [0, 1], shape (N, 1, height, width).

    Raises:
        ValueError: factors have another shape or lie out of range.
    """
    _check(factors)
    height, width = (size, size) if isinstance(size, int) else size
    images = torch.empty(len(factors), 1, height, width)
    for rows, target in zip(factors.split(CHUNK), images.split(CHUNK), strict=True):
        for shape, distance in enumerate(_DISTANCES):
            members = (rows[:, 0] == shape).nonzero().squeeze(1)
            if len(members):
                target[members, 0] = _draw(distance, rows[members], height, width, antialias)
    return images


def _check(factors: Tensor) -> None:
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS) or factors.is_floating_point():
        raise ValueError(
            f"factors are integers of shape (N, {len(FACTORS)}): {', '.join(FACTORS)}; "
            f"these are {str(factors.dtype).removeprefix('torch.')} of shape {tuple(factors.shape)}."
        )
    for (name, count), values in zip(FACTORS.items(), factors.T, strict=True):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < count:
            raise ValueError(f"{name} runs from 0 to {count - 1}; these go from {values.min()} to {values.max()}.")


def _draw(
    distance: Callable[[Tensor, Tensor], Tensor], factors: Tensor, height: int, width: int, antialias: bool
) -> Tensor:
    """Sprites of one shape, shape (N, height, width)."""
    _, scale, orientation, x, y = factors.T[..., None, None]
    largest = RADIUS * min(height, width)
    radius = largest * SCALES[scale]
    angle = orientation * (2 * math.pi / FACTORS["orientation"])
    right = torch.arange(width) + 0.5 - _centre(x, width, largest, FACTORS["x"])
    up = _centre(y, height, largest, FACTORS["y"]) - (torch.arange(height)[:, None] + 0.5)
    along = (right * angle.cos() + up * angle.sin()) / radius
    across = (up * angle.cos() - right * angle.sin()) / radius
    outside = radius * distance(along, across)
    return (0.5 - outside).clamp_(0, 1) if antialias else (outside < 0).float()


def _centre(position: Tensor, extent: int, margin: float, count: int) -> Tensor:
    return margin + (extent - 2 * margin) * position / (count - 1)


# Signed distances from a shape's outline, negative inside; the shape's centre of mass is the origin and its farthest
# point lies at distance 1.


def _square(x: Tensor, y: Tensor, half_side: float = math.sqrt(0.5)) -> Tensor:
    dx, dy = x.abs() - half_side, y.abs() - half_side
    return torch.hypot(dx.clamp(min=0), dy.clamp(min=0)) + torch.maximum(dx, dy).clamp(max=0)


def _ellipse(x: Tensor, y: Tensor, half_height: float = 0.5) -> Tensor:
    """First-order distance f / |∇f|, exact on the outline, where it matters."""
    level = torch.hypot(x, y / half_height)
    slope = torch.hypot(x, y / half_height**2).clamp(min=1e-6)
    return level * (level - 1) / slope


def _heart(x: Tensor, y: Tensor) -> Tensor:
    """A square on its tip with a half-disc on each upper side."""
    disc = math.sqrt(2) / 4
    # With the tip at (0, 0) and the notch at (0, 1): the square's area ½ at height ½, the half-discs' π/8 together.
    lobes = 0.75 + 4 * disc / (3 * math.pi) * math.sqrt(0.5)
    reach = (0.25 + math.pi / 8 * lobes) / (0.5 + math.pi / 8)
    x, y = x.abs() * reach, (y + 1) * reach
    tilted = _square((x + y - 0.5) * math.sqrt(0.5), (x - y + 0.5) * math.sqrt(0.5), disc)
    return torch.minimum(tilted, torch.hypot(x - 0.25, y - 0.75) - disc) / reach


_DISTANCES = (_square, _ellipse, _heart)
