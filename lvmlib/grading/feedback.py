"""The page a student reads: what was decided, what a marker said, and the notebook, in one file that loads nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lvmlib.grading.assignment import grade_id_of, nbgrader_of
from lvmlib.grading.grade_ids import verdicts_by_id
from lvmlib.grading.markup import LONGEST_SHOWN, render_code, render_markdown, verbatim
from lvmlib.grading.results import Cell, Result, Status, Verdict
from lvmlib.grading.template import fill, number

if TYPE_CHECKING:
    from lvmlib.grading.marks import Marks

# What no submission needs, in characters of text and of HTML: beyond it, text is shown as it is or not at all.
LONGEST_NOTEBOOK = 150_000
LARGEST_RENDERED = 600_000

SENTENCES = {
    Status.GRADED: "Every exercise was decided.",
    Status.PARTLY: "Not everything could be decided; what could is below.",
    Status.TIMED_OUT: "Your notebook took longer than it may, so there is no score. That is not a zero.",
    Status.CRASHED: "Your notebook's process died while it ran, so there is no score. That is not a zero.",
    Status.UNREADABLE: "What you handed in could not be read, so there is no score. That is not a zero.",
    Status.MISSING: "No notebook of yours was found for this lab, so there is no score.",
}

FOR_GRADERS = re.compile(r"### (BEGIN|END) (?:HIDDEN TESTS|MARK SCHEME)")

PAGE = """{% extends "skeleton" %}
{% macro verdict(one) %}
<div class="verdict {{ kind_of(one) }}"><span class="points">{{ points_of(one) }}</span>
<span class="said">{{ one.sentence | sentence }}</span></div>
{% endmacro %}
{% macro earned(one) %}
{%- if one.needs %}not marked yet, of {{ one.max_score | number }}
{%- else %}{{ one.score | number }} of {{ one.max_score | number }}{% endif -%}
{% endmacro %}
{% block body %}
<header>
<p class="who">Feedback for <bdi>{{ result.student }}</bdi> · <bdi>{{ result.lab }}</bdi></p>
<h1>{{ title }}</h1>
</header>
<main>
<section class="result" aria-label="Result">
{% if score is none %}<p class="score"><strong>No score</strong></p>
{% else %}<p class="score"><strong>{{ score | number }}</strong> of {{ max_score | number }} points
{%- if unmarked %} so far{% endif %}</p>{% endif %}
<p>{{ status }}</p>
{% if unmarked %}<p>{{ unmarked }} of your answers {{ "is" if unmarked == 1 else "are" }} still to be marked.</p>
{% endif %}
{% if parts is not none %}<p>The exercises and answers below come to {{ parts | number }}; the score was changed by hand
or because the work came late.</p>{% endif %}
</section>
{% if result.notes %}
<section><h2>Notes</h2>
<ul>{% for note in result.notes %}<li class="said">{{ note | sentence }}</li>{% endfor %}</ul></section>
{% endif %}
{% if result.verdicts %}
<section><h2>Exercises</h2>
<table><caption>What your functions were found to do</caption>
<thead><tr><th scope="col">Exercise</th><th scope="col">Points</th><th scope="col">Finding</th></tr></thead>
<tbody>{% for one in result.verdicts %}
<tr><th scope="row" class="exercise">
{%- if one.exercise in places %}<a href="#exercise-{{ one.exercise }}">{{ one.exercise }}</a>
{%- else %}{{ one.exercise }}{% endif %}</th>
<td class="number">{{ points_of(one) }}</td><td class="said {{ kind_of(one) }}">{{ one.sentence | sentence }}</td></tr>
{% endfor %}</tbody></table></section>
{% endif %}
{% if answers %}
<section><h2>Questions</h2>
{% for one, answer in answers %}
<h3>{{ one.name }} <span class="open">· {{ earned(one) }}</span></h3>
{% if answer %}<div class="cell answer">{{ answer }}</div>
{% else %}<p class="open">You gave no answer.</p>{% endif %}
{% if one.comment %}<p class="label">Comment</p><p class="comment said">{{ one.comment }}</p>{% endif %}
{% endfor %}</section>
{% endif %}
{% if cells %}
<section><h2>Your notebook</h2>
{% for cell in cells %}
{% if cell.label %}<p class="label">{{ cell.label }}</p>{% endif %}
<div class="cell {{ cell.kind }}"{% if cell.place %} id="exercise-{{ cell.place }}"{% endif %}>{{ cell.html }}</div>
{% if cell.verdict %}{{ verdict(cell.verdict) }}{% endif %}
{% endfor %}
{% if left_out %}<p class="open">The notebook is very long; {{ left_out }} of its cells are not shown.</p>{% endif %}
</section>
{% endif %}
</main>
{% endblock %}
"""


def page(result: Result, marks: Marks | None, title: str) -> str:
    """The feedback on one submission, also on one that has no score; self-contained HTML without a script.

    It shows no hidden test, no mark scheme and no suspicion, and nothing of the student's as anything but text.

    Args:
        marks: what the gradebook holds, with the marks by hand; without them the tests alone count.
        title: the lab's.
    """
    cells, left_out = _lay_out(result)
    told = _score(result, marks) | {
        "status": SENTENCES[_status_for_student(result)],
        "answers": _answers(result, marks),
        "places": {cell["place"] for cell in cells},
        "cells": cells,
        "left_out": left_out,
    }
    return fill(PAGE, title=title, result=result, kind_of=_kind_of, points_of=_points_of, **told)


def _kind_of(verdict: Verdict) -> str:
    if not verdict.decided:
        return "open"
    return "right" if verdict.points >= verdict.max_points else "wrong"


def _points_of(verdict: Verdict) -> str:
    earned = number(verdict.points) if verdict.decided else "–"
    return f"{earned} of {number(verdict.max_points)}"


def _status_for_student(result: Result) -> Status:
    if result.status is not Status.SUSPICIOUS:
        return result.status
    decided = result.verdicts and all(verdict.decided for verdict in result.verdicts)
    return Status.GRADED if decided else Status.PARTLY


def _score(result: Result, marks: Marks | None) -> dict[str, Any]:
    """The score, out of what, how many answers are unmarked, and what the parts come to if that is something else."""
    if result.score is None or marks is None:
        most = sum(verdict.max_points for verdict in result.verdicts)
        return {"score": result.score, "max_score": most, "unmarked": 0, "parts": None}
    parts = result.score + sum(question.score for question in marks.questions)
    unmarked = sum(question.needs for question in marks.questions)
    differs = abs(parts - marks.score) > 1e-6
    return {
        "score": marks.score,
        "max_score": marks.max_score,
        "unmarked": unmarked,
        "parts": parts if differs else None,
    }


def _answers(result: Result, marks: Marks | None) -> list[tuple[Any, str]]:
    written = {_name(cell): str(cell.get("source", "")) for cell in result.cells if _is_think(cell)}
    return [
        (question, render_markdown(written.get(question.name, "")) if question.answered else "")
        for question in (marks.questions if marks else ())
    ]


def _lay_out(result: Result) -> tuple[list[dict[str, Any]], int]:
    """What the page shows of the notebook's cells, and how many it leaves out because there is too much."""
    verdicts = verdicts_by_id(result.verdicts)
    places = {verdict.exercise for verdict in result.verdicts}
    shown: list[dict[str, Any]] = []
    characters, size = 0, 0
    for index, cell in enumerate(result.cells):
        source = _for_student(str(cell.get("source", "")))
        characters += min(len(source), LONGEST_SHOWN)
        if characters > LONGEST_NOTEBOOK:
            return shown, len(result.cells) - index
        name = _name(cell)
        if source.strip():
            text = _html(cell, source) if size < LARGEST_RENDERED else verbatim(source, "words")
            told = _shown(cell, is_exercise=name in places)
            shown.append(told | {"html": text, "verdict": verdicts.pop(name, None)})
            places.discard(name)
            size += len(text)
    return shown, 0


def _shown(cell: Cell, *, is_exercise: bool) -> dict[str, str]:
    name = _name(cell)
    is_answer = is_exercise or _is_think(cell)
    return {
        "label": f"Your answer to {name}" if is_answer else "",
        "kind": " ".join(["code"] * (cell.get("cell_type") == "code") + ["mine"] * is_answer),
        "place": name if is_exercise else "",
    }


def _html(cell: Cell, source: str) -> str:
    return render_code(source) if cell.get("cell_type") == "code" else render_markdown(source)


def _name(cell: Cell) -> str:
    return grade_id_of(cell) or ""


def _is_think(cell: Cell) -> bool:
    told = nbgrader_of(cell)
    return bool(cell.get("cell_type") == "markdown" and told.get("grade") and told.get("solution"))


def _for_student(source: str) -> str:
    # By lines and not by one expression, which a long cell of begins without ends would keep busy for hours.
    kept, inside = [], False
    for line in source.split("\n"):
        marker = FOR_GRADERS.search(line)
        if marker:
            inside = marker[1] == "BEGIN"
        elif not inside:
            kept.append(line)
    return "\n".join(kept)
