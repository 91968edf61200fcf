"""What grading a submission came to: plain data that travels between processes and is kept as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

Cell = dict[str, Any]
"""A notebook cell as nbformat 4 has it: `cell_type`, `id`, `metadata`, and `source` as one string."""


class Status(StrEnum):
    """What grading a submission came to; a score is kept apart from it."""

    GRADED = "graded"
    """Every exercise was decided."""
    PARTLY = "partly"
    """Some exercises could not be decided, or part of the notebook could not be run; the notes say which."""
    SUSPICIOUS = "suspicious"
    """Its scores follow from data alone, as everybody's, but it tried what no honest answer needs."""
    TIMED_OUT = "timed out"
    CRASHED = "crashed"
    UNREADABLE = "unreadable"
    MISSING = "missing"

    @property
    def has_score(self) -> bool:
        """Whether a score stands beside the status; a failure has none, which is not a zero."""
        return self in (Status.GRADED, Status.PARTLY, Status.SUSPICIOUS)


@dataclass(frozen=True)
class Verdict:
    """What was decided of one exercise.

    Attributes:
        exercise: in kebab case; its test cell is `test-EXERCISE`.
        points: earned, of `max_points`.
        sentence: the judge's, with `✓` or `✗` and the function's name in front, for the student to read.
        mistake: the known mistake that was recognised, in the words of `judges.py`; None where none was.
        decided: whether the function gave answers that could be judged; otherwise the sentence says what stopped it.
        seeds: those the questions were drawn from.
        fingerprint: of the probe, the judge and the points that it was decided with.
    """

    exercise: str
    points: float
    max_points: float
    sentence: str
    mistake: str | None = None
    decided: bool = True
    seeds: tuple[int, ...] = ()
    fingerprint: str = ""


@dataclass(frozen=True)
class Result:
    """What came of one submission.

    Attributes:
        notes: what was mended, left out or could not be done, one sentence each, for instructor and student.
        suspicions: what no honest answer needs, one sentence each, for the instructor alone.
        verdicts: one an exercise, in the order of the lab; empty where the status has no score.
        cells: the notebook as it was read: every released cell once, locked ones with their complete source, without
            outputs and attachments; empty where it could not be read.
        submission: SHA-256 of the submitted file; empty where there is none.
        versions: of what it was graded with, by name.
        seconds: CPU time that running it took.
    """

    student: str
    lab: str
    status: Status
    notes: tuple[str, ...] = ()
    suspicions: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    cells: tuple[Cell, ...] = ()
    submission: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def score(self) -> float | None:
        """Points earned by tests; None where the status has no score."""
        return sum(verdict.points for verdict in self.verdicts) if self.status.has_score else None

    def to_json(self) -> str:
        """The same as text; the same result always gives the same text."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Result:
        """The result that `to_json` wrote.

        Raises:
            ValueError: the text is no result.
        """
        try:
            told = json.loads(text)
            told["status"] = Status(told["status"])
            told["verdicts"] = tuple(Verdict(**{**one, "seeds": tuple(one["seeds"])}) for one in told["verdicts"])
            for name in ("notes", "suspicions", "cells"):
                told[name] = tuple(told[name])
            return cls(**told)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a grading result: {error}") from error
