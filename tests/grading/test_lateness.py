"""Lateness costs what the course's plugin says."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from booked import opened
from recorded import SMALL, graded

from lvmlib.authoring.course import Course
from lvmlib.grading.assignment import Assignment
from lvmlib.grading.entering import write
from lvmlib.grading.marks import read_marks

DUE = datetime(2030, 1, 1)


@pytest.mark.parametrize(
    ("policy", "timestamp", "extension", "penalty"),
    [
        ("zero", "2030-01-02 00:00:00 UTC", None, 5.0),
        ("zero", "2029-12-31 23:59:59 UTC", None, None),
        ("zero", "2030-01-02 00:00:00 UTC", timedelta(days=2), None),
        ("zero", None, None, None),
        ("zero", "\x1b[2J tomorrow, perhaps", None, None),
        ("zero", "2030-01-02 00:00:00 XYZ", None, 5.0),
        ("zero", "", None, None),
        ("none", "2030-01-02 00:00:00 UTC", None, None),
    ],
)
def test_lateness_costs_what_the_course_says(
    entered: Course,
    small_assignment: Assignment,
    policy: str,
    timestamp: str | None,
    extension: timedelta | None,
    penalty: float | None,
) -> None:
    with entered.config.open("a") as file:
        file.write(f"\nc.LateSubmissionPlugin.penalty_method = {policy!r}\n")
    with opened(entered) as book:
        book.find_assignment(SMALL).duedate = DUE
    result = graded(small_assignment, points={"kl-divergence": 2.0, "reparameterize": 3.0})
    write(entered, result, small_assignment, None)
    with opened(entered) as book:
        book.find_submission(SMALL, "ada").extension = extension
    write(entered, result, small_assignment, timestamp)
    with opened(entered) as book:
        assert book.find_submission_notebook(SMALL, SMALL, "ada").late_submission_penalty == penalty
    assert read_marks(entered, SMALL)["ada"].score == 5.0 - (penalty or 0.0)
