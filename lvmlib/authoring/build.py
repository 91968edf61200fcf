"""solutions/LAB/LAB.py → solutions/LAB/LAB.ipynb, with the outputs of the `cpu` profile."""

from __future__ import annotations

import copy
import re
from enum import StrEnum

from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.course import Course, write_atomically
from lvmlib.authoring.execute import execute
from lvmlib.authoring.text import read_notebook, read_placeholders
from lvmlib.grading.key import write_keys

PROFILE = "cpu"
INSTALLED_FROM = re.compile(r"git\+https?://[^\s\"']+")


class Built(StrEnum):
    """What building a lab came to."""

    UNCHANGED = "unchanged"
    REWORDED = "text changed; outputs kept"
    EXECUTED = "executed"


def build(course: Course, lab: str, *, force: bool = False) -> Built:
    """Make a lab's notebook from its text, running it only where its code changed.

    Args:
        force: run it all the same, for example because lvmlib changed.

    Raises:
        TextError: the text cannot become a notebook.
        ExecutionError: a cell raised; the notebook on disk stays as it was.
    """
    target = course.solution(lab)
    drafted = read_text(course, lab)
    before = read_stored(course, lab)
    if not force and before is not None and is_executed(before) and _code(before) == _code(drafted):
        kept = _with_outputs(drafted, before)
        if serialise(kept) == target.read_text(encoding="utf-8"):
            return Built.UNCHANGED
        write_atomically(target, serialise(kept))
        return Built.REWORDED
    if course.judges(lab).is_file():
        # The checks in the notebook read the key, also that of an exercise which is new.
        write_keys(lab)
    write_atomically(target, serialise(execute(drafted, PROFILE, lab)))
    return Built.EXECUTED


def read_text(course: Course, lab: str) -> NotebookNode:
    """The notebook a lab's text describes, without outputs."""
    return read_notebook(course.text(lab), read_placeholders(course.root / "pyproject.toml"))


def read_stored(course: Course, lab: str) -> NotebookNode | None:
    """The notebook on disk, if there is one."""
    import nbformat

    path = course.solution(lab)
    return nbformat.read(path, as_version=4) if path.is_file() else None


def is_executed(notebook: NotebookNode) -> bool:
    """Whether every code cell ran once, in order from the top."""
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    return counts == list(range(1, len(counts) + 1))


def without_outputs(notebook: NotebookNode) -> NotebookNode:
    """A copy as it was before it ran."""
    bare = copy.deepcopy(notebook)
    for cell in bare.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    return bare


def serialise(notebook: NotebookNode) -> str:
    """A notebook as JSON: keys sorted, one space of indent, a newline at the end."""
    import nbformat

    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def _code(notebook: NotebookNode) -> list[str]:
    # from where Colab installs lvmlib changes no output
    return [INSTALLED_FROM.sub("", cell.source) for cell in notebook.cells if cell.cell_type == "code"]


def _with_outputs(drafted: NotebookNode, before: NotebookNode) -> NotebookNode:
    kept = copy.deepcopy(drafted)
    ran = (cell for cell in before.cells if cell.cell_type == "code")
    for cell in kept.cells:
        if cell.cell_type == "code":
            old = next(ran)
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
    return kept
