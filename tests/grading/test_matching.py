"""The cells of a submission are known again whatever happened to them, and only those run that define something."""

from __future__ import annotations

import copy
import json
import random
import re
from pathlib import Path

import pytest

from lvmlib.authoring.course import Course
from lvmlib.grading.assignment import Assignment, grade_id_of, is_experiment, is_locked, is_test
from lvmlib.grading.matching import MOST_COMPARED, match, restore, runnable
from lvmlib.grading.results import Cell

KL = "def kl_divergence(mean, log_var):\n    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)"
STUB = "def kl_divergence(mean, log_var):\n    raise NotImplementedError"
ANSWER = "When the decoder needs no code."
LABS = [path.stem for path in sorted(Path(__file__).parents[2].glob("solutions/*/*.ipynb"))]


@pytest.fixture
def cells(small_assignment: Assignment) -> list[Cell]:
    """A submission as it is read: one exercise and the question are answered."""
    cells = copy.deepcopy(list(small_assignment.cells))
    for cell, released in zip(cells, small_assignment.cells, strict=True):
        cell["metadata"] = {"nbgrader": {"grade_id": grade_id_of(cell)}} if grade_id_of(cell) else {}
        if is_test(released):
            cell["source"] = cell["source"].partition("\n")[0]
        elif is_locked(released):
            cell["source"] = cell["source"].partition("### BEGIN")[0]
    of(cells, "kl-divergence")["source"] = KL
    of(cells, "which-unit")["source"] = ANSWER
    return cells


def of(cells: list[Cell] | tuple[Cell, ...], cell_id: str) -> Cell:
    (cell,) = [cell for cell in cells if cell["id"] == cell_id]
    return cell


def own(source: str, kind: str = "code", **names: object) -> Cell:
    return {"cell_type": kind, "id": "mine", "metadata": {}, "source": source} | names


def behind(cells: list[Cell], cell_id: str, *others: Cell) -> None:
    place = next(index for index, cell in enumerate(cells) if cell["id"] == cell_id)
    cells[place + 1 : place + 1] = others


def strip(cells: list[Cell]) -> None:
    for cell in cells:
        cell["metadata"], cell["id"] = {}, None


def ids(cells: list[Cell] | tuple[Cell, ...]) -> list[str]:
    return [cell["id"] for cell in cells]


def runs(cells: tuple[Cell, ...], assignment: Assignment) -> list[str]:
    return [cell.source for cell in runnable(cells, assignment)]


def test_an_honest_submission_needs_no_mending(cells: list[Cell], small_assignment: Assignment) -> None:
    restored, notes = restore(cells, small_assignment)
    assert notes == ()
    assert ids(restored) == ids(small_assignment.cells)
    for cell, released in zip(restored, small_assignment.cells, strict=True):
        assert cell["metadata"] == released["metadata"]
        assert cell["source"] == released["source"] or cell["source"] in (KL, ANSWER)


def test_what_runs_is_setup_definitions_and_solutions(cells: list[Cell], small_assignment: Assignment) -> None:
    behind(cells, "kl-divergence", own("helper = 3"), own(" \n"), own("text", "markdown"))
    restored, _ = restore(cells, small_assignment)
    chosen = runnable(restored, small_assignment)
    assert [cell.source.partition("(")[0] for cell in chosen] == [
        "import time\n\nimport torch\nfrom torch import Tensor\n\nimport lvmlib\nfrom lvmlib import check, profile\n\n"
        "lvmlib.setup",
        "def kl_divergence",
        "helper = 3",
        "def rate_per_unit",
        "def reparameterize",
        "def active_units",
    ]
    assert [cell.own for cell in chosen] == [False, False, True, False, False, False]
    assert [restored[cell.index]["source"] for cell in chosen] == [cell.source for cell in chosen]


