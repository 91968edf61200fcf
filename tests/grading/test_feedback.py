"""Results → the page a student reads, whatever a submission holds."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from bs4 import BeautifulSoup

from lvmlib.authoring.course import Course
from lvmlib.grading.feedback import page
from lvmlib.grading.marks import Marked, Marks
from lvmlib.grading.markup import DECEPTIVE, TAGS
from lvmlib.grading.results import Cell, Result, Status, Verdict

TITLE = "A tiny lab"
SENTENCE = "✗ halve: `x` was read as 2x"
VERDICTS = (
    Verdict("double", 2.0, 2.0, "✓ double: right on 5 inputs"),
    Verdict("halve", 0.0, 3.0, SENTENCE, "`x` was read as 2x"),
    Verdict("third", 0.0, 1.0, "✗ third: took longer than 20 seconds", decided=False),
)
QUESTION = Marked("which-way", 3.0, 4.0, True, "Good.\nSay why.", False)
MARKS = Marks(5.0, 10.0, False, (QUESTION,))


def cell(kind: str, source: str, name: str = "", **about: Any) -> Cell:
    metadata = {"nbgrader": {"grade_id": name, **about}} if name else {}
    return {"cell_type": kind, "id": name or "free", "metadata": metadata, "source": source}


def exercise(name: str, source: str) -> list[Cell]:
    hidden = f'check("{name}", {name})\n### BEGIN HIDDEN TESTS\njudge("{name}", {name})\n### END HIDDEN TESTS'
    return [
        cell("code", source, name, grade=False, solution=True),
        cell("code", hidden, f"test-{name}", grade=True, solution=False, locked=True),
    ]


def answer(source: str) -> list[Cell]:
    asked = "Which way?\n\n### BEGIN MARK SCHEME\nNaming overflow (1 point).\n### END MARK SCHEME\nThree lines will do."
    return [
        cell("markdown", asked, "which-way-question", locked=True),
        cell("markdown", source, "which-way", grade=True, solution=True, points=4),
    ]


def result(*own: Cell, said: str = "Both ways, $2x$.") -> Result:
    cells = [
        cell("markdown", "# A tiny lab\n\n<details><summary>Hint</summary>Add.</details>"),
        *exercise("double", "def double(x):\n    return 2 * x"),
        *exercise("halve", "def halve(x):\n    return x"),
        *exercise("third", "def third(x):\n    while True: pass"),
        *answer(said),
        *own,
    ]
    return Result("ada", "00-tiny", Status.PARTLY, ("A copy was dropped.",), ("It forged.",), VERDICTS, tuple(cells))


def soup(told: Result, marks: Marks | None = MARKS) -> BeautifulSoup:
    return BeautifulSoup(page(told, marks, TITLE), "html.parser")


def words(found: Any) -> str:
    return " ".join(found.get_text().split())


def section(told: BeautifulSoup, heading: str) -> Any:
    return told.find("h2", string=heading).parent


def test_the_head_tells_who_what_and_how_much() -> None:
    told = soup(result())
    assert told.html["lang"] == "en"
    assert told.title.string == told.h1.string == TITLE
    assert words(told.header).startswith("Feedback for ada · 00-tiny")
    assert words(told.find(class_="score")) == "5 of 10 points"
    assert "A copy was dropped." in words(section(told, "Notes"))


def test_every_exercise_has_a_line_that_leads_to_its_place() -> None:
    told = soup(result())
    lines = section(told, "Exercises").tbody.find_all("tr")
    assert [" ".join(map(words, line.find_all(["th", "td"]))) for line in lines] == [
        "double 2 of 2 ✓ double: right on 5 inputs",
        "halve 0 of 3 ✗ halve: x was read as 2x",
        "third – of 1 ✗ third: took longer than 20 seconds",
    ]
    for line in lines:
        place = told.find(id=line.a["href"].removeprefix("#"))
        assert f"def {line.a.string}(x)" in words(place)


def test_the_sentence_stands_under_the_test_of_its_exercise() -> None:
    told = soup(result())
    under = [words(verdict.find_previous_sibling("div")) for verdict in told.find_all(class_="verdict")]
    assert under == ['check("double", double)', 'check("halve", halve)', 'check("third", third)']
    assert [verdict["class"][1] for verdict in told.find_all(class_="verdict")] == ["right", "wrong", "open"]


def test_an_exercise_whose_cell_is_not_shown_has_no_link() -> None:
    told = soup(replace(result(), cells=()))
    assert not section(told, "Exercises").find_all("a")
    assert not told.find("h2", string="Your notebook")


def test_an_answer_stands_with_its_points_and_the_comment() -> None:
    told = section(soup(result()), "Questions")
    assert words(told.h3) == "which-way · 3 of 4"
    assert told.find("math").get_text() == "2x"
    assert told.find(class_="comment").get_text() == "Good.\nSay why."


def test_what_is_not_marked_yet_is_no_zero() -> None:
    waiting = Marks(2.0, 10.0, True, (replace(QUESTION, score=0.0, comment="", needs=True),))
    told = soup(result(), waiting)
    assert words(told.find(class_="score")) == "2 of 10 points so far"
    assert words(section(told, "Questions").h3) == "which-way · not marked yet, of 4"
    assert "1 of your answers is still to be marked." in words(told.main)


def test_a_question_without_an_answer_says_so() -> None:
    silent = Marks(2.0, 10.0, False, (replace(QUESTION, score=0.0, comment="", answered=False),))
    assert "You gave no answer." in words(section(soup(result(said="*Write your answer here.*"), silent), "Questions"))


def test_a_score_that_is_not_the_sum_of_its_parts_is_explained() -> None:
    assert "come to" not in words(soup(result()).main)
    assert "below come to 5; the score was changed" in words(soup(result(), replace(MARKS, score=4.0)).main)


def test_without_marks_the_tests_alone_count() -> None:
    told = soup(result(), None)
    assert words(told.find(class_="score")) == "2 of 6 points"
    assert not told.find("h2", string="Questions")


@pytest.mark.parametrize("status", [status for status in Status if not status.has_score])
def test_a_failure_has_a_page_without_a_score(status: Status) -> None:
    told = soup(Result("ada", "00-tiny", status, ("What happened.",)), MARKS)
    assert words(told.find(class_="score")) == "No score"
    assert "What happened." in words(told.main)


def test_hidden_tests_mark_schemes_and_suspicions_are_not_shown() -> None:
    for status in (Status.PARTLY, Status.SUSPICIOUS):
        text = page(replace(result(), status=status), MARKS, TITLE)
        for secret in ("judge(", "HIDDEN", "MARK SCHEME", "Naming", "forged", "uspicious"):
            assert secret not in text
        assert "Three lines will do." in text


def test_a_suspicious_submission_reads_as_any_other() -> None:
    suspicious = replace(result(), status=Status.SUSPICIOUS, verdicts=VERDICTS[:1])
    assert page(suspicious, MARKS, TITLE) == page(replace(suspicious, status=Status.GRADED), MARKS, TITLE)


def test_the_policy_allows_this_style_and_nothing_else() -> None:
    told = soup(result())
    policy = told.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    digest = base64.b64encode(hashlib.sha256(told.style.string.encode()).digest()).decode()
    assert f"style-src-elem 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "script" not in policy


def test_every_lab_is_shown_as_it_was_meant(course: Course) -> None:
    for lab in course.labs():
        notebook = json.loads(course.released(lab).read_text(encoding="utf-8"))
        cells = tuple(cell | {"source": "".join(cell["source"])} for cell in notebook["cells"])
        text = page(Result("ada", lab, Status.GRADED, cells=cells), None, lab)
        assert len(text.encode()) < 1_000_000
        told = BeautifulSoup(text, "html.parser")
        assert len(told.find_all("math")) > 10
        assert not told.find_all("pre", class_=["words", "code"])
        assert not any("\\" in code.get_text() for code in told.select("p > code"))
        assert told.find_all("summary") and "<summary>" not in told.get_text()


ANYWHERE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<img src="https://evil.example/a.png">',
    "![a](https://evil.example/a.png)",
    "![a](attachment:a.png)",
    '![a"onerror="alert(1)](x "y\\"onload=alert(1)")',
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    "<iframe src='javascript:alert(1)'></iframe><object data=x></object><embed src=x>",
    "<style>body { display: none }</style><link rel=stylesheet href=https://evil.example>",
    '<meta http-equiv=refresh content="0;url=https://evil.example"><base href=https://evil.example>',
    "<form action=https://evil.example><input name=q><button>go</button></form>",
    '<p id="exercise-double" class="verdict right" style="position:fixed" onclick=alert(1)>✓</p>',
    "<details open ontoggle=alert(1)><summary>x</summary>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt&colon;alert(1))",
    "[a](java\nscript:alert(1)) [b](&#106;avascript:alert(1)) [c](\x01javascript:alert(1))",
    "[a][1]\n\n[1]: javascript:alert(1) 'x\"onclick=\"alert(1)'",
    "<javascript:alert(1)> <data:text/html,x> <vbscript:x>",
    '<a href="jAva&Tab;script:alert(1)">a</a><a href="data:text/html;base64,PHM+">b</a><a href="file:///etc/passwd">c</a>',
    '[a](https://evil.example/"onmouseover="alert(1))',
    '<details><a href="https://x\n\n$\\text{" onclick="alert(1)}$\n\n<details>">a</a>',
    '<details><a href="https://x\n\n```python\n" onclick="alert(1)\n```\n\n<details>">a</a>',
    "[a](https://evil.example/x0123456789abcdef0123456789abcdefx.)",
    '$\\text{<script>alert(1)</script>"onclick="}$ $$\\operatorname{<img src=x onerror=alert(1)>}$$',
    "$\\href{javascript:alert(1)}{x}$ $\\style{x}{y}$",
    "</div></section></main></body></html><h1>Full marks</h1>",
    "</pre></code></td></tr></table><table><caption>x",
    "<!-- <p>x --> <![CDATA[ <p> ]]> <?php x ?> <!DOCTYPE html>",
    "<details><details><b><i><table><tr><td><p>",
    "```python\n</code></pre><script>alert(1)</script>\n```",
    "```html\n<script>alert(1)</script>\n```\n```mermaid\n</pre><script>alert(1)</script>\n```",
    "    <script>alert(1)</script>",
    "`<script>alert(1)</script>` &lt;script&gt; &#60;script&#62;",
    "{{ 7 * 191 }} {% raw %} {# x #} {{ result.suspicions }}",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b31m",
    "\u202edetrevni\u202c \u2066a\u2069 \u200b\ufeff &#x202e; &rlm; &#8238;",
    "a\x00b \ud800 \udfff \ue000 &#0; &#xd800; &#x110000;",
    "\r\rx\x0b\x0c\u2028\u2029\x85",
    "# a\n" * 5 + "> " * 500 + "x" + "\n" + "- " * 500,
    "[" * 3000 + "]" * 1500,
    "*a_" * 1500,
    "<b>" * 1500,
    "$" * 4000,
    "### BEGIN MARK SCHEME\n" * 200,
]


def assert_harmless(text: str) -> None:
    """What a page may hold: no code, nothing that is loaded, no layout but its own, no character that deceives."""
    text.encode()
    assert not DECEPTIVE.search(text)
    told, plain = BeautifulSoup(text, "html.parser"), soup(result())
    found = {tag.name for tag in told.find_all()} - {
        tag.name for tag in told.find_all("math") for tag in tag.find_all()
    }
    ours = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "section",
        "h1",
        "h2",
        "div",
        "span",
        "bdi",
    }
    assert found <= ours | TAGS | {"caption", "math"}
    for name in ("meta", "style", "main", "h1", "h2"):
        assert len(told.find_all(name)) == len(plain.find_all(name)), name
    for tag in told.find_all():
        if not tag.find_parent("math"):
            assert set(tag.attrs) <= {"class", "id", "href", "tabindex", "scope", "lang", "charset", "name", "content",
                                      "http-equiv", "aria-label", "display"}  # fmt: skip
        assert not any(name.startswith("on") for name in tag.attrs)
        assert tag.get("href", "#").startswith(("#", "http:", "https:", "mailto:"))
    assert len({tag["id"] for tag in told.find_all(id=True)}) == len(told.find_all(id=True)) == len(VERDICTS)
    assert len(told.find_all(class_="verdict")) == len(VERDICTS)
    assert [tag.parent.name for tag in told.find_all("section")] == ["main"] * len(plain.find_all("section"))


@pytest.mark.parametrize("hostile", ANYWHERE)
def test_a_hostile_text_is_but_text(hostile: str) -> None:
    own = [cell(kind, hostile) for kind in ("code", "markdown", "raw")]
    text = page(result(*own, said=hostile), MARKS, TITLE)
    assert_harmless(text)
    assert str(7 * 191) not in text


@pytest.mark.parametrize("hostile", ANYWHERE)
def test_hostile_names_and_sentences_are_but_text(hostile: str) -> None:
    verdicts = tuple(replace(verdict, sentence=f"✗ `{hostile}`") for verdict in VERDICTS)
    told = replace(result(), student=hostile, notes=(hostile,), verdicts=verdicts)
    marks = replace(MARKS, questions=(replace(QUESTION, comment=hostile),))
    assert_harmless(page(told, marks, TITLE))


def test_a_long_notebook_is_cut() -> None:
    long = [cell(kind, "x = '<' + \"'\"\n" * 10**5) for kind in ("code", "markdown", "raw")]
    many = [cell("code", f"x = {number}" + "<" * 1000) for number in range(1000)]
    text = page(result(*long, *many), MARKS, TITLE)
    assert_harmless(text)
    assert len(text) < 1_500_000
    assert "of its cells are not shown" in text and "characters more" in text


@pytest.mark.parametrize("metadata", [None, [], {"nbgrader": None}, {"nbgrader": []}, {"nbgrader": {"grade_id": 5}}])
def test_a_cell_with_strange_metadata_is_shown(metadata: Any) -> None:
    strange = {"cell_type": "code", "id": "x", "metadata": metadata, "source": "strange = 1"}
    assert words(soup(result(strange)).find_all(class_="cell")[-1]) == "strange = 1"


def test_to_import_it_takes_neither_nbgrader_nor_nbconvert() -> None:
    code = "import sys; from lvmlib.grading import feedback, summary; print([*sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'lvmlib.grading.feedback'" in done.stdout
    assert not [name for name in ("nbgrader", "nbconvert", "nbformat") if f"'{name}'" in done.stdout]
