"""What there is to do in a lab: its exercises and its questions, and what each is worth."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lvmlib.student.labs import checked, functions
from lvmlib.student.notebooks import Cell, Notebook, defined, grade_id_of, is_answer, is_code, nbgrader_of

HEADING = re.compile(r"^#{2,4} .*?`([\w-]+)` · (\d+) (bonus )?points?\b", re.MULTILINE)
STUB = re.compile(r"^\s+raise NotImplementedError\b", re.MULTILINE)
BLANK = ("", "*Write your answer here.*")
TEST = "test-"


@dataclass(frozen=True)
class Exercise:
    """An exercise that a check decides.

    Attributes:
        function: what the student writes; the exercise's name where lvmlib does not know it.
        points: None where nothing tells.
        test: the text of its test cell as released.
        is_written: whether the notebook defines the function, without the `raise NotImplementedError` it came with.
    """

    name: str
    function: str
    points: float | None
    is_bonus: bool
    test: str
    is_written: bool


@dataclass(frozen=True)
class Question:
    """A question that a person marks."""

    name: str
    points: float | None
    is_bonus: bool
    is_answered: bool


@dataclass(frozen=True)
class Outline:
    """A lab's exercises and questions, in its order."""

    exercises: tuple[Exercise, ...]
    questions: tuple[Question, ...]

    def find(self, cell: Cell) -> Exercise | None:
        """The exercise whose test cell this is, by its grade id or its one line; None for any other cell."""
        name = _tested(cell)
        return next((one for one in self.exercises if one.name == name), None)

    def is_in(self, notebook: Notebook) -> bool:
        """Whether anything of the lab is in a notebook."""
        return any(one.is_written for one in self.exercises) or any(map(self.find, notebook["cells"]))


def outline(lab: str, notebook: Notebook, released: Notebook | None = None) -> Outline:
    """What a lab asks for, by the notebook as it was handed out, or by the student's own where there is no other."""
    base = (released or notebook)["cells"]
    worth = {name: (float(points), bool(bonus)) for cell in base for name, points, bonus in _headings(cell)}
    # A cell of nbgrader's before one that a student added.
    tests = {name: cell for cell in sorted(base, key=lambda cell: bool(grade_id_of(cell))) if (name := _tested(cell))}
    asked = functions(lab)
    names = list(asked or tests)
    return Outline(
        tuple(_exercise(name, asked.get(name), tests.get(name), worth, notebook) for name in _ordered(names, base)),
        tuple(_question(cell, worth, notebook, released is not None) for cell in base if is_answer(cell)),
    )


def canonical(name: str, function: str) -> str:
    """The test cell of an exercise that lvmlib knows."""
    return f'check("{name}", {function})'


def _headings(cell: Cell) -> list[tuple[str, str, str]]:
    return HEADING.findall(cell["source"]) if cell["cell_type"] == "markdown" else []


def _tested(cell: Cell) -> str:
    """The exercise that a cell tests, with nbgrader's metadata or without; empty for any other cell."""
    grade_id = grade_id_of(cell)
    if cell["cell_type"] != "code" or nbgrader_of(cell).get("solution"):
        return ""
    return grade_id.removeprefix(TEST) if grade_id.startswith(TEST) else checked(cell["source"])


def _ordered(names: list[str], base: list[Cell]) -> list[str]:
    """As the notebook has them; those that it lacks last."""
    places = {name: place for place, cell in reversed(list(enumerate(base))) if (name := _tested(cell))}
    return sorted(names, key=lambda name: places.get(name, len(base)))


def _exercise(
    name: str, function: str | None, test: Cell | None, worth: dict[str, tuple[float, bool]], notebook: Notebook
) -> Exercise:
    points, is_bonus = worth.get(name, (None, False))
    told = nbgrader_of(test).get("points") if test else None
    source = canonical(name, function) if function else test["source"].strip() if test else ""
    is_written = _is_written(name, function, notebook)
    return Exercise(name, function or name, points if told is None else told, is_bonus, source, is_written)


def _is_written(name: str, function: str | None, notebook: Notebook) -> bool:
    """By the last cell that defines the function; where lvmlib does not know it, by the exercise's own cell."""
    cells = [cell for cell in notebook["cells"] if is_code(cell)]
    own = [cell for cell in cells if grade_id_of(cell) == name]
    defining = [cell for cell in cells if function and function in defined(cell["source"])]
    return not STUB.search((defining or own)[-1]["source"]) if defining or own else False


def _question(cell: Cell, worth: dict[str, tuple[float, bool]], notebook: Notebook, is_pristine: bool) -> Question:
    name = grade_id_of(cell)
    blank = (*BLANK, cell["source"].strip()) if is_pristine else BLANK
    answers = [one["source"].strip() for one in notebook["cells"] if grade_id_of(one) == name]
    points, is_bonus = worth.get(name, (None, False))
    return Question(name, nbgrader_of(cell).get("points", points), is_bonus, any(one not in blank for one in answers))
