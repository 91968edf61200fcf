"""The page an instructor reads: how a class did on a lab, which mistakes it made, and what needs a look."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from statistics import median
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from lvmlib.grading.markup import visible
from lvmlib.grading.results import Result, Status, Verdict
from lvmlib.grading.template import fill, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lvmlib.grading.marks import Marks
    from lvmlib.show.figure import Figure

OUTCOMES = ("solved", "known mistake", "wrong otherwise", "not written", "undecided")
COLOURS = {
    "solved": "#009E73",
    "known mistake": "#E69F00",
    "wrong otherwise": "#D55E00",
    "not written": "#c9ced4",
    "undecided": "#ffffff",
}
"""Okabe and Ito's, of clearly different lightness, and two greys."""
NAMED_MISTAKES = 5
"""As many of an exercise's known mistakes have a letter of their own in the picture."""
BINS = 14
WIDTH, HEIGHT_AROUND, HEIGHT_OF_BAR, HEIGHT_OF_SCORES = 8.4, 0.9, 0.34, 2.2
"""Of the pictures, in inches."""
WIDTH_OF_CHARACTER = 0.0125
"""In a bar, as a share of the longest one."""

PAGE = """{% extends "skeleton" %}
{% block body %}
<header>
<p class="who">Class summary · <bdi>{{ lab }}</bdi></p>
<h1>{{ results | length }} submission{{ "" if results | length == 1 else "s" }}</h1>
</header>
<main>
<section class="result" aria-label="Counts">
<p>{% for status, times in counts %}<strong>{{ times }}</strong>&nbsp;{{ status }}{{ "" if loop.last else " · " }}
{% endfor %}</p>
{% if scores %}<p>Scores from {{ scores | min | number }} to {{ scores | max | number }}
of {{ most | number }} points, median {{ middle | number }}
{%- if without %}; {{ without }} without a score{% endif %}.
{% if unmarked %}In {{ unmarked }} an answer still waits to be marked by hand.{% endif %}</p>
{% else %}<p>Nobody has a score yet.</p>{% endif %}
</section>
{% if scores %}
<section><h2>Scores</h2>
<img class="chart" src="{{ histogram.address }}" alt="{{ histogram.alt }}" width="{{ histogram.width }}"></section>
{% endif %}
{% if exercises %}
<section><h2>Exercises</h2>
<img class="chart" src="{{ bars.address }}" alt="{{ bars.alt }}" width="{{ bars.width }}">
<table><caption>The same in numbers of submissions</caption>
<thead><tr><th scope="col">Exercise</th>
{% for outcome in outcomes %}<th scope="col" class="number">{{ outcome }}</th>{% endfor %}</tr></thead>
<tbody>{% for one in exercises %}<tr><th scope="row" class="exercise">{{ one.exercise }}</th>
{% for outcome in outcomes %}<td class="number">{{ one.times[outcome] }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></section>
{% if exercises | map(attribute="mistakes") | select | list %}
<section><h2>Mistakes</h2>
<p>A letter is that of the picture; the rarer ones share a segment.</p>
{% for one in exercises if one.mistakes %}
<h3>{{ one.exercise }}</h3>
<table><thead><tr><th scope="col" class="narrow">Letter</th><th scope="col" class="narrow number">Times</th>
<th scope="col">Mistake</th></tr></thead>
<tbody>{% for letter, mistake, times in one.lettered %}<tr><td>{{ letter or "–" }}</td>
<td class="number">{{ times }}</td><td class="said">{{ mistake | sentence }}</td></tr>
{% endfor %}</tbody></table>
{% endfor %}</section>
{% endif %}
{% endif %}
{% if suspicious %}
<section><h2>Suspicious</h2>
<p>Their scores follow from data alone, as everybody's. Read what they tried before you talk to anybody.</p>
<table><thead><tr><th scope="col">Student</th><th scope="col">What it tried</th></tr></thead>
<tbody>{% for result in suspicious %}<tr><th scope="row"><bdi>{{ result.student }}</bdi></th>
<td>{% for suspicion in result.suspicions %}<p class="said">{{ suspicion | sentence }}</p>{% endfor %}</td></tr>
{% endfor %}</tbody></table></section>
{% endif %}
{% if troubled %}
<section><h2>Needs a look</h2>
<table><thead><tr><th scope="col">Student</th><th scope="col">Status</th><th scope="col">Why</th></tr></thead>
<tbody>{% for result in troubled %}<tr><th scope="row"><bdi>{{ result.student }}</bdi></th>
<td class="status">{{ result.status.value }}</td>
<td>{% for note in result.notes %}<p class="said">{{ note | sentence }}</p>{% endfor %}</td></tr>
{% endfor %}</tbody></table></section>
{% endif %}
</main>
{% endblock %}
"""


