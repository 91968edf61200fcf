"""What handing in late costs, by the course's plugin, as nbgrader asks it."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lvmlib.authoring.converters import read_settings
from lvmlib.authoring.course import Course

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def moment(timestamp: str | None) -> Any:
    """When a timestamp says that was, in UTC; None where it says nothing that can be read."""
    from nbgrader.utils import parse_utc

    with warnings.catch_warnings(action="ignore"):  # that it names a zone which nobody knows
        try:
            return parse_utc(timestamp and timestamp.strip() or None)
        except (ValueError, OverflowError):
            return None


def penalise(session: Session, course: Course, student: str, handed_in: Any, notebook: Any) -> None:
    """Enter what a late submission costs, its scores being entered."""
    from nbgrader.api import Assignment as Lab

    notebook.late_submission_penalty = None
    due = session.get_one(Lab, handed_in.assignment_id).duedate
    if due is None or handed_in.timestamp is None:
        return
    late = (handed_in.timestamp - due - (handed_in.extension or timedelta())).total_seconds()
    if late > 0:
        score = _sum(session, notebook.id)
        penalty = _late_plugin(course).late_submission_penalty(student, score, late)
        notebook.late_submission_penalty = None if penalty is None else min(max(penalty, 0), score)


def _late_plugin(course: Course) -> Any:
    from nbgrader.preprocessors import AssignLatePenalties

    preprocessor = AssignLatePenalties(config=read_settings(course, course.root, links=()))
    preprocessor.init_plugin()
    return preprocessor.plugin_inst


def _sum(session: Session, notebook: str) -> float:
    from nbgrader.api import Grade
    from sqlalchemy import func, select

    return float(session.scalar(select(func.sum(Grade.score)).where(Grade.notebook_id == notebook)) or 0)
