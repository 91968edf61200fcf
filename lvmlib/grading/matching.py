"""Which released cell each cell of a submission is, and the released form that follows.

A cell is known by its grade id, else by its cell id, else by what it defines, checks or shows, else by its text, and at
last by likeness: by the neighbouring words that it shares with a released one, in time proportional to its length.  No
text is parsed as Python: a stranger's could bring the parser down.
"""

from __future__ import annotations

import copy
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lvmlib.grading.assignment import (
    Assignment,
    grade_id_of,
    is_experiment,
    is_locked,
    is_test,
    nbgrader_of,
    released_source,
)
from lvmlib.grading.results import Cell

LIKE = 0.4
"""Share of neighbouring words in common from which on two cells are taken for versions of one.  In our labs a cell that
must run and an experiment share at most 0.3, and an experiment still more with its version of which every fifth word is
another."""
MOST_WORDS, MOST_COMPARED = 1000, 300
VALID_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
WORD = re.compile(r"\w+|[^\w\s]")
DEFINED = re.compile(
    r"^(?:(?:async[ \t]++)?(?:def|class)[ \t]++(\w++)|(\w++)[ \t]*+(?::[^=\n]*+)?=(?!=))", re.MULTILINE
)
CHECKED = re.compile(r"^check\([ \t]*+[\"']([\w-]++)", re.MULTILINE)
SHOWN = re.compile(r"^with experiment\([ \t]*+[\"']([\w-]++)", re.MULTILINE)


@dataclass(frozen=True)
class Runnable:
    """A cell that is run before the probes ask.

    Attributes:
        index: into the cells.
        own: whether it is an extra cell of the student's.
    """

    index: int
    source: str
    own: bool


def restore(cells: Sequence[Cell], assignment: Assignment) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """Bring cells into the form that was released; the second value says what was mended.

    Every released cell is there once, with its released metadata; locked ones have their complete source.  Further
    cells of the student's stay where they are, without metadata.
    """
    return rebuild(cells, match(cells, assignment), assignment)


def runnable(cells: Sequence[Cell], assignment: Assignment) -> list[Runnable]:
    """The restored cells that define what the probes ask for, in order.

    Left out are test cells, and experiments, also a student's copy of one; whatever tags a student sets or removes.
    A cell that defines a function of the exercises is never taken for an experiment.
    """
    released = {cell["id"]: cell for cell in assignment.cells}
    asked = frozenset(name for cell in assignment.cells if _is_exercise(cell) for name in defined(cell["source"]))
    code = [index for index, cell in enumerate(cells) if cell["cell_type"] == "code" and cell["source"].strip()]
    own = [index for index in code if cells[index]["id"] not in released]
    originals = {index: _original(cells[index]["source"], assignment) for index in own[:MOST_COMPARED]}
    originals |= {index: released[cells[index]["id"]] for index in code if cells[index]["id"] in released}
    return [
        Runnable(index, cells[index]["source"], cells[index]["id"] not in released)
        for index in code
        if not _is_left_out(cells[index], originals.get(index), asked)
    ]


def match(cells: Sequence[Cell], assignment: Assignment) -> list[Cell | None]:
    """For each cell of a submission the released cell that it is a version of; each is found at most once."""
    matching = _Matching(cells, assignment)
    matching.by_grade_id()
    matching.by_id()
    matching.by_purpose()
    matching.by_text()
    matching.by_likeness()
    matching.answers_by_place()
    return [None if place is None else assignment.cells[place] for place in matching.places]


def rebuild(
    cells: Sequence[Cell], matched: Sequence[Cell | None], assignment: Assignment
) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """Restore cells whose originals are known."""
    copies: Counter[str] = Counter()
    kept: list[Cell] = []
    edited: list[str] = []
    texts = {_flat(released_source(cell)): _title(cell) for cell in assignment.cells if nbgrader_of(cell)}
    locked = {grade_id_of(cell) for cell in assignment.cells if is_locked(cell)}
    for cell, released, name in zip(cells, matched, _names(cells, assignment), strict=True):
        own = {"cell_type": cell["cell_type"], "id": name, "metadata": {}, "source": cell["source"]}
        if released is not None:
            if is_locked(released) and _flat(cell["source"]) != _flat(released_source(released)):
                edited.append(_title(released))
                kept += [own] if _is_work(cell) else []
            kept.append(_restored(cell, released))
        elif title := texts.get(_flat(cell["source"])):
            copies[title] += 1
        elif grade_id_of(cell) in locked and not _is_work(cell):
            copies[str(grade_id_of(cell))] += 1
        else:
            kept.append(own)
    notes = [
        f"Left {times} {'copy' if times == 1 else 'copies'} of cell {title} out." for title, times in copies.items()
    ]
    notes += [f"Put the edited {_listed(edited)} back as released."] if edited else []
    return tuple(_complete(kept, assignment, notes)), tuple(notes)


