"""What models pay for their codes, and what they get for it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lvmlib.show.figure import MARKERS, PALETTE, Figure, look

_STEP = 10
"""Nats from one line of equal −ELBO to the next."""


def rate_distortion(
    models: Mapping[str, tuple[float, float]], *, title: str | None = None, alt: str | None = None
) -> Figure:
    """Models in the plane of rate and distortion, over grey lines on which −ELBO is the same, 10 nats apart.

    Alemi et al., *Fixing a Broken ELBO*, 2018, section 2.

    Args:
        models: A name and (rate, distortion) of each, in nats an observation.
        title, alt: As in :func:`lvmlib.show.grid`.

    Raises:
        ValueError: There is no model, or a number is not finite.
    """
    if not models:
        raise ValueError("There is no model to place; pass a name and its (rate, distortion).")
    for name, place in models.items():
        if not all(map(math.isfinite, place)):
            raise ValueError(f"{name!r} has rate {place[0]:g} and distortion {place[1]:g}; find out why.")
    told = "; ".join(f"{name} at {rate:.1f} + {distortion:.1f}" for name, (rate, distortion) in models.items())
    figure = Figure(alt or f"{title or 'Rate and distortion'}: {told} nats.", figsize=(6.2, 3.6), layout="constrained")
    with look():
        axes = figure.add_subplot()
        for index, (name, place) in enumerate(models.items()):
            mark, colour = MARKERS[index % len(MARKERS)], PALETTE[index % len(PALETTE)]
            axes.plot(*place, mark, color=colour, label=name)
        right = 1.15 * max(1.0, *(rate for rate, _ in models.values()))
        low, high = axes.get_ylim()
        for nats in range(_STEP * math.floor(low / _STEP), math.ceil(high + right), _STEP):
            axes.plot([0, right], [nats, nats - right], color="0.85", linewidth=0.8, zorder=0)
        axes.set(xlabel="rate in nats", ylabel="distortion in nats", title=title or "")
        axes.set(xlim=(0, right), ylim=(low, high))
        figure.legend(loc="outside right upper")
    return figure
