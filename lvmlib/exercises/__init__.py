"""How each exercise of a lab is questioned, one module a lab; the numbers of the right answers lie beside them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lvmlib.probe import Answers, Ask

Law = Callable[[Answers, int], str | None]


@dataclass(frozen=True)
class Exercise:
    """One exercise: its name in kebab case, the function a student writes, and the probe that questions it.

    `law` decides where many answers are right: from the answers and the seed they were asked with it gives a clause
    that says what is wrong, or None.  Without one the answers are compared with those of an oracle.
    """

    name: str
    function: str
    probe: Callable[[Ask], None]
    praise: str
    law: Law | None
    module: str

    @property
    def key(self) -> Path:
        """The file of right and known wrong numbers on the public seeds, made by `lvm release`."""
        return Path(__file__).with_name(f"{self.module.rpartition('.')[2]}.key.json")


_exercises: dict[str, Exercise] = {}


def exercise(
    name: str, function: str, *, praise: str = "values and gradients right", law: Law | None = None
) -> Callable[[Callable[[Ask], None]], Callable[[Ask], None]]:
    """Enter a probe under an exercise's name."""

    def enter(probe: Callable[[Ask], None]) -> Callable[[Ask], None]:
        _exercises[name] = Exercise(name, function, probe, praise, law, probe.__module__)
        return probe

    return enter


def find(name: str) -> Exercise:
    """The exercise of this name.

    Raises:
        KeyError: there is none; the message lists those there are.
    """
    known = {exercise.name: exercise for exercise in every()}
    if name not in known:
        raise KeyError(f"there is no exercise {name!r}; there are {', '.join(known)}")
    return known[name]


def every(lab: str | None = None) -> Iterator[Exercise]:
    """All exercises, or those of one lab (`03-vae`), in the order of their probes."""
    _import_labs()
    module = lab and f"{__name__}.{module_name(lab)}"
    yield from (exercise for exercise in _exercises.values() if lab is None or exercise.module == module)


def module_name(lab: str) -> str:
    """The module that questions a lab: `05-beta-vae` is questioned by `beta_vae`."""
    return lab.partition("-")[2].replace("-", "_")


@cache
def _import_labs() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
