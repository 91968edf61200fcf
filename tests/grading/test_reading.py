"""Notebooks are read in whatever form they come; what is none is said to be none, in one sentence."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable

import nbformat
import pytest
from colab_notebook import PERSON, saved_by_colab

from lvmlib.authoring.course import Course
from lvmlib.grading import reading
from lvmlib.grading.assignment import (
    Assignment,
    AssignmentError,
    Question,
    grade_id_of,
    grade_ids,
    is_locked,
    read_assignment,
)
from lvmlib.grading.reading import Notebook, read
from lvmlib.grading.submission import UnreadableError

LAB = "00-small"
NAME = f"{LAB}.ipynb"
KL = "def kl_divergence(mean, log_var):\n    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)  # é"

Edit = Callable[[dict], object]


@pytest.fixture
def raw(small: Course) -> dict:
    """The released notebook with one exercise solved, as plain JSON."""
    told = json.loads(small.released(LAB).read_text(encoding="utf-8"))
    cell_of(told, "kl-divergence")["source"] = KL
    return told


def cell_of(told: dict, grade_id: str) -> dict:
    (cell,) = [cell for cell in told["cells"] if grade_id_of(cell) == grade_id]
    return cell


def source_of(notebook: Notebook, cell_id: str) -> str:
    (cell,) = [cell for cell in notebook.cells if cell["id"] == cell_id]
    return cell["source"]


def encoded(told: dict) -> bytes:
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass")


def test_an_assignment_is_plain_data_with_what_graders_have(small_assignment: Assignment) -> None:
    assert small_assignment.questions == (
        Question("kl-divergence", "kl_divergence", 2),
        Question("reparameterize", "reparameterize", 3),
        Question("active-units", "active_units", 1),
    )
    assert small_assignment.points == 10
    sources = {cell["id"]: cell["source"] for cell in small_assignment.cells}
    assert 'judge("kl-divergence", kl_divergence)' in sources["test-kl-divergence"]
    assert "draws the pixels independently" in sources["which-unit-question"]
    assert sources["kl-divergence"].endswith("raise NotImplementedError")
    assert pickle.loads(pickle.dumps(small_assignment)) == small_assignment
    assert json.loads(json.dumps(small_assignment.cells)) == list(small_assignment.cells)


def test_a_test_cell_that_only_nbgrader_can_grade_is_named(tiny: Course) -> None:
    tiny.judges("00-tiny").write_text("", encoding="utf-8")
    with pytest.raises(AssignmentError, match=r"test cell test-double of 00-tiny .* only `nbgrader autograde`"):
        read_assignment(tiny, "00-tiny")


def test_a_lab_without_judges_is_named(small: Course) -> None:
    small.judges(LAB).unlink()
    with pytest.raises(AssignmentError, match="solutions/00-small/judges.py cannot be read"):
        read_assignment(small, LAB)


def test_labs_are_known_by_the_grade_ids_of_their_cells(course: Course, small: Course) -> None:
    assert {"elbo", "test-elbo"} < grade_ids(course, "03-vae")
    assert grade_ids(small, LAB) == {name for cell in read_cells(small) if (name := grade_id_of(cell))}
    assert grade_ids(small, "03-vae") == frozenset()


def read_cells(course: Course) -> list[dict]:
    return json.loads(course.released(LAB).read_text(encoding="utf-8"))["cells"]


def test_an_untouched_notebook_needs_no_mending(small: Course, small_assignment: Assignment) -> None:
    notebook = read(NAME, small.released(LAB).read_bytes(), small_assignment)
    assert notebook == Notebook(small_assignment.cells)


ENCODINGS = {
    "utf-8": "",
    "utf-8-sig": "",
    "utf-16": "was stored as UTF-16",
    "utf-16-le": "was stored as UTF-16-LE",
    "utf-16-be": "was stored as UTF-16-BE",
    "latin-1": "was stored as Latin-1",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_is_read(raw: dict, small_assignment: Assignment, encoding: str) -> None:
    raw["cells"] = [cell for cell in raw["cells"] if cell["cell_type"] == "code"]  # the prose has more than Latin-1 has
    content = json.dumps(raw, ensure_ascii=False).encode(encoding)
    notebook = read(NAME, content, small_assignment)
    assert source_of(notebook, "kl-divergence") == KL
    assert ENCODINGS[encoding] in " ".join(notebook.notes)


def test_a_few_broken_letters_break_no_others(raw: dict, small_assignment: Assignment) -> None:
    cell_of(raw, "kl-divergence")["source"] = f"{KL} σ² µ µ µ"
    raw["cells"][1]["outputs"] = ["?"]
    notebook = read(NAME, encoded(raw).replace(b'"?"', b'"\xff"'), small_assignment)
    assert notebook.notes == (f"Replaced characters of {NAME} that are broken: 1.",)
    assert source_of(notebook, "kl-divergence") == f"{KL} σ² µ µ µ"


def test_nbformat_3_is_read(raw: dict, small_assignment: Assignment) -> None:
    old = nbformat.reads(json.dumps(raw), as_version=3)
    old.worksheets[0].cells.insert(0, nbformat.v3.new_heading_cell("My notes", level=2))
    notebook = read(NAME, nbformat.v3.writes_json(old).encode(), small_assignment)
    assert source_of(notebook, "kl-divergence") == KL
    assert notebook.cells[0]["source"] == "## My notes"
    assert {cell["id"] for cell in small_assignment.cells} < {cell["id"] for cell in notebook.cells}


def test_a_notebook_from_colab_is_read_and_names_nobody(raw: dict, small_assignment: Assignment) -> None:
    raw["metadata"]["kernelspec"] = {"name": "a kernel that does not exist"}
    saved = saved_by_colab(raw)
    assert saved.count(PERSON["userId"].encode()) > 5
    notebook = read(NAME, saved, small_assignment)
    assert notebook == read(NAME, encoded(raw), small_assignment)
    assert source_of(notebook, "kl-divergence") == KL


def test_outputs_and_attachments_are_left_out(raw: dict, small_assignment: Assignment) -> None:
    lines = ["a line of output\n"] * 200_000
    raw["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": lines}]
    raw["cells"][3]["outputs"] = [{"output_type": "display_data", "data": {"image/png": "A" * 40_000_000}}]
    raw["cells"][0]["attachments"] = {"a.png": {"image/png": "B" * 1000}}
    notebook = read(NAME, encoded(raw), small_assignment)
    assert notebook.notes == ()
    assert len(str(notebook)) < 100_000


def test_a_picture_pasted_into_the_prose_does_not_count_as_text(raw: dict, small_assignment: Assignment) -> None:
    picture = f"![plot](data:image/png;base64,{'iVBOR/+' * 500_000}==)"
    cell_of(raw, "which-unit")["source"] = f"See {picture} for the answer."
    notebook = read(NAME, encoded(raw), small_assignment)
    assert source_of(notebook, "which-unit") == "See ![plot](data:,) for the answer."
    assert notebook.notes == ("Left pictures out that were pasted into the text: 1.",)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{", "is not a notebook, or was cut off"),
        (b'{"cells": [', "is not a notebook, or was cut off"),
        (b"[]", "is not a notebook"),
        (b"\xff\xfe\x00", "is not a notebook"),
        (b"\x00\x01\x02\xff", "is not a notebook"),
        (b'{"cells": 1}', "it lists no cells"),
        (b'{"worksheets": [1, {"cells": 2}], "nbformat": 3}', "holds no exercise of 00-small"),
        (b'{"nbformat": 4, "cells": []}', "holds no exercise of 00-small"),
        (b'{"nbformat": 4, "cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is not a notebook"),
        (b"PK\x03\x04", "is a zip archive, not a notebook"),
        (b"%PDF-1.7", "is a PDF, not a notebook"),
        (b"<!DOCTYPE html>", "is a web page, not a notebook"),
    ],
)
def test_what_is_no_notebook_is_said_to_be_none(content: bytes, sentence: str, small_assignment: Assignment) -> None:
    with pytest.raises(UnreadableError, match=sentence) as error:
        read(NAME, content, small_assignment)
    assert str(error.value).startswith(NAME) and "\n" not in str(error.value)


def test_oddities_of_cells_are_survived(raw: dict, small_assignment: Assignment) -> None:
    cells = raw["cells"]
    cells[0]["metadata"] = "none"
    cells[1]["metadata"] = {"tags": 7, "nbgrader": [1]}
    cells[1]["execution_count"] = float("nan")
    cells[2]["source"] = ["one ", "line", 3, None]
    cells[2]["id"] = {"a": []}
    cell_of(raw, "kl-divergence")["source"] = KL.splitlines(keepends=True)
    cells += [7, None, [], {}, {"cell_type": "video"}, {"cell_type": "code", "source": 5, "id": "x" * 1000}]
    cells += [{"cell_type": "markdown", "metadata": {"nbgrader": {"grade_id": {}}}, "source": "kept"}]
    content = encoded(raw).replace(b'"nbformat": 4', b'"nbformat": ' + b"9" * 100_000)
    notebook = read(NAME, content, small_assignment)
    assert source_of(notebook, "kl-divergence") == KL
    assert "Left entries out that are no cells: 5." in notebook.notes
    assert notebook.cells[-1]["source"] == "kept"
    assert len({cell["id"] for cell in notebook.cells}) == len(notebook.cells)
    assert all(cell["metadata"] == {} for cell in notebook.cells[-2:])


def test_texts_can_be_written_compiled_and_stored(raw: dict, small_assignment: Assignment) -> None:
    cell_of(raw, "kl-divergence")["source"] = "a = 1\r\nb = '\ud800'\0\rc = 3"
    notebook = read(NAME, json.dumps(raw).encode(), small_assignment)
    assert source_of(notebook, "kl-divergence") == "a = 1\nb = '\ufffd'\nc = 3"
    assert notebook.notes == ("Replaced halves of characters: 1.", "Left zero characters out: 1.")
    str(notebook).encode("utf-8")


def test_too_much_is_refused(raw: dict, small_assignment: Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(told: dict, sentence: str) -> None:
        with pytest.raises(UnreadableError, match=sentence):
            read(NAME, encoded(told), small_assignment)

    own = {"cell_type": "code", "source": "x", "metadata": {}}
    refused(raw | {"cells": [own] * (reading.MOST_CELLS + 1)}, "has 1,001 cells; bring it below 1,000")
    refused(raw | {"cells": [own | {"source": "é" * (reading.MOST_SOURCE + 1)}]}, "hold more than 2 MB of text")
    monkeypatch.setattr(reading, "MOST_VALUES", 500)
    assert read(NAME, encoded(raw | {"x": "[,{" * 500}), small_assignment)
    refused(raw | {"x": [[]] * 500}, "holds more than 500 values")
    with pytest.raises(UnreadableError, match="holds more than 500 values"):  # also where a letter hides a quote
        read(
            NAME,
            json.dumps(raw | {"a": "\u2230", "x": [[]] * 500}, ensure_ascii=False).encode("utf-16"),
            small_assignment,
        )
    monkeypatch.setattr(reading, "LARGEST", 100)
    refused(raw, "is larger than 0 MB; clear its outputs")


def test_another_labs_notebook_is_told_from_this_labs(raw: dict, small_assignment: Assignment) -> None:
    elsewhere = {"elbo": "03-vae", "test-elbo": "03-vae", "nvil": "04-nvil"}
    assignment = Assignment(LAB, small_assignment.cells, "", elsewhere)

    def named(grade_id: str) -> dict:
        return {"cell_type": "code", "source": "", "metadata": {"nbgrader": {"grade_id": grade_id}}}

    with pytest.raises(UnreadableError, match="is lab 03-vae, not 00-small; submit 00-small.ipynb"):
        read(NAME, encoded({"cells": [named(name) for name in elsewhere]}), assignment)
    assert read(NAME, encoded(raw | {"cells": [*raw["cells"], named("elbo")]}), assignment)
    with pytest.raises(UnreadableError, match="holds no exercise of 00-small"):
        read(NAME, encoded({"cells": [raw["cells"][1], {"cell_type": "code", "source": "x = 1"}]}), assignment)


JUNK = [None, 1, float("nan"), "", "\ud800\0", [], {}, ["a"], True, {"grade_id": "active-units"}, "markdown", "raw"]


def mangled(told: object, chance: random.Random) -> object:
    """The same with a few of its parts exchanged, doubled, lost or out of order."""
    if chance.random() < 0.01:
        return chance.choice(JUNK)
    if isinstance(told, dict):
        kept = {name: mangled(value, chance) for name, value in told.items() if chance.random() > 0.01}
        return kept | (
            {chance.choice(["id", "source", "metadata"]): chance.choice(JUNK)} if chance.random() < 0.02 else {}
        )
    if isinstance(told, list):
        parts = [mangled(part, chance) for part in told for _ in range(1 + (chance.random() < 0.02))]
        return chance.sample(parts, len(parts)) if chance.random() < 0.1 else parts
    return told


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_mangled_the_release_is_restored_or_one_sentence_said(
    seed: int, raw: dict, small_assignment: Assignment
) -> None:
    content = json.dumps(mangled(raw, random.Random(seed))).encode()
    try:
        notebook = read(NAME, content, small_assignment)
    except UnreadableError as error:
        assert str(error).startswith(NAME) and "\n" not in str(error)
        return
    found = {cell["id"]: cell for cell in notebook.cells}
    assert len(found) == len(notebook.cells)
    for released in small_assignment.cells:
        cell = found.pop(released["id"])
        assert (cell["cell_type"], cell["metadata"]) == (released["cell_type"], released["metadata"])
        assert cell["source"] == released["source"] or not is_locked(released)
    assert all(cell["metadata"] == {} for cell in found.values())
    assert b"\0" not in "".join(cell["source"] for cell in notebook.cells).encode("utf-8")
