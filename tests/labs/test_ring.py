"""Lab 01's ring at the size of a laptop: whatever the seed, one turn of the generator covers it and five collapse."""

from __future__ import annotations

import pytest

from lvmlib import seed_all
from lvmlib.authoring.build import read_text
from lvmlib.authoring.course import Course

pytestmark = pytest.mark.slow

POINTS = 25600


@pytest.fixture
def play_on_ring(course: Course, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """The notebook's own function, made by its definitions alone."""
    monkeypatch.chdir(tmp_path)
    names = {"get_ipython": lambda: "none"}
    for cell in read_text(course, "01-gan").cells:
        if cell.cell_type != "code" or not _defines(cell):
            continue
        exec(cell.source, names)
        if "play_on_ring" in names:
            return names["play_on_ring"]
    raise AssertionError("lab 01 has no play_on_ring")


def _defines(cell) -> bool:
    return not cell.metadata.get("nbgrader", {}).get("grade") and "experiment" not in cell.metadata.get("tags", [])


@pytest.mark.parametrize("seed", [2, 11])
def test_one_turn_covers_the_ring_and_five_collapse(play_on_ring, seed: int) -> None:
    seed_all(seed)
    healthy, _ = play_on_ring("healthy", 1, epochs=8, points=POINTS)
    seed_all(seed)
    collapsed, _ = play_on_ring("collapsed", 5, epochs=4, points=POINTS)
    assert healthy["modes covered"][-1] == 8
    assert healthy["high-quality samples"][-1] > 0.6
    assert max(collapsed["modes covered"]) <= 2