def test_with_all_names_gone_every_cell_is_known_again(cells: list[Cell], small_assignment: Assignment) -> None:
    expected, _ = restore(copy.deepcopy(cells), small_assignment)
    slow = next(cell for cell in cells if "time.sleep" in cell["source"])
    slow["source"] = slow["source"].replace("spread:", "my spread:")
    helper = next(cell for cell in cells if "rate_per_unit" in cell["source"])
    helper["source"] = helper["source"].replace("on average over the batch, in nats", "in nats, as a list")
    of(cells, "test-reparameterize")["source"] = 'check("reparameterize", lambda *given: 1)'
    strip(cells)
    restored, notes = restore(cells, small_assignment)
    assert ids(restored) == ids(expected)
    assert of(restored, "kl-divergence")["source"] == KL
    assert of(restored, "which-unit")["source"] == ANSWER
    assert of(restored, "test-reparameterize") == of(expected, "test-reparameterize")
    assert notes == ("Put the edited cell test-reparameterize back as released.",)
    assert not any("sleep" in source for source in runs(restored, small_assignment))
    assert any("as a list" in source for source in runs(restored, small_assignment))


@pytest.mark.parametrize("lost", ["grade ids", "cell ids"])
def test_either_kind_of_name_is_enough(cells: list[Cell], small_assignment: Assignment, lost: str) -> None:
    expected, _ = restore(copy.deepcopy(cells), small_assignment)
    for cell in cells:
        cell.update({"metadata": {}} if lost == "grade ids" else {"id": None})
    assert restore(cells, small_assignment) == (expected, ())


@pytest.fixture(params=LABS)
def real(request: pytest.FixtureRequest, course: Course) -> Assignment:
    """A lab of the course as it was released."""
    told = json.loads(course.released(request.param).read_text(encoding="utf-8"))["cells"]
    return Assignment(request.param, tuple(cell | {"source": "".join(cell["source"])} for cell in told), "", {})


def needed(cells: tuple[Cell, ...] | list[Cell]) -> list[str]:
    code = [cell for cell in cells if cell["cell_type"] == "code" and not is_test(cell)]
    return [cell["source"] for cell in code if not is_experiment(cell)]


def test_the_real_labs_are_known_again_without_names(real: Assignment) -> None:
    cells = copy.deepcopy(list(real.cells))
    strip(cells)
    assert [cell and cell["id"] for cell in match(cells, real)] == ids(real.cells)
    restored, notes = restore(cells, real)
    assert notes == () and ids(restored) == ids(real.cells)
    assert runs(restored, real) == needed(real.cells)


def test_the_real_labs_as_cells_of_the_students_own_run_no_experiments(real: Assignment, course: Course) -> None:
    told = json.loads(course.solution(real.lab).read_text(encoding="utf-8"))["cells"]
    solved = [cell | {"source": "".join(cell["source"]), "id": f"own-{index}"} for index, cell in enumerate(told)]
    assert runs(tuple(cell | {"metadata": {}} for cell in solved), real) == needed(solved)


def test_experiments_of_the_real_labs_are_known_though_every_fifth_word_is_another(real: Assignment) -> None:
    chance = random.Random(0)
    cells = copy.deepcopy(list(real.cells))
    for cell in cells:
        if is_experiment(cell):
            words = re.split(r"(\w+)", cell["source"])
            cell["source"] = "".join(word if chance.random() > 0.2 else "mine" for word in words)
    strip(cells)
    restored, _ = restore(cells, real)
    assert runs(restored, real) == needed(real.cells)


def test_an_edited_test_edited_points_and_an_edited_question_are_put_right(
    cells: list[Cell], small_assignment: Assignment
) -> None:
    of(cells, "test-kl-divergence")["source"] = "pass"
    of(cells, "test-kl-divergence")["metadata"]["nbgrader"] |= {"points": 100, "schema_version": 99}
    of(cells, "which-unit-question")["source"] = "My answer, in the wrong place."
    restored, notes = restore(cells, small_assignment)
    assert of(restored, "test-kl-divergence") == of(small_assignment.cells, "test-kl-divergence")
    assert of(restored, "which-unit-question") == of(small_assignment.cells, "which-unit-question")
    assert "My answer, in the wrong place." in [cell["source"] for cell in restored]
    assert notes == ("Put the edited cells test-kl-divergence, which-unit-question back as released.",)


