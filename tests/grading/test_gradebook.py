"""What is wrong with the gradebook, or with the disk it is on, is one sentence, and nothing is half-written."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from booked import autograded, everything, failed
from recorded import SMALL, graded

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading import gradebook
from lvmlib.grading.assignment import Assignment
from lvmlib.grading.entering import write
from lvmlib.grading.lab_cells import prepare
from lvmlib.grading.marks import read_marks, roster


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradebook, "PATIENCE", 0)


@pytest.mark.parametrize("hold", ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE", "BEGIN; SELECT * FROM grade"])
def test_a_locked_gradebook_is_one_sentence(
    written: Course, small_assignment: Assignment, impatient: None, hold: str
) -> None:
    before = everything(written)
    with closing(sqlite3.connect(written.root / "gradebook.db", isolation_level=None)) as other:
        for statement in hold.split("; "):
            other.execute(statement).fetchall()
        for result in (graded(small_assignment, "bob"), graded(small_assignment, points={}), failed()):
            with pytest.raises(CourseError, match=r"^gradebook\.db is locked by another program; close what uses it"):
                write(written, result, small_assignment, None)
    assert everything(written) == before
    write(written, graded(small_assignment, "bob"), small_assignment, None)


@pytest.mark.parametrize("left", [16, 65536])
def test_a_full_disk_is_one_sentence(written: Course, small_assignment: Assignment, left: int) -> None:
    before = everything(written)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
    try:
        with pytest.raises(
            CourseError, match=r"(autograded|gradebook\.db) could not be (read or )?written \(.*\); mend that"
        ):
            write(written, graded(small_assignment, "bob", points={}), small_assignment, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert everything(written) == before


def test_a_folder_that_cannot_be_written_is_named(entered: Course, small_assignment: Assignment) -> None:
    before = everything(entered)
    (entered.root / "autograded").write_text("a file")
    with pytest.raises(CourseError, match=r"^autograded could not be written \(Not a directory\)"):
        write(entered, graded(small_assignment), small_assignment, None)
    (entered.root / "autograded").unlink()
    assert everything(entered) == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_a_broken_gradebook_is_one_sentence(
    entered: Course, small_assignment: Assignment, content: bytes | None
) -> None:
    path = entered.root / "gradebook.db"
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    calls = (
        lambda: write(entered, graded(small_assignment), small_assignment, None),
        lambda: prepare(entered, small_assignment),
        lambda: read_marks(entered, SMALL),
        lambda: roster(entered),
    )
    for call in calls:
        with pytest.raises(CourseError, match=r"^gradebook\.db could not be read or written \(.*\); mend that"):
            call()
    assert not (entered.root / "autograded").exists() or not any(autograded(entered).parent.iterdir())


def test_without_a_gradebook_nobody_is_known(tmp_path: Path, small: Course) -> None:
    assert (roster(small), read_marks(small, SMALL)) == ([], {})
    assert not (small.root / "gradebook.db").exists()
