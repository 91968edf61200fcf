"""Functions of the plane, and where their gradients push points."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from numpy.typing import NDArray
from torch import Tensor

from lvmlib.profile import profile
from lvmlib.show.figure import INK, MARKERS, Figure, look
from lvmlib.show.points import mark_size, read_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet

_WIDTH = 7.0  # inches
_SIDE = 101
"""Points a side of the grid that a function is evaluated on."""
_LEVELS = 15
_SEQUENCE, _TWO_SIDED = "cividis", "PuOr_r"
_ARROWS = 120
"""More in a panel hide each other."""
_LONG, _SHORT = 0.25, 0.015
"""Of `reach`: what nine arrows in ten are shorter than, none being more than twice as long, and the least drawn."""

Values = NDArray[np.float64]
Slopes = tuple[Values, Values]
Field = Callable[[Tensor], Tensor]


def landscape(
    functions: Mapping[str, Field],
    *,
    points: Mapping[str, Tensor] | None = None,
    samples: Mapping[str, Tensor] | None = None,
    arrows: bool = False,
    reach: float = 3.0,
    limits: tuple[float, float] | None = None,
    centre: float | None = None,
    label: str = "",
    xlabel: str = "x₁",
    ylabel: str = "x₂",
    title: str | None = None,
    alt: str | None = None,
) -> Figure:
    """Functions of the plane side by side as filled contour levels, for example a critic with data and samples on it.

    Args:
        functions: A panel's name and its function, from points on the profile's device, shape (n, 2), to shape (n,).
        points: A name and points drawn in every panel, shape (n, 2), any device, for example the data.
        samples: Points drawn in the panel of this name alone, shape (n, 2), for example what a generator draws.
        arrows: Draw the gradient of the panel's function at up to 120 of its samples. Lengths are proportional to the
            gradient's norm with one scale for all panels, at which nine arrows in ten are shorter than an eighth of
            the panel's side; none is drawn longer than a quarter of it, and where a sample has none there is next to no
            gradient.
        reach: Both axes go from −reach to reach.
        limits: The ends of one colour scale for all panels, which share a bar; values beyond have the end's colour.
            Without it, each panel has its own. In an animation, give it.
        centre: The value that two colours part at, for example 0 for logits; without it, the colours are a sequence.
        label: What the function is, beside the bar of colours.
        xlabel, ylabel: The axes.
        title, alt: As in :func:`lvmlib.show.grid`.

    Raises:
        ValueError: No functions, one that returns another shape or NaN or has no gradient for arrows, points of another
            shape or with NaN, samples of a panel that is not there.
    """
    samples, points = samples or {}, points or {}
    _check(functions, samples)
    side = torch.linspace(-reach, reach, _SIDE, device=profile.device)
    heights = {name: _heights(name, function, side) for name, function in functions.items()}
    known = {name: read_points(cloud, f"points of {name!r}") for name, cloud in points.items()}
    drawn = {name: read_points(cloud, f"samples of {name!r}") for name, cloud in samples.items()}
    slopes = {name: _slopes(name, functions[name], cloud) for name, cloud in samples.items()} if arrows else {}
    figure = Figure(alt or _told(title, heights, known, drawn, slopes))
    frame = _Frame(xlabel, ylabel, label, title or "", one_bar=limits is not None, legend=bool(known or drawn))
    with look():
        panels, bars = _lay_out(figure, list(functions), frame)
        for name, axes in panels.items():
            filled = _fill(axes, side, heights[name], limits, centre)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
            for index, (cloud_name, cloud) in enumerate(known.items()):
                _mark(axes, cloud, index, "white", INK, cloud_name)
            if name in drawn:
                _mark(axes, drawn[name], len(known), INK, "white", "samples")
            if name in bars:
                _explain(filled, bars[name], label)
        if slopes:
            _draw_arrows(panels, slopes, reach)
        _legend(figure, panels.values())
    return figure


def _check(functions: Mapping[str, Field], samples: Mapping[str, Tensor]) -> None:
    if not functions:
        raise ValueError("There is no function to draw; pass a name and a function, such as {'critic': critic}.")
    for panel in samples:
        if panel not in functions:
            raise ValueError(f"There are samples for the panel {panel!r}; the panels are {', '.join(functions)}.")


def _heights(name: str, function: Field, side: Tensor) -> Values:
    """Of the function at all points of a grid, in rows from the lowest up."""
    points = torch.cartesian_prod(side, side).flip(1)
    with torch.no_grad():
        values = function(points)
    if values.shape != points.shape[:1]:
        shapes = f"shape {tuple(values.shape)} for points of shape {tuple(points.shape)}"
        raise ValueError(
            f"The function of {name!r} returned {shapes}; it must return one number a point, ({len(points)},)."
        )
    if not values.isfinite().all():
        raise ValueError(
            f"The function of {name!r} is NaN or infinite somewhere in the panel; find the step that made it so."
        )
    return values.cpu().double().numpy().reshape(len(side), len(side))


def _slopes(name: str, function: Field, cloud: Tensor) -> Slopes:
    """Some of the points and the function's gradient there, both of shape (count, 2)."""
    some = cloud.detach()[:: math.ceil(len(cloud) / _ARROWS)].float().to(profile.device).requires_grad_()
    with torch.enable_grad():
        total = function(some).sum()
    if not total.requires_grad:
        raise ValueError(f"The function of {name!r} has no gradient in its points; leave out detach() and no_grad().")
    (gradient,) = torch.autograd.grad(total, some)
    if not gradient.isfinite().all():
        raise ValueError(
            f"The gradient of {name!r} is NaN or infinite at some of its samples; find out where it breaks."
        )
    return some.detach().cpu().double().numpy(), gradient.cpu().double().numpy()


