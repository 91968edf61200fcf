"""The combinations of factors that sprites are drawn for: all of them, some at random, or pairs that share one."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lvmlib.sprites.drawing import SHAPES, draw

if TYPE_CHECKING:
    from lvmlib.data import ImageSet

SMALLEST = 0.5
"""Scale of the smallest sprite, in units of the largest."""
SATURATION = 0.65
"""Of coloured sprites; at 1, blue on black would be hard to see."""


@dataclass(frozen=True)
class Lattice:
    """Every combination of evenly spread values of the factors, by default those of dSprites.

    Shapes are taken in the order square, ellipse, heart. Scales go from half the largest sprite to the largest,
    orientations from 0 on around the full turn, anticlockwise, and stop short of repeating 0; x goes right and y down,
    both from the outermost place to the other; colours go around the circle of hues from red on, all of one brightness
    and saturation.

    A factor of a single value does not vary: it has no column in the factors, and is the square, the middle scale or
    place, orientation 0, or white.

        lattice = Lattice(scale=3, orientation=8, x=8, y=8)    # 4,608 combinations of five factors
        train = lattice.grid(size=32)                          # all, as an ImageSet with its factors
        v1, v2 = lattice.pairs("scale", 64, generator)         # (64, 5) each; column 1 agrees, the others are free
        x1, x2 = lattice.render(v1, 32), lattice.render(v2, 32)

    Attributes:
        shape, scale, orientation, x, y, colour: how many values of each factor there are, from 1.

    Raises:
        ValueError: a number of values below 1, or more than three shapes.
    """

    shape: int = len(SHAPES)
    scale: int = 6
    orientation: int = 40
    x: int = 32
    y: int = 32
    colour: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            count = getattr(self, field.name)
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise ValueError(f"{field.name} is {count!r}; pass how many of its values there are, 1 or more.")
        if self.shape > len(SHAPES):
            raise ValueError(f"shape is {self.shape}; there are {len(SHAPES)}: {', '.join(SHAPES)}.")

    @property
    def sizes(self) -> dict[str, int]:
        """How many values each factor that varies has, in the order of the columns of factors."""
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: count for name, count in counts.items() if count > 1}

    @property
    def factor_names(self) -> tuple[str, ...]:
        """The factors that vary, in the order of the columns of factors."""
        return tuple(self.sizes)

    def __len__(self) -> int:
        return math.prod(self.sizes.values())

    @property
    def factors(self) -> Tensor:
        """All combinations, int64 of shape (len(self), F); the last column counts fastest."""
        return self.factors_of(torch.arange(len(self)))

    def factors_of(self, cells: Tensor) -> Tensor:
        """Factors of numbered combinations.

        Args:
            cells: int64 in 0 … len(self) − 1, shape (N,).

        Returns:
            int64, shape (N, F); the same rows of :attr:`factors`.
        """
        if not self.sizes:
            return cells.new_empty(len(cells), 0)
        return torch.stack(torch.unravel_index(cells, tuple(self.sizes.values())), dim=1)

    def cells_of(self, factors: Tensor) -> Tensor:
        """Numbers of combinations, for example to find their images in :meth:`grid`; undoes :meth:`factors_of`.

        Args:
            factors: integers, shape (N, F).

        Returns:
            int64, shape (N,).

        Raises:
            ValueError: factors have another shape or lie out of range.
        """
        self._check(factors)
        cells = torch.zeros(len(factors), dtype=torch.int64)
        for column, count in zip(factors.T, self.sizes.values(), strict=True):
            cells = cells * count + column
        return cells

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Combinations drawn uniformly, all factors independent.

        Args:
            count: how many.
            generator: on the CPU; None for torch's global one.

        Returns:
            int64, shape (count, F).
        """
        columns = [torch.randint(size, (count,), generator=generator) for size in self.sizes.values()]
        return torch.stack(columns, dim=1) if columns else torch.empty(count, 0, dtype=torch.int64)

    def pairs(self, factor: str, count: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Pairs that agree in one factor, drawn uniformly, and are independent in all others.

        Higgins et al., *β-VAE*, 2017, section 3.

        Args:
            factor: the name of the one that both of a pair share.
            count: how many pairs.
            generator: on the CPU; None for torch's global one.

        Returns:
            (v1, v2), int64 of shape (count, F) each.

        Raises:
            ValueError: no factor of this name varies.
        """
        column = self._column(factor)
        first, second = self.sample(count, generator), self.sample(count, generator)
        second[:, column] = first[:, column]
        return first, second

    def varying(self, factor: str, base: Tensor) -> Tensor:
        """One factor through all its values while the others stay as they are.

        Args:
            factor: the name of the one that varies.
            base: the values of the others, integers of shape (F,).

        Returns:
            int64, shape (values, F).

        Raises:
            ValueError: no factor of this name varies, or base has another shape or lies out of range.
        """
        column = self._column(factor)
        self._check(base[None])
        rows = base.long().repeat(self.sizes[factor], 1)
        rows[:, column] = torch.arange(len(rows))
        return rows

    def render(self, factors: Tensor, size: int | tuple[int, int] = 64, antialias: bool = True) -> Tensor:
        """Draw one sprite for each row of factors.

        Args:
            factors: integers, shape (N, F).
            size: pixels, one side or (height, width).
            antialias: grey edges by the covered area; otherwise every pixel is black or of the sprite's colour.

        Returns:
            float32 in [0, 1], shape (N, 1, height, width), with 3 channels where colour varies.

        Raises:
            ValueError: factors have another shape or lie out of range.
        """
        self._check(factors)
        columns = dict(zip(self.sizes, factors.T.cpu(), strict=True))
        middle = torch.full((len(factors),), 0.5)

        def spread(name: str) -> Tensor:
            """From 0 to 1 over the factor's values."""
            return columns[name] / (self.sizes[name] - 1) if name in columns else middle

        def turn(name: str) -> Tensor:
            """From 0 on, short of 1."""
            return columns[name] / self.sizes[name] if name in columns else torch.zeros(len(factors))

        images = draw(
            columns.get("shape", torch.zeros(len(factors), dtype=torch.int64)),
            SMALLEST + (1 - SMALLEST) * spread("scale"),
            2 * math.pi * turn("orientation"),
            spread("x"),
            spread("y"),
            (size, size) if isinstance(size, int) else size,
            antialias,
        )
        return images * _rgb(turn("colour"))[:, :, None, None] if "colour" in columns else images

    def image_set(self, factors: Tensor, size: int | tuple[int, int] = 64, antialias: bool = True) -> ImageSet:
        """Sprites with their factors, as `load("sprites")` gives them; their shapes are the labels.

        Args:
            factors: integers, shape (N, F), for example from :meth:`sample`.
            size, antialias: As in :meth:`render`.

        Raises:
            ValueError: factors have another shape or lie out of range.
        """
        # lvmlib.data takes its sprites from here.
        from lvmlib.data import ImageSet

        images = self.render(factors, size, antialias)
        labels = factors[:, 0].long() if self.shape > 1 else torch.zeros(len(factors), dtype=torch.int64)
        return ImageSet("sprites", images, labels, SHAPES[: self.shape], factors, self.factor_names)

    def grid(self, size: int | tuple[int, int] = 64, antialias: bool = True) -> ImageSet:
        """All combinations, in the order of :attr:`factors`.

        Args:
            size, antialias: As in :meth:`render`.
        """
        return self.image_set(self.factors, size, antialias)

    def _column(self, factor: str) -> int:
        if factor not in self.sizes:
            known = ", ".join(self.sizes) or "none"
            raise ValueError(f"No factor {factor!r} varies in this lattice; those that do: {known}.")
        return self.factor_names.index(factor)

    def _check(self, factors: Tensor) -> None:
        if factors.ndim != 2 or factors.shape[1] != len(self.sizes) or factors.is_floating_point():
            raise ValueError(
                f"factors are integers of shape (N, {len(self.sizes)}): {', '.join(self.sizes)}; "
                f"these are {str(factors.dtype).removeprefix('torch.')} of shape {tuple(factors.shape)}."
            )
        for (name, count), values in zip(self.sizes.items(), factors.T, strict=True):
            if len(values) and not 0 <= int(values.min()) <= int(values.max()) < count:
                raise ValueError(f"{name} runs from 0 to {count - 1}; these go from {values.min()} to {values.max()}.")


def _rgb(hue: Tensor) -> Tensor:
    """Colours of full brightness and one saturation; hue from 0 (red) over ⅓ (green) and ⅔ (blue), shape (N, 3)."""
    distance = (6 * hue[:, None] - torch.tensor([0.0, 2.0, 4.0]) + 3).remainder(6) - 3
    pure = (2 - distance.abs()).clamp(0, 1)
    return 1 - SATURATION * (1 - pure)
