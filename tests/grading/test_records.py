"""Records are whole or not there, and stay in their folder whatever a student is called."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading import records
from lvmlib.grading.results import Result, Status, Verdict

LAB = "00-small"
HOSTILE = (
    "../../etc/passwd", "..", ".", "a/b", "a\\b", "a\0b", "a\nb", "\x1b[2Jada", "<b>ada</b>", "ada%2F", "con:", "*",
    "\udcff", "é" * 300, "a" * 255, "a" * 254 + "b",
)  # fmt: skip


@pytest.fixture
def here(tmp_path: Path) -> Course:
    return Course(tmp_path / "course")


def result(student: str = "ada", points: float = 2.0) -> Result:
    verdict = Verdict("double", points, 2.0, "✓ double: right", seeds=(1, 2), fingerprint="f")
    return Result(student, LAB, Status.GRADED, notes=("mended \udcff",), verdicts=(verdict,), versions={"torch": "2"})


@contextmanager
def full_disk(left: int = 16) -> Iterator[None]:
    """No file may grow beyond a few bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(course: Course) -> list[Path]:
    return [path for path in course.root.parent.rglob("*") if path.is_file()]


def test_a_record_is_read_as_it_was_written(here: Course) -> None:
    assert records.read(here, "ada", LAB) is None
    for points in (1.0, 2.0):
        records.write(here, result(points=points))
        assert records.read(here, "ada", LAB) == result(points=points)
    assert files(here) == [records.path_of(here, "ada", LAB)]
    assert records.path_of(here, "ada", LAB) == here.root / "verdicts" / LAB / "ada.json"


@pytest.mark.parametrize("kept", [0, 1, 0.5, -2])
def test_a_torn_record_is_none(here: Course, kept: float) -> None:
    records.write(here, result())
    path = records.path_of(here, "ada", LAB)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    assert records.read(here, "ada", LAB) is None


@pytest.mark.parametrize(
    "text", ["null", "[]", "{}", '{"status": "graded"}', "[" * 100_000, "\xff", result("bob").to_json()]
)
def test_what_is_no_record_of_this_student_is_none(here: Course, text: str) -> None:
    path = records.path_of(here, "ada", LAB)
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert records.read(here, "ada", LAB) is None


def test_no_name_leads_out_of_the_folder_or_to_another_students_record(here: Course) -> None:
    for student in HOSTILE:
        records.write(here, result(student))
    assert [records.read(here, student, LAB) for student in HOSTILE] == [result(student) for student in HOSTILE]
    assert len(files(here)) == len(HOSTILE)
    assert {path.parent for path in files(here)} == {here.root / "verdicts" / LAB}
    assert all(path.name.isprintable() and len(path.name.encode()) < 256 for path in files(here))


def test_every_record_of_a_lab_is_met_once(here: Course) -> None:
    assert list(records.every(here, LAB)) == []
    for student in HOSTILE:
        records.write(here, result(student))
        records.set_published(here, result(student), "sealed")
    folder = records.path_of(here, "ada", LAB).parent
    (folder / "torn.json").write_text("{")
    shutil.copy(records.path_of(here, "..", LAB), folder / "copy.json")
    assert {one.student for one in records.every(here, LAB)} == set(HOSTILE)
    assert len(list(records.every(here, LAB))) == len(HOSTILE)
    assert list(records.every(here, "01-other")) == []


def test_what_was_published_is_remembered_by_its_seal(here: Course) -> None:
    assert records.published(here, result()) is None
    for number, student in enumerate(HOSTILE):
        records.set_published(here, result(student), f"seal {number}")
    assert [records.published(here, result(student)) for student in HOSTILE] == [
        f"seal {number}" for number in range(len(HOSTILE))
    ]
    with full_disk(left=2), pytest.raises(CourseError, match="could not be written"):
        records.set_published(here, result(HOSTILE[0]), "another")
    assert records.published(here, result(HOSTILE[0])) == "seal 0"


def test_a_full_disk_leaves_the_record_before(here: Course) -> None:
    records.write(here, result())
    with (
        full_disk(),
        pytest.raises(CourseError, match=r"^A record could not be written into verdicts/00-small \(File too"),
    ):
        records.write(here, result(points=1.0))
    assert records.read(here, "ada", LAB) == result()
    assert files(here) == [records.path_of(here, "ada", LAB)]


def test_a_folder_that_cannot_be_made_is_named(here: Course) -> None:
    here.root.mkdir()
    (here.root / "verdicts").write_text("a file")
    with pytest.raises(CourseError, match=r"could not be written into verdicts/00-small \(Not a directory\)"):
        records.write(here, result())
