from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from grading import busy_seconds, is_exercise, lay_out

from lvmlib.authoring.build import read_stored
from lvmlib.authoring.course import Course

LAB = "03-vae"


@pytest.mark.slow
def test_a_class_has_solved_everything_nothing_and_some(course: Course, tmp_path: Path) -> None:
    copy = lay_out(course, tmp_path, LAB, 4)
    solution = read_stored(course, LAB)
    assert solution is not None
    solved = {cell.source for cell in solution.cells if is_exercise(cell)}
    counts = []
    for path in sorted(copy.root.glob(f"submitted/*/{LAB}/{LAB}.ipynb")):
        sources = {"".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]}
        counts.append(len(solved & sources))
    assert counts[:2] == [len(solved), 0] and len(counts) == 4
    assert copy.labs() == [LAB]


def test_the_machines_seconds_grow_with_work() -> None:
    before = busy_seconds()
    while busy_seconds() <= before:
        random.random()