def defined(source: str) -> frozenset[str]:
    """Names that lines without indentation define or assign."""
    return frozenset(function or name for function, name in DEFINED.findall(source))


def functions(source: str) -> frozenset[str]:
    """Names of the functions and classes among them."""
    return frozenset(function for function, _ in DEFINED.findall(source) if function)


class _Matching:
    """What is matched so far: `places[i]` is the released cell of submitted cell i."""

    def __init__(self, cells: Sequence[Cell], assignment: Assignment) -> None:
        self.cells, self.released = cells, assignment.cells
        self.places: list[int | None] = [None] * len(cells)
        self.taken: set[int] = set()

    def open_places(self) -> Iterator[tuple[int, Cell]]:
        return ((place, cell) for place, cell in enumerate(self.released) if place not in self.taken)

    def open_cells(self) -> Iterator[tuple[int, Cell]]:
        return ((index, cell) for index, cell in enumerate(self.cells) if self.places[index] is None)

    def take(self, candidates: Iterable[int], place: int) -> None:
        """Of several versions, the last one the student worked in: that is the definition in force at the end."""
        released = self.released[place]
        fit = [index for index in candidates if self.places[index] is None and _fits(self.cells[index], released)]
        stub = _flat(released_source(released))
        worked_in = [index for index in fit if _flat(self.cells[index]["source"]) != stub]
        wanted = defined(released["source"]) if _is_exercise(released) else frozenset()
        defining = [index for index in worked_in if wanted & defined(self.cells[index]["source"])]
        chosen = next(reversed(defining or worked_in or fit), None)
        if chosen is not None:
            self.places[chosen] = place
            self.taken.add(place)

    def by_grade_id(self) -> None:
        found = _index((grade_id_of(cell), index) for index, cell in self.open_cells())
        for place, cell in self.open_places():
            if grade_id := grade_id_of(cell):
                self.take(found.get(grade_id, ()), place)

    def by_id(self) -> None:
        found = _index((cell["id"], index) for index, cell in self.open_cells() if isinstance(cell["id"], str))
        for place, cell in self.open_places():
            self.take(found.get(cell["id"], ()), place)

    def by_purpose(self) -> None:
        """By the function a cell defines, the exercise it checks, or the experiment it shows."""
        purposes = [(index, _purposes(cell)) for index, cell in self.open_cells() if cell["cell_type"] == "code"]
        found = _index((purpose, index) for index, several in purposes for purpose in several)
        for place, cell in self.open_places():
            if purpose := _purpose(cell):
                self.take(found.get(purpose, ()), place)

    def by_text(self) -> None:
        found = _index((_flat(cell["source"]), index) for index, cell in self.open_cells())
        for place, cell in self.open_places():
            if not _is_answer(cell):
                same = found.get(_flat(released_source(cell)), ())
                self.take([index for index in same if self.places[index] is None][:1], place)

    def by_likeness(self) -> None:
        places = [(place, cell) for place, cell in self.open_places() if not _is_answer(cell)]
        likest = []
        for index, cell in list(self.open_cells())[:MOST_COMPARED]:
            pairs = _pairs(cell["source"])
            for place, released in places:
                likeness = _likeness(pairs, _released_pairs(released_source(released)))
                if likeness >= LIKE and cell["cell_type"] == released["cell_type"]:
                    likest.append((-likeness, place, index))
        for _, place, index in sorted(likest):
            if place not in self.taken:
                self.take([index], place)

    def answers_by_place(self) -> None:
        """The text below a question is its answer, where the answer's cell lost its names or was left as released."""
        where = {place: index for index, place in enumerate(self.places) if place is not None}
        for place, released in enumerate(self.released):
            if not _is_answer(released) or place - 1 not in where:
                continue
            above = where.get(place, where[place - 1])
            if place in where and _flat(self.cells[above]["source"]) != _flat(released["source"]):
                continue
            below = above + 1
            if below < len(self.cells) and self.places[below] is None and self.cells[below]["cell_type"] != "code":
                if place in where:
                    self.places[above] = None
                self.places[below] = place
                self.taken.add(place)


def _fits(cell: Cell, released: Cell) -> bool:
    # An answer may have become code or raw by a slip of the keyboard; code that was made prose was taken out of use.
    return cell["cell_type"] == released["cell_type"] or _is_answer(released)


def _is_exercise(cell: Cell) -> bool:
    return cell["cell_type"] == "code" and bool(nbgrader_of(cell).get("solution"))


def _is_answer(cell: Cell) -> bool:
    return cell["cell_type"] != "code" and bool(nbgrader_of(cell).get("solution"))


def _purpose(released: Cell) -> tuple[str, str] | None:
    source = released["source"]
    if _is_exercise(released):
        return next((("defines", name) for name, _ in DEFINED.findall(source) if name), None)
    if is_test(released):
        return next((("checks", name) for name in CHECKED.findall(source)), None)
    return next((("shows", name) for name in SHOWN.findall(source)), None)


