"""Pictures for notebooks: pure functions that return a figure with alt text, or an animation.

They never touch pyplot's state or the reader's ``rcParams``. matplotlib takes a while to import, so it is imported
when the first picture is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvmlib.lazy import lazily

if TYPE_CHECKING:
    from lvmlib.show.animation import Animation, gif
    from lvmlib.show.distributions import densities, histograms
    from lvmlib.show.fields import landscape
    from lvmlib.show.figure import Figure
    from lvmlib.show.latent import manifold, traversal
    from lvmlib.show.pictures import grid, reconstructions
    from lvmlib.show.plots import bars, curves
    from lvmlib.show.points import clouds, scatter
    from lvmlib.show.sliders import Slider, slider
    from lvmlib.show.spread import ranges
    from lvmlib.show.tradeoff import rate_distortion

_MODULES = {
    "grid": "pictures",
    "reconstructions": "pictures",
    "traversal": "latent",
    "manifold": "latent",
    "curves": "plots",
    "bars": "plots",
    "scatter": "points",
    "clouds": "points",
    "densities": "distributions",
    "histograms": "distributions",
    "landscape": "fields",
    "gif": "animation",
    "Animation": "animation",
    "Figure": "figure",
    "ranges": "spread",
    "rate_distortion": "tradeoff",
    "slider": "sliders",
    "Slider": "sliders",
}

__all__ = [
    "Animation", "Figure", "Slider", "bars", "clouds", "curves", "densities", "gif", "grid", "histograms", "landscape",
    "manifold", "ranges", "rate_distortion", "reconstructions", "scatter", "slider", "traversal",
]  # fmt: skip


__getattr__, __dir__ = lazily(__name__, _MODULES)
