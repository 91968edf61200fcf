"""Whether a notebook's cells are those of the lab, in its order, and were run from top to bottom."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from lvmlib.student.notebooks import Cell, Notebook, beginning, grade_id_of, is_code
from lvmlib.student.outline import TEST, Outline

NUMBERED = re.compile(r"^#{2,4} Exercise (\d+) · `([\w-]+)`", re.MULTILINE)
RUN_AGAIN = "restart the kernel, run all cells, save, and submit again"


def order_of_cells(notebook: Notebook, tasks: Outline, released: Notebook | None = None) -> list[str]:
    """What is wrong with the cells that are graded: missing, copied or moved; one sentence each.

    Args:
        released: the lab as it was handed out; without it the order is that of the exercises' numbers.
    """
    found = [name for cell in notebook["cells"] if (name := grade_id_of(cell))]
    if not found:
        return ["The notebook lost the names of its cells; they will be matched by what they hold."]
    wanted = [name for cell in (released or {"cells": []})["cells"] if (name := grade_id_of(cell))]
    needed = wanted or [name for one in tasks.exercises for name in (one.name, f"{TEST}{one.name}")]
    missing = [name for name in needed if name not in found]
    copied = [name for name, times in Counter(found).items() if times > 1]
    order = wanted or _numbered(notebook)
    moved = _moved(found, order) if order else _early(found)
    complaints = {"are missing": missing, "are there more than once": copied, "are not where they were": moved}
    return [f"Graded cells that {what}: {', '.join(names)}." for what, names in complaints.items() if names]


def order_of_runs(notebook: Notebook) -> list[str]:
    """What tells that the outputs are not those of one run from top to bottom; one sentence each."""
    cells = [(place, cell) for place, cell in enumerate(filter(is_code, notebook["cells"]), start=1)]
    run = [(cell["execution_count"], place, cell) for place, cell in cells if cell["execution_count"] is not None]
    if not run:
        return [f"No cell was run since the outputs were cleared: {RUN_AGAIN}."]
    sentences = []
    if len(run) < len(cells):
        first = next((place, cell) for place, cell in cells if cell["execution_count"] is None)
        left = len(cells) - len(run)
        were = "cells were" if left > 1 else "cell was"
        sentences.append(f"{left} {were} not run, the first is {_place(*first)}: {RUN_AGAIN}.")
    for (count, *above), (next_count, *below) in pairwise(run):
        if next_count <= count:
            order = f"{_place(*below)} was run before {_place(*above)}"
            sentences.append(f"The outputs are not of one run, as {order}: {RUN_AGAIN}.")
            break
    return sentences


def _place(place: int, cell: Cell) -> str:
    return f"code cell {place} (`{beginning(cell)}`)"


def _numbered(notebook: Notebook) -> list[str]:
    """The exercises and their checks, in the order of the numbers in their headings."""
    texts = (cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    names = {int(number): name for text in texts for number, name in NUMBERED.findall(text)}
    return [each for number in sorted(names) for each in (names[number], f"{TEST}{names[number]}")]


def _moved(found: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The fewest cells that would have to go elsewhere for the others to be in order."""
    places = {name: place for place, name in enumerate(wanted)}
    names = [name for name in dict.fromkeys(found) if name in places]
    kept = {names[index] for index in _longest_increasing([places[name] for name in names])}
    return [name for name in names if name not in kept]


def _longest_increasing(numbers: Sequence[int]) -> list[int]:
    """The indices of a longest increasing subsequence of different numbers, by patience sorting."""
    tops: list[int] = []
    ends: list[int] = []
    before: list[int | None] = []
    for index, number in enumerate(numbers):
        pile = bisect_left(tops, number)
        before.append(ends[pile - 1] if pile else None)
        tops[pile : pile + 1], ends[pile : pile + 1] = [number], [index]
    chain: list[int] = []
    last = ends[-1] if ends else None
    while last is not None:
        chain.append(last)
        last = before[last]
    return chain[::-1]


def _early(found: Sequence[str]) -> list[str]:
    places = {name: place for place, name in enumerate(found)}
    return [name for name in places if places.get(name.removeprefix(TEST), -1) > places[name]]
