"""What follows from a recorded result: the gradebook, the feedback page, a row of the table, the class summary."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lvmlib.authoring.course import Course, CourseError, write_atomically
from lvmlib.grading import entering, records
from lvmlib.grading.assignment import Assignment
from lvmlib.grading.feedback import page
from lvmlib.grading.marks import Marks, read_marks
from lvmlib.grading.results import Result, Status
from lvmlib.grading.summary import summary_page
from lvmlib.grading.table import Row, row_of
from lvmlib.grading.task import library_hash


def publish(course: Course, result: Result, assignment: Assignment, handed_in: str | None) -> Row:
    """Write everything that follows from a result, as far as it is not written yet.

    Args:
        handed_in: when, if that is known.

    Raises:
        CourseError: something cannot be written.
    """
    marks = _marks(course, result)
    page_is_due = result.status is not Status.MISSING
    is_written = feedback_of(course, result).is_file() or not page_is_due
    if not is_written or records.published(course, result) != _seal(result, marks, handed_in):
        entering.write(course, result, assignment, handed_in)
        marks = _marks(course, result)
        if page_is_due:
            _write(course, feedback_of(course, result), page(result, marks, _title(assignment)))
        records.set_published(course, result, _seal(result, marks, handed_in))
    return row_of(result, marks, assignment.points)


def feedback_of(course: Course, result: Result) -> Path:
    """Where the page is that a student gets."""
    return course.root / "feedback" / result.student / result.lab / f"{result.lab}.html"


def write_summary(course: Course, lab: str) -> Path:
    """Write the class summary of a lab from all that is recorded of it; returns the page.

    Raises:
        CourseError: it cannot be written.
    """
    path = course.root / "feedback" / f"summary-{lab}.html"
    _write(course, path, summary_page(lab, list(_without_cells(course, lab)), read_marks(course, lab)))
    return path


def _without_cells(course: Course, lab: str) -> Iterator[Result]:
    # Of a thousand students, the notebooks would fill the memory.
    return (replace(result, cells=()) for result in records.every(course, lab))


def _marks(course: Course, result: Result) -> Marks | None:
    return read_marks(course, result.lab, result.student).get(result.student)


def _seal(result: Result, marks: Marks | None, handed_in: str | None) -> str:
    told = f"{result.to_json()}\n{marks!r}\n{handed_in}\n{library_hash()}"
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def _title(assignment: Assignment) -> str:
    first = next((cell["source"] for cell in assignment.cells if cell["cell_type"] == "markdown"), "")
    return first.partition("\n")[0].lstrip("# ") or assignment.lab


def _write(course: Course, path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise CourseError(
            f"{path.relative_to(course.root)} could not be written ({error.strerror}); mend that and grade again, "
            "which goes on from here."
        ) from error
