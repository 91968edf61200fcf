"""Why a submission has the score it has: what is recorded of it, and whether running it again comes to the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading import records, task
from lvmlib.grading.changes import Lab, read_lab
from lvmlib.grading.limits import LIMITS
from lvmlib.grading.marking import private_paths
from lvmlib.grading.results import Result, Verdict
from lvmlib.grading.submission import Submission, load
from lvmlib.grading.task import Task


def explain(course: Course, submission: Submission, *, unsafe: bool = False) -> Iterator[str]:
    """Lines that tell how a submission was graded, and what grading it on the same seeds gives now.

    Raises:
        CourseError: it was never graded, or cannot be graded again.
    """
    recorded = records.read(course, submission.student, submission.lab)
    if recorded is None:
        raise CourseError(f"{submission.student} has no record for {submission.lab}; run `lvm grade` first.")
    yield from _account(recorded)
    if not recorded.verdicts:
        return
    lab = read_lab(course, submission.lab, LIMITS)
    again = _replay(course, submission, recorded, lab, unsafe=unsafe)
    if again.submission != recorded.submission:
        yield "The submitted file has changed since; run `lvm grade` to grade the new one."
        return
    yield from _compared(recorded, again, lab)


def _account(result: Result) -> Iterator[str]:
    score = "no score" if result.score is None else f"{result.score:g} of {_most(result):g} by tests"
    yield f"{result.student} {result.lab}: {result.status}, {score}, {result.seconds:g} s of CPU time"
    yield f"submission {result.submission or '–'}"
    yield "graded with " + ", ".join(f"{name} {version[:12]}" for name, version in sorted(result.versions.items()))
    for word, sentences in (("note", result.notes), ("suspicion", result.suspicions)):
        yield from (f"{word}: {sentence}" for sentence in sentences)


def _most(result: Result) -> float:
    return sum(verdict.max_points for verdict in result.verdicts)


def _replay(course: Course, submission: Submission, recorded: Result, lab: Lab, *, unsafe: bool) -> Result:
    loaded = load(submission)
    asked = [one for one in recorded.verdicts if one.exercise in lab.fingerprints]
    try:
        return task.grade(
            Task(
                student=submission.student,
                name=loaded.name,
                content=loaded.content,
                found=loaded.notes,
                assignment=lab.assignment,
                exercises=tuple(one.exercise for one in asked),
                seeds={one.exercise: one.seeds for one in asked},
                unsafe=unsafe,
                private=private_paths(course),
            )
        )
    finally:
        task.close()


def _compared(recorded: Result, again: Result, lab: Lab) -> Iterator[str]:
    now = {verdict.exercise: verdict for verdict in again.verdicts}
    for verdict in recorded.verdicts:
        yield ""
        yield f"{verdict.exercise}: {verdict.points:g} of {verdict.max_points:g}"
        yield f"  {verdict.sentence}"
        seeds = " and ".join(map(str, verdict.seeds))
        yield f"  decided by {verdict.fingerprint[:12]} on the seeds {seeds}; {_verdict_now(verdict, now, lab)}"


def _verdict_now(verdict: Verdict, now: dict[str, Verdict], lab: Lab) -> str:
    current = now.get(verdict.exercise)
    if current is None:
        return "it can no longer be asked"
    same = replace(current, fingerprint=verdict.fingerprint) == verdict
    outcome = "again the same" if same else f"now: {current.points:g}, {current.sentence}"
    changed = verdict.fingerprint != lab.fingerprints[verdict.exercise]
    return outcome + (", though its probe, judge or points have changed since" if changed else "")
