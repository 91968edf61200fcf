"""The archive that is handed in: one zip with the notebook under its lab's name.

Canvas and Moodle take a zip where they take files at all, also where they refuse `.ipynb`; both hand it to instructors
as it is, and `lvm grade` looks into it.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from lvmlib.authoring.course import CourseError, write_atomically
from lvmlib.student.labs import lab_named, lab_of, labs
from lvmlib.student.notebooks import Notebook, NotebookError, read_notebook
from lvmlib.student.order import order_of_cells, order_of_runs
from lvmlib.student.outline import Outline, outline
from lvmlib.student.released import read_released
from lvmlib.student.stripping import Limits, serialise, strip

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can tell: the same notebook gives the same bytes."""
LARGEST = 50_000_000
"""Bytes that every platform takes."""


class SubmitError(CourseError):
    """Nothing was written; the message says why, and what to do."""


@dataclass(frozen=True)
class Archive:
    """What was made.

    Attributes:
        path: the archive.
        size: in bytes.
        stripped: what was left out, one sentence each.
        warnings: what is odd about the notebook, one sentence each.
        tasks: what the lab asks for, and what of it is done.
    """

    path: Path
    size: int
    lab: str
    stripped: tuple[str, ...]
    warnings: tuple[str, ...]
    tasks: Outline


def submit(path: Path, folder: Path, limits: Limits | None = None, *, strict: bool = False) -> Archive:
    """Write FOLDER/LAB.zip from a notebook, in place of one that is there; the notebook stays as it is.

    Args:
        strict: whether to refuse a notebook with warnings.

    Raises:
        NotebookError: the file cannot be read, or holds no exercise.
        SubmitError: it has warnings and `strict` is set, or the archive cannot be written.
    """
    notebook = read_notebook(path)
    lab = lab_of(path, notebook)
    released = read_released(lab, path)
    tasks = outline(lab, notebook, released)
    if not tasks.is_in(notebook):
        raise NotebookError(f"{path.name} holds no exercise of a lab; hand in the notebook that you worked in.")
    warnings = _warnings(path, lab, notebook, tasks, released)
    if strict and warnings:
        raise SubmitError("Nothing was written. " + " ".join(warnings))
    stripped, notes = strip(notebook, limits or Limits())
    packed = pack(f"{lab}.ipynb", serialise(stripped))
    if len(packed) > LARGEST:
        warnings.append("The archive may be too large for your platform; remove pictures pasted into the text.")
    target = folder / f"{lab}.zip"
    _write(target, packed)
    return Archive(target, len(packed), lab, tuple(notes), tuple(warnings), tasks)


def pack(name: str, content: bytes) -> bytes:
    """A zip with one file; the same content always gives the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo(name, EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.create_system = 3
        entry.external_attr = 0o100644 << 16
        archive.writestr(entry, content, compresslevel=9)
    return packed.getvalue()


def _warnings(path: Path, lab: str, notebook: Notebook, tasks: Outline, released: Notebook | None) -> list[str]:
    named = lab_named(path)
    wrong = [f"{path.name} is lab {lab}, whatever it is called."] if named in labs() and named != lab else []
    return [*wrong, *order_of_cells(notebook, tasks, released), *order_of_runs(notebook)]


def _write(target: Path, content: bytes) -> None:
    try:
        write_atomically(target, content)
    except OSError as error:
        raise SubmitError(
            f"{target} could not be written ({error.strerror or error}); choose another folder by --out."
        ) from error
