"""What a run has to decide anew, and how that joins what an earlier run decided."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, replace

from lvmlib.authoring.course import Course
from lvmlib.grading.assignment import Assignment, read_assignment
from lvmlib.grading.fingerprint import fingerprints
from lvmlib.grading.judges import SEEDS_A_VERDICT
from lvmlib.grading.limits import Limits
from lvmlib.grading.results import Result, Status, Verdict
from lvmlib.grading.task import status_of

CONDITIONS, RELEASE = "conditions", "release"
"""Under these names a result's versions keep what failures depend on, and what its cells were restored to."""


@dataclass(frozen=True)
class Lab:
    """What a run needs to know of one lab.

    Attributes:
        fingerprints: what decides each exercise, by its name.
        seeds: drawn for this run, so that no submission can know them.
        conditions: SHA-256 of what could turn a failure into a score: the limits and the lab's cells.
        release: SHA-256 of the lab's cells.
    """

    assignment: Assignment
    fingerprints: dict[str, str]
    seeds: dict[str, tuple[int, ...]]
    conditions: str
    release: str


def read_lab(course: Course, name: str, limits: Limits) -> Lab:
    """Read a lab from the course, and draw its seeds.

    Raises:
        CourseError: the lab cannot be graded as it is.
    """
    assignment = read_assignment(course, name)
    found = fingerprints(assignment)
    seeds = {one: tuple(secrets.randbelow(2**31) for _ in range(SEEDS_A_VERDICT)) for one in found}
    release = _digest(assignment.cells)
    return Lab(assignment, found, seeds, _digest([asdict(limits), release]), release)


def _digest(told: object) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def exercises_to_decide(lab: Lab, digest: str, before: Result | None) -> tuple[str, ...]:
    """The exercises that are new, or whose submission, probe, judge or points changed; none where nothing did.

    Args:
        digest: SHA-256 of the submitted file.
        before: what an earlier run recorded.
    """
    every = tuple(question.exercise for question in lab.assignment.questions)
    if before is None or before.submission != digest:
        return every
    same_conditions = before.versions.get(CONDITIONS) == lab.conditions
    if not before.status.has_score:
        return () if same_conditions else every
    known = {verdict.exercise: verdict for verdict in before.verdicts}
    return tuple(name for name in every if not _holds(known.get(name), lab.fingerprints[name], same_conditions))


def _holds(verdict: Verdict | None, fingerprint: str, same_conditions: bool) -> bool:
    return verdict is not None and verdict.fingerprint == fingerprint and (verdict.decided or same_conditions)


def joined(fresh: Result, before: Result | None, lab: Lab) -> Result:
    """A fresh result with the verdicts of an earlier one where it has none of its own."""
    versions = fresh.versions | {CONDITIONS: lab.conditions, RELEASE: lab.release}
    known = {
        one.exercise: replace(one, fingerprint=lab.fingerprints[one.exercise])
        for one in fresh.verdicts
        if one.exercise in lab.fingerprints
    }
    if not fresh.status.has_score:
        return replace(fresh, versions=versions)
    suspicions = fresh.suspicions
    whole = fresh.status is not Status.PARTLY or not all(verdict.decided for verdict in fresh.verdicts)
    if before and before.status.has_score and before.submission == fresh.submission:
        known = {verdict.exercise: verdict for verdict in before.verdicts} | known
        suspicions = tuple(dict.fromkeys((*before.suspicions, *suspicions)))
    verdicts = tuple(known[one.exercise] for one in lab.assignment.questions if one.exercise in known)
    status = status_of(None, verdicts, suspicions, whole=whole)
    return replace(fresh, status=status, verdicts=verdicts, suspicions=suspicions, versions=versions)
