"""One line that tells how far a training is: on a terminal, in a notebook, and once at the end anywhere else.

It goes to standard output: notebooks paint standard error red, and nbgrader gives a cell that wrote there no points.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Protocol

SECONDS_BETWEEN_UPDATES = 0.25


class Line(Protocol):
    """Where the line is shown."""

    def update(self, text: str) -> None:
        """Show `text` in place of what was there."""

    def close(self, text: str) -> None:
        """Show `text` for good; an empty one leaves what was there."""


class Progress:
    """A bar over all steps of a training, with the epoch and its running means.

    Args:
        epochs: how many there will be.
        steps: steps an epoch, or None if unknown.
        done: epochs already complete.
    """

    def __init__(self, epochs: int, steps: int | None, done: int, line: Line) -> None:
        self._epochs = epochs
        self._steps = steps
        self._done = done
        self._began = self._last = perf_counter()
        self._line = line

    @property
    def due(self) -> bool:
        """Whether the bar has stood still for long enough to be worth the news."""
        return perf_counter() - self._last > SECONDS_BETWEEN_UPDATES

    def show(self, epoch: int, step: int, means: Mapping[str, float]) -> None:
        """Bring the bar up to date after `step` steps of `epoch` (both from 1)."""
        from tqdm import tqdm

        if self._steps is None:
            total, initial, n = None, 0, step
        else:
            total, initial, n = self._steps * self._epochs, self._steps * self._done, self._steps * (epoch - 1) + step
        bar = tqdm.format_meter(
            n=n,
            total=total,
            elapsed=perf_counter() - self._began,
            ncols=min(shutil.get_terminal_size((120, 24)).columns - 1, 120),
            prefix=f"epoch {epoch}/{self._epochs}",
            unit="step",
            postfix=", ".join(f"{name} {value:.4g}" for name, value in means.items()),
            initial=initial,
        )
        self._line.update(bar)
        self._last = perf_counter()

    def close(self, text: str = "") -> None:
        """Replace the bar by a last line."""
        self._line.close(text)


def line(shown: bool) -> Line:
    """The kind of line that suits where we are."""
    if not shown:
        return Hidden()
    if _in_notebook():
        return NotebookLine()
    return TerminalLine() if sys.stdout.isatty() else LastLine()


class Hidden:
    """Shows nothing."""

    def update(self, text: str) -> None:
        """Nothing."""

    def close(self, text: str) -> None:
        """Nothing."""


class LastLine(Hidden):
    """For logs and pipes: only what is there at the end."""

    def close(self, text: str) -> None:
        """Print it."""
        if text:
            print(text, flush=True)


class TerminalLine:
    """Rewrites the last line of a terminal."""

    def __init__(self) -> None:
        self._width = 0

    def update(self, text: str) -> None:
        """Go back to the start of the line and write over it."""
        sys.stdout.write("\r" + text.ljust(self._width))
        sys.stdout.flush()
        self._width = len(text)

    def close(self, text: str) -> None:
        """Write over it and go to the next line."""
        if text or self._width:
            sys.stdout.write(("\r" + text.ljust(self._width) if text else "") + "\n")
            sys.stdout.flush()


class NotebookLine:
    """One output of a cell, changed in place: the stored notebook keeps its last text only, whoever ran it."""

    def __init__(self) -> None:
        self._handle: Any = None

    def update(self, text: str) -> None:
        """Show it, the first time as a new output."""
        from IPython.display import display

        if self._handle is None:
            self._handle = display({"text/plain": text}, raw=True, display_id=True)
        else:
            self._handle.update({"text/plain": text}, raw=True)

    def close(self, text: str) -> None:
        """Leave it as the cell's output."""
        if text:
            self.update(text)


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs us; IPython is only asked if something imported it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
