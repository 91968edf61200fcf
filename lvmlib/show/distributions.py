"""How numbers are distributed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lvmlib.show.figure import INK, LINES, PALETTE, Figure, look

_BINS = 60
_PANEL_BINS = 40

Values = NDArray[np.float64]


def densities(
    samples: Mapping[str, Tensor],
    curves: Mapping[str, Tensor] | None = None,
    x: Tensor | None = None,
    *,
    xlabel: str = "x",
    ylabel: str = "density",
    curve_label: str = "D(x)",
    limits: tuple[float, float] | None = None,
    highest: float | None = None,
    curve_limits: tuple[float, float] | None = (0, 1),
    title: str | None = None,
    alt: str | None = None,
) -> Figure:
    """Histograms of numbers over each other and curves above them, for example D(x) over data and samples.

    Args:
        samples: A name and the numbers of each histogram, shape (n,), any device; its area is 1, or less where numbers
            lie outside the limits.
        curves: A name and the values of each curve at x, shape (m,), drawn on an axis of their own on the right; NaN
            leaves a gap.
        x: Where the curves' values stand, shape (m,).
        xlabel, ylabel, curve_label: The axes.
        limits: The ends of the x-axis; without it, all samples and curves fit in.
        highest: The end of the density axis. In an animation, give both.
        curve_limits: The ends of the curves' axis; None fits it to them.
        title, alt: As in :func:`lvmlib.show.grid`.

    Raises:
        ValueError: No samples or none of a name, samples with NaN, curves without x or not as long as it.
    """
    numbers = _read(samples, {"data": "x"})
    lines = {name: _flat(values) for name, values in (curves or {}).items()}
    places = _places(lines, x)
    everything = np.concatenate([*numbers.values(), places])
    low, high = limits or _span(everything, 0.03)
    alt = alt or _told(title, xlabel, numbers, lines)
    figure = Figure(alt, figsize=(6.6, 3.2), layout="constrained")
    edges = np.linspace(low, high, _BINS + 1)
    with look():
        axes = figure.add_subplot()
        for index, (name, values) in enumerate(numbers.items()):
            density = np.histogram(values, edges)[0] / (len(values) * (edges[1] - edges[0]))
            colour = PALETTE[index % len(PALETTE)]
            axes.stairs(density, edges, fill=True, color=colour, alpha=0.3)
            axes.stairs(density, edges, color=colour, linestyle=LINES[index % len(LINES)], linewidth=1.2, label=name)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title or "", xlim=(low, high), ylim=(0, highest))
        if lines:
            right = axes.twinx()
            for index, (name, values) in enumerate(lines.items()):
                colour = PALETTE[(index + len(numbers)) % len(PALETTE)]
                right.plot(places, values, color=colour, linestyle=LINES[index % len(LINES)], label=name)
            right.set(ylabel=curve_label, ylim=curve_limits and _span(np.array(curve_limits), 0.03))
            right.spines["right"].set_visible(True)
        if len(numbers) + len(lines) > 1:
            figure.legend(loc="outside lower center", ncols=min(4, len(numbers) + len(lines)))
    return figure


def histograms(
    values: Mapping[str, Tensor | Iterable[float]],
    *,
    marks: Sequence[float] = (),
    limits: tuple[float, float] | None = None,
    xlabel: str = "value",
    ylabel: str = "% of the values",
    title: str | None = None,
    alt: str | None = None,
) -> Figure:
    """Histograms side by side, for example of the weights of a clipped critic, which pile up at ±c, and of another.

    Args:
        values: A name and the numbers of each panel; a tensor may have any shape.
        marks: Where a dashed line stands in every panel, for example (−c, c).
        limits: The ends of the x-axis in all panels; without it each panel has its own.
        xlabel, ylabel: The axes.
        title, alt: As in :func:`lvmlib.show.grid`.

    Raises:
        ValueError: No values or none of a name, or NaN among them.
    """
    numbers = _read(values, {"weights": "w"})
    alt = alt or _told(title or "Histograms side by side", "", numbers, {}, marks)
    size = (max(3.8, min(3.3, 7.2 / len(numbers)) * len(numbers)), 2.9 if title else 2.6)
    figure = Figure(alt, figsize=size, layout="constrained")
    with look():
        panels = figure.subplots(1, len(numbers), squeeze=False)[0]
        for index, (axes, (name, numbers_of_it)) in enumerate(zip(panels, numbers.items(), strict=True)):
            low, high = limits or _span(numbers_of_it, 0)
            heights, edges = np.histogram(numbers_of_it, np.linspace(low, high, _PANEL_BINS + 1))
            axes.stairs(100 * heights / len(numbers_of_it), edges, fill=True, color=PALETTE[index % len(PALETTE)])
            for place in marks:
                axes.axvline(place, color=INK, linewidth=1, linestyle=LINES[1])
            axes.set(
                title=name, xlabel=xlabel, ylabel=ylabel if index == 0 else "", xlim=_span(np.array([low, high]), 0.04)
            )
            axes.locator_params(axis="x", nbins=5 if len(numbers) < 3 else 3)
            axes.grid(axis="y")
        if title:
            figure.suptitle(title, x=0.01, ha="left", size=10, color=INK)
    return figure


def _read(values: Mapping[str, Tensor | Iterable[float]], example: dict[str, str]) -> dict[str, Values]:
    if not values:
        ((name, variable),) = example.items()
        raise ValueError(f"There is nothing to draw; pass a name and its numbers, such as {{{name!r}: {variable}}}.")
    numbers = {name: _flat(part) for name, part in values.items()}
    for name, part in numbers.items():
        if not len(part):
            raise ValueError(f"{name!r} holds no numbers; pass at least one.")
        if not np.isfinite(part).all():
            broken = int((~np.isfinite(part)).sum())
            raise ValueError(
                f"{broken} of {len(part)} numbers of {name!r} are NaN or infinite; find out what made them."
            )
    return numbers


def _flat(values: Tensor | Iterable[float]) -> Values:
    if isinstance(values, Tensor):
        return values.detach().flatten().cpu().double().numpy()
    return np.array([float(value) for value in values])


def _places(lines: Mapping[str, Values], x: Tensor | None) -> Values:
    if x is None:
        if lines:
            raise ValueError(
                "There are curves and no x; pass where their values stand, such as x=torch.linspace(-4, 4, 200)."
            )
        return np.empty(0)
    places = _flat(x)
    for name, values in lines.items():
        if len(values) != len(places):
            raise ValueError(
                f"The curve {name!r} holds {len(values)} values and x {len(places)}; they must be as many."
            )
    return places


def _span(values: Values, margin: float) -> tuple[float, float]:
    """From the least to the largest value and a part of that further, or a little around a single one."""
    low, high = float(values.min()), float(values.max())
    room = margin * (high - low) if high > low else max(abs(low), 1.0) / 2
    return low - room, high + room


def _told(
    title: str | None, xlabel: str, numbers: dict[str, Values], lines: dict[str, Values], marks: Sequence[float] = ()
) -> str:
    parts = [_described(name, values, marks) for name, values in numbers.items()]
    for name, values in lines.items():
        known = values[np.isfinite(values)]
        parts.append(f"the curve {name} between {known.min():.3g} and {known.max():.3g}" if len(known) else name)
    return f"{title or f'Histograms over {xlabel}'}: {'; '.join(parts)}."


def _described(name: str, values: Values, marks: Sequence[float]) -> str:
    told = f"{name}, {len(values)} values between {values.min():.3g} and {values.max():.3g}"
    if marks:
        close = 0.01 * (max(marks) - min(marks) or max(abs(marks[0]), 1.0))
        at = (np.abs(values[:, None] - np.array(marks)) <= close).any(1).mean()
        return f"{told}, {100 * at:.0f} % of them at the marks {', '.join(f'{mark:g}' for mark in marks)}"
    return f"{told} with mean {values.mean():.3g} and standard deviation {values.std():.3g}"
