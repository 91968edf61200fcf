"""nbgrader's gradebook: open it, and say in one sentence what went wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmlib.authoring.converters import read_settings
from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading.words import plain

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

PATIENCE = 30
"""Seconds to wait for somebody else, such as a marker's click in formgrader, to let go of the gradebook."""
LONGEST_REASON = 300


class GradebookError(CourseError):
    """The gradebook, or a notebook beside it, could not be read or written; the message says why and what to do."""


def _url(course: Course) -> str:
    return read_settings(course, course.root, links=()).CourseDirectory.db_url


def _file(course: Course) -> Path | None:
    """The gradebook's file; None where it is on a database server."""
    kind, _, path = _url(course).partition(":///")
    return Path(path) if kind == "sqlite" else None


def exists(course: Course) -> bool:
    """Whether there is a gradebook; one on a database server always is."""
    file = _file(course)
    return file is None or file.is_file()


@lru_cache
def _engine(url: str, patience: float) -> Engine:
    from sqlalchemy import NullPool, create_engine

    options = {"timeout": patience} if url.startswith("sqlite") else {}
    return create_engine(url, connect_args=options, poolclass=NullPool)


@contextmanager
def opened(course: Course) -> Iterator[Session]:
    """A session that keeps nothing but what is committed in it; to be opened inside of `reporting`."""
    from sqlalchemy.orm import Session

    with Session(_engine(_url(course), PATIENCE), expire_on_commit=False) as session:
        yield session


@contextmanager
def reporting(course: Course) -> Iterator[None]:
    """Turn what a database or a disk raises into one sentence.

    Raises:
        GradebookError: the block met such an error, or a lab that the gradebook does not know.
    """
    from sqlalchemy.exc import DBAPIError, NoResultFound

    try:
        yield
    except NoResultFound as error:
        raise GradebookError("The gradebook does not know this lab; grade again, which enters it.") from error
    except DBAPIError as error:
        file = _file(course)
        raise GradebookError(_sentence(file.name if file else "The gradebook", str(error.orig))) from error
    except OSError as error:
        place = Path(error.filename) if error.filename else course.root / "autograded"
        inside = place.relative_to(course.root).parts if place.is_relative_to(course.root) else ()
        name = next(iter(inside), place.name)
        raise GradebookError(
            f"{name} could not be written ({error.strerror or error}); mend that and grade again."
        ) from error


def _sentence(gradebook: str, reason: str) -> str:
    if "locked" in reason:
        return (
            f"{gradebook} is locked by another program; close what uses it, such as another grading, and grade again."
        )
    said = plain(reason, LONGEST_REASON)
    return f"{gradebook} could not be read or written ({said}); mend that, or put a copy back, and grade again."


def has_tables(session: Session) -> bool:
    """Whether nbgrader has made its tables."""
    from sqlalchemy import inspect

    return inspect(session.get_bind()).has_table("notebook")


def notebook_query(lab: str) -> Any:
    """The query for a lab's notebook; it has no rows before the lab is entered."""
    from nbgrader import api
    from sqlalchemy import select

    return (
        select(api.Notebook).join(api.Notebook.assignment).where(api.Assignment.name == lab, api.Notebook.name == lab)
    )
