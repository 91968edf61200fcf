"""What a click on a badge meets: one address for all, and a first cell that installs lvmlib from it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from lvmlib.authoring.build import Built, build, read_stored
from lvmlib.authoring.course import Course, find_course
from lvmlib.authoring.execute import ANSI
from lvmlib.authoring.release import doubt_address, release, release_guide
from lvmlib.cli import app

TINY = "00-tiny"
GENERATED = re.compile(r"(course/.*|solutions/.*\.ipynb)")
OPENED = re.compile(r"https://colab\.research\.google\.com/github/(\w[^\s/]*/[^\s/]+)/blob/([^\s/]+)")
INSTALLED = re.compile(r"git\+https://github\.com/([^\s/]+/[^\s/@]+)@([^\s\"'\\]+)")
RESTART = "Runtime → Restart session, then run this again"


def told(course: Course) -> tuple[str, str]:
    """Owner and repository, and the tag, as pyproject.toml has them."""
    table = tomllib.loads((course.root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["lvm"]
    return table["repository"].removeprefix("https://github.com/"), table["tag"]


def tell(course: Course, repository: str, tag: str = "v9.1") -> None:
    path = course.root / "pyproject.toml"
    before = tomllib.loads(path.read_text(encoding="utf-8"))["tool"]["lvm"]
    text = path.read_text(encoding="utf-8").replace(before["repository"], repository)
    path.write_text(text.replace(f'tag = "{before["tag"]}"', f'tag = "{tag}"'), encoding="utf-8")


def sources(course: Course) -> list[str]:
    return [cell.source for cell in nbformat.read(course.released(TINY), as_version=4).cells]


# --- addresses


@pytest.mark.parametrize("ending", ["", "/", ".git"])
def test_two_lines_of_pyproject_move_badge_install_line_and_guide_and_no_cell_runs_again(
    tiny: Course, ending: str
) -> None:
    (old, old_tag), before = told(tiny), sources(tiny)
    stored = read_stored(tiny, TINY)
    tell(tiny, f"https://github.com/ada/labs{ending}")
    assert build(tiny, TINY) is Built.REWORDED
    release(tiny, TINY)
    text = "\n".join(sources(tiny))
    guide = release_guide(tiny).read_text(encoding="utf-8")
    assert set(OPENED.findall(text)) == set(OPENED.findall(guide)) == {("ada/labs", "v9.1")}
    assert set(INSTALLED.findall(text)) == {("ada/labs", "v9.1")}
    assert [source.replace("ada/labs", old).replace("v9.1", old_tag) for source in sources(tiny)] == before
    outputs = [[cell.get("outputs") for cell in notebook.cells] for notebook in (read_stored(tiny, TINY), stored)]
    assert outputs[0] == outputs[1]


def test_the_repository_names_no_other_address(course: Course) -> None:
    named = {path: {*OPENED.findall(text), *INSTALLED.findall(text)} for path, text in texts(course.root)}
    expected = {path: {told(course)} for path in named if GENERATED.fullmatch(path) and not path.endswith(".json")}
    assert {path: found for path, found in named.items() if found} == expected
    labs = {f"{folder}/{lab}/{lab}.ipynb" for folder in ("course", "solutions") for lab in course.labs()}
    assert expected.keys() == labs | {"course/README.md"}


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """Every text of the repository by its path, the tests left out, which make addresses up."""
    folders = ("course", "lvmlib", "scripts", "solutions", ".github", ".ci")
    inside = (path for folder in folders for path in (root / folder).rglob("*") if "checkpoints" not in str(path))
    for path in [*root.glob("*.*"), root / "Makefile", *inside]:
        if path.is_file() and path.suffix in {".py", ".md", ".ipynb", ".toml", ".txt", ".yml", ".json", ""}:
            yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize(
    ("repository", "sentence"),
    [
        ("https://github.com/OWNER/REPOSITORY", "point to the placeholder https://github.com/OWNER/REPOSITORY; "),
        ("https://gitlab.com/ada/labs", "Colab's badges open files on GitHub only, and https://gitlab.com/ada/labs"),
    ],
)
def test_a_release_with_an_address_that_cannot_work_warns(
    tiny: Course, monkeypatch: pytest.MonkeyPatch, repository: str, sentence: str
) -> None:
    tell(tiny, repository)
    build(tiny, TINY)
    tiny.released(TINY).unlink()
    monkeypatch.chdir(tiny.root)
    outcome = CliRunner().invoke(app, ["release"])
    assert outcome.exit_code == 0 and tiny.released(TINY).is_file()
    (warning,) = outcome.stderr.splitlines()
    assert sentence in warning and "set repository and tag under [tool.lvm] in pyproject.toml" in warning


def test_a_release_with_an_address_is_silent(tiny: Course) -> None:
    tell(tiny, "https://github.com/ada/labs")
    assert doubt_address(tiny) is None


# --- the first cell

SHELL = """
import json, sys, types
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

