"""Every limit a submission runs under, in one place."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Seconds of wall-clock time, bytes, and counts; a submission that exceeds one loses no more than what exceeded it.

    Attributes:
        cell: seconds for one cell of the notebook; it is then interrupted, and the next one runs.
        notebook: seconds for all cells together.
        probe: seconds for one function to answer one round of questions.
        submission: seconds for all of that, all attempts together.
        attempts: how often a notebook is started again, without the cell or the function that ended or stalled it.
        memory: bytes that all processes of a submission may hold together.
        processes: processes and threads that may exist at a time.
        files: bytes of everything written under `/tmp`, and of a single file.
        answers: bytes that all rounds of answers may hold together, and so a single one.
        messages: bytes of everything else that a submission's processes send.
    """

    cell: float = 30
    notebook: float = 120
    probe: float = 20
    submission: float = 300
    attempts: int = 4
    memory: int = 3000 * MEGABYTE
    processes: int = 32
    files: int = 256 * MEGABYTE
    answers: int = 16 * MEGABYTE
    messages: int = 1 * MEGABYTE


LIMITS = Limits()
