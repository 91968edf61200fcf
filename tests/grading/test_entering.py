"""What stands in nbgrader's gradebook after results are written, and that no person's work is lost."""

from __future__ import annotations

import pytest
from booked import autograded, comment, everything, mark, opened
from recorded import ANSWER, FORGED, FULL, SMALL, THINK, graded

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading.assignment import Assignment
from lvmlib.grading.entering import write
from lvmlib.grading.marks import Marked, read_marks, roster
from lvmlib.grading.results import Result, Status


def test_the_gradebook_holds_the_points(entered: Course, small_assignment: Assignment) -> None:
    write(entered, graded(small_assignment, "full"), small_assignment, None)
    write(entered, graded(small_assignment, "some", {"kl-divergence": 2.0}, {}), small_assignment, None)
    write(entered, graded(small_assignment, "none", {}, {"kl-divergence": "pass"}), small_assignment, None)
    marks = read_marks(entered, SMALL)
    assert {name: (entry.score, entry.max_score, entry.needs_manual_grade) for name, entry in marks.items()} == {
        "full": (6.0, 10.0, True),
        "some": (2.0, 10.0, False),
        "none": (0.0, 10.0, False),
    }
    assert marks["full"].questions == (Marked(THINK, 0.0, 4.0, True, "", True),)
    assert marks["none"].questions == (Marked(THINK, 0.0, 4.0, False, "", False),)
    assert {student: read_marks(entered, SMALL, student) for student in marks} == {
        student: {student: entry} for student, entry in marks.items()
    }
    assert read_marks(entered, SMALL, "nobody") == {}
    assert roster(entered) == ["full", "none", "some"]
    with opened(entered) as book:
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


def test_what_nobody_decided_waits_for_a_person(entered: Course, small_assignment: Assignment) -> None:
    whole = graded(small_assignment)
    write(
        entered,
        Result("ada", SMALL, Status.PARTLY, verdicts=whole.verdicts[1:], cells=whole.cells),
        small_assignment,
        None,
    )
    with opened(entered) as book:
        grade = book.find_grade("test-kl-divergence", SMALL, SMALL, "ada")
        assert (grade.auto_score, grade.needs_manual_grade) == (None, True)


def test_writing_again_changes_nothing(entered: Course, small_assignment: Assignment) -> None:
    write(entered, graded(small_assignment), small_assignment, "2030-01-01 12:00:00 UTC")
    mark(entered, THINK, 3.0)
    comment(entered, THINK, "Well seen.")
    before = everything(entered)
    write(entered, graded(small_assignment), small_assignment, "2030-01-01 12:00:00 UTC")
    write(entered, graded(small_assignment), small_assignment, None)
    assert everything(entered) == before


# -- what a person gave


def test_a_mark_and_a_comment_survive(entered: Course, small_assignment: Assignment) -> None:
    write(entered, graded(small_assignment, points={}), small_assignment, None)
    mark(entered, THINK, 3.0)
    comment(entered, THINK, "Well seen.")
    write(entered, graded(small_assignment, points={"reparameterize": 3.0}), small_assignment, None)
    found = read_marks(entered, SMALL)["ada"]
    assert (found.score, found.needs_manual_grade) == (6.0, False)
    assert found.questions == (Marked(THINK, 3.0, 4.0, True, "Well seen.", False),)


@pytest.mark.parametrize(
    ("marked", "points", "written"),
    [(THINK, FULL, {THINK: "Another answer."}), (THINK, FULL, {}), ("test-active-units", {}, ANSWER)],
)
def test_a_mark_needs_another_look_where_what_it_was_given_for_changed(
    entered: Course, small_assignment: Assignment, marked: str, points: dict[str, float], written: dict[str, str]
) -> None:
    write(entered, graded(small_assignment), small_assignment, None)
    mark(entered, marked, 0.5)
    write(entered, graded(small_assignment, points=points, written=written), small_assignment, None)
    with opened(entered) as book:
        grade = book.find_grade(marked, SMALL, SMALL, "ada")
        assert (grade.score, grade.needs_manual_grade) == (0.5, True)


def test_a_resubmission_counts_as_the_new_one(entered: Course, small_assignment: Assignment) -> None:
    write(entered, graded(small_assignment), small_assignment, None)
    write(entered, graded(small_assignment, points={}, written={}), small_assignment, None)
    assert read_marks(entered, SMALL)["ada"].score == 0.0
    assert ANSWER[THINK] not in autograded(entered).read_text(encoding="utf-8")


# -- what a stranger may send


def test_a_forged_cell_earns_nothing(entered: Course, small_assignment: Assignment) -> None:
    write(entered, graded(small_assignment, more=FORGED), small_assignment, None)
    assert read_marks(entered, SMALL)["ada"].score == 6.0


@pytest.mark.parametrize("torn", [b"", b"\xff"])
def test_a_torn_notebook_is_written_anew(entered: Course, small_assignment: Assignment, torn: bytes) -> None:
    write(entered, graded(small_assignment), small_assignment, None)
    whole = autograded(entered).read_bytes()
    autograded(entered).write_bytes(torn)
    write(entered, graded(small_assignment), small_assignment, None)
    assert autograded(entered).read_bytes() == whole


@pytest.mark.parametrize("student", ["../ada", "..", ".", "", "a/b", "a\0b", "a\nb", "\x1b[2J", "\udcff"])
def test_a_name_that_is_no_folders_is_refused(entered: Course, small_assignment: Assignment, student: str) -> None:
    before = everything(entered)
    with pytest.raises(CourseError, match="is no name of a student's folder") as caught:
        write(entered, graded(small_assignment, student), small_assignment, None)
    assert str(caught.value).isprintable()
    assert everything(entered) == before


@pytest.mark.parametrize("student", ["<b>ada", "'; DROP TABLE grade; --", "Müller, Zoë", "a[b]*?{c}"])
def test_a_strange_name_is_only_a_name(entered: Course, small_assignment: Assignment, student: str) -> None:
    write(entered, graded(small_assignment, student), small_assignment, None)
    assert read_marks(entered, SMALL)[student].score == 6.0
    assert autograded(entered, student).is_file()
