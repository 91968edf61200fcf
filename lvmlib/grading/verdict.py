"""Judge what came out of the sandbox: data alone, in a process that runs nobody's code but the course's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lvmlib.grading.assignment import Assignment, Question
from lvmlib.grading.judges import Judge, JudgeError, from_text
from lvmlib.grading.limits import Limits
from lvmlib.grading.results import Verdict
from lvmlib.grading.sandbox.answers import ForgedAnswers, decode
from lvmlib.grading.sandbox.sandbox import Failure, Report, Round
from lvmlib.grading.words import plain
from lvmlib.probe import Answers

LONGEST = 600
DECISIVE = ("unsolved", "missing", "not a function")
"""Failures that are an answer: there is no function to ask."""


def rounds_of(questions: Sequence[Question], seeds: Mapping[str, Sequence[int]]) -> list[Round]:
    """The rounds that decide these questions: the seeds of each, one after the other."""
    return [Round(one.exercise, one.expression, seed) for one in questions for seed in seeds[one.exercise]]


def decide(
    assignment: Assignment,
    questions: Sequence[Question],
    seeds: Mapping[str, Sequence[int]],
    report: Report,
    limits: Limits,
) -> tuple[tuple[Verdict, ...], tuple[str, ...]]:
    """A verdict for each question, and what looked forged.

    Raises:
        JudgeError: an exercise has no judge, or that failed by itself.
    """
    judges = from_text(assignment.lab, assignment.judges)
    verdicts, suspicions = [], []
    for question in questions:
        if question.exercise not in judges:
            place = f"solutions/{assignment.lab}/judges.py"
            raise JudgeError(f"{place} does not judge {question.exercise!r}; add its oracle.")
        judge = judges[question.exercise]
        try:
            clause, mistake, decided = _complaint(judge, question, seeds[question.exercise], report, limits)
        except ForgedAnswers as error:
            clause, mistake, decided = "gave answers that its questions do not have", None, False
            suspicions.append(f"The answers of {question.exercise} were forged: {error}.")
        verdicts.append(
            Verdict(
                exercise=question.exercise,
                points=0.0 if clause else question.points,
                max_points=question.points,
                sentence=_sentence(judge, mistake or clause),
                mistake=mistake,
                decided=decided,
                seeds=tuple(seeds[question.exercise]),
            )
        )
    return tuple(verdicts), tuple(suspicions)


def _sentence(judge: Judge, complaint: str | None) -> str:
    name = judge.exercise.function
    return f"✗ {name}: {plain(complaint, LONGEST)}" if complaint else f"✓ {name}: {judge.exercise.praise}"


def _complaint(
    judge: Judge, question: Question, seeds: Sequence[int], report: Report, limits: Limits
) -> tuple[str | None, str | None, bool]:
    """What is wrong, the known mistake behind it, and whether that was decided from answers."""
    for seed in seeds:
        asked = Round(question.exercise, question.expression, seed)
        if asked not in report.answers:
            failure = report.failures[asked]
            return _said_of(failure, limits), None, failure.why in DECISIVE
        observed = decode(report.answers[asked])
        # What answers are compared with is computed apart, so that no failure of ours is taken for the student's.
        _of_ours(judge, judge.expected, seed)
        clause = _of_theirs(judge, judge.verdict, observed, seed)
        if clause and not judge.exercise.law:
            _of_ours(judge, judge.mistakes, seed)
        mistake = _of_theirs(judge, judge.explanation, observed, seed) if clause else None
        if clause:
            return clause, mistake, True
    return None, None, True


def _of_ours(judge: Judge, compute: Callable[..., object], seed: int) -> None:
    try:
        compute(seed)
    except Exception as error:
        raise _failed(judge, error) from error


def _of_theirs(judge: Judge, compare: Callable[..., str | None], observed: Answers, seed: int) -> str | None:
    try:
        return compare(observed, seed)
    except OSError as error:
        raise _failed(judge, error) from error
    except Exception as error:  # only answers that no probe writes bring a judge to this
        raise ForgedAnswers(f"its judge met a {type(error).__name__}") from error


def _failed(judge: Judge, error: Exception) -> JudgeError:
    return JudgeError(
        f"The judge of {judge.exercise.name!r} failed by itself ({type(error).__name__}: {error}), and not by a "
        "student's answers; mend that, and grade again."
    )


def _said_of(failure: Failure, limits: Limits) -> str:
    said = {
        "missing": "is not there: no cell defines it without an error",
        "too slow": f"took longer than {limits.probe:g} seconds; is there an endless loop?",
        "too large": "returned more than can be looked at",
        "ended": "ended Python while it was asked",
        "not run": "could not be asked, because the notebook did not run to its end",
        "broken": f"could not be asked: {failure.detail}",
    }
    return said.get(failure.why, failure.detail or "could not be asked")
