"""What is said where a package that lvmlib needs cannot be imported."""

from __future__ import annotations

import sys
import textwrap
import traceback

LONGEST = 240


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