@dataclass(frozen=True)
class _Frame:
    """What is written around the panels, whether they share a bar of colours, and whether there is a legend."""

    xlabel: str
    ylabel: str
    label: str
    title: str
    one_bar: bool
    legend: bool


def _lay_out(figure: Figure, names: list[str], frame: _Frame) -> tuple[dict[str, Axes], dict[str, Axes]]:
    """Square panels in one row, or from four on in two, and the bars beside them; sizes in inches.

    matplotlib's own layout takes most of the time of a frame, and moves panels of a fixed shape between two drawings.
    """
    columns = len(names) if len(names) < 4 else math.ceil(len(names) / 2)
    rows = math.ceil(len(names) / columns)
    bar = 0.7 + 0.18 * bool(frame.label)
    gap, left, above, below = 0.25 if frame.one_bar else bar, 0.55, 0.32, 0.48 + 0.28 * frame.legend
    side = min(3.6, max(1.6, (_WIDTH - left - bar - (columns - 1) * gap) / columns))
    width = left + columns * side + (columns - 1) * gap + bar
    height = below + rows * (side + above) + 0.28 * bool(frame.title)
    figure.set_size_inches(width, height)
    panels, bars = {}, {}
    for index, name in enumerate(names):
        row, column = divmod(index, columns)
        x, y = left + column * (side + gap), below + (rows - 1 - row) * (side + above)
        axes = figure.add_axes((x / width, y / height, side / width, side / height), title=name)
        first, last = column == 0, index + columns >= len(names)
        axes.set(xlabel=frame.xlabel if last else "", ylabel=frame.ylabel if first else "")
        axes.tick_params(labelbottom=last, labelleft=first)
        panels[name] = axes
        if not frame.one_bar or index == columns - 1:
            place = (x + side + 0.08) / width, (y + 0.1 * side) / height, 0.1 / width, 0.8 * side / height
            bars[name] = figure.add_axes(place)
    if frame.title:
        figure.suptitle(frame.title, x=0.01, y=1 - 0.06 / height, ha="left", va="top", size=10, color=INK)
    return panels, bars


def _fill(
    axes: Axes, side: Tensor, heights: Values, limits: tuple[float, float] | None, centre: float | None
) -> QuadContourSet:
    low, high = limits or (float(heights.min()), float(heights.max()))
    if centre is not None:
        far = max(abs(low - centre), abs(high - centre))
        low, high = centre - far, centre + far
    if not high > low:
        low, high = low - 0.5, high + 0.5
    levels = MaxNLocator(_LEVELS, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    norm = (
        Normalize(levels[0], levels[-1])
        if centre is None
        else CenteredNorm(centre, max(centre - levels[0], levels[-1] - centre))
    )
    places, inside = side.cpu().numpy(), heights.clip(levels[0], levels[-1])
    return axes.contourf(
        places, places, inside, levels=levels, cmap=_SEQUENCE if centre is None else _TWO_SIDED, norm=norm
    )


def _explain(filled: QuadContourSet, bar: Axes, label: str) -> None:
    """Numbers beside the colours, with a common power of ten above the bar where they would not fit otherwise."""
    numbers = ScalarFormatter(useMathText=True)
    numbers.set_powerlimits((-2, 4))
    bar.figure.colorbar(filled, cax=bar, label=label, format=numbers)
    bar.yaxis.get_offset_text().set(x=0, horizontalalignment="left")


def _mark(axes: Axes, cloud: Values, index: int, inside: str, edge: str, name: str) -> None:
    mark, size = MARKERS[index % len(MARKERS)], 0.5 * mark_size(len(cloud))
    axes.scatter(
        cloud[:, 0], cloud[:, 1], s=size, marker=mark, color=inside, edgecolors=edge, linewidths=0.3, label=name
    )


def _draw_arrows(panels: dict[str, Axes], slopes: Mapping[str, Slopes], reach: float) -> None:
    norms = np.concatenate([np.linalg.norm(gradient, axis=1) for _, gradient in slopes.values()])
    usual = float(np.quantile(norms, 0.9)) or 1.0
    for name, (places, gradient) in slopes.items():
        lengths = np.linalg.norm(gradient, axis=1, keepdims=True)
        steps = gradient * (_LONG * reach / usual)
        steps *= np.minimum(1, 2 * usual / np.maximum(lengths, 1e-30))
        outline = [withStroke(linewidth=1.2, foreground="white")]
        seen = np.linalg.norm(steps, axis=1) > _SHORT * reach
        panels[name].quiver(
            *places[seen].T, *steps[seen].T, angles="xy", scale_units="xy", scale=1, width=0.005, minlength=0,
            color=INK, path_effects=outline, zorder=3,
        )  # fmt: skip


def _legend(figure: Figure, panels: Iterable[Axes]) -> None:
    named = {name: handle for axes in panels for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    if named:
        figure.legend(named.values(), named.keys(), loc="lower center", ncols=len(named), markerscale=2)


def _told(
    title: str | None,
    heights: Mapping[str, Values],
    known: Mapping[str, Values],
    drawn: Mapping[str, Values],
    slopes: Mapping[str, Slopes],
) -> str:
    panels = []
    for name, height in heights.items():
        told = f"{name} from {height.min():.3g} to {height.max():.3g}"
        if name in drawn:
            told += f" with {len(drawn[name])} samples"
        if name in slopes:
            told += (
                f" and arrows along gradients of median norm {np.median(np.linalg.norm(slopes[name][1], axis=1)):.2g}"
            )
        panels.append(told)
    everywhere = "".join(f"; {len(cloud)} points of {name} in every panel" for name, cloud in known.items())
    return f"{title or 'Functions of the plane as contour levels'}: {'; '.join(panels)}{everywhere}."
