"""Judging answers: what fails there is either the answers' fault or our own, and nobody pays for ours."""

from __future__ import annotations

import pytest

from lvmlib import exercises
from lvmlib.grading import judges, verdict
from lvmlib.grading.assignment import Assignment, Question
from lvmlib.grading.judges import Judge, JudgeError
from lvmlib.grading.limits import LIMITS
from lvmlib.grading.sandbox.answers import encode
from lvmlib.grading.sandbox.sandbox import Report, Round

SEED = 5
EXERCISE = exercises.find("kl-divergence")


WRONG = {"expected": False, "mistakes": True, "verdict": False, "explanation": True}
"""The steps of a judge, and whether only wrong answers come to one."""


@pytest.mark.parametrize("step", WRONG)
def test_what_fails_on_our_side_is_not_the_students_fault(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    judge = judges.find(EXERCISE.name)
    given = (lambda mean, log_var: mean.sum(1)) if WRONG[step] else judge.reference
    report = Report({Round(EXERCISE.name, EXERCISE.function, SEED): encode(judge.answers(given, SEED))})

    def fail(*_: object) -> None:
        raise FileNotFoundError("no such folder")

    monkeypatch.setattr(Judge, step, fail)
    monkeypatch.setattr(verdict, "from_text", lambda lab, text: {EXERCISE.name: judge})
    question = Question(EXERCISE.name, EXERCISE.function, 1.0)
    said = "judge of 'kl-divergence' failed by itself .FileNotFoundError: no such folder.*; mend that, and grade again"
    with pytest.raises(JudgeError, match=said):
        verdict.decide(Assignment("03-vae", (), "", {}), [question], {EXERCISE.name: [SEED]}, report, LIMITS)
