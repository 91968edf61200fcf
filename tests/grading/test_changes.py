"""What a second run decides anew, and how that joins what is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lvmlib.grading.assignment import Assignment
from lvmlib.grading.changes import CONDITIONS, RELEASE, Lab, exercises_to_decide, joined
from lvmlib.grading.results import Result, Status, Verdict

ALL = ("kl-divergence", "reparameterize", "active-units")
FINGERPRINTS = {name: f"decides {name}" for name in ALL}


@pytest.fixture
def lab(small_assignment: Assignment) -> Lab:
    return Lab(small_assignment, FINGERPRINTS, dict.fromkeys(ALL, (1, 2)), "these conditions", "this release")


def graded(*names: str, status: Status = Status.GRADED, **changes) -> Result:
    verdicts = tuple(Verdict(name, 1, 1, f"✓ {name}", fingerprint=FINGERPRINTS[name]) for name in names)
    versions = {CONDITIONS: "these conditions", RELEASE: "this release"}
    return replace(
        Result("ada", "00-small", status, verdicts=verdicts, submission="file", versions=versions), **changes
    )


def changed(result: Result, name: str, **changes) -> Result:
    verdicts = tuple(replace(one, **changes) if one.exercise == name else one for one in result.verdicts)
    return replace(result, verdicts=verdicts)


def test_what_was_never_graded_is_graded_whole(lab: Lab) -> None:
    assert exercises_to_decide(lab, "file", None) == ALL
    assert exercises_to_decide(lab, "another file", graded(*ALL)) == ALL


def test_what_has_not_changed_stays(lab: Lab) -> None:
    assert exercises_to_decide(lab, "file", graded(*ALL)) == ()


def test_a_new_exercise_and_a_changed_judge_touch_that_exercise_alone(lab: Lab) -> None:
    assert exercises_to_decide(lab, "file", graded(*ALL[:2])) == ("active-units",)
    before = changed(graded(*ALL), "reparameterize", fingerprint="decided otherwise")
    assert exercises_to_decide(lab, "file", before) == ("reparameterize",)


@pytest.mark.parametrize("status", [Status.TIMED_OUT, Status.CRASHED, Status.UNREADABLE])
def test_a_failure_is_tried_again_under_other_conditions_only(lab: Lab, status: Status) -> None:
    failure = graded(status=status)
    assert exercises_to_decide(lab, "file", failure) == ()
    assert exercises_to_decide(replace(lab, conditions="more time"), "file", failure) == ALL


def test_an_undecided_exercise_is_tried_again_under_other_conditions_only(lab: Lab) -> None:
    before = changed(graded(*ALL, status=Status.PARTLY), "active-units", decided=False)
    assert exercises_to_decide(lab, "file", before) == ()
    assert exercises_to_decide(replace(lab, conditions="more time"), "file", before) == ("active-units",)


def test_fresh_verdicts_replace_those_before_and_keep_the_order_of_the_lab(lab: Lab) -> None:
    fresh = changed(graded("reparameterize"), "reparameterize", points=0, sentence="✗ wrong now")
    result = joined(fresh, graded(*ALL), lab)
    assert [one.exercise for one in result.verdicts] == list(ALL)
    assert (result.score, result.verdicts[1].sentence) == (2, "✗ wrong now")


def test_an_exercise_that_the_lab_has_no_more_is_left_out(lab: Lab) -> None:
    gone = Verdict("gone", 5, 5, "✓ gone")
    before = replace(graded(*ALL), verdicts=(gone, *graded(*ALL).verdicts))
    assert joined(graded("active-units"), before, lab).score == 3
    assert joined(before, before, lab).score == 3


def test_another_file_takes_nothing_over(lab: Lab) -> None:
    assert joined(graded("active-units"), graded(*ALL, submission="older file"), lab).score == 1
    assert joined(graded(status=Status.CRASHED), graded(*ALL), lab).score is None


def test_suspicions_stay_and_undecided_exercises_show(lab: Lab) -> None:
    before = graded(*ALL, status=Status.SUSPICIOUS, suspicions=("Cell 3 looks at the code that calls it.",))
    assert joined(graded("active-units"), before, lab).status is Status.SUSPICIOUS
    undecided = changed(graded(*ALL), "reparameterize", decided=False)
    assert joined(graded("active-units"), undecided, lab).status is Status.PARTLY
    assert joined(graded("active-units", status=Status.PARTLY), graded(*ALL), lab).status is Status.PARTLY
