"""What stands in nbgrader's gradebook after results are written, and what nbgrader's own tools make of it."""

from __future__ import annotations

import csv
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook, MissingEntry
from recorded import ANSWER, FORGED, FULL, SMALL, THINK, graded

from lvmlib.authoring.converters import convert, read_settings
from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading import gradebook
from lvmlib.grading.assignment import Assignment, grade_id_of
from lvmlib.grading.gradebook import Marked, prepare, read_marks, roster, write
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


@pytest.fixture(scope="module")
def _entered(tmp_path_factory: pytest.TempPathFactory, _small_released: Path, _small_assignment: Assignment) -> Path:
    root = Path(shutil.copytree(_small_released, tmp_path_factory.mktemp("entered") / "course"))
    prepare(Course(root), _small_assignment)
    return root


@pytest.fixture
def course(_entered: Path, tmp_path: Path) -> Course:
    """The small course, its lab entered into the gradebook."""
    return Course(Path(shutil.copytree(_entered, tmp_path / "course")))


# -- the cells of a lab


def test_a_lab_that_stands_there_already_is_not_entered_again(
    course: Course, small_assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[type] = []
    monkeypatch.setattr(gradebook, "convert", lambda converter, config: entered.append(converter))
    before = everything(course)
    prepare(course, small_assignment)
    assert not entered and everything(course) == before
    first, *rest = small_assignment.cells
    for changed in (
        (first, *rest[:-1]),
        (first, *rest[:-1], rest[-1] | {"source": "Another question."}),
        tuple(cell for cell in small_assignment.cells if grade_id_of(cell) != "active-units"),
    ):
        prepare(course, Assignment(SMALL, changed, small_assignment.judges, {}))
    assert len(entered) == 3


def test_a_lab_that_was_never_entered_is_refused(course: Course, small_assignment: Assignment) -> None:
    other = Assignment("01-other", small_assignment.cells, "", {})
    result = Result("ada", "01-other", Status.GRADED, cells=small_assignment.cells)
    with pytest.raises(CourseError, match="does not know this lab"):
        write(course, result, other, None)
    assert read_marks(course, "01-other") == {}
    assert roster(course) == []


# -- scores


def test_the_gradebook_holds_the_points(course: Course, small_assignment: Assignment) -> None:
    write(course, graded(small_assignment, "full"), small_assignment, None)
    write(course, graded(small_assignment, "some", {"kl-divergence": 2.0}, {}), small_assignment, None)
    write(course, graded(small_assignment, "none", {}, {"kl-divergence": "pass"}), small_assignment, None)
    marks = read_marks(course, SMALL)
    assert {name: (entry.score, entry.max_score, entry.needs_manual_grade) for name, entry in marks.items()} == {
        "full": (6.0, 10.0, True),
        "some": (2.0, 10.0, False),
        "none": (0.0, 10.0, False),
    }
    assert marks["full"].questions == (Marked(THINK, 0.0, 4.0, True, "", True),)
    assert marks["none"].questions == (Marked(THINK, 0.0, 4.0, False, "", False),)
    assert {student: read_marks(course, SMALL, student) for student in marks} == {
        student: {student: entry} for student, entry in marks.items()
    }
    assert read_marks(course, SMALL, "nobody") == {}
    assert roster(course) == ["full", "none", "some"]
    with opened(course) as book:
        said = {
            (student, name): book.find_comment(name, SMALL, SMALL, student).auto_comment
            for student in ("full", "none")
            for name in ("kl-divergence", THINK)
        }
    unsaid = "No response."
    assert said == {
        ("full", "kl-divergence"): unsaid,
        ("full", THINK): None,
        ("none", "kl-divergence"): None,
        ("none", THINK): unsaid,
    }


def test_what_nobody_decided_waits_for_a_person(course: Course, small_assignment: Assignment) -> None:
    whole = graded(small_assignment)
    write(
        course,
        Result("ada", SMALL, Status.PARTLY, verdicts=whole.verdicts[1:], cells=whole.cells),
        small_assignment,
        None,
    )
    with opened(course) as book:
        grade = book.find_grade("test-kl-divergence", SMALL, SMALL, "ada")
        assert (grade.auto_score, grade.needs_manual_grade) == (None, True)


def test_writing_again_changes_nothing(course: Course, small_assignment: Assignment) -> None:
    write(course, graded(small_assignment), small_assignment, "2030-01-01 12:00:00 UTC")
    mark(course, THINK, 3.0)
    comment(course, THINK, "Well seen.")
    before = everything(course)
    write(course, graded(small_assignment), small_assignment, "2030-01-01 12:00:00 UTC")
    write(course, graded(small_assignment), small_assignment, None)
    assert everything(course) == before


# -- what a person gave


def test_a_mark_and_a_comment_survive(course: Course, small_assignment: Assignment) -> None:
    write(course, graded(small_assignment, points={}), small_assignment, None)
    mark(course, THINK, 3.0)
    comment(course, THINK, "Well seen.")
    write(course, graded(small_assignment, points={"reparameterize": 3.0}), small_assignment, None)
    found = read_marks(course, SMALL)["ada"]
    assert (found.score, found.needs_manual_grade) == (6.0, False)
    assert found.questions == (Marked(THINK, 3.0, 4.0, True, "Well seen.", False),)


@pytest.mark.parametrize(
    ("marked", "points", "written"),
    [(THINK, FULL, {THINK: "Another answer."}), (THINK, FULL, {}), ("test-active-units", {}, ANSWER)],
)
def test_a_mark_needs_another_look_where_what_it_was_given_for_changed(
    course: Course, small_assignment: Assignment, marked: str, points: dict[str, float], written: dict[str, str]
) -> None:
    write(course, graded(small_assignment), small_assignment, None)
    mark(course, marked, 0.5)
    write(course, graded(small_assignment, points=points, written=written), small_assignment, None)
    with opened(course) as book:
        grade = book.find_grade(marked, SMALL, SMALL, "ada")
        assert (grade.score, grade.needs_manual_grade) == (0.5, True)


def test_a_resubmission_counts_as_the_new_one(course: Course, small_assignment: Assignment) -> None:
    write(course, graded(small_assignment), small_assignment, None)
    write(course, graded(small_assignment, points={}, written={}), small_assignment, None)
    assert read_marks(course, SMALL)["ada"].score == 0.0
    assert ANSWER[THINK] not in autograded(course).read_text(encoding="utf-8")


# -- results without a score


@pytest.mark.parametrize("status", [status for status in Status if not status.has_score])
def test_without_a_score_there_are_no_rows(course: Course, small_assignment: Assignment, status: Status) -> None:
    write(course, failed("eve", status), small_assignment, None)
    write(course, graded(small_assignment, "bob"), small_assignment, None)
    before = everything(course)
    write(course, graded(small_assignment), small_assignment, None)
    write(course, failed("ada", status), small_assignment, None)
    assert (roster(course), list(read_marks(course, SMALL))) == (["ada", "bob"], ["bob"])
    gone = [row for row in everything(course)[0] if row not in before[0]]
    assert len(gone) == 1 and "'ada'" in gone[0] and everything(course)[1] == before[1]


def give_mark(course: Course) -> None:
    mark(course, THINK, 0.0)


def give_comment(course: Course) -> None:
    comment(course, "kl-divergence", "Elegant.")


def give_credit(course: Course) -> None:
    with opened(course) as book:
        book.find_grade("test-kl-divergence", SMALL, SMALL, "ada").extra_credit = 1.0


def give_extension(course: Course) -> None:
    with opened(course) as book:
        book.find_submission(SMALL, "ada").extension = timedelta(days=1)


@pytest.mark.parametrize("give", [give_mark, give_comment, give_credit, give_extension])
def test_a_failure_takes_nothing_away_that_a_person_gave(
    course: Course, small_assignment: Assignment, give: Any
) -> None:
    write(course, graded(small_assignment), small_assignment, None)
    give(course)
    before = everything(course)
    write(course, failed(), small_assignment, None)
    assert everything(course) == before


# -- lateness


DUE = datetime(2030, 1, 1)


@pytest.mark.parametrize(
    ("policy", "timestamp", "extension", "penalty"),
    [
        ("zero", "2030-01-02 00:00:00 UTC", None, 5.0),
        ("zero", "2029-12-31 23:59:59 UTC", None, None),
        ("zero", "2030-01-02 00:00:00 UTC", timedelta(days=2), None),
        ("zero", None, None, None),
        ("zero", "\x1b[2J tomorrow, perhaps", None, None),
        ("zero", "", None, None),
        ("none", "2030-01-02 00:00:00 UTC", None, None),
    ],
)
def test_lateness_costs_what_the_course_says(
    course: Course,
    small_assignment: Assignment,
    policy: str,
    timestamp: str | None,
    extension: timedelta | None,
    penalty: float | None,
) -> None:
    with course.config.open("a") as file:
        file.write(f"\nc.LateSubmissionPlugin.penalty_method = {policy!r}\n")
    with opened(course) as book:
        book.find_assignment(SMALL).duedate = DUE
    result = graded(small_assignment, points={"kl-divergence": 2.0, "reparameterize": 3.0})
    write(course, result, small_assignment, None)
    with opened(course) as book:
        book.find_submission(SMALL, "ada").extension = extension
    write(course, result, small_assignment, timestamp)
    with opened(course) as book:
        assert book.find_submission_notebook(SMALL, SMALL, "ada").late_submission_penalty == penalty
    assert read_marks(course, SMALL)["ada"].score == 5.0 - (penalty or 0.0)


# -- what a stranger may send


def test_a_forged_cell_earns_nothing(course: Course, small_assignment: Assignment) -> None:
    write(course, graded(small_assignment, more=FORGED), small_assignment, None)
    assert read_marks(course, SMALL)["ada"].score == 6.0


@pytest.mark.parametrize("torn", [b"", b"\xff"])
def test_a_torn_notebook_is_written_anew(course: Course, small_assignment: Assignment, torn: bytes) -> None:
    write(course, graded(small_assignment), small_assignment, None)
    whole = autograded(course).read_bytes()
    autograded(course).write_bytes(torn)
    write(course, graded(small_assignment), small_assignment, None)
    assert autograded(course).read_bytes() == whole


@pytest.mark.parametrize("student", ["../ada", "..", ".", "", "a/b", "a\0b", "a\nb", "\x1b[2J", "\udcff"])
def test_a_name_that_is_no_folders_is_refused(course: Course, small_assignment: Assignment, student: str) -> None:
    before = everything(course)
    with pytest.raises(CourseError, match="is no name of a student's folder") as caught:
        write(course, graded(small_assignment, student), small_assignment, None)
    assert str(caught.value).isprintable()
    assert everything(course) == before


@pytest.mark.parametrize("student", ["<b>ada", "'; DROP TABLE grade; --", "Müller, Zoë", "a[b]*?{c}"])
def test_a_strange_name_is_only_a_name(course: Course, small_assignment: Assignment, student: str) -> None:
    write(course, graded(small_assignment, student), small_assignment, None)
    assert read_marks(course, SMALL)[student].score == 6.0
    assert autograded(course, student).is_file()


# -- what a machine may do


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradebook, "PATIENCE", 0)


