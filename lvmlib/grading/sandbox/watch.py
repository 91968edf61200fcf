"""How many processes a submission has, and how much memory they hold, seen from outside of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lvmlib.grading.limits import Limits

PROC = Path("/proc")
HELD = ("RssAnon", "RssShmem", "VmSwap", "HugetlbPages")
"""What a process holds, with all that it shares with others."""
OWED = ("Pss_Anon", "Pss_Shmem", "SwapPss", "Private_Hugetlb", "Shared_Hugetlb")
"""The same, with what n processes share counted as an nth."""


@dataclass(frozen=True)
class Usage:
    """Processes and threads, and the bytes that they hold."""

    processes: int
    memory: int

    def exceeds(self, limits: Limits) -> str | None:
        """`processes` or `memory` where it exceeds the limit."""
        if self.processes > limits.processes:
            return "processes"
        return "memory" if self.memory > limits.memory else None


def usage(trusted: set[int], enough: int) -> Usage:
    """What all processes of this namespace but the trusted ones use.

    Args:
        enough: bytes up to which an upper bound will do; to divide what is shared takes a walk over every page.
    """
    told = {pid: _read(PROC / str(pid) / "status") for pid in others(trusted)}
    processes = sum(fields.get("Threads", 0) for fields in told.values())
    most = sum(_sum(fields, HELD) for fields in told.values())
    return Usage(processes, most if most <= enough else sum(map(_owed, told)))


def others(trusted: set[int]) -> Iterator[int]:
    """The other processes of this namespace."""
    for entry in os.listdir(PROC):
        if entry.isdigit() and int(entry) not in trusted:
            yield int(entry)


def _owed(pid: int) -> int:
    fields = _read(PROC / str(pid) / "smaps_rollup")
    # A process can hide this, but not what it holds; one that ended holds nothing.
    return _sum(fields, OWED) if fields else _sum(_read(PROC / str(pid) / "status"), HELD)


def _sum(fields: dict[str, int], names: Iterable[str]) -> int:
    return sum(fields.get(name, 0) for name in names)


def _read(path: Path) -> dict[str, int]:
    """The fields of a file of `/proc` that are numbers, in bytes or without a unit."""
    try:
        # In bytes, because a process may give itself a name that is no text.
        lines = path.read_bytes().split(b"\n")
    except OSError:  # it ended meanwhile, or does not show this
        return {}
    fields = (line.split() for line in lines)
    return {
        field[0].rstrip(b":").decode("ascii", "replace"): int(field[1]) * (1024 if field[-1] == b"kB" else 1)
        for field in fields
        if len(field) in (2, 3) and field[0].endswith(b":") and field[1].isdigit()
    }
