"""Means of an epoch's metrics that make no step wait for the device."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class NonFinite(NamedTuple):
    """The first value of an epoch that is NaN or infinite."""

    step: int
    metric: str
    value: float


class RunningMeans:
    """Collects 0-d tensors step by step and reads them in one go.

    Reading a value waits until a GPU has computed it, so a read every step would leave the GPU idle between steps.
    Sums are taken in step order in double precision: the means do not depend on when they were read.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._unread: defaultdict[str, list[Tensor]] = defaultdict(list)
        self._unread_steps: defaultdict[str, list[int]] = defaultdict(list)
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._first_unread = 0

    @property
    def unread(self) -> int:
        """Steps added since the last read."""
        return self.steps - self._first_unread

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Take one step's metrics; steps may report different ones (a generator trained every fifth step).

        Raises:
            TypeError: not a mapping of names to 0-d tensors.
        """
        if not isinstance(metrics, Mapping):
            raise TypeError(f"step returned {_kind(metrics)}; let it return a dict of 0-d tensors: {{'loss': loss}}.")
        self.steps += 1
        for name, value in metrics.items():
            if not isinstance(value, Tensor) or value.ndim:
                raise TypeError(f"step returned {_kind(value)} as {name!r}; metrics are 0-d tensors, like loss.mean().")
            # a clone, because the step may report a tensor that a later step changes in place, such as a parameter
            self._unread[name].append(value.detach().clone())
            self._unread_steps[name].append(self.steps)

    def read(self) -> NonFinite | None:
        """Bring the means up to date.

        Returns:
            The first value since the last read that is NaN or infinite, if any.
        """
        broken: list[NonFinite] = []
        for name, tensors in self._unread.items():
            values = torch.stack(tensors).tolist()
            for step, value in zip(self._unread_steps[name], values, strict=True):
                if not math.isfinite(value):
                    broken.append(NonFinite(step, name, value))
                    break
                self._sums[name] += value
                self._counts[name] += 1
        self._unread.clear()
        self._unread_steps.clear()
        self._first_unread = self.steps
        return min(broken, key=lambda item: item.step, default=None)

    def means(self) -> dict[str, float]:
        """The mean of each metric over the steps that reported it, as of the last read."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return "None" if value is None else f"a {type(value).__name__}"
