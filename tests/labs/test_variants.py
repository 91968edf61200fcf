"""The matrix: right variants pass on 20 seeds, wrong ones fail on 5, and the student's own check names the mistake."""

from __future__ import annotations

import pytest

from lvmlib import exercises
from lvmlib.authoring.course import find_course
from lvmlib.grading.judges import Judge, JudgeError, of_lab
from lvmlib.grading.variants import report, try_variant

LABS = find_course().labs()
# `make check` tries the first exercise of each lab, `make test` all.
JUDGES = [
    pytest.param(judge, id=judge.exercise.name, marks=[pytest.mark.slow] if place else [])
    for lab in LABS
    for place, judge in enumerate(of_lab(lab))
]


@pytest.mark.parametrize("judge", JUDGES)
def test_right_variants_pass(judge: Judge) -> None:
    for name, function in {"reference": judge.reference, **judge.right}.items():
        trial = try_variant(judge, name, function, right=True)
        assert trial.as_it_should, (name, trial.public, trial.rejections)


@pytest.mark.parametrize("judge", JUDGES)
def test_wrong_variants_fail_and_are_named(judge: Judge) -> None:
    for sentence, function in judge.wrong.items():
        trial = try_variant(judge, sentence, function, right=False)
        assert trial.as_it_should, (sentence, trial.public, trial.rejections)
        assert trial.named, (sentence, trial.public)


@pytest.mark.parametrize("judge", JUDGES)
def test_every_exercise_has_a_bank_of_variants(judge: Judge) -> None:
    assert len(judge.right) >= 2
    assert len(judge.wrong) >= 6


@pytest.mark.parametrize("lab", LABS)
def test_every_exercise_of_a_lab_is_questioned_and_judged(lab: str) -> None:
    text = find_course().text(lab).read_text(encoding="utf-8")
    for exercise in exercises.every(lab):
        assert f'# %% exercise="{exercise.name}"' in text
        assert f'check("{exercise.name}", {exercise.function})' in text
    assert text.count("# %% exercise=") == len(list(exercises.every(lab)))


def test_a_variant_is_tried_against_the_judges_of_today_and_not_the_key_on_disk(monkeypatch, capsys) -> None:
    judge = of_lab("03-vae")[1]
    reworded = Judge(judge.exercise, judge.reference, judge.right, {"a new sentence": judge.wrong["mean is missing"]})
    monkeypatch.setattr("lvmlib.grading.variants.of_lab", lambda lab: [reworded])
    assert report(["03-vae"])
    assert "1 wrong variants, 0 survivors, 1 named" in capsys.readouterr().out


def test_a_lab_without_probes_is_told_where_they_belong() -> None:
    with pytest.raises(JudgeError, match=r"No exercise of 09-tiny is questioned; .* lvmlib/exercises/tiny.py"):
        of_lab("09-tiny")


def test_the_report_counts_and_finds_a_survivor(monkeypatch, capsys) -> None:
    judge = of_lab("03-vae")[1]
    survivor = Judge(judge.exercise, judge.reference, right=judge.right, wrong={"not wrong at all": judge.reference})
    monkeypatch.setattr("lvmlib.grading.variants.of_lab", lambda lab: [survivor])
    assert not report(["03-vae"])
    printed = capsys.readouterr().out
    assert f"{1 + len(judge.right)} right variants, 0 false alarms; 1 wrong variants, 1 survivors, 0 named" in printed
    assert "not wrong at all" in printed
