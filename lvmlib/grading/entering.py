"""The one writer of submissions into nbgrader's gradebook.

A submission is entered in one transaction, as nbgrader's own autograde would; what a person gave by hand stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lvmlib.authoring.course import Course
from lvmlib.grading.assignment import Assignment, nbgrader_of
from lvmlib.grading.autograded import compose, path_of, replacing
from lvmlib.grading.grade_ids import released_by_id, submitted_by_id, verdicts_by_id
from lvmlib.grading.gradebook import notebook_query, opened, reporting
from lvmlib.grading.lateness import moment, penalise
from lvmlib.grading.results import Cell, Result
from lvmlib.grading.withdrawing import withdraw

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

UNANSWERED = "No response."
"""nbgrader's comment on what was left as it was released."""


def write(course: Course, result: Result, assignment: Assignment, timestamp: str | None) -> None:
    """Enter a result, all of it or nothing: scores, comments, and `autograded/STUDENT/LAB/LAB.ipynb`.

    A result without a score takes the submission out again, unless a person has marked, commented or given an
    extension.  Writing the same result twice changes nothing.

    Args:
        timestamp: when it was handed in, as nbgrader's `timestamp.txt` says; None leaves what is known.

    Raises:
        GradebookError: the gradebook is locked, the disk is full, or a folder cannot be written; nothing was changed.
        StudentNameError: the student's name is no name of a folder.
    """
    path = path_of(course, result)
    with reporting(course), opened(course) as session:
        if not result.status.has_score:
            if withdraw(session, result):
                session.commit()
                path.unlink(missing_ok=True)
            return
        with replacing(path, compose(result, assignment)) as rewritten:
            _enter(session, course, result, assignment, timestamp, rewritten)
            session.commit()


def _enter(
    session: Session,
    course: Course,
    result: Result,
    assignment: Assignment,
    timestamp: str | None,
    rewritten: set[str],
) -> None:
    """Bring a submission's rows up to date.

    Args:
        rewritten: the grade ids of cells in which something else stands than when they were graded last.
    """
    lab = session.scalars(notebook_query(result.lab)).one()
    handed_in, notebook = _submission(session, lab, result.student)
    handed_in.timestamp = moment(timestamp) or handed_in.timestamp
    released = released_by_id(assignment)
    now = {name: cell["source"] for name, cell in submitted_by_id(result, released).items()}
    scores = _scores(result, released, now)
    for kind, name, row in _rows(session, lab.id, notebook.id):
        if kind == "GradeCell":
            _score(row, scores.get(name), name in rewritten)
        elif kind == "SolutionCell":
            row.auto_comment = UNANSWERED if name in now and now[name] == released[name]["source"] else None
    session.flush()
    penalise(session, course, result.student, handed_in, notebook)


def _submission(session: Session, lab: Any, student: str) -> tuple[Any, Any]:
    """A student's rows of a lab: the assignment handed in, and its notebook; made if there are none."""
    from nbgrader import api

    if session.get(api.Student, student) is None:
        session.add(api.Student(id=student))
    handed_in = _row(session, api.SubmittedAssignment, assignment_id=lab.assignment_id, student_id=student)
    return handed_in, _row(session, api.SubmittedNotebook, assignment_id=handed_in.id, notebook_id=lab.id)


def _row(session: Session, kind: Any, **columns: str) -> Any:
    """The row of these foreign keys, made if there is none."""
    from nbgrader.api import new_uuid
    from sqlalchemy import select

    row = session.scalars(select(kind).filter_by(**columns)).one_or_none()
    if row is None:
        row = kind(id=new_uuid(), **columns)
        session.add(row)
    return row


def _rows(session: Session, notebook: str, submitted: str) -> Iterator[tuple[str, str, Any]]:
    """A submission's grades and comments, by the kind and the name of their cells; made where there are none."""
    from nbgrader import api
    from sqlalchemy import select

    columns = api.BaseCell.id, api.BaseCell.type, api.BaseCell.name
    cells = session.execute(select(*columns).where(api.BaseCell.notebook_id == notebook)).all()
    for kind, types in ((api.Grade, ("GradeCell", "TaskCell")), (api.Comment, ("SolutionCell", "TaskCell"))):
        of_kind = {cell.id: cell for cell in cells if cell.type in types}
        query = select(kind).where(kind.cell_id.in_(of_kind), kind.notebook_id == submitted)
        found = {row.cell_id: row for row in session.scalars(query)}
        for identity, cell in of_kind.items():
            if identity not in found:
                found[identity] = kind(id=api.new_uuid(), cell_id=identity, notebook_id=submitted)
                session.add(found[identity])
            yield cell.type, cell.name, found[identity]


def _scores(result: Result, released: dict[str, Cell], sources: dict[str, str]) -> dict[str, float | None]:
    """What is known without a marker, by grade id; None where nobody has decided yet."""
    decided = verdicts_by_id(result.verdicts)
    unanswered = {
        name for name, cell in released.items() if sources.get(name) == cell["source"] and nbgrader_of(cell)["solution"]
    }
    return {name: decided[name].points if name in decided else 0.0 if name in unanswered else None for name in released}


def _score(grade: Any, score: float | None, rewritten: bool) -> None:
    """Set what follows from the tests; a mark given by hand needs another look where what it was given for changed."""
    if grade.manual_score is None:
        grade.needs_manual_grade = score is None
    elif rewritten or grade.auto_score != score:
        grade.needs_manual_grade = True
    grade.auto_score = score
