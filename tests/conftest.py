"""A course with one tiny lab, for whatever turns one notebook into another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lvmlib.authoring.build import build
from lvmlib.authoring.course import Course
from lvmlib.authoring.release import release

ROOT = Path(__file__).parents[1]
TINY = "00-tiny"


@pytest.fixture(scope="session")
def course() -> Course:
    """The course of this repository."""
    return Course(ROOT)


def lay_out(folder: Path) -> Course:
    lab = folder / "solutions" / TINY
    lab.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "authoring" / "fixtures" / f"{TINY}.py", lab)
    for name in ("nbgrader_config.py", "pyproject.toml", "solutions/STUDENTS.md"):
        shutil.copy(ROOT / name, folder / name)
    return Course(folder)


@pytest.fixture
def draft(tmp_path: Path) -> Course:
    """A course whose one lab is a text and nothing more."""
    return lay_out(tmp_path / "draft")


@pytest.fixture(scope="session")
def _released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = lay_out(tmp_path_factory.mktemp("released"))
    build(made, TINY)
    release(made, TINY)
    return made.root


@pytest.fixture
def tiny(_released: Path, tmp_path: Path) -> Course:
    """A course whose one lab is built and released; a test may change it."""
    return Course(Path(shutil.copytree(_released, tmp_path / "tiny")))
