"""Sprites on black with all their factors of variation known, drawn on demand.

The factors are those of dSprites (Matthey, Higgins, Hassabis & Lerchner, 2017): shape × scale × orientation × x × y,
737,280 combinations. Orientations here stop short of 2π, which would repeat 0. A square looks the same after a
quarter turn and an ellipse after half a turn, so different orientations can give one picture.

    sprites.render(sprites.factors_of(cells))                   any of the 737,280, white on black
    Lattice(scale=3, orientation=8, x=8, y=8).grid(size=32)     all of a coarser lattice, with their factors
"""

from __future__ import annotations

from torch import Tensor

from lvmlib.sprites.drawing import RADIUS, SHAPES
from lvmlib.sprites.lattice import Lattice

__all__ = ["FACTORS", "RADIUS", "SHAPES", "TOTAL", "Lattice", "factors_of", "render"]

_ALL = Lattice()
FACTORS = _ALL.sizes
TOTAL = len(_ALL)


def factors_of(cells: Tensor) -> Tensor:
    """Factor values of numbered combinations, counted with y fastest.

    Args:
        cells: int64 in 0 … TOTAL − 1, shape (N,).

    Returns:
        int64, shape (N, 5), columns as in FACTORS.
    """
    return _ALL.factors_of(cells)


def render(factors: Tensor, size: int | tuple[int, int] = 64, antialias: bool = True) -> Tensor:
    """Draw one white sprite for each row of factors of dSprites; as :meth:`Lattice.render` of the whole lattice.

    Args:
        factors: integers, shape (N, 5): shape, scale, orientation, x, y.
        size: pixels, one side or (height, width).
        antialias: grey edges by the covered area; otherwise every pixel is 0 or 1.

    Returns:
        float32 in [0, 1], shape (N, 1, height, width).

    Raises:
        ValueError: factors have another shape or lie out of range.
    """
    return _ALL.render(factors, size, antialias)