@dataclass(frozen=True)
class Exercise:
    """How a class did on one exercise.

    Attributes:
        times: submissions by outcome, in the order of `OUTCOMES`.
        mistakes: the known mistakes and how often each was made, the most frequent first.
    """

    exercise: str
    times: dict[str, int]
    mistakes: tuple[tuple[str, int], ...]

    @property
    def lettered(self) -> list[tuple[str, str, int]]:
        """Letter in the picture (empty beyond the most frequent), sentence, times."""
        letters = [*ascii_lowercase[:NAMED_MISTAKES], *[""] * len(self.mistakes)]
        return [(letter, *mistake) for letter, mistake in zip(letters, self.mistakes, strict=False)]


def summary_page(lab: str, results: Sequence[Result], marks: Mapping[str, Marks]) -> str:
    """How a class did on a lab, for its instructor; self-contained HTML without a script.

    Args:
        results: one a submission.
        marks: what the gradebook holds, by student; where there is none the tests alone count.
    """
    exercises = count(results)
    scores = [_score(result, marks) for result in results if result.score is not None]
    most = max([_most(result, marks) for result in results], default=0.0)
    return fill(
        PAGE,
        pictures=True,
        title=f"Class summary of {lab}",
        lab=lab,
        results=results,
        counts=[(status.value, _times(results, status)) for status in Status],
        scores=scores,
        most=most,
        middle=median(scores) if scores else 0.0,
        without=len(results) - len(scores),
        unmarked=sum(_waits(result, marks) for result in results),
        outcomes=OUTCOMES,
        exercises=exercises,
        histogram=_embed(draw_scores(scores, most)) if scores else None,
        bars=_embed(draw_outcomes(exercises)) if exercises else None,
        suspicious=[result for result in results if result.suspicions],
        troubled=[result for result in results if result.status not in (Status.GRADED, Status.SUSPICIOUS)],
    )


def count(results: Sequence[Result]) -> list[Exercise]:
    """How often each outcome and each known mistake came up, by exercise, in the order of the lab."""
    verdicts: dict[str, list[Verdict]] = {}
    for result in results:
        for verdict in result.verdicts:
            verdicts.setdefault(verdict.exercise, []).append(verdict)
    return [_count(exercise, found) for exercise, found in verdicts.items()]


def outcome_of(verdict: Verdict) -> str:
    """One of `OUTCOMES`."""
    if verdict.decided and verdict.points >= verdict.max_points:
        return "solved"
    if "not written yet" in verdict.sentence:
        return "not written"
    if not verdict.decided:
        return "undecided"
    return "known mistake" if verdict.mistake else "wrong otherwise"


