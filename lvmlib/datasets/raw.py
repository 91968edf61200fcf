"""Images as they are stored, before anyone has chosen a size or a number of channels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Raw:
    """One split of a set in 8 bits.

    Attributes:
        images: uint8, shape (N, channels, height, width).
        labels: int64, shape (N,); indexes `classes`.
        classes: what a label means.
        factors: int64, shape (N, F), the known factors of variation; None where none is known.
        factor_names: F names.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    factors: Tensor | None = None
    factor_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> Raw:
        """The first `count` images."""
        factors = None if self.factors is None else self.factors[:count]
        return replace(self, images=self.images[:count], labels=self.labels[:count], factors=factors)
