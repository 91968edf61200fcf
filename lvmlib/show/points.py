"""Points of the plane: codes and two-dimensional data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from torch import Tensor

from lvmlib.show.figure import INK, MARKERS, PALETTE, Figure, look


def scatter(
    points: Tensor,
    labels: Tensor | None = None,
    classes: Sequence[str] | None = None,
    *,
    xlabel: str = "z₁",
    ylabel: str = "z₂",
    title: str | None = None,
    alt: str | None = None,
) -> Figure:
    """Codes in the plane, by colour, mark and a name in the middle of each class where labels are given.

    Args:
        points: Shape (count, 2), any device.
        labels: The class 0, 1, … of every point, shape (count,).
        classes: The names of the classes; without it their numbers.
        xlabel, ylabel: The axes.
        title, alt: As in :func:`lvmlib.show.grid`.

    Raises:
        ValueError: Points or labels have another shape, points hold NaN, or a class has no name.
    """
    places = read_points(points, "points")
    groups = _groups(labels, classes, len(places))
    among = f" of the classes {', '.join(groups)}" if groups else ""
    alt = alt or f"{title or 'Scatter plot'}: {len(places)} points{among} over {xlabel} and {ylabel}."
    figure = Figure(alt, figsize=(5.6, 4.4), layout="constrained")
    size = mark_size(len(places))
    with look():
        axes = figure.add_subplot()
        if not groups:
            axes.scatter(places[:, 0], places[:, 1], s=size, color=PALETTE[0], alpha=0.6, linewidths=0)
        for index, (name, chosen) in enumerate(groups.items()):
            mark, colour = MARKERS[(index + index // len(PALETTE)) % len(MARKERS)], PALETTE[index % len(PALETTE)]
            x, y = places[chosen].T
            axes.scatter(x, y, s=size, color=colour, marker=mark, alpha=0.6, linewidths=0, label=name)
        for name, chosen in groups.items():
            x, y = np.median(places[chosen], axis=0)
            halo = [withStroke(linewidth=3, foreground="white")]
            axes.annotate(name, (x, y), ha="center", va="center", weight="bold", path_effects=halo)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title or "")
        axes.set_aspect("equal", adjustable="datalim")
        if groups:
            legend = figure.legend(loc="outside right upper", markerscale=(30 / size) ** 0.5, handletextpad=0.2)
            for handle in filter(None, legend.legend_handles):
                handle.set_alpha(1)
    return figure


def clouds(
    sets: Mapping[str, Tensor],
    *,
    xlabel: str = "x₁",
    ylabel: str = "x₂",
    title: str | None = None,
    alt: str | None = None,
) -> Figure:
    """Clouds of points side by side on the same axes, for example data and what a model samples.

    Args:
        sets: A name and the points of each cloud, shape (count, 2), any device.
        xlabel, ylabel: The axes.
        title, alt: As in :func:`lvmlib.show.grid`.

    Raises:
        ValueError: No clouds, points of another shape, or NaN.
    """
    if not sets:
        raise ValueError("There is no cloud to draw; pass a name and its points, such as {'data': x}.")
    places = {name: read_points(points, f"points of {name!r}") for name, points in sets.items()}
    low, high = np.min([p.min(0) for p in places.values()], 0), np.max([p.max(0) for p in places.values()], 0)
    middle, reach = (low + high) / 2, 0.54 * max(float((high - low).max()), 1e-6)
    sizes = ", ".join(f"{name} with {len(cloud)} points" for name, cloud in places.items())
    alt = alt or f"{title or 'Clouds of points'}, side by side: {sizes}."
    figure = Figure(alt, figsize=(2.5 * len(places) + 0.5, 2.9 if title else 2.7), layout="constrained")
    with look():
        panels = figure.subplots(1, len(places), sharex=True, sharey=True, squeeze=False)[0]
        for index, (axes, (name, cloud)) in enumerate(zip(panels, places.items(), strict=True)):
            colour = PALETTE[index % len(PALETTE)]
            axes.scatter(cloud[:, 0], cloud[:, 1], s=mark_size(len(cloud)), color=colour, alpha=0.5, linewidths=0)
            axes.set(title=name, xlabel=xlabel, ylabel=ylabel if index == 0 else "", aspect="equal")
            axes.set(xlim=(middle[0] - reach, middle[0] + reach), ylim=(middle[1] - reach, middle[1] + reach))
            axes.grid()
        if title:
            figure.suptitle(title, x=0.01, ha="left", size=10, color=INK)
    return figure


def read_points(points: Tensor, what: str) -> NDArray[np.float64]:
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"The {what} have shape {tuple(points.shape)}; pass (count, 2) with at least one point.")
    places = points.detach().cpu().double().numpy()
    if not np.isfinite(places).all():
        raise ValueError(f"The {what} hold NaN or infinite values; find the step that made them before drawing.")
    return places


def _groups(labels: Tensor | None, classes: Sequence[str] | None, count: int) -> dict[str, NDArray[np.bool_]]:
    """The name of each class that occurs, and which points are of it."""
    if labels is None:
        return {}
    if labels.shape != (count,):
        raise ValueError(f"There are {count} points and labels of shape {tuple(labels.shape)}; pass ({count},).")
    numbers = labels.detach().cpu().to(torch.int64).numpy()
    present = np.unique(numbers).tolist()
    if classes is not None and not 0 <= present[0] <= present[-1] < len(classes):
        raise ValueError(f"The labels go from {present[0]} to {present[-1]} and {len(classes)} classes have a name.")
    return {str(number) if classes is None else classes[number]: numbers == number for number in present}


def mark_size(count: int) -> float:
    """Area of a mark in square points: smaller the more there are."""
    return float(np.clip(12000 / count, 6, 24))
