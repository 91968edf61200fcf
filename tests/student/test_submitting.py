"""The archive: what is in it, what is told of it, and that the grader finds it in what a platform hands over."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from notebooks_made import answer, code, exercise, notebook, save, solved

from lvmlib.authoring.course import Course
from lvmlib.grading.inbox import open_inbox
from lvmlib.grading.submission import load
from lvmlib.student import submitting
from lvmlib.student.notebooks import NotebookError
from lvmlib.student.report import lines_of_archive
from lvmlib.student.stripping import Limits
from lvmlib.student.submitting import Archive, SubmitError, pack, submit

TINY = "00-tiny"
DONE = notebook(*(cell | {"execution_count": place} for place, cell in enumerate(exercise("double", "{0} = abs"))))


def inside(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def text(archive: Archive) -> str:
    return "\n".join(line for line, _ in lines_of_archive(archive, "x.ipynb"))


def test_the_archive_holds_the_notebook_under_its_labs_name(tmp_path: Path) -> None:
    mine = save(tmp_path / "03-vae (1).ipynb", solved("03-vae"))
    before = mine.read_bytes()
    made = submit(mine, tmp_path / "out")
    assert made.path == tmp_path / "out" / "03-vae.zip" and made.size == made.path.stat().st_size
    ((name, content),) = inside(made.path).items()
    assert name == "03-vae.ipynb"
    sources = [(cell["source"], cell["metadata"].get("nbgrader")) for cell in json.loads(content)["cells"]]
    given = [("".join(cell["source"]), cell["metadata"].get("nbgrader")) for cell in solved("03-vae")["cells"]]
    assert sources == given
    assert mine.read_bytes() == before


def test_the_same_notebook_gives_the_same_bytes_in_place_of_those_before(tmp_path: Path) -> None:
    mine = save(tmp_path / "00-own.ipynb", DONE)
    first = submit(mine, tmp_path).path.read_bytes()
    os.utime(mine, (0, 0))
    assert submit(mine, tmp_path).path.read_bytes() == first
    save(mine, DONE | {"cells": [*DONE["cells"], code("more = 1", count=9)]})
    assert submit(mine, tmp_path).path.read_bytes() != first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00-own.ipynb", "00-own.zip"]


def test_what_is_not_done_is_told(tmp_path: Path) -> None:
    bonus = exercise("extra")
    bonus[0]["source"] = bonus[0]["source"].replace("2 points", "2 bonus points")
    cells = [*DONE["cells"], *exercise("halve"), *bonus, answer("why"), answer("what", "So.")]
    told = text(submit(save(tmp_path / "00-own.ipynb", notebook(*cells)), tmp_path))
    assert "00-own.zip is ready to hand in: x.ipynb as 00-own.ipynb, 1 kB." in told
    assert "Exercises that are not written: halve.\nBonus exercises that are not written: extra.\n" in told
    assert told.endswith("Think questions without an answer: why (3).")
    assert "4 cells were not run, the first is code cell 3 (`def halve(x):`)" in told


def test_warnings_do_not_stop_it_unless_strict(tmp_path: Path) -> None:
    cells = [DONE["cells"][0], *reversed(DONE["cells"][1:])]
    mine = save(tmp_path / "00-own.ipynb", notebook(*cells))
    assert "not where they were: test-double." in text(submit(mine, tmp_path))
    (tmp_path / "00-own.zip").unlink()
    with pytest.raises(
        SubmitError, match=r"^Nothing was written. .*not where they were: test-double. The outputs are not"
    ):
        submit(mine, tmp_path, strict=True)
    assert not (tmp_path / "00-own.zip").exists()
    assert submit(save(mine, DONE), tmp_path).warnings == ()


def test_a_notebook_of_another_lab_is_packed_as_what_it_is(tmp_path: Path) -> None:
    made = submit(save(tmp_path / "04-nvil.ipynb", solved("03-vae")), tmp_path)
    assert made.path.name == "03-vae.zip"
    assert "04-nvil.ipynb is lab 03-vae, whatever it is called." in text(made)


def test_cells_are_held_against_the_lab_as_it_was_handed_out(tiny: Course) -> None:
    mine = json.loads(tiny.released(TINY).read_text(encoding="utf-8"))
    del mine["cells"][2]
    path = save(tiny.root / "mine" / f"{TINY}.ipynb", mine)
    assert any(sentence.endswith("are missing: double.") for sentence in submit(path, tiny.root / "mine").warnings)


def test_limits_are_kept(tmp_path: Path) -> None:
    printed = {"output_type": "stream", "name": "stdout", "text": "x" * 5000}
    cells = [cell | {"outputs": [printed]} if cell["cell_type"] == "code" else cell for cell in DONE["cells"]]
    made = submit(save(tmp_path / "00-own.ipynb", notebook(*cells)), tmp_path, Limits(output=1000))
    assert made.stripped == ("Replaced 2 large outputs by a note (10 kB).",)
    assert b"xxx" not in inside(made.path)["00-own.ipynb"]


def test_what_cannot_be_handed_in_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotebookError, match="holds no exercise of a lab; hand in the notebook that you worked in"):
        submit(save(tmp_path / "00-own.ipynb", notebook(code("1"))), tmp_path)
    mine = save(tmp_path / "00-own.ipynb", DONE)
    with pytest.raises(SubmitError, match=r"00-own.zip could not be written \(.*\); choose another folder by --out"):
        submit(mine, mine)
    submit(mine, tmp_path)
    before = (tmp_path / "00-own.zip").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(submitting, "write_atomically", full)
    with pytest.raises(SubmitError, match="No space left on device"):
        submit(mine, tmp_path)
    assert (tmp_path / "00-own.zip").read_bytes() == before


def test_an_archive_too_large_for_a_platform_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "LARGEST", 10)
    made = submit(save(tmp_path / "00-own.ipynb", DONE), tmp_path)
    assert made.warnings == ("The archive may be too large for your platform; remove pictures pasted into the text.",)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        "lovelaceada_123_456_{lab}.zip",
        "lovelaceada_LATE_123_456_{lab}-1.zip",
        "lovelaceada_7_assignsubmission_file_/{lab}.zip",
        "lovelaceada_7_assignsubmission_file_{lab}.zip",
        "lovelaceada/{lab}.zip",
    ],
)
def test_the_grader_finds_it_in_what_a_platform_hands_over(
    tiny: Course, tmp_path: Path, name: str, packed: bool
) -> None:
    mine = shutil.copy(tiny.released(TINY), tmp_path / f"{TINY} (2).ipynb")
    made = submit(Path(mine), tmp_path)
    place = tmp_path / "download" / name.format(lab=TINY)
    place.parent.mkdir(parents=True)
    shutil.copy(made.path, place)
    download = tmp_path / "download"
    if packed:
        download = Path(shutil.make_archive(str(download), "zip", download))
    submissions, notes = open_inbox(tiny, download)
    assert [(one.student, one.lab) for one in submissions] == [("lovelaceada", TINY)] and notes == []
    assert load(submissions[0]).content == inside(made.path)[f"{TINY}.ipynb"]


def test_one_file_gives_one_archive() -> None:
    assert pack("a.ipynb", b"x" * 1000) == pack("a.ipynb", b"x" * 1000) != pack("b.ipynb", b"x" * 1000)
