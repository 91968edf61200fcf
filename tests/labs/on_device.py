"""A lab from its first cell to its last on a device that this machine does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pytest
from accelerator import Accelerator, StaysOnCPU, let_torch_take_it_for_a_gpu

import lvmlib
from lvmlib.authoring.build import read_text
from lvmlib.authoring.course import Course
from lvmlib.data import Batches

BATCHES = 3
"""Of an epoch; the slowest turn of a game comes with every third."""
ROUNDS = 15
"""Of a loop; more of the same would only take longer."""

ON_CPU = {
    *("value-of-a-shift", "where-they-push", "ring-losses", "dcgan-film", "checkerboards", "steady-film"),
    *("which-digits", "nearest-neighbours"),
    *("two-heaps", "two-lines", "linear-critic", "which-digits-does-it-draw", "carrying-ink"),
    *("price-of-precision", "when-no-latent-is-needed", "knows-nothing", "continuous-bernoulli-density"),
    *("single-estimates", "bias-and-variance", "no-theorem", "noise-while-training", "half-a-path"),
    *("switching-off", "who-knows-what", "what-beta-buys", "fooling-the-measures", "digit-codes", "four-verdicts"),
    *("before-it-blows-up", "paths-of-theta", "what-theory-predicts", "the-family", "all-minibatches"),
    *("linear-in-painting",),
}
"""Experiments that need no device: exact sums, theory, scikit-learn, pictures of what others have found."""


@dataclass
class Ran:
    """What a cell has done.

    Attributes:
        operations: on the device.
        peak: the most bytes that were held there at a time.
    """

    operations: int
    peak: int


def prepare(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    """The device in place of a GPU, this profile, and epochs of a few batches."""
    whole = Batches.__iter__

    def first(batches: Batches) -> Iterator[Any]:
        return islice(whole(batches), BATCHES)

    let_torch_take_it_for_a_gpu(monkeypatch)
    monkeypatch.setenv("LVM_PROFILE", size)
    monkeypatch.setattr(lvmlib, "experiment", nullcontext)  # which would take some of torch's errors for stubs
    monkeypatch.setattr(Batches, "__iter__", first)


def sources(course: Course, lab: str) -> list[str]:
    """The cells of a lab with its solutions, and without its checks."""
    cells = read_text(course, lab).cells
    return [
        cell.source for cell in cells if cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("grade")
    ]


def run(cells: list[str], accelerator: Accelerator) -> dict[str, Ran]:
    """Execute cells of one lab; what each has done that came to the device.

    Raises:
        Exception: whatever a cell raises; `RuntimeError` or `ValueError` where it mixes devices.
    """
    names: dict[str, Any] = {
        "get_ipython": lambda: "none",
        "display": lambda *shown, **options: None,
        "range": lambda *limits: range(*limits)[:ROUNDS],
    }
    ran = {}
    with accelerator:
        for number, cell in enumerate(cells):
            name = experiment_of(cell) or f"cell {number}"
            _execute(cell, name, names, accelerator)
            ran[name] = Ran(accelerator.operations, accelerator.peak)
    return {name: one for name, one in ran.items() if one.operations}


def _execute(cell: str, name: str, names: dict[str, Any], accelerator: Accelerator) -> None:
    accelerator.begin(cut=name in ON_CPU)
    try:
        exec(compile(cell, name, "exec"), names)
    except StaysOnCPU:
        pass
    except NameError:  # of what another one that was cut would have made
        if name not in ON_CPU:
            raise


def experiment_of(cell: str) -> str | None:
    """The name of a cell's experiment."""
    found = re.search(r'^with experiment\("([^"]+)"\)', cell, re.MULTILINE)
    return found and found[1]
