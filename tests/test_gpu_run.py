"""What runs the solved labs on a GPU does so on a CPU too, on a course with one lab; so does the workflow around it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import nbformat
import pytest
import stand_in_for_colab
import typer
import yaml
from nbformat.v4 import new_code_cell, new_notebook, new_output
from packaging.requirements import Requirement

from lvmlib.authoring.course import Course
from lvmlib.authoring.execute import environment

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "run_on_gpu.py"
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "gpu.yml").read_text("utf-8"))
INPUTS = WORKFLOW[True]["workflow_dispatch"]["inputs"]  # YAML takes the key `on` for true
JOB = WORKFLOW["jobs"]["labs"]
TINY, BROKEN = "00-tiny", "00-broken"
PASSED = ["✓ double", "✓ halve"]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_on_gpu", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_on_gpu"] = module
    spec.loader.exec_module(module)
    return module


gpu_run = load()


def add_lab(course: Course, lab: str, source: str) -> None:
    course.text(lab).parent.mkdir()
    course.text(lab).write_text(f"# %%\n{source}\n", "utf-8")
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), course.solution(lab))


def run_script(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["run_on_gpu.py", *arguments])
    with pytest.raises(SystemExit) as end:
        gpu_run.main()
    return end.value.code


# ---- the script


@pytest.mark.slow
def test_labs_leave_results_and_one_that_fails_does_not_stop_the_others(
    tiny: Course, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_lab(tiny, BROKEN, "{}['a|b']")
    out = tiny.root / "results"
    assert run_script(monkeypatch, tiny.root, "--profile", "smoke", "--out", "results") == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"{out}.tar.gz"

    broken, solved = json.loads((out / "results.json").read_text("utf-8"))["labs"]
    assert broken["error"] == f"{BROKEN}: {{}}['a|b'] raised KeyError: 'a|b'"
    assert (broken["checks"], broken["pictures"]) == ([], [])
    assert (solved["error"], solved["checks"], solved["pictures"]) == (None, PASSED, ["line.png"])
    assert (solved["gpu"], solved["peak_memory"]) == (None, None)

    executed = nbformat.read(out / TINY / f"{TINY}.ipynb", as_version=4)
    nbformat.validate(executed)
    stored = nbformat.read(tiny.solution(TINY), as_version=4)
    assert [cell.source for cell in executed.cells] == [cell.source for cell in stored.cells]
    assert executed.cells[1].outputs[0].text == "profile smoke\n"
    assert (out / TINY / "pictures" / "line.png").read_bytes().startswith(b"\x89PNG")

    with tarfile.open(f"{out}.tar.gz") as archive:
        packed = {name for name in archive.getnames() if archive.getmember(name).isfile()}
    assert packed == {str(path.relative_to(tiny.root)) for path in out.rglob("*") if path.is_file()}
    assert {name for name in os.listdir(tiny.root) if name.startswith("tmp")} == set()


@pytest.mark.parametrize(
    ("place", "arguments", "said"),
    [
        ("draft", ["99-none"], f"There is no lab '99-none' under solutions/; there are {TINY}."),
        ("draft", ["--repository", "nowhere"], "git could not fetch HEAD"),
        ("draft", ["--out", "solutions"], "solutions holds what is no result of an earlier run"),
        (".", [], "is not inside the course"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(
    draft: Course,
    place: str,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_script(monkeypatch, draft.root.parent / place, "--profile", "smoke", *arguments) == 1
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_a_lab_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    course = Course(tmp_path)
    (tmp_path / "solutions").mkdir()
    add_lab(course, BROKEN, "while True: pass")
    minutes = 0.03
    with gpu_run.own_kernel(minutes):
        outcome = gpu_run.run_lab(course.solution(BROKEN), "smoke", tmp_path / "out", minutes)
    assert outcome.error == f"{BROKEN} took over 0.03 minutes and was stopped."


def test_a_check_that_says_nothing_is_not_taken_for_passed(tmp_path: Path) -> None:
    graded = {"nbgrader": {"grade": True, "grade_id": "test-double"}}
    outputs = [new_output("stream", name="stdout", text="? double\n")]
    notebook = new_notebook(cells=[new_code_cell("check()", outputs=outputs, metadata=graded)])
    outcome = gpu_run.Outcome(TINY)
    gpu_run.keep(notebook, tmp_path, outcome)
    assert (outcome.checks, outcome.error) == ([], f"{TINY}: test-double printed no ✓.")


@pytest.mark.parametrize(
    ("torch", "told"),
    [
        (True, {"gpu": "Tesla T4", "peak_memory": 2_340_000_000}),
        (False, {}),
        (None, {}),
    ],
)
def test_memory_is_asked_of_the_gpu_where_there_is_one(
    torch: bool | None, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cuda = SimpleNamespace(
        is_available=lambda: torch, get_device_name=lambda: "Tesla T4", max_memory_allocated=lambda: 2_340_000_000
    )
    monkeypatch.setitem(sys.modules, "torch", None if torch is None else SimpleNamespace(cuda=cuda))
    exec(gpu_run.MEMORY, {})
    assert json.loads(capsys.readouterr().out) == told


def test_the_summary_is_a_table() -> None:
    fine = gpu_run.Outcome("01-gan", 754.6, None, "Tesla T4", 2_340_000_000, ["✓ a", "✓ b"], ["a.png"])
    failed = gpu_run.Outcome("02-wgan", 59.2, "02-wgan: x | y raised OSError: no")
    first, _, *table = gpu_run.summarise([fine, failed], 6, "full").splitlines()
    assert first == "1 of 6 labs ran to the end with every check passed, in profile full on Tesla T4."
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
    assert len({len(row) for row in cells}) == 1
    assert cells[2] == ["01-gan", "ok", "12 min 35 s", "2.34 GB", "2", "1"]
    assert cells[3] == ["02-wgan", r"02-wgan: x \| y raised OSError: no", "0 min 59 s", "–", "0", "0"]


@pytest.mark.slow
def test_installing_changes_no_package_that_is_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "tqdm-99-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tqdm-99.dist-info/METADATA", "Metadata-Version: 2.1\nName: tqdm\nVersion: 99\n")
        wheel.writestr("tqdm-99.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tqdm-99.dist-info/RECORD", "")
    write_project(tmp_path, "tqdm>=99")
    with (
        environment(**PIP_THAT_PRETENDS, PIP_FIND_LINKS=str(tmp_path)),
        pytest.raises(gpu_run.RunError, match="without changing a package that is installed"),
    ):
        gpu_run.install(tmp_path)
    assert "conflicting dependencies" in capfd.readouterr().err


def test_what_is_installed_is_what_the_course_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    known = {Requirement(line).name for line in project["optional-dependencies"]["lab"]}
    assert set(gpu_run.NEEDED) <= known


# `pip install` then resolves, among what is here, and installs nothing.  The last name says the opposite of its value.
PIP_THAT_PRETENDS = {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}


def write_project(folder: Path, *dependencies: str) -> None:
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "lvmlib"\nversion = "1"\ndependencies = {list(dependencies)}\n'
        "[tool.setuptools]\npackages = []\n"
    )


# ---- the workflow


@pytest.mark.slow
def test_the_workflow_brings_results_back_also_where_a_lab_fails(tiny: Course, tmp_path: Path) -> None:
    add_lab(tiny, BROKEN, "1 / 0")
    work = tmp_path / "work"
    values = {
        **{f"inputs.{name}": told["default"] for name, told in INPUTS.items()},
        "inputs.profile": "smoke",
        "secrets.COLAB_CREDENTIALS": '{"type": "authorized_user"}',
        "github.repository": "owner/course",
        "github.token": "token",
        "github.run_id": "7",
    }
    address = "https://x-access-token:token@github.com/owner/course"
    outcomes = run_steps(work, values, publish(tiny, address) | {"COLAB_MACHINES": str(tmp_path / "machines")})
    assert outcomes == {
        "Read the credentials": 0,
        "Run the labs": 1,
        "Fetch the results": 0,
        "Give the machine back": 0,
    }
    assert os.listdir(tmp_path / "machines") == []
    broken, solved = json.loads((work / "results" / "results.json").read_text("utf-8"))["labs"]
    assert broken["error"] == f"{BROKEN}: 1 / 0 raised ZeroDivisionError: division by zero"
    assert (solved["lab"], solved["error"], solved["checks"]) == (TINY, None, PASSED)
    assert (work / "summary").read_text("utf-8") == (work / "results" / "summary.md").read_text("utf-8")
    upload = next(step for step in JOB["steps"] if "upload-artifact" in step.get("uses", ""))
    assert (work / upload["with"]["path"] / TINY / "pictures" / "line.png").is_file()


def test_the_workflow_says_that_the_secret_is_missing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outcomes = run_steps(tmp_path / "work", {"secrets.COLAB_CREDENTIALS": "", "github.run_id": "7"}, {})
    assert outcomes == {"Read the credentials": 1}
    assert re.fullmatch(r"::error::The secret COLAB_CREDENTIALS is missing; .+\.\n", capfd.readouterr().out)


def test_all_labs_fit_into_the_time_of_the_workflow(course: Course) -> None:
    run = next(step for step in JOB["steps"] if step.get("id") == "run")
    labs = 60 * float(INPUTS["minutes"]["default"]) * len(course.labs())
    client = float(re.search(r"--timeout (\d+)", run["run"])[1])
    assert labs < client < 60 * run["timeout-minutes"] < 60 * JOB["timeout-minutes"]


def test_no_option_of_the_script_is_one_of_colab_run() -> None:
    group = typer.main.get_command(stand_in_for_colab.app)
    taken = {option for parameter in group.commands["run"].params for option in parameter.opts}
    own = {option for action in gpu_run.make_parser()._actions for option in action.option_strings}
    assert own & taken - {"--help", "-h"} == set()


def publish(course: Course, address: str) -> dict[str, str]:
    """Commit a course with the script, and have git find it under an address."""
    (course.root / "scripts").mkdir()
    shutil.copy(SCRIPT, course.root / "scripts")
    write_project(course.root)
    git = ["git", "-C", str(course.root), "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=all"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return {
        "GITHUB_SHA": head.stdout.strip(),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{course.root}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
        **PIP_THAT_PRETENDS,
    }


def run_steps(work: Path, values: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, int]:
    """Run the job's commands as GitHub would, with a `colab` of ours; the exit code of each that ran, by name."""
    programs = work / "bin"
    programs.mkdir(parents=True)
    (programs / "colab").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in_for_colab.__file__}" "$@"\n')
    (programs / "colab").chmod(0o755)
    shutil.copytree(ROOT / "scripts", work / "scripts")
    files = {"RUNNER_TEMP": work, "GITHUB_ENV": work / "env", "GITHUB_STEP_SUMMARY": work / "summary"}
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    running = os.environ | {name: str(file) for name, file in files.items()} | variables | {"PATH": path}
    running |= fill(JOB["env"], values)
    outcomes: dict[str, int] = {}
    for step in JOB["steps"]:
        if "run" in step and "name" in step and applies(step, outcomes):
            here = running | fill(step.get("env", {}), values)
            command = ["bash", "-eo", "pipefail", "-c", step["run"]]
            outcomes[step["name"]] = subprocess.run(command, cwd=work, env=here, check=False).returncode
            told = files["GITHUB_ENV"].read_text("utf-8") if files["GITHUB_ENV"].exists() else ""
            running |= dict(line.split("=", 1) for line in told.splitlines())
    return outcomes


def applies(step: Mapping[str, Any], outcomes: Mapping[str, int]) -> bool:
    condition = step.get("if")
    if condition is None:
        return not any(outcomes.values())
    assert condition == "always() && steps.run.outcome != 'skipped'"
    return next(step["name"] for step in JOB["steps"] if step.get("id") == "run") in outcomes


def fill(told: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    return {name: re.sub(r"\$\{\{ (\S+) }}", lambda found: values[found[1]], text) for name, text in told.items()}
