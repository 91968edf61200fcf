"""A result without a score leaves no rows, and takes nothing away that a person gave."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from booked import comment, everything, failed, mark, opened
from nbgrader.api import MissingEntry
from recorded import SMALL, THINK, graded

from lvmlib.authoring.course import Course
from lvmlib.grading.assignment import Assignment
from lvmlib.grading.entering import write
from lvmlib.grading.marks import read_marks, roster
from lvmlib.grading.results import Status


@pytest.mark.parametrize("status", [status for status in Status if not status.has_score])
def test_without_a_score_there_are_no_rows(entered: Course, small_assignment: Assignment, status: Status) -> None:
    write(entered, failed("eve", status), small_assignment, None)
    write(entered, graded(small_assignment, "bob"), small_assignment, None)
    before = everything(entered)
    write(entered, graded(small_assignment), small_assignment, None)
    write(entered, failed("ada", status), small_assignment, None)
    assert (roster(entered), list(read_marks(entered, SMALL))) == (["ada", "bob"], ["bob"])
    gone = [row for row in everything(entered)[0] if row not in before[0]]
    assert len(gone) == 1 and "'ada'" in gone[0] and everything(entered)[1] == before[1]


def give_mark(course: Course) -> None:
    mark(course, THINK, 0.0)


def give_comment(course: Course) -> None:
    comment(course, "kl-divergence", "Elegant.")


def give_credit(course: Course) -> None:
    with opened(course) as book:
        book.find_grade("test-kl-divergence", SMALL, SMALL, "ada").extra_credit = 1.0


def give_extension(course: Course) -> None:
    with opened(course) as book:
        book.find_submission(SMALL, "ada").extension = timedelta(days=1)


@pytest.mark.parametrize("give", [give_mark, give_comment, give_credit, give_extension])
def test_a_failure_takes_nothing_away_that_a_person_gave(
    entered: Course, small_assignment: Assignment, give: Any
) -> None:
    write(entered, graded(small_assignment), small_assignment, None)
    give(entered)
    before = everything(entered)
    write(entered, failed(), small_assignment, None)
    assert everything(entered) == before


def test_what_was_never_handed_in_is_missing_for_nbgrader_too(written: Course, small_assignment: Assignment) -> None:
    write(written, failed(), small_assignment, None)
    with opened(written) as book, pytest.raises(MissingEntry):
        book.find_submission(SMALL, "ada")
