"""A student who is stuck on one exercise can go on: every lab runs to its end with any one of them unsolved."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from lvmlib.authoring.course import find_course
from lvmlib.authoring.pictures import picture_of

pytestmark = pytest.mark.slow

COURSE = find_course()


def unsolved(lab: str) -> list[str]:
    """The exercises of a lab, and one word for all of them."""
    cells = nbformat.read(COURSE.released(lab), as_version=4).cells
    return ["all", *(cell.id for cell in cells if cell.cell_type == "code" and _is_exercise(cell))]


def _is_exercise(cell) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


@pytest.mark.parametrize(("lab", "missing"), [(lab, name) for lab in COURSE.labs() for name in unsolved(lab)])
def test_a_lab_runs_to_its_end(lab: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVM_PROFILE", "smoke")
    solved = {cell.id: cell.source for cell in nbformat.read(COURSE.solution(lab), as_version=4).cells}
    notebook = nbformat.read(COURSE.released(lab), as_version=4)
    for cell in notebook.cells:
        if _is_exercise(cell) and missing not in ("all", cell.id):
            cell.source = solved[cell.id]

    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()

    failed = [cell.id for cell in notebook.cells if any(out.output_type == "error" for out in cell.get("outputs", []))]
    assert f"test-{missing}" in failed or missing == "all"
    for cell in notebook.cells:
        said = "".join(out.get("text", "") for out in cell.get("outputs", []))
        if cell.id in failed:
            words = " ".join(out.evalue for out in cell.outputs if out.output_type == "error")
            assert "not written yet" in words
        elif "experiment" in cell.metadata.get("tags", []) and "not written yet" in said:
            assert any(picture_of(output) for output in cell.outputs)
