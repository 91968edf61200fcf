"""A class's results → the page its instructor reads."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from bs4 import BeautifulSoup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from lvmlib.grading.marks import Marks
from lvmlib.grading.markup import DECEPTIVE
from lvmlib.grading.results import Result, Status, Verdict
from lvmlib.grading.summary import (
    NAMED_MISTAKES,
    OUTCOMES,
    Exercise,
    count,
    draw_outcomes,
    draw_scores,
    outcome_of,
    summary_page,
)

LAB = "00-tiny"
SOLVED = Verdict("double", 2.0, 2.0, "✓ double: right on 5 inputs")
MISTAKEN = Verdict("double", 0.0, 2.0, "✗ double: averaged; sum", "averaged; sum")
WRONG = Verdict("double", 0.0, 2.0, "✗ double: values wrong on 3 of 5 inputs")
MISSING = Verdict("double", 0.0, 2.0, "✗ double: not written yet; put your code where the stub stands")
NEEDS = Verdict("double", 0.0, 2.0, "✗ double: needs `halve`, which is not written yet")
STOPPED = Verdict("double", 0.0, 2.0, "✗ double: took longer than 20 seconds", decided=False)


def result(student: str, *verdicts: Verdict, status: Status = Status.GRADED, **further: Any) -> Result:
    return Result(student, LAB, status, verdicts=verdicts, **further)


def soup(results: Sequence[Result], marks: dict[str, Marks] | None = None) -> BeautifulSoup:
    return BeautifulSoup(summary_page(LAB, results, marks or {}), "html.parser")


def words(found: Any) -> str:
    return " ".join(found.get_text().split())


def lines(told: BeautifulSoup, heading: str) -> list[list[str]]:
    rows = told.find("h2", string=heading).parent.find("tbody").find_all("tr")
    return [[words(cell) for cell in row.find_all(["th", "td"])] for row in rows]


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (SOLVED, "solved"),
        (MISTAKEN, "known mistake"),
        (WRONG, "wrong otherwise"),
        (MISSING, "not written"),
        (NEEDS, "not written"),
        (replace(MISSING, decided=False), "not written"),
        (STOPPED, "undecided"),
    ],
)
def test_a_verdict_has_one_outcome(verdict: Verdict, outcome: str) -> None:
    assert outcome_of(verdict) == outcome
    assert outcome in OUTCOMES


def test_outcomes_and_mistakes_are_counted_by_exercise_in_the_order_of_the_lab() -> None:
    verdicts = [SOLVED, MISTAKEN, replace(MISTAKEN, mistake="the sign is wrong"), MISTAKEN, WRONG, MISSING, STOPPED]
    halve = replace(SOLVED, exercise="halve")
    double, other = count([result(str(index), verdict, halve) for index, verdict in enumerate(verdicts)])
    assert list(double.times.items()) == list(zip(OUTCOMES, (1, 3, 1, 1, 1), strict=True))
    assert double.mistakes == (("averaged; sum", 2), ("the sign is wrong", 1))
    assert (other.exercise, other.times["solved"]) == ("halve", len(verdicts))


def test_the_table_and_the_mistakes_have_the_numbers_of_the_picture() -> None:
    told = soup([result("ada", SOLVED), result("bob", MISTAKEN), result("eve", MISTAKEN), result("joe", STOPPED)])
    assert lines(told, "Exercises") == [["double", "1", "2", "0", "0", "1"]]
    assert lines(told, "Mistakes") == [["a", "2", "averaged; sum"]]
    assert "double: 1 solved, 2 known mistake, 1 undecided" in told.find_all("img")[-1]["alt"]


def test_the_head_counts_every_status_and_a_failure_is_no_zero() -> None:
    told = soup([result("ada", SOLVED), result("bob", MISTAKEN), *(result(one, status=one) for one in Status)])
    counts = words(told.find(class_="result"))
    assert counts.startswith("3 graded · 1 partly · 1 suspicious · 1 timed out · 1 crashed · 1 unreadable · 1 missing")
    assert "Scores from 0 to 2 of 2 points, median 0; 4 without a score." in counts
    without = soup([result(one, status=one) for one in Status if not one.has_score])
    assert "Nobody has a score yet." in words(without.main)
    assert not without.find_all("img")


def test_marks_by_hand_count() -> None:
    told = soup([result("ada", SOLVED), result("bob", MISTAKEN)], {"ada": Marks(6.0, 9.0, True, ())})
    assert "Scores from 0 to 6 of 9 points, median 3." in words(told.main)
    assert "In 1 an answer still waits to be marked by hand." in words(told.main)


def test_who_needs_a_look_is_named_with_the_reason() -> None:
    suspicious = result("eve", SOLVED, status=Status.SUSPICIOUS, suspicions=("It read `/proc`.", "It forged."))
    late = result("bob", status=Status.TIMED_OUT, notes=("It took longer than 60 seconds.",))
    told = soup([result("ada", SOLVED), suspicious, late])
    assert lines(told, "Suspicious") == [["eve", "It read /proc.It forged."]]
    assert lines(told, "Needs a look") == [["bob", "timed out", "It took longer than 60 seconds."]]
    clean = soup([result("ada", SOLVED)])
    assert not clean.find("h2", string="Suspicious") and not clean.find("h2", string="Needs a look")


def test_a_page_of_nobody_is_a_page() -> None:
    told = soup([])
    assert told.h1.string.split() == ["0", "submissions"]
    assert "Nobody has a score yet." in words(told.main)


def test_pictures_are_embedded_and_told_in_words() -> None:
    told = soup([result("ada", SOLVED), result("bob", MISTAKEN)])
    policy = told.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert "img-src data:;" in policy and "default-src 'none'" in policy
    histogram, bars = told.find_all("img")
    for image in (histogram, bars):
        kind, content = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).width >= int(image["width"])
    assert histogram["alt"] == "Histogram of 2 scores from 0 to 2 of 2 points, median 1."
    assert bars["alt"].startswith("Bars of how many submissions solved each exercise. double: 1 solved")


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 191 }}",
    "\x1b[31m\u202e\x00",
    "\ud800",
    "$x_",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_submissions_hold_is_but_text(hostile: str) -> None:
    mistaken = replace(MISTAKEN, exercise=hostile, mistake=hostile)
    suspicious = result(hostile, mistaken, status=Status.SUSPICIOUS, notes=(hostile,), suspicions=(hostile,))
    failed = result(hostile, status=Status.CRASHED, notes=(hostile,))
    text = summary_page(LAB, [suspicious, failed], {})
    text.encode()
    assert not DECEPTIVE.search(text)
    told = BeautifulSoup(text, "html.parser")
    assert not told.find_all("script") and str(7 * 191) not in words(told)
    assert [set(image.attrs) for image in told.find_all("img")] == [{"class", "src", "alt", "width"}] * 2


def crowded() -> list[Exercise]:
    """13 exercises with long names, of which each has many outcomes and mistakes of very different frequency."""
    mistakes = tuple((f"mistake {number}", times) for number, times in enumerate((40, 20, 11, 5, 3, 2, 1, 1)))
    times = dict(zip(OUTCOMES, (150, sum(times for _, times in mistakes), 9, 17, 1), strict=True))
    return [Exercise(f"an-exercise-with-quite-a-long-name-{number}", times, mistakes) for number in range(13)]


def drawn_labels(axis: Any) -> list[Any]:
    first, last = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if first <= tick.get_loc() <= last]


@pytest.mark.parametrize("exercises", [crowded(), crowded()[:1], [Exercise("x" * 200, dict.fromkeys(OUTCOMES, 1), ())]])
def test_no_text_in_a_picture_covers_another_or_leaves_it(exercises: list[Exercise]) -> None:
    scores = [float(score) for score in range(40)]
    for figure in (draw_outcomes(exercises), draw_scores(scores, 41.5)):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        axes = figure.axes[0]
        labels = [*drawn_labels(axes.xaxis), *drawn_labels(axes.yaxis), axes.xaxis.label]
        shown = [*axes.texts, *labels, *figure.legends[0].texts]
        boxes = [text.get_window_extent(canvas.get_renderer()) for text in shown if text.get_text()]
        assert all(figure.bbox.contains(*corner) for box in boxes for corner in (box.min, box.max))
        assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])


def test_a_label_stays_within_its_part_of_the_bar() -> None:
    figure = draw_outcomes(crowded())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes = figure.axes[0]
    assert len(axes.texts) == len(axes.patches)
    for text, part in zip(axes.texts, axes.patches, strict=True):
        box, around = (one.get_window_extent(canvas.get_renderer()) for one in (text, part))
        assert not text.get_text() or (around.x0 <= box.x0 and box.x1 <= around.x1)


def test_the_most_frequent_mistakes_have_letters() -> None:
    letters = [letter for letter, _, _ in crowded()[0].lettered]
    assert letters == ["a", "b", "c", "d", "e", *[""] * (len(letters) - NAMED_MISTAKES)]


def test_a_score_above_the_most_or_below_zero_is_drawn() -> None:
    figure = draw_scores([-1.0, 0.0, 12.0], 10.0)
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == 3
    assert sum(patch.get_height() for patch in draw_scores([0.0], 0.0).axes[0].patches) == 1