def test_a_function_written_into_a_test_cell_is_not_lost(cells: list[Cell], small_assignment: Assignment) -> None:
    of(cells, "kl-divergence")["source"] = STUB
    of(cells, "test-kl-divergence")["source"] = f'{KL}\n\ncheck("kl-divergence", kl_divergence)'
    restored, _ = restore(cells, small_assignment)
    sources = runs(restored, small_assignment)
    assert sources.index(STUB) < next(place for place, source in enumerate(sources) if source.startswith(KL))


def test_of_copied_cells_the_one_in_force_at_the_end_is_graded(cells: list[Cell], small_assignment: Assignment) -> None:
    names = of(cells, "kl-divergence")["metadata"]
    stub = of(small_assignment.cells, "kl-divergence")["source"]
    behind(cells, "kl-divergence", own("eps = 1e-8", metadata=names), own(f"# last\n{KL}", metadata=names))
    behind(cells, "reparameterize", own(stub, metadata=names), own(stub))
    restored, notes = restore(cells, small_assignment)
    assert of(restored, "kl-divergence")["source"] == f"# last\n{KL}"
    assert notes == ("Left 2 copies of cell kl-divergence out.",)
    assert runs(restored, small_assignment)[1:4] == [KL, "eps = 1e-8", f"# last\n{KL}"]


def test_copied_tests_are_left_out(cells: list[Cell], small_assignment: Assignment) -> None:
    test = of(cells, "test-kl-divergence")
    behind(cells, "test-kl-divergence", *(copy.deepcopy(test) for _ in range(3)), own('check("kl-divergence", my_kl)'))
    restored, notes = restore(cells, small_assignment)
    assert notes == ("Left 3 copies of cell test-kl-divergence out.",)
    assert not any("check(" in cell.source for cell in runnable(restored, small_assignment) if cell.own)


def test_missing_cells_are_put_back_in_their_place(cells: list[Cell], small_assignment: Assignment) -> None:
    gone = {"test-kl-divergence", "reparameterize", "which-unit", small_assignment.cells[1]["id"]}
    cells = [cell for cell in cells if cell["id"] not in gone]
    restored, notes = restore(cells, small_assignment)
    assert ids(restored) == ids(small_assignment.cells)
    assert notes == ("Put the missing cells “import time…”, test-kl-divergence, reparameterize, which-unit back.",)


def test_a_missing_cell_does_not_undo_a_function_written_elsewhere(
    cells: list[Cell], small_assignment: Assignment
) -> None:
    setup = of(cells, small_assignment.cells[1]["id"])
    setup["source"] += f"\n\n\n{KL}"  # two cells merged into one
    cells.remove(of(cells, "kl-divergence"))
    restored, notes = restore(cells, small_assignment)
    assert notes == ("Took the function of the missing cell kl-divergence from another cell.",)
    assert of(restored, "kl-divergence")["source"] == ""
    assert sum("def kl_divergence" in source for source in runs(restored, small_assignment)) == 1


def test_a_question_is_answered_by_the_text_below_it(cells: list[Cell], small_assignment: Assignment) -> None:
    stub = of(small_assignment.cells, "which-unit")["source"]
    answer = of(cells, "which-unit")
    answer["source"] = stub
    behind(cells, "which-unit", own(ANSWER, "markdown"))
    restored, notes = restore(copy.deepcopy(cells), small_assignment)
    assert of(restored, "which-unit")["source"] == ANSWER
    assert notes == ("Left 1 copy of cell which-unit out.",)
    cells.remove(answer)
    assert of(restore(cells, small_assignment)[0], "which-unit")["source"] == ANSWER
    cells[-1]["cell_type"] = "code"
    assert of(restore(cells, small_assignment)[0], "which-unit")["source"] == stub


def test_an_answer_that_was_made_code_is_an_answer_still(cells: list[Cell], small_assignment: Assignment) -> None:
    of(cells, "which-unit")["cell_type"] = "code"
    restored, _ = restore(cells, small_assignment)
    assert of(restored, "which-unit")["cell_type"] == "markdown"
    assert ANSWER not in runs(restored, small_assignment)


