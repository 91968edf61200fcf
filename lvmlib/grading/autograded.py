"""The notebook of a submission that nbgrader's formgrader and its feedback show: `autograded/STUDENT/LAB/LAB.ipynb`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading.assignment import Assignment, nbgrader_of
from lvmlib.grading.grade_ids import released_by_id, submitted_by_id, verdicts_by_id
from lvmlib.grading.results import Cell, Result, Verdict

INERT = (
    (re.compile(r"<(?=[a-z/!?])", re.IGNORECASE), "< "),  # no tag
    (re.compile(r"!(?=\[)"), "! "),  # no picture
    (re.compile(r"(?<=\])([(:]\s*<?\s*)(?!\s|https?://|mailto:|#)", re.IGNORECASE), r"\1./"),  # no link to a script
    (re.compile(r"\\(?=href|url|require|style|class|cssId|html|data|include)", re.IGNORECASE), ""),  # nor in a formula
)
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class StudentNameError(CourseError):
    """A student's name is no name of a folder; the message quotes it."""


def path_of(course: Course, result: Result) -> Path:
    """Where nbgrader looks for the notebook.

    Raises:
        StudentNameError: the student's name is no name of a folder.
    """
    student = result.student
    if student in ("", "..") or Path(student).name != student or not student.isprintable():
        raise StudentNameError(f"{student!r} is no name of a student's folder; rename it and grade again.")
    return course.root / "autograded" / student / result.lab / f"{result.lab}.ipynb"


def compose(result: Result, assignment: Assignment) -> bytes:
    """The submission as a notebook whose outputs say the sentences, and give nbgrader's own reading the same points.

    Only what the release names goes by a grade id, and with the release's metadata; nothing a student wrote is alive.
    """
    released, verdicts = released_by_id(assignment), verdicts_by_id(result.verdicts)
    names = {id(cell): name for name, cell in submitted_by_id(result, released).items()}
    ours = {cell["source"] for cell in assignment.cells}
    cells = []
    for place, cell in enumerate(result.cells):
        name = names.get(id(cell), "")
        shown = _text(cell, ours) if cell["cell_type"] != "code" else _code(cell, verdicts.get(name))
        about = {"nbgrader": nbgrader_of(released[name])} if name else {}
        cells.append(shown | {"id": f"cell-{place}", "metadata": about})
    notebook = {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    text = json.dumps(notebook, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "replace")


@contextmanager
def replacing(path: Path, content: bytes) -> Iterator[set[str]]:
    """Put a notebook in its place if the block succeeds; it is on the disk, beside its place, before the block starts.

    Yields:
        The grade ids of cells in which something else stands than in the notebook that is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")  # one writer; what a killed one left is written over
    try:
        draft.write_bytes(content)
        yield _rewritten(path, content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _rewritten(path: Path, content: bytes) -> set[str]:
    try:
        before = _sources(path.read_bytes())
    except (OSError, ValueError, LookupError, TypeError):
        before = {}
    return {name for name, source in _sources(content).items() if source != before.get(name)}


def _sources(content: bytes) -> dict[str, str]:
    cells = json.loads(content)["cells"]
    return {cell["metadata"]["nbgrader"]["grade_id"]: cell["source"] for cell in cells if cell["metadata"]}


def _text(cell: Cell, ours: set[str]) -> Cell:
    source = cell["source"] if cell["source"] in ours else _inert(cell["source"])
    return {"cell_type": cell["cell_type"], "source": source}


def _inert(markdown: str) -> str:
    """A student's text that formgrader, which renders it as it is, cannot be made to run or to fetch anything with."""
    for found, instead in INERT:
        markdown = found.sub(instead, markdown)
    return markdown


def _code(cell: Cell, verdict: Verdict | None) -> Cell:
    outputs = _outputs(verdict) if verdict else []
    return {"cell_type": "code", "source": cell["source"], "execution_count": None, "outputs": outputs}


def _outputs(verdict: Verdict) -> list[dict[str, Any]]:
    """What nbgrader reads points from: an error is none, a number that many, and anything else all of them."""
    said = verdict.sentence
    if verdict.points <= 0:
        return [{"output_type": "error", "ename": "CheckFailed", "evalue": said, "traceback": [said]}]
    told = [{"output_type": "stream", "name": "stdout", "text": f"{said}\n"}]
    if verdict.points >= verdict.max_points:
        return told
    number = {"data": {"text/plain": f"{verdict.points!r}"}, "metadata": {}, "execution_count": None}
    return [*told, {"output_type": "execute_result", **number}]
