"""A fingerprint changes with what decides an exercise, and with nothing else."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lvmlib import exercises
from lvmlib.authoring.course import Course
from lvmlib.grading import fingerprint
from lvmlib.grading.assignment import Assignment
from lvmlib.grading.fingerprint import PACKAGE, fingerprints

KL, CODE, UNITS = "kl-divergence", "reparameterize", "active-units"
JUDGES = Path(__file__).parents[2] / "solutions"
LABS = Course(JUDGES.parent).labs()


def asking(name: str, points: float = 1) -> dict:
    facts = {"grade": True, "solution": False, "locked": True, "grade_id": f"test-{name}", "points": points}
    source = f'check("{name}", {name.replace("-", "_")})'
    return {"cell_type": "code", "id": name, "metadata": {"nbgrader": facts}, "source": source}


def assignment_of(judges: str, *names: str, points: float = 1) -> Assignment:
    return Assignment("00-small", tuple(asking(name, points) for name in names), judges, {})


@pytest.fixture(scope="module")
def three() -> Assignment:
    return assignment_of((JUDGES / "03-vae" / "judges.py").read_text(encoding="utf-8"), KL, CODE, UNITS)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A copy of lvmlib's source."""
    copied = shutil.ignore_patterns(
        "*.pyc", "*.json", "*.npz", "*.safetensors", "*.png", "*.gif", "__pycache__", "pictures"
    )
    return Path(shutil.copytree(PACKAGE, tmp_path / "lvmlib", ignore=copied))


def changed(before: Assignment, after: Assignment, library: Path = PACKAGE) -> set[str]:
    old, new = fingerprints(before), fingerprints(after, library)
    assert old.keys() == new.keys()
    return {name for name in old if old[name] != new[name]}


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text(encoding="utf-8")
    assert change(text) != text
    path.write_text(change(text), encoding="utf-8")


def with_judges(assignment: Assignment, old: str, new: str) -> Assignment:
    assert old in assignment.judges
    return replace(assignment, judges=assignment.judges.replace(old, new))


def test_each_exercise_has_one_of_its_own(three: Assignment) -> None:
    found = fingerprints(three)
    assert list(found) == [KL, CODE, UNITS]
    assert len(set(found.values())) == 3
    assert all(len(value) == 64 for value in found.values())


def test_comments_layout_docstrings_and_other_judges_change_none(three: Assignment, library: Path) -> None:
    bare = ast.unparse(ast.parse(three.judges))
    documented = re.sub(r"^(def .*:)$", r'\1\n    """Now with a docstring."""', bare, flags=re.MULTILINE)
    assert documented != bare
    assert not changed(three, replace(three, judges=f"# a comment\n{documented}\n\n\ndef spare():\n    return kl\n"))
    rewrite(
        library / "exercises" / "vae.py", lambda text: "# a comment\n" + text.replace("draw, wrt =", "draw ,  wrt =")
    )
    rewrite(library / "fit.py", lambda text: text + "\n\nUNRELATED = 1\n")
    rewrite(library / "probe.py", lambda text: text + "\n\nUNRELATED = 1\n")
    assert not changed(three, three, library)


@pytest.mark.parametrize(
    ("old", "new", "those"),
    [
        ("int((means.var(0) > threshold).sum())", "int((means.var(0) >= threshold).sum())", {UNITS}),
        ("return mean + (0.5 * log_var).exp() * eps", "return mean + (0.4 * log_var).exp() * eps", {CODE}),
        ("the factor ½ is missing", "½ is missing", {KL}),
        ("here log_var = log σ²", "log_var is log σ²", {KL, CODE}),
        ("return td.Independent(td.Normal(", "return td.Independent(td.Laplace(", {KL}),
        ("from torch import distributions as td", "from torch import functional as td", {KL}),
    ],
)
def test_a_change_in_the_judges_changes_what_reaches_it(three: Assignment, old: str, new: str, those: set[str]) -> None:
    assert changed(three, with_judges(three, old, new)) == those


@pytest.mark.parametrize(
    ("file", "old", "new", "those"),
    [
        ("exercises/vae.py", '"mean 0 and log_var 0"', '"a standard normal"', {KL}),
        ("exercises/vae.py", "def _column(draw: Draw, count: int", "def _column(draw: Draw, count: float", {UNITS}),
        ("probe.py", "low: float = -1.0", "low: float = -2.0", {KL, CODE, UNITS}),
        ("compare.py", "gave no", "had no", {KL, CODE, UNITS}),
        ("grading/judges.py", "widened = [", "wider = widened = [", {KL, CODE, UNITS}),
    ],
)  # fmt: skip
def test_a_change_in_the_library_changes_what_reaches_it(
    three: Assignment, library: Path, file: str, old: str, new: str, those: set[str]
) -> None:
    rewrite(library / file, lambda text: text.replace(old, new, 1))
    assert changed(three, three, library) == those


