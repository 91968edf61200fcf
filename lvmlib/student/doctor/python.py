"""Which Python this is."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import metadata
from pathlib import Path

from lvmlib.student.doctor.finding import Finding, known, right, wrong
from lvmlib.student.doctor.imports import Imports


def version(_: Imports) -> Finding:
    """Whether lvmlib takes this Python."""
    from packaging.specifiers import SpecifierSet

    here = platform.python_version()
    wanted = metadata("lvmlib")["Requires-Python"]
    if here in SpecifierSet(wanted, prereleases=True):
        return right(f"Python {here} on {platform.system()} {platform.machine()}.")
    return wrong(
        f"This is Python {here}, and lvmlib needs {wanted}.",
        "Install one of these, and run `make lab PYTHON=python3.12`.",
    )


def environment(_: Imports) -> Finding:
    """Whether this is the environment that `make lab` makes for the course around the working folder."""
    made = next((folder / ".venv" for folder in _above() if (folder / "nbgrader_config.py").is_file()), None)
    here = Path(sys.prefix)
    if made and made.is_dir() and not os.path.samefile(made, here):
        return known(
            f"This is the environment {here}, and not the one of `make lab`, {made}.",
            f"If a lab misbehaves there, run {made / 'bin' / 'lvm'} doctor.",
        )
    if made and made.is_dir():
        return right(f"The environment is the one of `make lab`, {here}.")
    if is_colab():
        return right("The environment is Colab's.")
    kind = "conda" if (here / "conda-meta").is_dir() else "virtual" if sys.prefix != sys.base_prefix else "system's"
    return known(f"The environment is {here} ({kind}), not made by `make lab`.")


def is_colab() -> bool:
    """Whether this runs on Google Colab."""
    from importlib.util import find_spec

    try:
        return find_spec("google.colab") is not None
    except (ImportError, ValueError):
        return False


def _above() -> tuple[Path, ...]:
    try:
        folder = Path.cwd()
    except OSError:
        return ()
    return (folder, *folder.parents)
