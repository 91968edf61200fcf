"""Numbers over steps and by unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter
from numpy.typing import NDArray

from lvmlib.show.figure import LINES, PALETTE, Figure, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (6.2, 3.4)  # inches


def curves(
    series: Mapping[str, Iterable[float]],
    *,
    x: Sequence[float] | None = None,
    xlabel: str = "epoch",
    ylabel: str = "",
    title: str | None = None,
    alt: str | None = None,
    logarithmic: bool = False,
) -> Figure:
    """Lines that colour and dashes tell apart, for example the loss on training and on test images over the epochs.

    Args:
        series: A name and the values of each line; NaN leaves a gap.
        x: Where the values stand; without it at 1, 2, ….
        xlabel, ylabel: The axes, with their units.
        title, alt: As in :func:`lvmlib.show.grid`.
        logarithmic: Draw the values on a logarithmic axis.

    Raises:
        ValueError: No series or an empty one, one that is not as long as x, values a logarithmic axis cannot show.
    """
    lines = _read(series)
    for name, values in lines.items():
        if x is not None and len(x) != len(values):
            raise ValueError(f"{name!r} holds {len(values)} values and x {len(x)}; they must be as many.")
        if logarithmic and (values <= 0).any():
            raise ValueError(f"{name!r} holds values ≤ 0, which a logarithmic axis cannot show.")
    ends = ", ".join(f"{name} from {values[0]:.4g} to {values[-1]:.4g}" for name, values in lines.items())
    alt = alt or f"{_topic(title, xlabel, ylabel)}: {ends}."
    figure = Figure(alt, figsize=_SIZE, layout="constrained")
    with look():
        axes = figure.add_subplot()
        for index, (name, values) in enumerate(lines.items()):
            places = np.arange(1, len(values) + 1) if x is None else np.asarray(x, dtype=float)
            axes.plot(places, values, label=name, **_line(index, lonely=len(values) == 1))
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title or "", yscale="log" if logarithmic else "linear")
        axes.grid(axis="y")
        axes.margins(x=0.02)
        if x is None:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if logarithmic and np.divide(*axes.get_ylim()) > 0.1:
            # Less than a decade holds one power of ten or none, too few to read a value by.
            axes.yaxis.set_major_locator(MaxNLocator(6))
            axes.yaxis.set_major_formatter(ScalarFormatter())
            axes.yaxis.set_minor_locator(NullLocator())
        if len(lines) > 1:
            _legend(figure, axes, list(lines.values()))
    return figure


def bars(
    series: Mapping[str, Iterable[float]],
    *,
    ticks: Sequence[object] | None = None,
    xlabel: str = "unit",
    ylabel: str = "",
    title: str | None = None,
    alt: str | None = None,
    sort: bool = False,
) -> Figure:
    """One bar a unit, for example the rate in nats by latent unit; further series stand beside the first.

    Args:
        series: A name and the values of each series, all as many.
        ticks: A name for every unit; without it they are numbered from 1.
        xlabel, ylabel: The axes, with their units.
        title, alt: As in :func:`lvmlib.show.grid`.
        sort: Draw each series from its own largest value down; a place is then a rank, since the units of two models
            do not correspond.

    Raises:
        ValueError: No series or an empty one, not as many values in all, NaN, or ticks together with sort.
    """
    heights = _read(series)
    count = len(next(iter(heights.values())))
    for name, values in heights.items():
        if len(values) != count:
            raise ValueError(f"{name!r} holds {len(values)} values and the first series {count}; they must be as many.")
        if np.isnan(values).any():
            raise ValueError(f"{name!r} holds NaN, which has no bar.")
    if ticks is not None and sort:
        raise ValueError("Sorting moves the units away from their ticks; pass either ticks or sort=True.")
    if ticks is not None and len(ticks) != count:
        raise ValueError(f"There are {count} units and {len(ticks)} ticks; pass one a unit.")
    spans = ", ".join(f"{name} between {values.min():.3g} and {values.max():.3g}" for name, values in heights.items())
    alt = alt or f"{_topic(title, xlabel, ylabel)}, {count} bars: {spans}."
    figure = Figure(alt, figsize=_SIZE, layout="constrained")
    units, width = np.arange(1, count + 1), 0.8 / len(heights)
    with look():
        axes = figure.add_subplot()
        for index, (name, values) in enumerate(heights.items()):
            shift = (index - (len(heights) - 1) / 2) * width
            drawn = np.sort(values)[::-1] if sort else values
            axes.bar(units + shift, drawn, width, label=name, color=PALETTE[index % len(PALETTE)])
        axes.set(xlabel=f"{xlabel}, sorted" if sort else xlabel, ylabel=ylabel, title=title or "")
        axes.set_xlim(0.3, count + 0.7)
        axes.grid(axis="y")
        if ticks is not None:
            axes.set_xticks(units, [str(tick) for tick in ticks])
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(heights) > 1:
            figure.legend(loc="outside right upper")
    return figure


def _topic(title: str | None, xlabel: str, ylabel: str) -> str:
    return title or f"{ylabel or 'values'} by {xlabel}"


def _read(series: Mapping[str, Iterable[float]]) -> dict[str, NDArray[np.float64]]:
    if not series:
        raise ValueError("There is no series to draw; pass a name and its values, such as {'loss': history['loss']}.")
    read = {name: np.array([float(value) for value in values]) for name, values in series.items()}
    empty = [name for name, values in read.items() if not len(values)]
    if empty:
        raise ValueError(f"{empty[0]!r} holds no values; draw it after the first step.")
    return read


def _line(index: int, *, lonely: bool) -> dict[str, Any]:
    """Every pair of colour and dashes occurs once before any comes again."""
    dashes = LINES[(index + index // (len(LINES) * len(PALETTE))) % len(LINES)]
    return {"color": PALETTE[index % len(PALETTE)], "linestyle": dashes, "marker": "o" if lonely else None}


def _legend(figure: Figure, axes: Axes, lines: list[NDArray[np.float64]]) -> None:
    """Names on the right, from the line that ends highest down, as the eye meets them."""
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(lines)), key=lambda index: -np.nan_to_num(lines[index][-1], nan=-np.inf))
    figure.legend([handles[i] for i in order], [names[i] for i in order], loc="outside right upper")
