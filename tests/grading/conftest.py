"""A course with one small lab whose exercises are really judged."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest
from recorded import graded

from lvmlib.authoring.build import build
from lvmlib.authoring.course import Course
from lvmlib.authoring.release import release
from lvmlib.grading.assignment import Assignment, read_assignment
from lvmlib.grading.entering import write
from lvmlib.grading.lab_cells import prepare

ROOT = Path(__file__).parents[2]
SMALL = "00-small"
EXERCISES = ("kl-divergence", "reparameterize", "active-units")


@pytest.fixture(scope="session")
def _small_released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small-released")
    lab = root / "solutions" / SMALL
    lab.mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "fixtures" / f"{SMALL}.py", lab)
    for name in ("nbgrader_config.py", "pyproject.toml", "solutions/STUDENTS.md"):
        shutil.copy(ROOT / name, root / name)
    course = Course(root)
    build(course, SMALL)
    release(course, SMALL)
    # Last, because a build would make the key of a lab that has judges, and the probes are those of lab 03.
    course.judges(SMALL).write_text(judges_of(ROOT / "solutions" / "03-vae" / "judges.py"), encoding="utf-8")
    return root


def judges_of(path: Path) -> str:
    """The judges of the small lab's exercises, cut out of a judges.py with all that they may need."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    wanted = [node for node in ast.parse(text).body if judged_by(node) in (None, *EXERCISES)]
    return "\n\n\n".join("\n".join(lines[first_line(node) - 1 : node.end_lineno]) for node in wanted) + "\n"


def judged_by(node: ast.stmt) -> str | None:
    """The exercise whose oracle(…) a statement is."""
    match node:
        case ast.Expr(ast.Call(ast.Name("oracle"), [ast.Constant(str(name)), *_])):
            return name
    return None


def first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


@pytest.fixture(scope="session")
def _small_assignment(_small_released: Path) -> Assignment:
    return read_assignment(Course(_small_released), SMALL)


@pytest.fixture
def small_assignment(_small_assignment: Assignment) -> Assignment:
    """What submissions of the small lab are held against; plain data that tests leave as they are."""
    return _small_assignment


@pytest.fixture
def small(_small_released: Path, tmp_path: Path) -> Course:
    """A course whose one lab, 00-small, is built and released; a test may change it, but not build it again."""
    return Course(Path(shutil.copytree(_small_released, tmp_path / "small")))


@pytest.fixture(scope="session")
def _entered(tmp_path_factory: pytest.TempPathFactory, _small_released: Path, _small_assignment: Assignment) -> Path:
    root = Path(shutil.copytree(_small_released, tmp_path_factory.mktemp("entered") / "course"))
    prepare(Course(root), _small_assignment)
    return root


@pytest.fixture
def entered(_entered: Path, tmp_path: Path) -> Course:
    """The small course, its lab entered into the gradebook."""
    return Course(Path(shutil.copytree(_entered, tmp_path / "course")))


@pytest.fixture
def written(entered: Course, small_assignment: Assignment) -> Course:
    """The same with one submission, that of ada, who solved everything and answered the question."""
    write(entered, graded(small_assignment), small_assignment, None)
    return entered
