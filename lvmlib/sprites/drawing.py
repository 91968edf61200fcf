"""How one sprite is drawn: a shape turned, grown and placed, with its edges grey by the covered area."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

SHAPES = ("square", "ellipse", "heart")
RADIUS = 0.22
"""Of the largest sprite's circumscribed circle, in units of the image's shorter side."""
_CHUNK = 256


def draw(
    shape: Tensor, scale: Tensor, angle: Tensor, x: Tensor, y: Tensor, size: tuple[int, int], antialias: bool
) -> Tensor:
    """White sprites on black, one for each entry of the arguments, all of shape (N,).

    Every shape turns and grows about its centre of mass and stays inside the image at all positions.

    Args:
        shape: indexes SHAPES.
        scale: of the largest sprite, above 0 up to 1.
        angle: radians, anticlockwise.
        x, y: 0 to 1, from the leftmost and the topmost position to the other end.
        size: (height, width) in pixels.
        antialias: grey edges by the covered area; otherwise every pixel is 0 or 1.

    Returns:
        float32 in [0, 1], shape (N, 1, height, width).
    """
    images = torch.empty(len(shape), 1, *size)
    for rows in torch.arange(len(shape)).split(_CHUNK):
        for number, distance in enumerate(_DISTANCES):
            members = rows[shape[rows] == number]
            if len(members):
                placed = [part[members, None, None] for part in (scale, angle, x, y)]
                images[members, 0] = _draw(distance, *placed, size=size, antialias=antialias)
    return images


def _draw(
    distance: Callable[[Tensor, Tensor], Tensor],
    scale: Tensor,
    angle: Tensor,
    x: Tensor,
    y: Tensor,
    *,
    size: tuple[int, int],
    antialias: bool,
) -> Tensor:
    """Sprites of one shape, shape (N, height, width)."""
    height, width = size
    largest = RADIUS * min(size)
    radius = largest * scale
    right = torch.arange(width) + 0.5 - _centre(x, width, largest)
    up = _centre(y, height, largest) - (torch.arange(height)[:, None] + 0.5)
    along = (right * angle.cos() + up * angle.sin()) / radius
    across = (up * angle.cos() - right * angle.sin()) / radius
    outside = radius * distance(along, across)
    return (0.5 - outside).clamp_(0, 1) if antialias else (outside < 0).float()


def _centre(position: Tensor, extent: int, margin: float) -> Tensor:
    return margin + (extent - 2 * margin) * position


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
