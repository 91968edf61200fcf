"""One line of what `lvm doctor` says."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

PIP = f'"{sys.executable}" -m pip' if " " in sys.executable else f"{sys.executable} -m pip"
"""That of this very Python; what a terminal calls pip may be another's."""
LVMLIB_ANEW = "Install lvmlib anew: delete .venv and run `make lab`; on Colab, run the first cell again."
State = Literal["✓", "✗", "–"]
COLOURS: dict[State, str | None] = {"✓": "green", "✗": "red", "–": None}


@dataclass(frozen=True)
class Finding:
    """What an examination came to: `✓` all right, `✗` wrong, `–` only worth knowing.

    Attributes:
        sentence: what is so.
        remedy: how to mend it, or nothing.
    """

    state: State
    sentence: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.state} {self.sentence} {self.remedy}".rstrip()


def right(sentence: str) -> Finding:
    """Something is as it should be."""
    return Finding("✓", sentence)


def wrong(sentence: str, remedy: str) -> Finding:
    """Something must be mended."""
    return Finding("✗", sentence, remedy)


def known(sentence: str, remedy: str = "") -> Finding:
    """Something is worth knowing."""
    return Finding("–", sentence, remedy)
