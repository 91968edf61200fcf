"""A student who is stuck on one exercise can go on: every lab runs to its end with any one of them unsolved, or all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab_process import LabProcess
from nbclient import NotebookClient

from lvmlib.authoring.course import find_course
from lvmlib.authoring.pictures import picture_of

pytestmark = pytest.mark.slow

COURSE = find_course()

Outputs = Mapping[str, list[Any]]
"""The outputs of each code cell."""


def released(lab: str) -> list[Any]:
    """The code cells that students get."""
    return [cell for cell in nbformat.read(COURSE.released(lab), as_version=4).cells if cell.cell_type == "code"]


def is_exercise(cell: Any) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def with_solutions(lab: str) -> list[dict[str, Any]]:
    """A lab's code cells for forked_lab.py: its solutions, and beside them the stubs that students get."""
    solved = {cell.id: cell.source for cell in nbformat.read(COURSE.solution(lab), as_version=4).cells}
    return [
        {
            "id": cell.id,
            "source": solved[cell.id] if is_exercise(cell) else cell.source,
            "stub": cell.source if is_exercise(cell) else None,
            "may_fail": "raises-exception" in cell.metadata.get("tags", []),
        }
        for cell in released(lab)
    ]


def assert_that_it_tells_what_is_missing(lab: str, outputs: Outputs) -> list[str]:
    """Cells fail only for what is not written yet, and experiments show pictures instead; returns those that failed."""
    failed = [name for name, shown in outputs.items() if any(out["output_type"] == "error" for out in shown)]
    for cell in released(lab):
        said = "".join(out.get("text", "") for out in outputs[cell.id])
        if cell.id in failed:
            words = " ".join(out["evalue"] for out in outputs[cell.id] if out["output_type"] == "error")
            assert "not written yet" in words
        elif "experiment" in cell.metadata.get("tags", []) and "not written yet" in said:
            assert any(picture_of(output) for output in outputs[cell.id])
    return failed


@pytest.fixture(scope="session")
def process_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], LabProcess]]:
    """A lab's process that can still be asked for an exercise; the one before is ended."""
    running: dict[str, LabProcess] = {}

    def find(lab: str, exercise: str) -> LabProcess:
        if lab not in running or not running[lab].can_reach(exercise):
            for process in running.values():
                process.end()
            running.clear()
            running[lab] = LabProcess(with_solutions(lab), tmp_path_factory.mktemp(lab))
        return running[lab]

    yield find
    for process in running.values():
        process.end()


EXERCISES = [(lab, cell.id) for lab in COURSE.labs() for cell in released(lab) if is_exercise(cell)]


@pytest.mark.parametrize(("lab", "missing"), EXERCISES)
def test_a_lab_runs_to_its_end_without_one_exercise(
    lab: str, missing: str, process_of: Callable[[str, str], LabProcess]
) -> None:
    outputs = process_of(lab, missing).without(missing)
    assert f"test-{missing}" in assert_that_it_tells_what_is_missing(lab, outputs)


@pytest.mark.parametrize("lab", COURSE.labs())
def test_a_lab_runs_to_its_end_without_all_exercises(lab: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a real kernel, as in JupyterLab."""
    monkeypatch.setenv("LVM_PROFILE", "smoke")
    notebook = nbformat.read(COURSE.released(lab), as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    assert_that_it_tells_what_is_missing(lab, {cell.id: cell.outputs for cell in notebook.cells if "outputs" in cell})
