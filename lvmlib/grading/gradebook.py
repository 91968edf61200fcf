"""The one writer and reader of nbgrader's gradebook.

A submission is entered in one transaction, as nbgrader's own autograde would; what a person gave by hand stays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmlib.authoring.converters import convert, read_settings
from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading.assignment import Assignment, nbgrader_of
from lvmlib.grading.autograded import compose, path_of, replacing
from lvmlib.grading.grade_ids import released_by_id, submitted_by_id, verdicts_by_id
from lvmlib.grading.results import Cell, Result

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

PATIENCE = 30
"""Seconds to wait for somebody else, such as a marker's click in formgrader, to let go of the gradebook."""
UNANSWERED = "No response."


class GradebookError(CourseError):
    """The gradebook, or a notebook beside it, could not be read or written; the message says why and what to do."""


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


def prepare(course: Course, assignment: Assignment) -> None:
    """Enter a lab's cells into the gradebook, which is created if need be; rewrites nothing if nothing changed.

    Raises:
        GradebookError: the gradebook cannot be read or written.
        ConverterError: cells were added or removed after submissions were graded.
    """
    from nbgrader.converters import GenerateAssignment

    with _reported(course):
        if _entered(course, assignment.lab) == _to_enter(assignment):
            return
        with tempfile.TemporaryDirectory() as folder:
            config = read_settings(course, Path(folder))
            config.CourseDirectory.assignment_id = assignment.lab
            convert(GenerateAssignment, config)


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
    with _reported(course), _session(course) as session:
        if not result.status.has_score:
            if _withdraw(session, result):
                session.commit()
                path.unlink(missing_ok=True)
            return
        with replacing(path, compose(result, assignment)) as rewritten:
            _enter(session, course, result, assignment, timestamp, rewritten)
            session.commit()


def read_marks(course: Course, lab: str, student: str | None = None) -> dict[str, Marks]:
    """What stands in the gradebook for a lab, by student; for one of them alone, if told.

    Raises:
        GradebookError: the gradebook cannot be read.
    """
    if not _exists(course):
        return {}
    with _reported(course), _session(course) as session:
        return _marks(session, lab, student)


def roster(course: Course) -> list[str]:
    """The students that the gradebook knows, in order.

    Raises:
        GradebookError: the gradebook cannot be read.
    """
    from nbgrader.api import Student
    from sqlalchemy import select

    if not _exists(course):
        return []
    with _reported(course), _session(course) as session:
        return sorted(session.scalars(select(Student.id)))


# -- where it is, and what can go wrong with it


def _url(course: Course) -> str:
    return read_settings(course, course.root, links=()).CourseDirectory.db_url


def _file(course: Course) -> Path | None:
    """The gradebook's file; None where it is on a database server."""
    kind, _, path = _url(course).partition(":///")
    return Path(path) if kind == "sqlite" else None


def _exists(course: Course) -> bool:
    file = _file(course)
    return file is None or file.is_file()


@lru_cache
def _engine(url: str, patience: float) -> Engine:
    from sqlalchemy import NullPool, create_engine

    options = {"timeout": patience} if url.startswith("sqlite") else {}
    return create_engine(url, connect_args=options, poolclass=NullPool)


@contextmanager
def _session(course: Course) -> Iterator[Session]:
    from sqlalchemy.orm import Session

    with Session(_engine(_url(course), PATIENCE), expire_on_commit=False) as session:
        yield session


@contextmanager
def _reported(course: Course) -> Iterator[None]:
    """Turn what a database or a disk raises into one sentence."""
    from sqlalchemy.exc import DBAPIError, NoResultFound

    try:
        yield
    except NoResultFound as error:
        raise GradebookError("The gradebook does not know this lab; enter it first, by prepare().") from error
    except DBAPIError as error:
        file = _file(course)
        raise GradebookError(_sentence(file.name if file else "The gradebook", str(error.orig))) from error
    except OSError as error:
        place = Path(error.filename) if error.filename else course.root / "autograded"
        inside = place.relative_to(course.root) if place.is_relative_to(course.root) else place
        raise GradebookError(
            f"{inside.parts[0] if inside.parts else inside} could not be written "
            f"({error.strerror or error}); mend that and grade again."
        ) from error


def _sentence(gradebook: str, reason: str) -> str:
    if "locked" in reason:
        return (
            f"{gradebook} is locked by another program; close what uses it, such as another grading, and grade again."
        )
    return f"{gradebook} could not be read or written ({reason}); mend that, or put a copy back, and grade again."


# -- the cells of a lab


