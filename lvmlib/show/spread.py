"""What repeated runs give: every value, their means, and how far apart they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from lvmlib.show.figure import LINES, MARKERS, PALETTE, Figure, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

Runs = list[NDArray[np.float64]]
"""For each setting the values of its runs."""

_NAME = 8  # points
_BESIDE = [(side, up) for up in (4, -4, 14, -14, 24) for side in (5, -5)]
"""Where a name may stand, in points from its mark, the best first."""


def ranges(
    series: Mapping[str, Sequence[Sequence[float]] | Tensor],
    *,
    x: Sequence[float] | Sequence[Sequence[float]] | Tensor,
    names: Sequence[object] | None = None,
    xlabel: str = "β",
    ylabel: str = "",
    title: str | None = None,
    alt: str | None = None,
    logarithmic_x: bool = False,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Means over repeated runs as a line, every run as a dot, and the least to the largest as a band or as whiskers.

    Two scores by β, some seeds each: `ranges({"MIG": mig, "metric": metric}, x=betas, logarithmic_x=True)`. The same
    against an error that differs from run to run: `x=errors, names=[f"β = {beta:g}" for beta in betas]`.

    Args:
        series: A name and, for each setting, the values of its runs, shape (settings, runs).
        x: Where each setting stands, shape (settings,); or what each run measured, shape (settings, runs).
        names: One beside each setting's mean in the first series, for example its β where x is something else.
        xlabel, ylabel: The axes, with their units.
        title, alt: As in :func:`lvmlib.show.grid`.
        logarithmic_x: Draw x on a logarithmic axis.
        limits: The ends of the y-axis, for example (0, 1) for scores.

    Raises:
        ValueError: No series, a setting without runs, not as many settings, runs or names as x has, NaN, or x ≤ 0 on a
            logarithmic axis.
    """
    if not series:
        raise ValueError("There is no series to draw; pass a name and its runs, such as {'MIG': [[0.1, 0.2], …]}.")
    places = _read(x, "x")
    measured = np.ndim(x[0]) > 0
    runs = {name: _read(values, repr(name)) for name, values in series.items()}
    for name, settings in runs.items():
        _check_sizes(name, settings, places if measured else None, len(places))
    if names is not None and len(names) != len(places):
        raise ValueError(f"There are {len(places)} settings and {len(names)} names; pass one a setting.")
    if logarithmic_x and any((place <= 0).any() for place in places):
        raise ValueError("x holds values ≤ 0, which a logarithmic axis cannot show.")
    stand = [str(name) for name in names] if names else [f"{place.mean():.4g}" for place in places]
    topic = title or f"{ylabel or 'values'} by {xlabel}"
    figure = Figure(alt or f"{topic}: {_told(runs)} at {', '.join(stand)}.", figsize=(6.2, 3.4), layout="constrained")
    with look():
        axes = figure.add_subplot()
        for index, (name, settings) in enumerate(runs.items()):
            _draw(axes, index, name, settings, places, measured)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title or "", xscale="log" if logarithmic_x else "linear")
        axes.grid(axis="y")
        if limits:
            axes.set_ylim(limits)
        if not measured:
            axes.set_xticks([place[0] for place in places], [f"{place[0]:g}" for place in places])
            axes.xaxis.set_minor_locator(NullLocator())
        if len(runs) > 1:
            figure.legend(loc="outside right upper")
        if names is not None:
            means = [_summary(part)[0] for part in (places, next(iter(runs.values())))]
            _name(figure, axes, stand, list(zip(*means, strict=True)))
    return figure


def _draw(axes: Axes, index: int, name: str, settings: Runs, places: Runs, measured: bool) -> None:
    colour, mark = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
    middles, below, above = _summary(places)
    means, lower, upper = _summary(settings)
    if measured:
        axes.errorbar(middles, means, (lower, upper), (below, above), fmt="none", ecolor=colour, elinewidth=1)
    else:
        axes.fill_between(middles, means - lower, means + upper, color=colour, alpha=0.15, linewidth=0)
    line = LINES[index % len(LINES)]
    axes.plot(middles, means, color=colour, linestyle=line, linewidth=1.2, marker=mark, markersize=5, label=name)
    across = [np.broadcast_to(place, len(setting)) for place, setting in zip(places, settings, strict=True)]
    dots = np.concatenate(across), np.concatenate(settings)
    axes.scatter(*dots, s=9, color=colour, marker=mark, alpha=0.45, linewidths=0)


def _summary(settings: Runs) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Means, and how far below and above them the runs reach, shape (settings,) each."""
    means = np.array([runs.mean() for runs in settings])
    low, high = (np.array([end(runs) for runs in settings]) for end in (np.min, np.max))
    return means, means - low, high - means


def _name(figure: Figure, axes: Axes, names: Sequence[str], marks: Sequence[tuple[float, float]]) -> None:
    """Write each name beside its mark, where it covers no other name, mark or the axis, if there is such a place."""
    figure.draw_without_rendering()
    left, below, _, above = axes.bbox.extents
    taken = [Bbox.from_extents(left, below, left, above)]
    taken += [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in axes.transData.transform(marks)]
    for name, mark in zip(names, marks, strict=True):
        text = axes.annotate(name, mark, (0, 0), textcoords="offset points", size=_NAME)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
        for side, up in [*_BESIDE, _BESIDE[0]]:
            text.set(position=(side, up), ha="left" if side > 0 else "right", va="bottom" if up > 0 else "top")
            if not any(text.get_window_extent().overlaps(other) for other in taken):
                break
        taken.append(text.get_window_extent())


def _read(values: Any, what: str) -> Runs:
    read = [np.array([float(value) for value in (setting if np.ndim(setting) else [setting])]) for setting in values]
    if not read or not all(len(runs) for runs in read):
        raise ValueError(f"{what} has a setting without runs; pass at least one value for each.")
    broken = sum(int((~np.isfinite(runs)).sum()) for runs in read)
    if broken:
        raise ValueError(f"{broken} values of {what} are NaN or infinite; find the run that gave them.")
    return read


def _check_sizes(name: str, settings: Runs, measured: Runs | None, count: int) -> None:
    if len(settings) != count:
        raise ValueError(f"{name!r} holds {len(settings)} settings and x {count}; they must be as many.")
    for runs, place in zip(settings, measured or (), strict=measured is not None):
        if len(runs) != len(place):
            raise ValueError(f"{name!r} holds {len(runs)} runs of a setting and x {len(place)}; they must be as many.")


def _told(runs: Mapping[str, Runs]) -> str:
    parts = [
        f"means of {name} {', '.join(f'{setting.mean():.3g}' for setting in settings)}, "
        f"single runs at most {max(np.ptp(setting) for setting in settings):.2g} apart"
        for name, settings in runs.items()
    ]
    return "; ".join(parts)
