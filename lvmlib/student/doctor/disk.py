"""Whether there is room, and leave to write, where labs write."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lvmlib.student.doctor.finding import Finding, known, right, wrong
from lvmlib.student.doctor.imports import Imports

ENOUGH = 500e6
"""Bytes that checkpoints, TensorBoard's logs and a notebook's pictures take, with room to spare."""
ENOUGH_DATA = 3e9
"""Bytes of the largest complete set, and of its archive while it is unpacked."""


def temporary(_: Imports) -> Finding | None:
    """Whether temporary files can be written, which almost everything needs."""
    try:
        tempfile.TemporaryFile().close()
    except OSError as error:
        return wrong(
            f"No temporary file can be written ({error.strerror or error}).",
            "Free some disk space, or set TMPDIR to a folder with room.",
        )
    return None


def work(_: Imports) -> Finding:
    """Whether the working folder, where checkpoints go, can be written to and has room."""
    try:
        folder = Path.cwd()
    except OSError:
        return wrong("The working folder is gone.", "Go to another one: cd ~.")
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        return wrong(
            f"Nothing can be written in {folder} ({error.strerror or error}).",
            "Copy your notebook to a folder of yours, and work there.",
        )
    free = shutil.disk_usage(folder).free
    if free < ENOUGH:
        return wrong(f"Only {_size(free)} are free in {folder}.", "Delete what you do not need: runs/, checkpoints/.")
    return right(f"{folder} can be written to, and {_size(free)} are free.")


def data(_: Imports) -> Finding:
    """Whether there is room for complete data sets; the embedded ones need none."""
    from lvmlib.datasets.complete import default_root

    root = default_root()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < ENOUGH_DATA:
        return known(
            f"Only {_size(free)} are free in {root}, where complete data sets would go (the cpu profile needs none).",
            "Set LVM_DATA to a folder with more room.",
        )
    return right(f"Complete data sets go to {root}, where {_size(free)} are free.")


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
