"""A lab's cells stand in nbgrader's gradebook, and are entered again only where they changed."""

from __future__ import annotations

import pytest
from booked import everything
from recorded import SMALL

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading import lab_cells
from lvmlib.grading.assignment import Assignment, grade_id_of
from lvmlib.grading.entering import write
from lvmlib.grading.lab_cells import prepare
from lvmlib.grading.marks import read_marks, roster
from lvmlib.grading.results import Result, Status


def test_a_lab_that_stands_there_already_is_not_entered_again(
    entered: Course, small_assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[type] = []
    monkeypatch.setattr(lab_cells, "convert", lambda converter, config: converted.append(converter))
    before = everything(entered)
    prepare(entered, small_assignment)
    assert not converted and everything(entered) == before
    first, *rest = small_assignment.cells
    for changed in (
        (first, *rest[:-1]),
        (first, *rest[:-1], rest[-1] | {"source": "Another question."}),
        tuple(cell for cell in small_assignment.cells if grade_id_of(cell) != "active-units"),
    ):
        prepare(entered, Assignment(SMALL, changed, small_assignment.judges, {}))
    assert len(converted) == 3


def test_a_lab_that_was_never_entered_is_refused(entered: Course, small_assignment: Assignment) -> None:
    other = Assignment("01-other", small_assignment.cells, "", {})
    result = Result("ada", "01-other", Status.GRADED, cells=small_assignment.cells)
    with pytest.raises(CourseError, match="does not know this lab"):
        write(entered, result, other, None)
    assert read_marks(entered, "01-other") == {}
    assert roster(entered) == []
