"""Cells and runs out of order are told."""

from __future__ import annotations

import random

import pytest
from notebooks_made import code, exercise, notebook, solved

from lvmlib.student.order import order_of_cells, order_of_runs
from lvmlib.student.outline import outline

RELEASED = notebook(*exercise("double"), *exercise("halve"), *exercise("triple"))


def complaints(cells: list, released: dict | None = RELEASED) -> list[str]:
    mine = notebook(*cells)
    return order_of_cells(mine, outline("00-own", mine, released), released)


def test_the_lab_as_it_was_handed_out_is_in_order() -> None:
    own = code("helper = 1")
    for released in (RELEASED, None):
        assert complaints([own, *RELEASED["cells"], own], released) == []


def test_missing_copied_and_moved_cells() -> None:
    cells = RELEASED["cells"]
    assert complaints(cells[:-1]) == ["Graded cells that are missing: test-triple."]
    assert complaints([*cells, cells[1]]) == ["Graded cells that are there more than once: double."]
    assert complaints([*cells[3:6], *cells[6:], *cells[:3]]) == [
        "Graded cells that are not where they were: double, test-double."
    ]
    assert complaints([cells[2], cells[1], *cells[3:]], None) == [
        "Graded cells that are not where they were: test-double."
    ]


def test_without_the_lab_the_exercises_numbers_are_the_order() -> None:
    cells = solved("03-vae", frozenset())["cells"]
    assert complaints(cells, None) == []
    names = [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in cells]
    first, last = names.index("elbo"), names.index("active-units")
    moved = [*cells[:first], *cells[first + 2 : last], *cells[first : first + 2], *cells[last:]]
    assert complaints(moved, None) == ["Graded cells that are not where they were: elbo, test-elbo."]


def test_as_few_cells_as_can_be_are_called_moved() -> None:
    graded = [cell for cell in RELEASED["cells"] if cell["cell_type"] == "code"]
    draw = random.Random(0)
    for _ in range(20):
        order = draw.sample(graded, len(graded))
        told = complaints(order)
        moved = [cell for cell in order if told and cell["metadata"]["nbgrader"]["grade_id"] in _names(told[0])]
        kept = [graded.index(cell) for cell in order if cell not in moved]
        assert kept == sorted(kept)
        assert len(kept) == max(_increasing([graded.index(cell) for cell in order]))


def _names(sentence: str) -> list[str]:
    return sentence.removeprefix("Graded cells that are not where they were: ").removesuffix(".").split(", ")


def _increasing(numbers: list[int]) -> list[int]:
    """The length of the longest increasing subsequence that ends at each number, by the definition."""
    lengths: list[int] = []
    for place, number in enumerate(numbers):
        lengths.append(1 + max((lengths[i] for i in range(place) if numbers[i] < number), default=0))
    return lengths


def test_lost_names_are_told() -> None:
    assert complaints([code("x = 1")]) == [
        "The notebook lost the names of its cells; they will be matched by what they hold."
    ]


@pytest.mark.parametrize(
    ("counts", "sentences"),
    [
        ([1, 2, 3], []),
        ([5, 7, 9], []),
        ([None, None, None], ["No cell was run since the outputs were cleared: "]),
        ([1, 2, None], ["1 cell was not run, the first is code cell 3 (`c2 = 0`): "]),
        ([None, 1, None], ["2 cells were not run, the first is code cell 1 (`c0 = 0`): "]),
        (
            [9, 2, 3],
            ["The outputs are not of one run, as code cell 2 (`c1 = 0`) was run before code cell 1 (`c0 = 0`): "],
        ),
        (
            [4, None, 3],
            [
                "1 cell was not run",
                "The outputs are not of one run, as code cell 3 (`c2 = 0`) was run before code cell 1 (`c0 = 0`): ",
            ],
        ),
    ],
)
def test_runs_from_top_to_bottom(counts: list[int | None], sentences: list[str]) -> None:
    cells = [code(f"c{place} = 0", count=count) for place, count in enumerate(counts)]
    told = order_of_runs(notebook(*cells, code("  ")))
    assert len(told) == len(sentences)
    for said, wanted in zip(told, sentences, strict=True):
        assert said.startswith(wanted) and said.endswith("restart the kernel, run all cells, save, and submit again.")
