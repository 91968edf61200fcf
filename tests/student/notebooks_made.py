"""Notebooks as students have them, made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STUB = "def {0}(x):\n    raise NotImplementedError"


def code(source: str, grade_id: str = "", count: int | None = None, **more: Any) -> dict[str, Any]:
    """A code cell; `more` is nbgrader's."""
    metadata = {"nbgrader": {"grade_id": grade_id, "grade": False, "solution": False, **more}} if grade_id else {}
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [], "execution_count": count}


def exercise(name: str, source: str = STUB) -> list[dict[str, Any]]:
    """A heading, an exercise and its test, which checks by an assertion."""
    function = name.replace("-", "_")
    return [
        {"cell_type": "markdown", "metadata": {}, "source": f"### Exercise · `{name}` · 2 points · ●○○"},
        code(source.format(function), name, solution=True),
        code(f"assert {function}(1) == 2, 'one'", f"test-{name}", grade=True, points=2),
    ]


def answer(name: str, text: str = "*Write your answer here.*", points: int = 3) -> dict[str, Any]:
    told = {"grade_id": name, "grade": True, "solution": True, "points": points}
    return {"cell_type": "markdown", "metadata": {"nbgrader": told}, "source": text}


def notebook(*cells: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}


def save(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def solved(lab: str, exercises: frozenset[str] | None = None) -> dict[str, Any]:
    """A released lab with the answers of its solution, to all exercises or some."""
    released = json.loads((ROOT / "course" / lab / f"{lab}.ipynb").read_text(encoding="utf-8"))
    answers = json.loads((ROOT / "solutions" / lab / f"{lab}.ipynb").read_text(encoding="utf-8"))
    written = {
        told["grade_id"]: cell["source"]
        for cell in answers["cells"]
        if (told := cell["metadata"].get("nbgrader")) and told["solution"] and cell["cell_type"] == "code"
    }
    for cell in released["cells"]:
        cell["source"] = "".join(cell["source"])
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in written and (exercises is None or name in exercises):
            cell["source"] = "".join(written[name])
    return released
