"""What a training reported, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(repr=False)
class History:
    """One row of metrics an epoch; `history["loss"]` is a column.

    Two histories are equal when their metrics are, whatever time they took.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    durations: list[float] = field(default_factory=list, compare=False)

    @property
    def epochs(self) -> int:
        """How many epochs are complete."""
        return len(self.rows)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the complete epochs, validation included, also those before a resume."""
        return math.fsum(self.durations)

    @property
    def names(self) -> list[str]:
        """The metrics, in the order in which they first appeared."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def append(self, row: Mapping[str, float], seconds: float) -> None:
        """Add a complete epoch."""
        self.rows.append(dict(row))
        self.durations.append(seconds)

    def __getitem__(self, name: str) -> list[float]:
        """One value an epoch; NaN where an epoch did not measure it (see `every` of `fit`).

        Raises:
            KeyError: no epoch measured it.
        """
        if name not in self.names:
            raise KeyError(f"this history has no {name!r}; it has {', '.join(self.names) or 'no epoch yet'}")
        return [row.get(name, math.nan) for row in self.rows]

    def plot(
        self,
        *names: str,
        xlabel: str = "epoch",
        ylabel: str = "nats",
        title: str | None = None,
        alt: str | None = None,
    ) -> Figure:
        """Curves of the metrics named, or of all.

        Measurements some epochs apart are joined by a straight line.

        Raises:
            KeyError: no epoch measured a metric named.
        """
        from lvmlib.show import curves

        series = {name: _joined(self[name]) for name in names or self.names}
        epochs = range(1, self.epochs + 1)
        return curves(series, x=epochs, xlabel=xlabel, ylabel=ylabel, title=title, alt=alt)

    def summary(self) -> str:
        """One line: the last epoch's metrics, and the time that all epochs took."""
        if not self.rows:
            return "no epoch complete"
        return " · ".join([f"epoch {self.epochs}", *map(_shown, self.rows[-1].items()), f"{self.seconds:.1f} s"])

    def __repr__(self) -> str:
        return f"History({self.summary()})"

    def state_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and floats: fit for JSON and for a checkpoint."""
        return {"rows": [dict(row) for row in self.rows], "durations": list(self.durations)}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> History:
        """The history that `state_dict` described."""
        return cls([dict(row) for row in state["rows"]], list(state["durations"]))


def _shown(metric: tuple[str, float]) -> str:
    name, value = metric
    return f"{name} {value:.4g}"


def _joined(values: Sequence[float]) -> list[float]:
    """Fill what lies between two measurements linearly; a plotted line would otherwise break at every NaN."""
    joined = list(values)
    measured = [i for i, value in enumerate(values) if not math.isnan(value)]
    for left, right in zip(measured, measured[1:], strict=False):
        for i in range(left + 1, right):
            share = (i - left) / (right - left)
            joined[i] = (1 - share) * values[left] + share * values[right]
    return joined
