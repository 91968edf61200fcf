"""Take a submission out of nbgrader's gradebook, where no person's work would be lost with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lvmlib.grading.results import Result

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def withdraw(session: Session, result: Result) -> bool:
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