def _entered(course: Course, lab: str) -> dict[tuple[str, str], tuple[Any, ...]] | None:
    """What the gradebook holds of a lab's cells, by kind and name."""
    from nbgrader import api
    from sqlalchemy import select

    if not _exists(course):
        return None
    with _session(course) as session:
        if not _has_tables(session):
            return None
        notebook = session.scalars(_notebook_query(lab)).one_or_none()
        if notebook is None:
            return None
        here = api.SourceCell.notebook_id == notebook.id
        cells = session.scalars(select(api.BaseCell).where(api.BaseCell.notebook_id == notebook.id))
        return {
            ("source", cell.name): (cell.cell_type, cell.locked, cell.source)
            for cell in session.scalars(select(api.SourceCell).where(here))
        } | {(cell.type, cell.name): (getattr(cell, "max_score", None),) for cell in cells}


def _to_enter(assignment: Assignment) -> dict[tuple[str, str], tuple[Any, ...]]:
    wanted: dict[tuple[str, str], tuple[Any, ...]] = {}
    for name, cell in released_by_id(assignment).items():
        facts = nbgrader_of(cell)
        points = (float(facts.get("points", 0)),)
        locked = not facts["solution"] and (facts["grade"] or facts["locked"])
        wanted["source", name] = cell["cell_type"], locked, cell["source"]
        kinds = {"grade": ("GradeCell", points), "solution": ("SolutionCell", (None,)), "task": ("TaskCell", points)}
        for flag, (kind, told) in kinds.items():
            if facts.get(flag):
                wanted[kind, name] = told
    return wanted


def _has_tables(session: Session) -> bool:
    from sqlalchemy import inspect

    return inspect(session.get_bind()).has_table("notebook")


def _notebook_query(lab: str) -> Any:
    from nbgrader import api
    from sqlalchemy import select

    return (
        select(api.Notebook).join(api.Notebook.assignment).where(api.Assignment.name == lab, api.Notebook.name == lab)
    )


# -- entering a submission


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
    lab = session.scalars(_notebook_query(result.lab)).one()
    handed_in, notebook = _submission(session, lab, result.student)
    handed_in.timestamp = _moment(timestamp) or handed_in.timestamp
    released = released_by_id(assignment)
    now = {name: cell["source"] for name, cell in submitted_by_id(result, released).items()}
    scores = _scores(result, released, now)
    for kind, name, row in _rows(session, lab.id, notebook.id):
        if kind == "GradeCell":
            _score(row, scores.get(name), name in rewritten)
        elif kind == "SolutionCell":
            row.auto_comment = UNANSWERED if name in now and now[name] == released[name]["source"] else None
    session.flush()
    _penalise(session, course, result.student, handed_in, notebook)


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


def _moment(timestamp: str | None) -> Any:
    from nbgrader.utils import parse_utc

    try:
        return parse_utc(timestamp and timestamp.strip() or None)
    except (ValueError, OverflowError):
        return None  # the student's file says nothing that can be read


def _penalise(session: Session, course: Course, student: str, handed_in: Any, notebook: Any) -> None:
    """Ask the course's plugin what a late submission costs."""
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


# -- taking a submission out


def _withdraw(session: Session, result: Result) -> bool:
    """Delete a submission's rows, so that nothing exports a zero; not where a person's work would be lost with them.

    Returns:
        Whether none of it is left.
    """
    from nbgrader import api
    from sqlalchemy import delete, select

    query = select(api.SubmittedAssignment).join(api.SubmittedAssignment.assignment)
    handed_in = session.scalars(
        query.where(api.Assignment.name == result.lab, api.SubmittedAssignment.student_id == result.student)
    ).one_or_none()
    if handed_in is None:
        return True
    notebooks = select(api.SubmittedNotebook.id).filter_by(assignment_id=handed_in.id).scalar_subquery()
    if handed_in.extension is not None or _by_hand(session, notebooks):
        return False
    for kind in (api.Grade, api.Comment):
        session.execute(delete(kind).where(kind.notebook_id.in_(notebooks)))
    session.execute(delete(api.SubmittedNotebook).filter_by(assignment_id=handed_in.id))
    session.execute(delete(api.SubmittedAssignment).filter_by(id=handed_in.id))
    return True


def _by_hand(session: Session, notebooks: Any) -> bool:
    """Whether a person has marked or commented in some submitted notebooks."""
    from nbgrader.api import Comment, Grade
    from sqlalchemy import or_, select

    marked = or_(Grade.manual_score.is_not(None), Grade.extra_credit.is_not(None))
    return any(
        session.scalars(query.limit(1)).first()
        for query in (
            select(Grade.id).where(Grade.notebook_id.in_(notebooks), marked),
            select(Comment.id).where(Comment.notebook_id.in_(notebooks), Comment.manual_comment.is_not(None)),
        )
    )


# -- reading it back


def _marks(session: Session, lab: str, student: str | None) -> dict[str, Marks]:
    from nbgrader import api
    from sqlalchemy import select

    notebook = session.scalars(_notebook_query(lab)).one_or_none() if _has_tables(session) else None
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