@pytest.fixture
def written(course: Course, small_assignment: Assignment) -> Course:
    write(course, graded(small_assignment), small_assignment, None)
    return course


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


def test_a_folder_that_cannot_be_written_is_named(course: Course, small_assignment: Assignment) -> None:
    before = everything(course)
    (course.root / "autograded").write_text("a file")
    with pytest.raises(CourseError, match=r"^autograded could not be written \(Not a directory\)"):
        write(course, graded(small_assignment), small_assignment, None)
    (course.root / "autograded").unlink()
    assert everything(course) == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_a_broken_gradebook_is_one_sentence(
    course: Course, small_assignment: Assignment, content: bytes | None
) -> None:
    path = course.root / "gradebook.db"
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    calls = (
        lambda: write(course, graded(small_assignment), small_assignment, None),
        lambda: prepare(course, small_assignment),
        lambda: read_marks(course, SMALL),
        lambda: roster(course),
    )
    for call in calls:
        with pytest.raises(CourseError, match=r"^gradebook\.db could not be read or written \(.*\); mend that"):
            call()
    assert not (course.root / "autograded").exists() or not any(autograded(course).parent.iterdir())


def test_without_a_gradebook_nobody_is_known(tmp_path: Path, small: Course) -> None:
    assert (roster(small), read_marks(small, SMALL)) == ([], {})
    assert not (small.root / "gradebook.db").exists()


