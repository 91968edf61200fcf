"""The tag `raises-exception` on test cells: every runner goes on past a failed check, and none counts it as passed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from lvmlib.authoring.build import serialise
from lvmlib.authoring.course import Course

TINY = "00-tiny"


def break_solution(course: Course) -> Path:
    path = course.solution(TINY)
    notebook = nbformat.read(path, as_version=4)
    solution = next(cell for cell in notebook.cells if cell.id == "double")
    solution.source = solution.source.replace("2 * x", "3 * x")
    path.write_text(serialise(notebook), encoding="utf-8")
    return path


def nbval(path: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-current-env",
        "-p",
        "no:cacheprovider",
        "-q",
        path,
    ]
    environment = os.environ | {"LVM_PROFILE": "smoke"}
    return subprocess.run(command, cwd=path.parent, env=environment, capture_output=True, text=True)


def test_running_all_cells_goes_on_past_an_unsolved_exercise(
    tiny: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(tiny.released(TINY), as_version=4)
    for cell in notebook.cells:
        if "experiment" in cell.metadata.get("tags", []):
            cell.source = ""
    monkeypatch.setenv("LVM_PROFILE", "smoke")
    NotebookClient(notebook, resources={"metadata": {"path": tmp_path}}).execute()
    errors = [cell.id for cell in notebook.cells for out in cell.get("outputs", []) if out.output_type == "error"]
    assert errors == ["test-double", "test-halve"]
    assert notebook.cells[-1].outputs[0].text == "end\n"


@pytest.mark.slow
def test_nbval_passes_a_sound_notebook_in_another_profile(tiny: Course) -> None:
    outcome = nbval(tiny.solution(TINY))
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.slow
def test_nbval_fails_where_a_test_cell_raises(tiny: Course) -> None:
    outcome = nbval(break_solution(tiny))
    assert outcome.returncode == 1
    assert "2 failed" in outcome.stdout, outcome.stdout
