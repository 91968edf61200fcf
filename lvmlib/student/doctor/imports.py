"""Imports packages in processes of their own, all at once, and keeps what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

GROUPS = (
    ("numpy", "scipy", "matplotlib.pyplot", "PIL.Image", "tqdm", "safetensors", "ipykernel.kernelapp", "ipywidgets"),
    ("torch", "torchvision", "lvmlib"),
)
"""Packages before those that need them."""
PATIENCE = 120
"""Seconds for one group."""


class Imports:
    """What the processes tell: facts by package, and by `compute`, `look` and `use`."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def __getitem__(self, about: str) -> dict[str, Any]:
        """Facts, with `error` where it failed; empty where it was never tried."""
        return self._told.get(about, {})

    @cached_property
    def _told(self) -> dict[str, dict[str, Any]]:
        told: dict[str, dict[str, Any]] = {}
        for process in self._processes:
            told |= _facts(process)
        return told


@contextmanager
def importing() -> Iterator[Imports]:
    """Start all processes; the first question waits for them."""
    script = Path(__file__).with_name("imported.py").read_text(encoding="utf-8")
    processes = [_start(script, names) for names in GROUPS]
    try:
        yield Imports(processes)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _start(script: str, names: tuple[str, ...]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *names],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
    )


def _facts(process: subprocess.Popen[str]) -> dict[str, dict[str, Any]]:
    try:
        output, _ = process.communicate(timeout=PATIENCE)
        ending = f"ended Python (code {process.returncode})"
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        ending = f"did not come to an end in {PATIENCE} s"
    told: dict[str, dict[str, Any]] = {}
    for line in output.splitlines():
        if line.startswith("facts "):
            facts = json.loads(line.removeprefix("facts "))
            told[facts.pop("about")] = facts
    return {about: {"error": ending} if facts.get("begun") else facts for about, facts in told.items()}
