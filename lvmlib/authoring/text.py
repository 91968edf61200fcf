"""An author's text (jupytext py:percent) becomes a notebook with everything nbgrader asks for.

Cell headers in the text, and what they stand for:

    # %% exercise="kl-divergence"                   a cell students fill in between BEGIN SOLUTION and END SOLUTION
    # %% test="kl-divergence" points=2              the locked cell that grades it; to its line check(…) the hidden
                                                    judge(…) is added
    # %% [markdown] think="which-beta" points=2     a question, graded by hand; the cell for the answer is added
    # %% tags=["experiment"]                        as Jupyter has it
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.course import CourseError

CHECK_ALONE = re.compile(r"check(\(.*\))\s*")
HIDDEN_JUDGE = """{check}
### BEGIN HIDDEN TESTS
from lvmlib.grading import judge
judge{arguments}
### END HIDDEN TESTS"""
GITHUB = "https://github.com/"
ANSWER = "*Write your answer here.*"
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class TextError(CourseError):
    """The text of a lab cannot become a notebook; the message says which cell, and what to change."""


def read_notebook(text: Path, placeholders: dict[str, str]) -> NotebookNode:
    """Turn an author's text into a notebook without outputs; the same text always gives the same notebook.

    Args:
        text: the py:percent file.
        placeholders: what `{{name}}` in a cell becomes.

    Raises:
        TextError: a cell header or an exercise is not as nbgrader needs it.
    """
    import jupytext
    from nbformat.v4 import new_notebook

    cells = [cell for drafted in jupytext.read(text).cells for cell in _expand(drafted)]
    _check_ids(cells)
    for cell in cells:
        cell.source = substitute(cell.source, placeholders)
    _name_cells(cells)
    return new_notebook(cells=cells, metadata=KERNEL)


def read_placeholders(pyproject: Path) -> dict[str, str]:
    """What the table `[tool.lvm]` of a pyproject.toml says, and the address at which Colab opens its files."""
    with pyproject.open("rb") as file:
        told = tomllib.load(file)["tool"]["lvm"]
    repository = told["repository"].rstrip("/").removesuffix(".git")
    opened = repository.replace(GITHUB, "https://colab.research.google.com/github/")
    return told | {"repository": repository, "colab": f"{opened}/blob/{told['tag']}"}


def substitute(source: str, placeholders: dict[str, str]) -> str:
    """Replace every `{{name}}` that has a value."""
    for name, value in placeholders.items():
        source = source.replace("{{" + name + "}}", value)
    return source


def points_of(notebook: NotebookNode) -> tuple[int, int]:
    """Points of a notebook: those graded by its test cells, and those graded by hand."""
    graded = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    automatic = sum(cell.metadata.nbgrader.points for cell in graded if cell.cell_type == "code")
    return automatic, sum(cell.metadata.nbgrader.points for cell in graded) - automatic


def _expand(cell: NotebookNode) -> list[NotebookNode]:
    metadata = cell.metadata
    if "exercise" in metadata:
        return [_exercise(cell, metadata["exercise"])]
    if "test" in metadata:
        return [_test(cell, metadata["test"], _points(metadata))]
    if "think" in metadata:
        return _think(cell, metadata["think"], _points(metadata))
    return [_cell(cell.cell_type, cell.source, tags=metadata.get("tags", []))]


def _exercise(cell: NotebookNode, name: str) -> NotebookNode:
    if cell.source.count("### BEGIN SOLUTION") != 1 or cell.source.count("### END SOLUTION") != 1:
        raise TextError(f"Exercise {name!r} needs exactly one region from ### BEGIN SOLUTION to ### END SOLUTION.")
    return _cell("code", cell.source, _nbgrader(name, solution=True))


def _test(cell: NotebookNode, name: str, points: int) -> NotebookNode:
    # With the first tag, "Run all" in JupyterLab and nbclient goes on past an exercise that is still missing.  nbval
    # then takes an exception for an ordinary output, and the second tag tells it to compare that.
    tags = ["raises-exception", "nbval-check-output"]
    return _cell("code", _with_judge(cell.source), _nbgrader(f"test-{name}", grade=True, points=points), tags)


def _with_judge(source: str) -> str:
    """A test cell that only checks is judged by the judge of the same name; any other is as its author wrote it."""
    alone = CHECK_ALONE.fullmatch(source)
    return HIDDEN_JUDGE.format(check=source.strip(), arguments=alone[1]) if alone else source


def _think(cell: NotebookNode, name: str, points: int) -> list[NotebookNode]:
    if "### BEGIN MARK SCHEME" not in cell.source or "### END MARK SCHEME" not in cell.source:
        raise TextError(f"Question {name!r} needs a region from ### BEGIN MARK SCHEME to ### END MARK SCHEME.")
    return [
        _cell("markdown", cell.source, _nbgrader(f"{name}-question")),
        _cell("markdown", ANSWER, _nbgrader(name, grade=True, solution=True, points=points)),
    ]


def _nbgrader(grade_id: str, *, grade: bool = False, solution: bool = False, points: int | None = None) -> dict:
    metadata = {
        "grade": grade,
        "grade_id": grade_id,
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    return metadata if points is None else metadata | {"points": points}


def _cell(kind: str, source: str, nbgrader: dict | None = None, tags: list[str] | None = None) -> NotebookNode:
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

    metadata: dict[str, Any] = {}
    if nbgrader:
        metadata["nbgrader"] = nbgrader
    if tags:
        metadata["tags"] = tags
    new_cell = {"code": new_code_cell, "markdown": new_markdown_cell, "raw": new_raw_cell}[kind]
    return new_cell(source, metadata=metadata)


def _points(metadata: NotebookNode) -> int:
    points = metadata.get("points")
    if not isinstance(points, int) or points < 1:
        name = metadata.get("test") or metadata.get("think")
        raise TextError(f"Cell {name!r} has points={points!r}; give it a whole number of points, for example points=2.")
    return points


def _check_ids(cells: list[NotebookNode]) -> None:
    ids = [cell.metadata.nbgrader.grade_id for cell in cells if "nbgrader" in cell.metadata]
    for grade_id, times in Counter(ids).items():
        if times > 1:
            raise TextError(f"The grade id {grade_id!r} is used {times} times; an exercise's name must be its own.")
    exercises = {cell.metadata.nbgrader.grade_id for cell in cells if _is_exercise(cell)}
    tests = {grade_id.removeprefix("test-") for grade_id in ids if grade_id.startswith("test-")}
    for name in sorted(tests ^ exercises):
        missing, present = ("exercise", "test") if name in tests else ("test", "exercise")
        raise TextError(f'There is a cell {present}="{name}" but no cell {missing}="{name}"; an exercise needs both.')


def _is_exercise(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.metadata.get("nbgrader", {}).get("solution"))


def _name_cells(cells: list[NotebookNode]) -> None:
    # A cell's id follows from its grade id, else from its content: a rebuild gives the same ids, an edit changes one.
    seen: Counter[str] = Counter()
    for cell in cells:
        if "nbgrader" in cell.metadata:
            name = cell.metadata.nbgrader.grade_id[:64]
        else:
            name = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[name] += 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"
