"""Signs of what no honest answer needs are found in the text of a notebook, with the cell they are in."""

from __future__ import annotations

import pytest

from lvmlib.grading.results import Cell
from lvmlib.grading.suspicion import SIGNS, find_suspicions

EXAMPLES = {
    "looks at the code that calls it": "frame = sys._getframe(1)",
    "searches memory for objects of others": "everything = gc.get_objects()",
    "reaches below Python": "import ctypes",
    "touches the questions or the judges": "from lvmlib import check, probe",
    "starts other programs": "os.system('ls')",
    "opens a network connection": "urllib.request.urlopen(address)",
    "looks for the course": "open('../solutions/03-vae.py')",
}


def cell(source: str, kind: str = "code") -> Cell:
    return {"cell_type": kind, "id": "own", "metadata": {}, "source": source}


def test_every_sign_has_an_example() -> None:
    assert EXAMPLES.keys() == SIGNS.keys()


@pytest.mark.parametrize("what", EXAMPLES)
def test_a_sign_is_told_with_the_number_of_its_cell(what: str) -> None:
    (told,) = find_suspicions([cell("1 + 1"), cell(EXAMPLES[what])], [])
    assert told.startswith(f"Cell 2 {what}: ") and told.endswith(".")


def test_prose_and_released_cells_are_nobodys_attempt() -> None:
    hostile = cell(EXAMPLES["reaches below Python"])
    assert find_suspicions([hostile | {"cell_type": "markdown"}], []) == ()
    assert find_suspicions([hostile], [hostile]) == ()


def test_what_is_quoted_is_made_plain() -> None:
    (told,) = find_suspicions([cell("open('\x1b[2Jx/proc/self')\nopen('x/proc/\u202eself')")], [])
    assert told.isprintable()
