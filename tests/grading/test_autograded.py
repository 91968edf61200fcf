"""Results → the notebooks that nbgrader's formgrader and its feedback show."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.utils import determine_grade, is_grade
from recorded import FORGED, FULL, THINK, graded

from lvmlib.authoring.course import Course, CourseError
from lvmlib.grading.assignment import Assignment, grade_id_of
from lvmlib.grading.autograded import compose, path_of, replacing
from lvmlib.grading.results import Result, Status


def composed(result: Result, assignment: Assignment) -> NotebookNode:
    """The notebook as nbgrader reads it, and valid."""
    notebook = nbformat.reads(compose(result, assignment).decode(), as_version=4)
    nbformat.validate(notebook)
    return notebook


@pytest.mark.parametrize("points", [FULL, {}, {"kl-divergence": 0.5, "reparameterize": 1.25, "active-units": 1.0}])
def test_nbgrader_reads_the_same_points(small_assignment: Assignment, points: dict[str, float]) -> None:
    notebook = composed(graded(small_assignment, points=points), small_assignment)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    tests = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if is_grade(cell)}
    read = {name: determine_grade(tests[f"test-{name}"])[0] for name in FULL}
    assert read == {name: points.get(name, 0.0) for name in FULL}
    assert determine_grade(tests[THINK])[0] is None
    for name in FULL:
        assert f"{name}: so it is" in str(tests[f"test-{name}"].outputs)


def test_what_nobody_decided_has_no_output(small_assignment: Assignment) -> None:
    undecided = replace(graded(small_assignment), verdicts=())
    cells = composed(undecided, small_assignment).cells
    assert not any(cell.outputs for cell in cells if cell.cell_type == "code")


def test_a_forged_cell_is_nobodys(small_assignment: Assignment) -> None:
    notebook = composed(graded(small_assignment, more=FORGED), small_assignment)
    known = [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert [facts.grade_id for facts in known] == [
        name for cell in small_assignment.cells if (name := grade_id_of(cell))
    ]
    assert [cell.metadata for cell in notebook.cells[-len(FORGED) :]] == [{}] * len(FORGED)


# -- its place


@pytest.mark.parametrize("student", ["../ada", "..", ".", "", "a/b", "a\0b", "a\nb", "\x1b[2J", "\udcff"])
def test_a_name_that_is_no_folders_has_no_place(tmp_path: Path, student: str) -> None:
    with pytest.raises(CourseError, match="is no name of a student's folder") as caught:
        path_of(Course(tmp_path), Result(student, "00-small", Status.GRADED))
    assert str(caught.value).isprintable()


def test_what_is_new_is_known_before_it_is_in_its_place(tmp_path: Path, small_assignment: Assignment) -> None:
    path = tmp_path / "ada" / "notebook.ipynb"
    first = compose(graded(small_assignment), small_assignment)
    second = compose(graded(small_assignment, points={}, written={THINK: "Another."}), small_assignment)
    names = {name for cell in small_assignment.cells if (name := grade_id_of(cell))}
    for content, expected in ((first, names), (first, set()), (second, {THINK})):
        before = path.read_bytes() if path.exists() else None
        with replacing(path, content) as rewritten:
            assert rewritten == expected
            assert (path.read_bytes() if path.exists() else None) == before
        assert path.read_bytes() == content
        assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path, small_assignment: Assignment) -> None:
    path = tmp_path / "notebook.ipynb"
    content = compose(graded(small_assignment), small_assignment)
    for before in ([], [path]):
        with pytest.raises(ZeroDivisionError), replacing(path, b'{"cells": []}'):
            raise ZeroDivisionError
        assert list(tmp_path.iterdir()) == before
        path.write_bytes(content)
    assert path.read_bytes() == content


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"cells": [{"metadata": {"nbgrader": 1}}]}', b"\xff"])
def test_a_torn_notebook_is_written_anew(tmp_path: Path, small_assignment: Assignment, torn: bytes) -> None:
    path = tmp_path / "notebook.ipynb"
    path.write_bytes(torn)
    content = compose(graded(small_assignment), small_assignment)
    with replacing(path, content) as rewritten:
        assert THINK in rewritten
    assert path.read_bytes() == content


# -- what formgrader makes of it


ACTIVE = """
<script>hostile()</script> <IMG src=x onerror=hostile()> <a href="javascript:hostile()">x</a> <!-- <b> --> <?x?>
</div></div></body><svg/onload=hostile()> <<b>script>hostile()<</b>/script> <\tscript>
[x](javascript:hostile()) [x]( javascript:hostile() ) [x](<javascript:hostile()>) [x](&#106;avascript:hostile())
[x](JaVaScRiPt:hostile()) [x](java&Tab;script:hostile()) [x](
javascript:hostile()) [x][one] [two] <javascript:hostile()> [x](data:text/html,hostile()) [x](vbscript:hostile())
![x](http://hostile.example/a.png) ![x][three]
[![x](javascript:hostile())](javascript:hostile()) [x](\\javascript:hostile())

[one]: javascript:hostile()
[two]:
  javascript:hostile()
[three]: http://hostile.example/b.png

> [four]:
> javascript:hostile()
> [four]

- [five]: <javascript:hostile()>
  [five]

$\\href{javascript:hostile()}{x}$ $$\\require{html}\\style{x}{y}$$ $a<b$

```html
<script>hostile()</script>
```
"""


class Parts(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, "".join((value or "").split()).lower()) for name, value in attrs]


def formgraded(result: Result, assignment: Assignment) -> Parts:
    """A submission as formgrader shows it."""
    from nbconvert.exporters import HTMLExporter
    from nbgrader.server_extensions.formgrader import handlers
    from traitlets.config import Config

    html = {"template_name": "formgrade", "extra_template_basedirs": [handlers.template_path]}
    given = {name: "x" for name in ("assignment_id", "notebook_id", "submission_id", "base_url", "notebook_path")}
    names = {"student": result.student, "first_name": "", "last_name": "", "index": 0, "total": 1}
    exporter = HTMLExporter(config=Config({"HTMLExporter": html}))
    return Parts(exporter.from_notebook_node(composed(result, assignment), resources=given | names)[0])


@pytest.mark.slow
def test_nothing_a_student_writes_is_alive(small_assignment: Assignment) -> None:
    own = [{"cell_type": kind, "id": kind, "metadata": {}, "source": ACTIVE} for kind in ("markdown", "raw", "code")]
    hostile = graded(small_assignment, "eve", written={THINK: ACTIVE, "kl-divergence": ACTIVE}, more=tuple(own))
    hostile = replace(hostile, verdicts=tuple(replace(one, sentence=ACTIVE) for one in hostile.verdicts))
    alive, plain = formgraded(hostile, small_assignment), formgraded(graded(small_assignment), small_assignment)
    for tag in ("script", "img", "svg", "iframe", "object", "style", "link", "form", "body"):
        assert alive.tags[tag] == plain.tags[tag]
    assert alive.tags["a"] > plain.tags["a"]
    added = [entry for entry in alive.attributes if entry not in plain.attributes]
    assert not [name for name, _ in added if name.startswith("on")]
    assert not [value for name, value in added if name in ("href", "src") and re.match(r"[^/#.]*script:|data:", value)]


def test_what_is_for_readers_stays_readable(small_assignment: Assignment) -> None:
    own = tuple({"cell_type": kind, "id": kind, "metadata": {}, "source": ACTIVE} for kind in ("markdown", "code"))
    markdown, code = json.loads(compose(graded(small_assignment, more=own), small_assignment))["cells"][-2:]
    assert "\\href" not in markdown["source"] and "\\require" not in markdown["source"]
    assert "a< b" in markdown["source"]
    assert code["source"] == ACTIVE