def test_cells_of_the_students_own_stay_and_are_worth_nothing(cells: list[Cell], small_assignment: Assignment) -> None:
    bonus = {"nbgrader": {"grade_id": "bonus", "grade": True, "points": 50}, "tags": ["experiment"]}
    cells += [own("mine = 1", metadata=bonus), own("mine = 2", id="../x"), own("mine = 3"), own("mine = 4", id=[])]
    restored, notes = restore(cells, small_assignment)
    assert notes == ()
    assert [(cell["source"], cell["metadata"]) for cell in restored[-4:]] == [(f"mine = {n}", {}) for n in (1, 2, 3, 4)]
    assert len(set(ids(restored))) == len(restored)
    assert restored[-4]["id"] == "mine"
    assert runs(restored, small_assignment)[-4:] == ["mine = 1", "mine = 2", "mine = 3", "mine = 4"]


def test_a_student_can_neither_tag_nor_untag(cells: list[Cell], small_assignment: Assignment) -> None:
    for cell in cells:
        cell["metadata"]["tags"] = [] if "sleep" in cell["source"] else ["experiment"]
    restored, _ = restore(cells, small_assignment)
    sources = runs(restored, small_assignment)
    assert KL in sources and not any("sleep" in source for source in sources)


def test_a_copied_experiment_does_not_run_but_helpers_in_it_do(cells: list[Cell], small_assignment: Assignment) -> None:
    slow = next(cell for cell in cells if "time.sleep" in cell["source"])
    changed = slow["source"].replace("4, 2", "8, 3")
    helper = f"{changed}\n\ndef helper(x):\n    return x"
    cells += [own(slow["source"]), own(changed), own(helper)]
    slow["source"] = "time.sleep(100)"
    restored, _ = restore(cells, small_assignment)
    assert [source for source in runs(restored, small_assignment) if "sleep" in source] == [helper]


def test_a_function_of_an_exercise_is_never_taken_for_an_experiment(
    cells: list[Cell], small_assignment: Assignment
) -> None:
    slow = next(cell for cell in cells if "time.sleep" in cell["source"])
    slow["source"] = KL
    of(cells, "kl-divergence")["source"] = "# see below"
    restored, _ = restore(cells, small_assignment)
    assert KL in runs(restored, small_assignment)


@pytest.mark.parametrize("letter", ["(", "a ", "def f(x):\n", "x" * 50 + "\n", "\\\n", "'''", "x:", "=", " \n"])
def test_hostile_texts_take_no_time_to_speak_of(letter: str, cells: list[Cell], small_assignment: Assignment) -> None:
    # Not a race against a clock: were anything here quadratic, this would not come back within a working day.
    flood = [own(letter * (2000 // len(letter)), id=f"flood-{index}") for index in range(990 - len(cells))]
    huge = own(letter * (1_000_000 // len(letter)))
    for submitted in ([*flood, *cells], [*cells, huge], [huge, *flood]):
        restored, _ = restore(submitted, small_assignment)
        runnable(restored, small_assignment)
        assert {cell["id"] for cell in small_assignment.cells} < set(ids(restored))


def test_shuffled_cells_without_names_are_known_again_up_to_the_answers(
    cells: list[Cell], small_assignment: Assignment
) -> None:
    strip(cells)
    random.Random(0).shuffle(cells)
    restored, _ = restore(cells, small_assignment)
    assert sorted(cell["id"] for cell in restored if cell["id"] in ids(small_assignment.cells)) == sorted(
        ids(small_assignment.cells)
    )
    assert of(restored, "kl-divergence")["source"] == KL
    assert ANSWER in [cell["source"] for cell in restored]


def test_far_more_cells_than_are_compared_all_run(cells: list[Cell], small_assignment: Assignment) -> None:
    cells += [own(f"a{index} = {index}", id=f"a{index}") for index in range(2 * MOST_COMPARED)]
    restored, notes = restore(cells, small_assignment)
    assert notes == ()
    assert len([cell for cell in runnable(restored, small_assignment) if cell.own]) == 2 * MOST_COMPARED
