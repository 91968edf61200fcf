"""What lvmlib knows of its labs without torch is what the released notebooks say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from notebooks_made import ROOT, code, notebook

from lvmlib.authoring.course import Course
from lvmlib.student.labs import checked, functions, lab_named, lab_of, labs
from lvmlib.student.notebooks import read_notebook
from lvmlib.student.outline import outline
from lvmlib.student.released import is_untouched, read_released

LABS = Course(ROOT).labs()


def test_the_labs_are_those_of_the_course() -> None:
    assert list(labs()) == LABS
    assert functions("00-tiny") == {}


@pytest.mark.parametrize("lab", LABS)
def test_the_outline_is_the_labs(lab: str) -> None:
    path = Course(ROOT).released(lab)
    released = read_notebook(path)
    tests = [cell["source"] for cell in released["cells"] if cell["metadata"].get("nbgrader", {}).get("grade")]
    tasks = outline(lab, released)
    assert [one.test for one in tasks.exercises] == [source for source in tests if source.startswith("check(")]
    assert {one.name: one.function for one in tasks.exercises} == functions(lab)
    assert sum(one.points or 0 for one in tasks.exercises if not one.is_bonus) == 20
    assert sum(one.points or 0 for one in tasks.questions if not one.is_bonus) == 5
    assert not any(one.is_written for one in tasks.exercises) and not any(one.is_answered for one in tasks.questions)
    assert is_untouched(released) and lab_of(Path("renamed.ipynb"), released) == lab


@pytest.mark.parametrize("lab", LABS)
def test_the_solution_has_everything_written(lab: str) -> None:
    solution = read_notebook(Course(ROOT).solution(lab))
    assert all(one.is_written for one in outline(lab, solution).exercises) and not is_untouched(solution)


def test_points_come_from_the_headings_where_metadata_are_lost() -> None:
    released = read_notebook(Course(ROOT).released("03-vae"))
    before = outline("03-vae", released)
    for cell in released["cells"]:
        cell["metadata"] = {}
    after = outline("03-vae", released)
    assert [(one.name, one.points, one.is_bonus) for one in after.exercises] == [
        (one.name, one.points, one.is_bonus) for one in before.exercises
    ]


def test_a_check_that_a_student_added_changes_nothing() -> None:
    released = read_notebook(Course(ROOT).released("03-vae"))
    before = outline("03-vae", released)
    released["cells"] += [code('check("elbo", my_elbo)'), code('check("other", other)')]
    assert outline("03-vae", released) == before


@pytest.mark.parametrize(
    ("name", "lab"),
    [("03-vae (1)", "03-vae"), ("Ada 05-beta-vae", "05-beta-vae"), ("00-tiny-Copy1", "00-tiny"), ("(1)", "(1)")],
)
def test_a_lab_by_the_name_of_a_file(name: str, lab: str) -> None:
    assert lab_named(Path(f"{name}.ipynb")) == lab_of(Path(f"{name}.ipynb"), notebook(code("1"))) == lab


def test_a_cell_that_does_nothing_but_check() -> None:
    assert checked('check("elbo", elbo)\n') == checked("check( 'elbo' , lambda x: x)") == "elbo"
    assert checked('check("elbo", elbo)\nx = 1') == checked("elbo") == ""


def test_the_released_lab_is_never_the_students_own_and_never_one_worked_in(tmp_path: Path) -> None:
    path = tmp_path / "course" / "03-vae" / "03-vae.ipynb"
    path.parent.mkdir(parents=True)
    released = Course(ROOT).released("03-vae").read_text(encoding="utf-8")
    path.write_text(released, encoding="utf-8")
    assert read_released("03-vae", path) is None
    own = path.with_name("03-vae-Copy1.ipynb")
    own.write_text(released, encoding="utf-8")
    assert read_released("03-vae", own) == read_notebook(path)
    path.write_text(released.replace("raise NotImplementedError", "return 1"), encoding="utf-8")
    assert read_released("03-vae", own) is None
    path.write_text(json.dumps(1), encoding="utf-8")
    assert read_released("03-vae", own) is None