def draw_outcomes(exercises: Sequence[Exercise]) -> Figure:
    """A bar an exercise, divided by outcome; the most frequent known mistakes have letters."""
    from matplotlib.ticker import MaxNLocator

    from lvmlib.show.figure import Figure, look

    with look():
        height = HEIGHT_AROUND + HEIGHT_OF_BAR * len(exercises)
        figure = Figure(_tell(exercises), figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots()
        whole = max(sum(one.times.values()) for one in exercises)
        for row, one in enumerate(exercises):
            _draw_bar(axes, row, one, whole)
        axes.set_yticks(range(len(exercises)), [_short(one.exercise) for one in exercises], parse_math=False)
        axes.set(xlabel="submissions", xlim=(0, whole), ylim=(len(exercises) - 0.5, -0.5))
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
        _explain_colours(figure)
    return figure


def draw_scores(scores: Sequence[float], most: float) -> Figure:
    """How many submissions have which score, in points."""
    from matplotlib.ticker import MaxNLocator

    from lvmlib.show.figure import FRAME, PALETTE, Figure, look

    told = f"{len(scores)} scores from {number(min(scores))} to {number(max(scores))} of {number(most)} points"
    with look():
        alt = f"Histogram of {told}, median {number(median(scores))}."
        figure = Figure(alt, figsize=(WIDTH, HEIGHT_OF_SCORES), layout="constrained")
        axes = figure.subplots()
        upper = ceil(max(most, *scores, 1.0))
        step = ceil(upper / BINS)
        edges = range(floor(min(0.0, *scores)), upper + step, step)
        axes.hist(scores, bins=list(edges), color=PALETTE[0], edgecolor="white")
        axes.axvline(median(scores), color=FRAME, linestyle=(0, (5, 1.5)), linewidth=1.4, label="median")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set(xlabel=f"points of {number(most)}", ylabel="submissions")
        figure.legend(loc="outside upper right")
    return figure


def _draw_bar(axes: Axes, row: int, one: Exercise, whole: int) -> None:
    from lvmlib.show.figure import FRAME, INK

    left = 0
    for colour, times, letter in _segments(one):
        axes.barh(row, times, left=left, height=0.72, color=colour, edgecolor=FRAME, linewidth=0.6)
        room = times / whole / WIDTH_OF_CHARACTER - 1
        fitting = [words for words in (f"{letter} {times}".strip(), letter) if len(words) <= room]
        axes.text(left + times / 2, row, next(iter(fitting), ""), ha="center", va="center", size=8, color=INK)
        left += times


def _explain_colours(figure: Figure) -> None:
    from matplotlib.patches import Patch

    from lvmlib.show.figure import FRAME

    patches = [Patch(facecolor=COLOURS[name], edgecolor=FRAME, linewidth=0.6, label=name) for name in OUTCOMES]
    figure.legend(handles=patches, loc="outside upper left", ncols=len(patches), handlelength=1.2, columnspacing=1.4)


def _segments(one: Exercise) -> list[tuple[str, int, str]]:
    """Colour, times and letter of each part of a bar."""
    named = [(COLOURS["known mistake"], times, letter) for letter, _, times in one.lettered if letter]
    further = sum(times for letter, _, times in one.lettered if not letter)
    parts = [(COLOURS[name], one.times[name], "") for name in OUTCOMES]
    return [part for part in [parts[0], *named, (COLOURS["known mistake"], further, "…"), *parts[2:]] if part[1]]


def _tell(exercises: Sequence[Exercise]) -> str:
    told = [
        f"{_short(one.exercise)}: {', '.join(f'{times} {name}' for name, times in one.times.items() if times)}"
        for one in exercises
    ]
    return f"Bars of how many submissions solved each exercise. {'; '.join(told)}."


def _short(name: str) -> str:
    shown = visible(name)
    return shown if len(shown) <= 40 else shown[:39] + "…"


def _count(exercise: str, verdicts: Sequence[Verdict]) -> Exercise:
    times = Counter(map(outcome_of, verdicts))
    mistakes = Counter(verdict.mistake for verdict in verdicts if outcome_of(verdict) == "known mistake")
    return Exercise(
        exercise, {name: times[name] for name in OUTCOMES}, tuple((str(one), n) for one, n in mistakes.most_common())
    )


def _times(results: Sequence[Result], status: Status) -> int:
    return sum(result.status is status for result in results)


def _score(result: Result, marks: Mapping[str, Marks]) -> float:
    found = marks.get(result.student)
    return found.score if found else result.score or 0.0


def _most(result: Result, marks: Mapping[str, Marks]) -> float:
    found = marks.get(result.student)
    return found.max_score if found else sum(verdict.max_points for verdict in result.verdicts)


def _waits(result: Result, marks: Mapping[str, Marks]) -> bool:
    found = marks.get(result.student)
    return bool(result.score is not None and found and found.needs_manual_grade)


def _embed(figure: Figure) -> dict[str, Any]:
    address = f"data:image/png;base64,{b64encode(figure.png()).decode()}"
    return {"address": address, "alt": figure.alt, "width": round(figure.get_figwidth() * figure.dpi)}
