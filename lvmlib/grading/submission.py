"""Read students' notebooks: find them, and bring each back into the form that was released."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.course import CourseError
from lvmlib.grading.assignment import Assignment

LARGEST = 50_000_000


class UnreadableError(CourseError):
    """A submission cannot be read; the message says why, and what the student should do."""


@dataclass(frozen=True)
class Submission:
    """One student's work on one lab: the folder STUDENT/LAB."""

    student: str
    lab: str
    folder: Path


def collect(submitted: Path, lab: str | None = None) -> list[Submission]:
    """The submissions in a folder laid out as submitted/STUDENT/LAB, by lab and student.

    Raises:
        CourseError: there is no such folder, or nothing in it, or a student's notebook lies outside a lab's folder.
    """
    for stray in sorted(submitted.glob("*/*.ipynb")):
        student = stray.parent.name
        raise CourseError(f"{student}/{stray.name} lies outside a lab's folder; move it to {student}/LAB/LAB.ipynb.")
    folders = [path for path in submitted.glob("*/*") if path.is_dir() and not path.parent.name.startswith(".")]
    found = [Submission(path.parent.name, path.name, path) for path in folders if lab in (None, path.name)]
    if not found:
        raise CourseError(
            f"{submitted} holds no {lab or 'lab'}; lay submissions out as {submitted}/STUDENT/LAB/LAB.ipynb."
        )
    return sorted(found, key=lambda submission: (submission.lab, submission.student))


def read_submission(submission: Submission, assignment: Assignment) -> tuple[NotebookNode, list[str]]:
    """A submission as a notebook that can be graded, and what had to be mended for that, in sentences.

    Every cell nbgrader knows is there once, with the metadata it was released with; locked cells have their complete
    source.  Cells of the student's own stay.

    Raises:
        UnreadableError: there is no notebook, or it is not one.
    """
    path, notes = _find_notebook(submission)
    notebook = _parse(path)
    notebook.cells, more = restore(notebook.cells, assignment)
    return notebook, notes + more


def restore(cells: list[NotebookNode], assignment: Assignment) -> tuple[list[NotebookNode], list[str]]:
    """Bring cells back into the form that was released; the second value says what was mended."""
    kept, notes = _drop_copies([copy.deepcopy(cell) for cell in cells], assignment)
    for cell in kept:
        released = assignment.cells.get(grade_id) if (grade_id := _grade_id(cell)) else None
        if released is None:
            cell.metadata.pop("nbgrader", None)
            continue
        cell.metadata.nbgrader = copy.deepcopy(released.metadata.nbgrader)
        if released.metadata.nbgrader.locked:
            cell.source = released.source
    return kept, notes + _put_back_missing(kept, assignment)


def _find_notebook(submission: Submission) -> tuple[Path, list[str]]:
    expected = submission.folder / f"{submission.lab}.ipynb"
    found = [path for path in sorted(submission.folder.glob("*.ipynb")) if not path.name.startswith(".")]
    path = expected if expected in found or len(found) != 1 else found[0]
    if path not in found:
        others = f"; there are {', '.join(other.name for other in found)}" if found else ""
        raise UnreadableError(f"{expected.name} is missing{others}.")
    if path.is_symlink() or not path.resolve().is_relative_to(submission.folder.resolve()):
        raise UnreadableError(f"{path.name} is a link to another file; submit the notebook itself.")
    if path.stat().st_size > LARGEST:
        raise UnreadableError(
            f"{path.name} is larger than {LARGEST // 1_000_000} MB; clear its outputs and submit again."
        )
    return path, [] if path == expected else [f"took {path.name} for {expected.name}"]


def _parse(path: Path) -> NotebookNode:
    import nbformat

    try:
        notebook = nbformat.reads(path.read_bytes().decode("utf-8-sig"), as_version=4)
        if not isinstance(notebook.cells, list) or not all(_is_cell(cell) for cell in notebook.cells):
            raise ValueError("no cells")
    except Exception as error:  # a file of a stranger's: nbformat raises whatever its content provokes
        raise UnreadableError(
            f"{path.name} is not a notebook ({type(error).__name__}); save it again and resubmit."
        ) from error
    return notebook


def _is_cell(cell: NotebookNode) -> bool:
    return cell.cell_type in {"code", "markdown", "raw"} and isinstance(cell.source, str) and "metadata" in cell


def _grade_id(cell: NotebookNode) -> str | None:
    nbgrader = cell.metadata.get("nbgrader")
    grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    return grade_id if isinstance(grade_id, str) else None


def _drop_copies(cells: list[NotebookNode], assignment: Assignment) -> tuple[list[NotebookNode], list[str]]:
    originals = {grade_id: _choose(cells, released) for grade_id, released in assignment.cells.items()}
    kept, notes = [], []
    for cell in cells:
        grade_id = _grade_id(cell)
        if grade_id in originals and cell is not originals[grade_id]:
            notes.append(f"left a copy of the cell {grade_id} out")
        else:
            kept.append(cell)
    return kept, notes


def _choose(cells: list[NotebookNode], released: NotebookNode) -> NotebookNode | None:
    # Of several copies, the last one the student worked in: that is the definition in force at the end.
    grade_id, kind = released.metadata.nbgrader.grade_id, released.cell_type
    copies = [cell for cell in cells if _grade_id(cell) == grade_id and cell.cell_type == kind]
    worked_in = [cell for cell in copies if cell.source != released.source]
    return next(reversed(worked_in or copies), None)


def _put_back_missing(cells: list[NotebookNode], assignment: Assignment) -> list[str]:
    notes = []
    place = 0
    for grade_id, released in assignment.cells.items():
        present = next((index for index, cell in enumerate(cells) if _grade_id(cell) == grade_id), None)
        if present is None:
            cells.insert(place, copy.deepcopy(released))
            notes.append(f"put the missing cell {grade_id} back")
            place += 1
        else:
            place = present + 1
    return notes