def _purposes(cell: Cell) -> set[tuple[str, str]]:
    names = defined(cell["source"])
    if names:  # whatever else such a cell does, it must not be taken for a test, whose text is replaced
        return {("defines", name) for name in names}
    checked, shown = CHECKED.findall(cell["source"]), SHOWN.findall(cell["source"])
    return {("checks", name) for name in checked} | {("shows", name) for name in shown}


def _is_left_out(cell: Cell, original: Cell | None, asked: frozenset[str]) -> bool:
    if original is None:
        return False
    is_extra = cell["id"] != original["id"]
    if is_test(original) and not is_extra:
        return True
    # Helpers may have been written into the copy of an experiment: what they define is needed.
    needed = functions(cell["source"]) - functions(original["source"]) if is_extra else frozenset()
    return (is_test(original) or is_experiment(original)) and not (needed or asked & defined(cell["source"]))


def _original(source: str, assignment: Assignment) -> Cell | None:
    """The released code cell that a text is a version of."""
    code = [cell for cell in assignment.cells if cell["cell_type"] == "code"]
    shown = SHOWN.search(source)
    shows = [cell for cell in code if shown and _purpose(cell) == ("shows", shown[1])]
    if shows:
        return shows[0]
    pairs = _pairs(source)
    likeness = [_likeness(pairs, _released_pairs(released_source(cell))) for cell in code]
    best = max(likeness, default=0.0)
    return code[likeness.index(best)] if best >= LIKE else None


def _likeness(one: frozenset[tuple[str, str]], other: frozenset[tuple[str, str]]) -> float:
    return 2 * len(one & other) / ((len(one) + len(other)) or 1)


def _pairs(source: str) -> frozenset[tuple[str, str]]:
    """Neighbouring words of a text's beginning."""
    words = [found[0] for found, _ in zip(WORD.finditer(source), range(MOST_WORDS), strict=False)]
    return frozenset(zip(["", *words], [*words, ""], strict=True)) if words else frozenset()


_released_pairs = lru_cache(maxsize=1000)(_pairs)


def _index(entries: Iterable[tuple[Any, int]]) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = defaultdict(list)
    for key, index in entries:
        found[key].append(index)
    return found


def _flat(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().split("\n"))


def _names(cells: Sequence[Cell], assignment: Assignment) -> Iterator[str]:
    """For each cell an id of its own: the one it has, where that is valid and free."""
    used = {cell["id"] for cell in assignment.cells}
    for index, cell in enumerate(cells):
        name = cell["id"]
        if not (isinstance(name, str) and VALID_ID.fullmatch(name)) or name in used:
            name = next(free for count in range(len(cells) + 1) if (free := f"own-{index}-{count}") not in used)
        used.add(name)
        yield name


def _is_work(cell: Cell) -> bool:
    """Whether a student wrote something into a locked cell that must not be lost with it."""
    return bool(cell["source"].strip() if cell["cell_type"] != "code" else defined(cell["source"]))


def _restored(cell: Cell, released: Cell) -> Cell:
    restored = copy.deepcopy(released)
    if not is_locked(released):
        restored["source"] = cell["source"]
    return restored


def _complete(kept: list[Cell], assignment: Assignment, notes: list[str]) -> list[Cell]:
    """Put every released cell that is missing behind the one it was released behind."""
    present = {cell["id"] for cell in kept} & {cell["id"] for cell in assignment.cells}
    elsewhere = frozenset(name for cell in kept if cell["cell_type"] == "code" for name in defined(cell["source"]))
    behind: dict[str | None, list[Cell]] = defaultdict(list)
    last = None
    moved, missing = [], []
    for cell in assignment.cells:
        if cell["id"] in present:
            last = cell["id"]
            continue
        added = copy.deepcopy(cell)
        if _is_exercise(cell) and (purpose := _purpose(cell)) and purpose[1] in elsewhere:
            added["source"] = ""  # as released it would undo what the student wrote elsewhere
            moved.append(_title(cell))
        elif cell["cell_type"] == "code" or nbgrader_of(cell):
            missing.append(_title(cell))
        behind[last].append(added)
    notes += [f"Put the missing {_listed(missing)} back."] if missing else []
    notes += [f"Took the function of the missing {_listed(moved)} from another cell."] if moved else []
    return [*behind[None], *(each for cell in kept for each in (cell, *behind.get(cell["id"], ())))]


def _title(released: Cell) -> str:
    first = released_source(released).strip().partition("\n")[0]
    return grade_id_of(released) or f"“{first[:40]}…”"


def _listed(titles: list[str]) -> str:
    return f"{'cell' if len(titles) == 1 else 'cells'} {', '.join(titles)}"
