"""What `lvm check`, `lvm submit` and `lvm doctor` print."""

from __future__ import annotations

from collections.abc import Iterator

from lvmlib.student.checking import Report, Verdict
from lvmlib.student.doctor.finding import COLOURS, Finding
from lvmlib.student.outline import Question
from lvmlib.student.stripping import megabytes
from lvmlib.student.submitting import Archive

Line = tuple[str, str | None]
"""A line of text and its colour on a terminal."""


def lines(report: Report, name: str) -> Iterator[Line]:
    """A report for a person: each exercise's points and its check's sentence, the sums, and what is left to do.

    Args:
        name: of the file.
    """
    yield f"{name} · {_what_ran(report)}", None
    yield "", None
    width = max(len(_points(one)) for one in report.verdicts)
    for one in report.verdicts:
        yield f"{_points(one):>{width}}  {one.sentence}", "green" if one.passed else "red"
    yield "", None
    for sentence in report.problems:
        yield sentence, "red"
    for sentence in (*report.notes, *unanswered(report.questions)):
        yield sentence, "yellow"
    yield total(report), None
    yield "Grading asks your functions about other inputs too, so this is not your grade yet.", None


def lines_of_archive(archive: Archive, name: str) -> Iterator[Line]:
    """What was made for handing in, what was left out of it, what is odd about it, and what is not done.

    Args:
        name: of the notebook.
    """
    yield f"{archive.path} is ready to hand in: {name} as {archive.lab}.ipynb, {megabytes(archive.size)}.", "green"
    for sentence in archive.stripped:
        yield sentence, None
    for sentence in (*archive.warnings, *_unwritten(archive), *unanswered(archive.tasks.questions)):
        yield sentence, "yellow"


def line_of_finding(finding: Finding) -> Line:
    """One examination's."""
    return str(finding), COLOURS[finding.state]


def total(report: Report) -> str:
    """The sum: `14 of 20 points by checks, 5 by hand`."""
    plain = [one for one in report.verdicts if not one.exercise.is_bonus]
    bonus = [one for one in report.verdicts if one.exercise.is_bonus]
    by_hand = sum(one.points or 0 for one in report.questions if not one.is_bonus)
    parts = [f"{_sum(plain, earned=True)} of {_sum(plain)} points by checks"]
    parts += [f"{_sum(bonus, earned=True)} of {_sum(bonus)} bonus points"] if bonus else []
    parts += [f"{by_hand:g} by hand"] if by_hand else []
    return ", ".join(parts)


def _what_ran(report: Report) -> str:
    if not report.left_out:
        return "all cells, in the smoke profile"
    experiments = "1 experiment" if report.left_out == 1 else f"{report.left_out} experiments"
    return f"in the smoke profile, without {experiments} (--all runs them too)"


def _points(verdict: Verdict) -> str:
    points = verdict.exercise.points
    if points is None:
        return "?"
    earned = points if verdict.passed else 0
    return f"{earned:g} of {points:g} bonus" if verdict.exercise.is_bonus else f"{earned:g} of {points:g}"


def _sum(verdicts: list[Verdict], *, earned: bool = False) -> str:
    return f"{sum(one.exercise.points or 0 for one in verdicts if one.passed or not earned):g}"


def _unwritten(archive: Archive) -> Iterator[str]:
    for is_bonus, kind in ((False, "Exercises"), (True, "Bonus exercises")):
        names = [one.name for one in archive.tasks.exercises if not one.is_written and one.is_bonus is is_bonus]
        if names:
            yield f"{kind} that are not written: {', '.join(names)}."


def unanswered(questions: tuple[Question, ...]) -> Iterator[str]:
    """Names the questions without an answer, and those for bonus points apart."""
    for is_bonus, kind in ((False, "Think questions"), (True, "Bonus questions")):
        open_ones = [one for one in questions if not one.is_answered and one.is_bonus is is_bonus]
        if open_ones:
            named = ", ".join(one.name if one.points is None else f"{one.name} ({one.points:g})" for one in open_ones)
            yield f"{kind} without an answer: {named}."
