"""The lab as it was handed out, where a student still has it: in the course/ of a folder above."""

from __future__ import annotations

from pathlib import Path

from lvmlib.student.notebooks import Notebook, NotebookError, nbgrader_of, read_notebook
from lvmlib.student.outline import STUB


def read_released(lab: str, own: Path) -> Notebook | None:
    """The lab as it was handed out; None where there is no such file, or one that was worked in.

    Args:
        own: the student's notebook, which is never taken for it.
    """
    path = _find(lab, own)
    try:
        released = read_notebook(path) if path else None
    except NotebookError:
        return None
    return released if released and is_untouched(released) else None


def is_untouched(notebook: Notebook) -> bool:
    """Whether no exercise of a notebook is written."""
    exercises = [
        cell for cell in notebook["cells"] if cell["cell_type"] == "code" and nbgrader_of(cell).get("solution")
    ]
    return all(STUB.search(cell["source"]) for cell in exercises)


def _find(lab: str, own: Path) -> Path | None:
    for folder in own.absolute().parents:
        path = folder / "course" / lab / f"{lab}.ipynb"
        if path.is_file():
            return None if path.samefile(own) else path
    return None
