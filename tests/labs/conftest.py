"""A lab's own functions, for tests of what its text claims."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lvmlib.authoring.build import read_text
from lvmlib.authoring.course import Course

Definitions = Callable[..., dict[str, Any]]


@pytest.fixture
def definitions(course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Definitions:
    """What a notebook defines, with the solutions of its exercises and without its checks and experiments.

    `definitions(lab, until=name)` stops where the name is defined, and fails where it never is. Whatever the lab writes
    goes into an empty folder.
    """
    monkeypatch.chdir(tmp_path)

    def run(lab: str, *, until: str | None = None) -> dict[str, Any]:
        names: dict[str, Any] = {"get_ipython": lambda: "none"}
        for cell in read_text(course, lab).cells:
            if cell.cell_type == "code" and _defines(cell):
                exec(cell.source, names)
            if until in names:
                return names
        assert until is None, f"{lab} has no {until}"
        return names

    return run


def _defines(cell) -> bool:
    return not cell.metadata.get("nbgrader", {}).get("grade") and "experiment" not in cell.metadata.get("tags", [])
