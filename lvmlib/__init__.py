"""A small library under six labs on deep latent-variable models.

Its names are found when they are first used, so that a program which needs no torch starts at once, and `lvm doctor`
where torch is broken.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lvmlib import show
from lvmlib.lazy import lazily

if TYPE_CHECKING:
    from lvmlib.check import check
    from lvmlib.data import batches, load
    from lvmlib.experiment import experiment
    from lvmlib.fit import EarlyStopping, fit
    from lvmlib.profile import profile, seed_all, setup

__version__ = "0.1.0"

__all__ = [
    "EarlyStopping",
    "batches",
    "check",
    "experiment",
    "fit",
    "load",
    "profile",
    "seed_all",
    "setup",
    "show",
]

_MODULES = {
    "EarlyStopping": "fit",
    "batches": "data",
    "check": "check",
    "experiment": "experiment",
    "fit": "fit",
    "load": "data",
    "profile": "profile",
    "seed_all": "profile",
    "setup": "profile",
}

_find, __dir__ = lazily(__name__, _MODULES)


def __getattr__(name: str) -> Any:
    value = globals()[name] = _find(name)
    return value


class _Package(ModuleType):
    """Keeps the import system from putting the module lvmlib.fit, say, where the function `fit` belongs."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