class Shell(InteractiveShell): ...
Shell.__module__ = "google.colab._shell"

class Missing:  # what pip has not installed cannot be imported
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "lvmlib":
            raise ModuleNotFoundError("No module named 'lvmlib'", name="lvmlib")

def pip(line):
    asked.append(line)
    if sys.argv[2] != "fails":
        sys.meta_path.remove(missing)

asked, missing, settings = [], Missing(), Config()
settings.HistoryManager.enabled = False
if sys.argv[1] == "on Colab":
    sys.meta_path.insert(0, missing)
    sys.modules["google.colab"] = types.ModuleType("google.colab")
    shell = Shell.instance(config=settings)
else:
    shell = InteractiveShell.instance(config=settings)
shell.register_magic_function(pip, "line", "pip")
shell.run_cell(sys.stdin.read())
print(json.dumps(asked))
"""


def first_cell(course: Course, lab: str) -> str:
    cells = nbformat.read(course.released(lab), as_version=4).cells
    return next(cell.source for cell in cells if cell.cell_type == "code")


def run_first_cell(folder: Path, place: str = "on Colab", pip: str = "works") -> tuple[str, list[str]]:
    """What the first cell of the labs prints in a Python of its own, and what it asked pip for.

    Args:
        folder: Python looks for modules here first.
    """
    (cell,) = {first_cell(find_course(), lab) for lab in find_course().labs()}
    settings = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(folder), str(find_course().root)]),
        "PYTHONIOENCODING": "utf-8",
        "IPYTHONDIR": str(folder / "ipython"),
    }
    command = [sys.executable, "-c", SHELL, place, pip]
    done = subprocess.run(command, env=settings, input=cell, capture_output=True, encoding="utf-8")
    assert not done.returncode, done.stderr
    *said, asked = ANSI.sub("", done.stdout).splitlines()
    return "\n".join(said), json.loads(asked)


def test_on_colab_the_first_cell_installs_the_tag_and_sets_up(course: Course, tmp_path: Path) -> None:
    repository, tag = told(course)
    said, asked = run_first_cell(tmp_path)
    assert asked == [f"install -q git+https://github.com/{repository}@{tag}"]
    assert re.fullmatch(r"profile \w+ · device .* · lvmlib \S+ · torch \S+ · Python 3\.\d+\.\d+\S*", said)


def test_elsewhere_the_first_cell_installs_nothing(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch.so is gone')", encoding="utf-8")
    said, asked = run_first_cell(tmp_path, place="elsewhere")
    assert asked == []
    assert "lvmlib cannot be used" in said, "the line after it is reached"


def test_where_lvmlib_is_missing_after_all_the_line_that_fails_says_what_to_do(tmp_path: Path) -> None:
    said, asked = run_first_cell(tmp_path, pip="fails")
    assert len(asked) == 1
    assert "No module named 'lvmlib'" in said
    (failing,) = [line for line in said.splitlines() if line.startswith("---->")]
    assert failing.endswith(RESTART)


def test_where_torch_is_broken_the_error_says_to_restart(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("from numpy import no_such_name", encoding="utf-8")
    said, _ = run_first_cell(tmp_path)
    assert "choose Runtime → Restart session and run this cell again" in said.splitlines()[-1]
