"""How good what a model generates is, and how good an estimator is that trains one.

What a measure needs is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvmlib.lazy import lazily

if TYPE_CHECKING:
    from lvmlib.measure.digits import Recognised, recognised
    from lvmlib.measure.estimators import GradientMoments, gradient_moments
    from lvmlib.measure.frechet import Estimate, frechet_distance
    from lvmlib.measure.modes import ModeCoverage, mode_coverage
    from lvmlib.measure.neighbours import nearest

_MODULES = {
    "Estimate": "frechet",
    "GradientMoments": "estimators",
    "ModeCoverage": "modes",
    "Recognised": "digits",
    "frechet_distance": "frechet",
    "gradient_moments": "estimators",
    "mode_coverage": "modes",
    "nearest": "neighbours",
    "recognised": "digits",
}

__all__ = [
    "Estimate", "GradientMoments", "ModeCoverage", "Recognised", "frechet_distance", "gradient_moments",
    "mode_coverage", "nearest", "recognised",
]  # fmt: skip


__getattr__, __dir__ = lazily(__name__, _MODULES)
