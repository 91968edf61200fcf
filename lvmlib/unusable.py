"""What is said where a package that lvmlib needs cannot be imported."""

from __future__ import annotations

import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

LONGEST = 240


def withhold(names: Iterable[str], package: dict[str, Any], error: Exception) -> None:
    """Make every use of these names of a package raise `unusable`, and leave its modules importable.

    Args:
        package: its `globals()`.
    """
    withheld = frozenset(names)
    for name in withheld:
        package.pop(name, None)
    package["__getattr__"] = _refuse(package["__name__"], withheld, error)


def _refuse(package: str, names: frozenset[str], error: Exception) -> Callable[[str], NoReturn]:
    def find(name: str) -> NoReturn:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        raise unusable(package, error) from error

    return find


def unusable(package: str, error: Exception) -> ImportError:
    """What to raise where this error stopped the import of a package: it says what is broken and what to do."""
    why = textwrap.shorten(f"{type(error).__name__}: {error}", LONGEST, placeholder=" …")
    return ImportError(f"{package} cannot be used, because {_culprit(error)} cannot be imported ({why}); {_remedy()}.")


def _culprit(error: Exception) -> str:
    """The package that is missing, or else the innermost one in whose code the import failed."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _package(error.name)
    modules = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    return [name for name in map(_package, modules) if name not in sys.stdlib_module_names][-1]


def _package(module: str) -> str:
    return module.partition(".")[0]


def _remedy() -> str:
    if "google.colab" in sys.modules:
        return "choose Runtime → Restart session and run this cell again; if that does not help, run !lvm doctor"
    doctor = f"{sys.executable} -m lvmlib.cli doctor"
    return f"run `{doctor}` in a terminal, which says how to mend it, and then restart the kernel"
