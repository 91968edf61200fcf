"""nbgrader's gradebook of the small lab, as a marker and as a file on the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from recorded import SMALL

from lvmlib.authoring.course import Course
from lvmlib.grading.results import Result, Status


def failed(student: str = "ada", status: Status = Status.TIMED_OUT) -> Result:
    return Result(student, SMALL, status, notes=("It ran for too long.",))


@contextmanager
def opened(course: Course) -> Iterator[Gradebook]:
    """nbgrader's own view; what is changed in it is kept."""
    with Gradebook(f"sqlite:///{course.root / 'gradebook.db'}") as book:
        yield book
        book.db.commit()


def mark(course: Course, name: str, score: float, student: str = "ada") -> None:
    """What formgrader does when a marker types a score."""
    with opened(course) as book:
        grade = book.find_grade(name, SMALL, SMALL, student)
        grade.manual_score, grade.needs_manual_grade = score, False


def comment(course: Course, name: str, text: str, student: str = "ada") -> None:
    with opened(course) as book:
        book.find_comment(name, SMALL, SMALL, student).manual_comment = text


def autograded(course: Course, student: str = "ada") -> Path:
    return course.root / "autograded" / student / SMALL / f"{SMALL}.ipynb"


def everything(course: Course) -> tuple[Any, ...]:
    """All rows of the gradebook, and all files beside it."""
    with closing(sqlite3.connect(course.root / "gradebook.db")) as base:
        rows = sorted(base.iterdump())
    files = sorted((course.root / "autograded").rglob("*")) if (course.root / "autograded").is_dir() else []
    return rows, [(path, path.read_bytes()) for path in files if path.is_file()]