def test_a_law_is_part_of_it(library: Path) -> None:
    lab = assignment_of((JUDGES / "03-vae" / "judges.py").read_text(encoding="utf-8"), KL, "networks")
    rewrite(library / "exercises" / "encoder_decoder.py", lambda text: text.replace("def law(", "def law(_=0, *, ", 1))
    assert changed(lab, lab, library) == {"networks"}


def test_points_expression_and_torch_are_part_of_it(three: Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    *rest, last = three.cells
    assert changed(three, replace(three, cells=(*rest, asking(UNITS, points=2)))) == {UNITS}
    renamed = last | {"source": f'check("{UNITS}", counted)'}
    assert changed(three, replace(three, cells=(*rest, renamed))) == {UNITS}
    before = fingerprints(three)
    monkeypatch.setattr(fingerprint, "version", lambda package: f"{package} of tomorrow")
    assert all(before[name] != after for name, after in fingerprints(three).items())


JUDGED = {KL: "right", CODE: "None"}


def oracle(body: str, *, around: str = "") -> str:
    head = f"from lvmlib.grading.judges import oracle\n{around}\n\n\ndef right(mean, log_var):\n    {body}\n\n\n"
    calls = [f'oracle("{name}", reference={answer}, right={{}}, wrong={{}})' for name, answer in JUDGED.items()]
    return head + "\n".join(calls) + "\n"


@pytest.mark.parametrize(
    ("body", "around", "file"),
    [
        ("return load(mean)", "from lvmlib import load", "data.py"),
        ("return key.load(mean)", "from lvmlib import data as key", "data.py"),
        ("from lvmlib.data import load\n    return load(mean)", "", "data.py"),
        ("import lvmlib.data\n    return lvmlib.data.load(mean)", "", "data.py"),
        ("return data", "from lvmlib import data", "data.py"),
        ("return data.nothing_there(mean)", "import lvmlib.data as data", "data.py"),
        ("return CHOICES", "CHOICES = {}\nfrom lvmlib.data import load\nCHOICES['a'] = load", "data.py"),
        ("return CHOICES", "CHOICES = []\nfrom lvmlib.data import load\nCHOICES.append(load)", "data.py"),
        ("return grid(mean)", "from lvmlib.show import grid", "show/pictures.py"),
    ],
)
def test_imports_are_followed_wherever_they_stand(library: Path, body: str, around: str, file: str) -> None:
    lab = assignment_of(oracle(body, around=around), KL, CODE)
    name = "grid" if "grid" in body else "load"
    rewrite(library / file, lambda text: text.replace(f"def {name}(", f"def {name}(_=0, *, ", 1))
    assert changed(lab, lab, library) == {KL}


def test_a_local_name_is_nobody_elses() -> None:
    body = "other = [helper for helper in (mean,)]\n    return (lambda value: value)(other)"
    around = "\n\ndef helper():\n    return 1\n\n\ndef value():\n    return 1\n\n\ndef other():\n    return 1\n"
    lab = assignment_of(oracle(body, around=around), KL, CODE)
    assert not changed(lab, with_judges(lab, "return 1", "return 2"))


@pytest.mark.parametrize("judges", ["def (", "from lvmlib.nowhere import oracle\noracle(nothing)", "", "x = 1"])
def test_what_cannot_be_resolved_is_the_whole_text_and_no_error(judges: str) -> None:
    lab = assignment_of(judges, KL, "an-exercise-of-nobody")
    assert changed(lab, replace(lab, judges=judges + "\ny = 2")) == {KL, "an-exercise-of-nobody"}


@pytest.mark.parametrize("lab", LABS)
def test_every_judge_of_the_course_is_found(lab: str) -> None:
    names = [exercise.name for exercise in exercises.every(lab)]
    course = assignment_of((JUDGES / lab / "judges.py").read_text(encoding="utf-8"), *names)
    doomed = "\n".join(f'oracle("{name}", changed=True)' for name in names[::2])
    unrelated = "def unrelated():\n    return 1\n"
    assert changed(course, replace(course, judges=f"{course.judges}\n{unrelated}\n{doomed}\n")) == set(names[::2])
