"""What stands in nbgrader's gradebook: scores, marks by hand and comments, and the students it knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lvmlib.authoring.course import Course
from lvmlib.grading.entering import UNANSWERED
from lvmlib.grading.gradebook import exists, has_tables, notebook_query, opened, reporting

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Marked:
    """What stands in the gradebook for one question that is marked by hand.

    Attributes:
        name: its grade id.
        answered: whether the student wrote anything.
        comment: the marker's; empty where there is none.
        needs: whether a person has yet to mark it, or to look at it again.
    """

    name: str
    score: float
    max_score: float
    answered: bool
    comment: str
    needs: bool


@dataclass(frozen=True)
class Marks:
    """What stands in the gradebook for one submission.

    Attributes:
        score: by tests and by hand, less a penalty for lateness.
        needs_manual_grade: whether a person has yet to mark something.
        questions: those marked by hand, in the order of the lab.
    """

    score: float
    max_score: float
    needs_manual_grade: bool
    questions: tuple[Marked, ...]


def read_marks(course: Course, lab: str, student: str | None = None) -> dict[str, Marks]:
    """What stands in the gradebook for a lab, by student; for one of them alone, if told.

    Raises:
        GradebookError: the gradebook cannot be read.
    """
    if not exists(course):
        return {}
    with reporting(course), opened(course) as session:
        return _marks(session, lab, student)


def roster(course: Course) -> list[str]:
    """The students that the gradebook knows, in order.

    Raises:
        GradebookError: the gradebook cannot be read.
    """
    from nbgrader.api import Student
    from sqlalchemy import select

    if not exists(course):
        return []
    with reporting(course), opened(course) as session:
        return sorted(session.scalars(select(Student.id)))


def _marks(session: Session, lab: str, student: str | None) -> dict[str, Marks]:
    from nbgrader import api
    from sqlalchemy import select

    notebook = session.scalars(notebook_query(lab)).one_or_none() if has_tables(session) else None
    if notebook is None:
        return {}
    # In the order in which they were entered, which is the lab's.
    cells = {
        cell.id: cell for cell in session.scalars(select(api.BaseCell).where(api.BaseCell.notebook_id == notebook.id))
    }
    submitted = _submitted(session, notebook, student)
    only = None if student is None else [row.id for row in submitted]
    grades = _by_submission(session, api.Grade, cells, only)
    comments = _by_submission(session, api.Comment, cells, only)
    return {
        row.student_id: _marks_of(grades.get(row.id, {}), comments.get(row.id, {}), row.late_submission_penalty or 0)
        for row in submitted
    }


def _submitted(session: Session, notebook: Any, student: str | None) -> Any:
    from nbgrader.api import SubmittedAssignment, SubmittedNotebook
    from sqlalchemy import select

    columns = SubmittedNotebook.id, SubmittedNotebook.late_submission_penalty, SubmittedAssignment.student_id
    query = select(*columns).join(SubmittedNotebook.assignment).order_by(SubmittedAssignment.student_id)
    query = query.where(
        SubmittedNotebook.notebook_id == notebook.id, SubmittedAssignment.assignment_id == notebook.assignment_id
    )
    return session.execute(query if student is None else query.where(SubmittedAssignment.student_id == student)).all()


def _by_submission(
    session: Session, kind: Any, cells: dict[str, Any], only: list[str] | None
) -> dict[str, dict[str, tuple[Any, Any]]]:
    """By submitted notebook and grade id, in the order of the lab: the row, and the cell it belongs to."""
    from sqlalchemy import select

    query = select(kind).where(kind.cell_id.in_(cells))
    rows = session.scalars(query if only is None else query.where(kind.notebook_id.in_(only)))
    places = {identity: place for place, identity in enumerate(cells)}
    found: dict[str, dict[str, tuple[Any, Any]]] = {}
    for row in sorted(rows, key=lambda row: places[row.cell_id]):
        found.setdefault(row.notebook_id, {})[cells[row.cell_id].name] = row, cells[row.cell_id]
    return found


def _marks_of(grades: dict[str, tuple[Any, Any]], comments: dict[str, tuple[Any, Any]], penalty: float) -> Marks:
    """Marks from rows by grade id; what has a comment besides its grade is the student's own, and marked by hand."""
    return Marks(
        score=max(0.0, sum(grade.score for grade, _ in grades.values()) - penalty),
        max_score=sum(cell.max_score for _, cell in grades.values()),
        needs_manual_grade=any(grade.needs_manual_grade for grade, _ in grades.values()),
        questions=tuple(_marked(*grades[name], comments[name][0]) for name in grades if name in comments),
    )


def _marked(grade: Any, cell: Any, comment: Any) -> Marked:
    return Marked(
        name=cell.name,
        score=grade.score,
        max_score=cell.max_score,
        answered=comment.auto_comment != UNANSWERED,
        comment=comment.manual_comment or "",
        needs=grade.needs_manual_grade,
    )
