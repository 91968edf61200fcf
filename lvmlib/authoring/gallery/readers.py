"""What readers of a solved lab see: with its answers, or with what students find in their place."""

from __future__ import annotations

import copy
import re

from nbformat.notebooknode import NotebookNode

STUB = "raise NotImplementedError"
"""What nbgrader_config.py puts in the place of a solution."""
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?^ *### END SOLUTION", re.DOTALL | re.MULTILINE)
MARKS = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)
HIDDEN_TESTS = re.compile(r"\n*### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS", re.DOTALL)
MARK_SCHEME = re.compile(r"\n*### BEGIN MARK SCHEME\n(.*?)### END MARK SCHEME", re.DOTALL)
FOLDED = r'\n\n<details class="scheme"><summary>Mark scheme</summary>\n\n\1\n\n</details>'
BADGE = re.compile(r"\[!\[Open in Colab]\([^)]*\)]\([^)]*\)\n*")


def for_readers(notebook: NotebookNode, *, answers: bool) -> NotebookNode:
    """A copy without what only graders need, outputs kept.

    Args:
        notebook: executed, as instructors have it.
        answers: with solutions, and mark schemes folded away; otherwise both are gone.
    """
    readable = copy.deepcopy(notebook)
    readable.cells = [cell for cell in readable.cells if not _is_place_for_an_answer(cell)]
    for cell in readable.cells:
        shown = BADGE.sub("", HIDDEN_TESTS.sub("", cell.source))
        cell.source = _with_answers(shown) if answers else _without_answers(shown)
    return readable


def _with_answers(source: str) -> str:
    return MARK_SCHEME.sub(FOLDED, MARKS.sub("", source))


def _without_answers(source: str) -> str:
    return MARK_SCHEME.sub("", SOLUTION.sub(rf"\1{STUB}", source))


def _is_place_for_an_answer(cell: NotebookNode) -> bool:
    return cell.cell_type == "markdown" and bool(cell.metadata.get("nbgrader", {}).get("solution"))
