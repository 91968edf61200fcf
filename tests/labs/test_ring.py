"""Lab 01's ring at the size of a laptop: whatever the seed, one turn of the generator covers it and five collapse."""

from __future__ import annotations

import pytest

from lvmlib import seed_all

pytestmark = pytest.mark.slow

POINTS = 25600


@pytest.fixture
def play_on_ring(definitions):
    """The notebook's own function."""
    return definitions("01-gan", until="play_on_ring")["play_on_ring"]


@pytest.mark.parametrize("seed", [2, 11])
def test_one_turn_covers_the_ring_and_five_collapse(play_on_ring, seed: int) -> None:
    seed_all(seed)
    healthy, _ = play_on_ring("healthy", 1, epochs=8, points=POINTS)
    seed_all(seed)
    collapsed, _ = play_on_ring("collapsed", 5, epochs=4, points=POINTS)
    assert healthy["modes covered"][-1] == 8
    assert healthy["high-quality samples"][-1] > 0.6
    assert max(collapsed["modes covered"]) <= 2