# -- nbgrader's own tools


def nbgrader(course: Course, *arguments: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=course.root, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_nbgraders_own_tools_go_on_from_here(written: Course, small_assignment: Assignment) -> None:
    write(written, graded(small_assignment, "bob", {"kl-divergence": 0.5}, {}), small_assignment, "2030-01-01 00:00:00")
    write(written, failed("eve"), small_assignment, None)
    check_formgrader(written)
    mark(written, THINK, 4.0)
    nbgrader(written, "export", "--to", "exported.csv")
    with (written.root / "exported.csv").open(encoding="utf-8") as file:
        scores = {row["student_id"]: (row["score"], row["max_score"]) for row in csv.DictReader(file)}
    assert scores == {"ada": ("10.0", "10.0"), "bob": ("0.5", "10.0")}
    comment(written, THINK, "Well seen.")
    nbgrader(written, "generate_feedback", SMALL)
    check_feedback(written)
    check_against_autograde(written, small_assignment)


def check_formgrader(course: Course) -> None:
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = Config({"CourseDirectory": {"root": str(course.root), "db_url": f"sqlite:///{course.root}/gradebook.db"}})
    listed = NbGraderAPI(CourseDirectory(config=config), config=config).get_notebook_submissions(SMALL, SMALL)
    told = {row["student"]: (row["score"], row["code_score"], row["needs_manual_grade"]) for row in listed}
    assert told == {"ada": (6.0, 6.0, True), "bob": (0.5, 0.5, False)}
    assert {row["max_written_score"] for row in listed} == {4.0}


def check_feedback(course: Course) -> None:
    pages = {
        student: (course.root / "feedback" / student / SMALL / f"{SMALL}.html").read_text(encoding="utf-8")
        for student in ("ada", "bob")
    }
    assert "Well seen." in pages["ada"] and ANSWER[THINK] in pages["ada"]
    assert "✗ reparameterize: so it is" in pages["bob"]
    for page in pages.values():
        assert "judge(" not in page and "MARK SCHEME" not in page and "draws the pixels" not in page


def check_against_autograde(course: Course, assignment: Assignment) -> None:
    """nbgrader's own reading of the notebooks enters the same."""
    from nbgrader.converters import Autograde
    from nbgrader.preprocessors import SaveAutoGrades

    write(course, graded(assignment, "ada"), assignment, None)
    before = rows_of(course)
    with opened(course) as book:
        for student in ("ada", "bob"):
            for grade in book.find_submission_notebook(SMALL, SMALL, student).grades:
                grade.auto_score, grade.needs_manual_grade = 17.0, True
    (course.root / "work").mkdir()
    (course.root / "work" / "submitted").symlink_to(course.root / "autograded")
    config = read_settings(course, course.root / "work")
    config.CourseDirectory.assignment_id = SMALL
    config.Autograde.sanitize_preprocessors = []
    config.Autograde.autograde_preprocessors = [SaveAutoGrades]
    convert(Autograde, config, force=True)
    assert rows_of(course, but_for=THINK) == {key: row for key, row in before.items() if key[1] != THINK}


def rows_of(course: Course, but_for: str = "") -> dict[tuple[str, str], tuple[Any, ...]]:
    with opened(course) as book:
        return {
            (student, grade.name): (grade.auto_score, grade.manual_score, grade.needs_manual_grade)
            for student in ("ada", "bob")
            for grade in book.find_submission_notebook(SMALL, SMALL, student).grades
            if grade.name != but_for
        }


def test_what_was_never_handed_in_is_missing_for_nbgrader_too(written: Course, small_assignment: Assignment) -> None:
    write(written, failed(), small_assignment, None)
    with opened(written) as book, pytest.raises(MissingEntry):
        book.find_submission(SMALL, "ada")
