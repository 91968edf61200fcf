"""When to stop a training that no longer improves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class EarlyStopping:
    """Stop after `patience` measurements in a row without a new best.

    Args:
        metric: its name in the history, for example `"test/loss"`; epochs that do not measure it do not count.
        patience: measurements to wait for a better one, at least 1.
        minimise: whether less is better.
        restore: a module that gets its best weights back when `fit` ends, however it ends.

    Raises:
        ValueError: `patience` is below 1.
    """

    def __init__(self, metric: str, patience: int, minimise: bool = True, restore: nn.Module | None = None) -> None:
        if patience < 1:
            raise ValueError(f"patience is {patience}; give at least 1.")
        self.metric = metric
        self.patience = patience
        self.minimise = minimise
        self.restore = restore
        self.reset()

    def reset(self) -> None:
        """Forget all measurements; `fit` does so when it begins."""
        self.best = math.inf if self.minimise else -math.inf
        self.best_epoch = 0
        self.without_gain = 0
        self._best_weights: dict[str, Tensor] | None = None

    @property
    def reached(self) -> bool:
        """Whether patience has run out."""
        return self.without_gain >= self.patience

    def update(self, row: Mapping[str, float], epoch: int) -> None:
        """Take note of an epoch's metrics; a NaN is no gain."""
        value = row.get(self.metric)
        if value is None:
            return
        if not (value < self.best if self.minimise else value > self.best):
            self.without_gain += 1
            return
        self.best, self.best_epoch, self.without_gain = value, epoch, 0
        if self.restore is not None:
            self._best_weights = {name: weight.detach().clone() for name, weight in self.restore.state_dict().items()}

    def restore_best(self) -> None:
        """Give the module its best weights back, if there is a module and there was a best."""
        if self.restore is not None and self._best_weights is not None:
            self.restore.load_state_dict(self._best_weights)

    def summary(self) -> str:
        """One phrase: what was best, and when."""
        return f"{self.metric} was best, {self.best:.4g}, after epoch {self.best_epoch}"

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "metric": self.metric,
            "minimise": self.minimise,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "without_gain": self.without_gain,
            "best_weights": self._best_weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; `patience` stays that of this object.

        Raises:
            ValueError: the state watches another metric, or lacks the best weights that `restore` needs.
        """
        if (state["metric"], state["minimise"]) != (self.metric, self.minimise):
            raise ValueError(f"it stops early by {state['metric']!r} and this training by {self.metric!r}")
        if self.restore is not None and state["best_weights"] is None and state["best_epoch"]:
            raise ValueError("it was written without the best weights, so early stopping cannot restore them")
        self.best, self.best_epoch, self.without_gain = state["best"], state["best_epoch"], state["without_gain"]
        self._best_weights = state["best_weights"] if self.restore is not None else None
