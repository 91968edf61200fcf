"""A lab in a process of its own, which can be asked how it ends without one of its exercises (see forked_lab.py)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from cells import Output
from forked_lab import Cell

SERVER = Path(__file__).with_name("forked_lab.py")
LONGEST = 600
"""Seconds that a run may take."""


class LabProcess:
    """A lab that goes on from exercise to exercise.

    Args:
        cells: as forked_lab.py reads them.
        home: an empty folder for what the cells write.
    """

    def __init__(self, cells: list[Cell], home: Path) -> None:
        self._left = [cell["id"] for cell in cells]
        self._folder = home
        self._log = home / "log"
        work = home / "solved"
        work.mkdir()
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, SERVER], cwd=work, env=_environment(home), start_new_session=True, encoding="utf-8",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self._write(cells)

    def can_reach(self, exercise: str) -> bool:
        """Whether it lives and has not gone past an exercise."""
        return self._process.poll() is None and exercise in self._left

    def without(self, exercise: str) -> dict[str, list[Output]]:
        """The outputs of all cells when the lab is run without one exercise.

        Raises:
            RuntimeError: it did not come to its end; the message is what it wrote last.
        """
        answer = self._folder / f"{exercise}.json"
        folder = self._folder / exercise
        self._write({"missing": exercise, "folder": str(folder), "answer": str(answer)})
        self._left = self._left[self._left.index(exercise) :]
        impatient = threading.Timer(LONGEST, self.end)
        impatient.start()
        self._process.stdout.readline()
        impatient.cancel()
        if not answer.exists():
            last = self._log.read_text(encoding="utf-8")[-5000:]
            raise RuntimeError(f"The lab without {exercise} was not run to its end in {LONGEST} s:\n{last}")
        return json.loads(answer.read_text(encoding="utf-8"))

    def end(self) -> None:
        """Kill it and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _write(self, message: object) -> None:
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


def _environment(home: Path) -> dict[str, str]:
    """A kernel's, and one thread everywhere: a process with several cannot be forked safely."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    kernel = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "IPYTHONDIR": str(home / "ipython")}
    return {**os.environ, **threads, **kernel, "LVM_PROFILE": "smoke"}
