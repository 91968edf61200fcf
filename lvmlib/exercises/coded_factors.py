"""Factors, codes that know something of them, and encoders that do, for questions about disentanglement."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from lvmlib.probe import Draw


def full_grid(sizes: Sequence[int]) -> Tensor:
    """Every cell of a lattice once, in order: int64 (cells, factors)."""
    return torch.cartesian_prod(*(torch.arange(size) for size in sizes)).reshape(-1, len(sizes))


def uneven_factors(draw: Draw, count: int, sizes: Sequence[int]) -> Tensor:
    """Independent factors (count, factors) whose lower values are the more frequent ones, and all of which vary."""
    columns = [(draw.uniform(count, low=0, high=1, dtype=torch.float64) ** 2 * size).long() for size in sizes]
    factors = torch.stack(columns, 1)
    factors[:2] = torch.stack([torch.zeros(len(sizes), dtype=torch.long), torch.tensor(sizes) - 1])
    return factors


def noisy_codes(draw: Draw, factors: Tensor, latent: int) -> Tensor:
    """Codes (count, latent): each is a factor that chance overwrites here and there, some are mixed."""
    count, width = factors.shape
    columns = []
    for k in range(latent):
        column = factors[:, k % width].clone()
        if k % 3 == 2:
            column = column + 2 * (factors[:, (k + 1) % width] % 2)
        noise = torch.randint(draw.integer(2, 5), (count,), generator=draw.generator)
        kept = draw.uniform(count, low=0, high=1) < draw.integer(10, 19) / 20
        columns.append(torch.where(kept, column, noise))
    return torch.stack(columns, 1)


def pairs(draw: Draw, count: int, sizes: Sequence[int]) -> dict[str, Tensor]:
    """Two independent halves, v1 and v2, int64 (count, factors) each."""
    draws = [[torch.randint(size, (count,), generator=draw.generator) for size in sizes] for _ in range(2)]
    return {name: torch.stack(columns, 1) for name, columns in zip(("v1", "v2"), draws, strict=True)}


def mirrored_pairs(draw: Draw, count: int, sizes: Sequence[int]) -> dict[str, Tensor]:
    """Pairs that all occur in both orders, 2·count of them: a mean cannot tell which half lends the other its value."""
    halves = pairs(draw, count, sizes)
    order = torch.randperm(2 * count, generator=draw.generator)
    ahead, behind = torch.cat([halves["v1"], halves["v2"]]), torch.cat([halves["v2"], halves["v1"]])
    return {"v1": ahead[order], "v2": behind[order]}


class TableEncoder:
    """Factors (n, factors) to codes (n, latent) by a table with a row of its own for every cell of the lattice.

    Args:
        sizes: how many values each factor has, 0 to size − 1.
        additive: whether a row is a sum over the factors: what two cells have in common then leaves no trace in their
            difference.
        ignored: factors that an additive code does not depend on.
    """

    def __init__(
        self, draw: Draw, sizes: Sequence[int], latent: int, *, additive: bool = False, ignored: Sequence[int] = ()
    ):
        self.sizes = torch.tensor(sizes)
        self.strides = torch.tensor([prod(sizes[place + 1 :]) for place in range(len(sizes))])
        self.table = draw.uniform(prod(sizes), latent, low=-2, high=2)
        if additive:
            parts = [draw.uniform(size, latent, low=-2, high=2) for size in sizes]
            cells = full_grid(sizes).T
            counted = [place for place in range(len(sizes)) if place not in ignored]
            self.table = torch.stack([parts[place][cells[place]] for place in counted]).sum(0)

    def __call__(self, factors: Tensor) -> Tensor:
        """The codes.

        Raises:
            TypeError: the factors are no integers.
            ValueError: they are no batch of factors, or a value lies outside of the lattice.
        """
        if factors.is_floating_point():
            raise TypeError(f"encode takes factors that are integers, and was given {factors.dtype}")
        if factors.dim() != 2 or factors.shape[1] != len(self.sizes):
            wanted, found = f"(L, {len(self.sizes)})", tuple(factors.shape)
            raise ValueError(f"encode takes factors of shape {wanted}, and was given {found}")
        if ((factors < 0) | (factors >= self.sizes)).any():
            raise ValueError("encode was given a factor with a value that its lattice does not have")
        return self.table[(factors * self.strides).sum(1)]
