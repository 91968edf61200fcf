"""Executed notebooks → pages that need nothing else."""

from __future__ import annotations

import base64
import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from lvmlib.authoring.course import Course
from lvmlib.authoring.gallery import describe, run_labs
from lvmlib.authoring.pages import FormulaError, render_page
from lvmlib.show import Animation

TINY = "00-tiny"
GIF = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


@pytest.fixture
def notebook(tiny: Course):
    return nbformat.read(tiny.solution(TINY), as_version=4)


def test_a_page_loads_nothing_from_elsewhere(notebook) -> None:
    page = BeautifulSoup(render_page(notebook, "Tiny"), "html.parser")
    assert page.title.string == "Tiny"
    assert not page.find_all("script")
    assert not page.find_all("link")
    assert all(image["src"].startswith("data:") for image in page.find_all("img"))
    assert not re.search(r"@import|url\(['\"]?http", str(page))


def test_formulas_are_mathml(notebook) -> None:
    inline, block = BeautifulSoup(render_page(notebook, "Tiny"), "html.parser").find_all("math")
    assert inline.get_text() == "2x=x+x"
    assert block["display"] == "block"
    assert len(block.find_all("mtr")) == 2


def test_a_backslash_at_the_end_of_a_line_is_a_space(notebook) -> None:
    notebook.cells[0].source = "$a \\le\\\nb$"
    math = BeautifulSoup(render_page(notebook, "Tiny"), "html.parser").find("math")
    assert "".join(math.get_text().split()) == "a≤b"


def test_a_formula_that_cannot_be_shown_is_quoted(notebook) -> None:
    notebook.cells[0].source = r"$\nosuchcommand{x}$"
    with pytest.raises(FormulaError, match="nosuchcommand"):
        render_page(notebook, "Tiny")


def test_what_is_meant_for_graders_is_left_out(notebook) -> None:
    text = BeautifulSoup(render_page(notebook, "Tiny"), "html.parser").get_text()
    assert "return 2 * x" in text
    for marker in ("BEGIN", "END SOLUTION", "wrong at some other", "overflow", "NBVAL", "Write your answer"):
        assert marker not in text


@pytest.mark.parametrize("kind", ["image/gif", "image/png"])
def test_a_picture_is_shown_with_its_words(notebook, kind: str) -> None:
    told = {kind: {"alt": 'a "dot"', "width": 20, "height": 10}}
    notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", {kind: GIF}, metadata=told)]
    image = BeautifulSoup(render_page(notebook, "Tiny"), "html.parser").find("img", alt='a "dot"')
    assert image["src"] == f"data:{kind};base64,{GIF}"
    assert (image["width"], image["height"]) == ("20", "10")


def test_an_animation_is_shown_and_may_be_the_cover(notebook) -> None:
    animation = Animation(base64.b64decode(GIF), 'a "dot" that blinks')
    notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", {"text/html": animation._repr_html_()})]
    notebook.cells[-1].metadata["tags"] = ["cover"]
    image = BeautifulSoup(render_page(notebook, "Tiny"), "html.parser").find("img", alt=animation.alt)
    assert image["src"] == describe(TINY, notebook).picture == f"data:image/gif;base64,{GIF}"


def test_the_cover_of_a_lab_is_the_picture_of_the_cell_tagged_so(notebook) -> None:
    png = base64.b64encode(b"the cover").decode()
    notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", {"image/png": png})]
    assert describe(TINY, notebook).picture != f"data:image/png;base64,{png}"
    notebook.cells[-1].metadata["tags"] = ["cover"]
    assert describe(TINY, notebook).picture == f"data:image/png;base64,{png}"


def test_a_lab_is_described_by_its_heading_first_sentence_and_first_picture(notebook) -> None:
    entry = describe(TINY, notebook)
    assert entry.title == "A tiny lab"
    assert entry.sentence == "Doubling is adding a number to itself, 2x = x + x."
    assert entry.picture.startswith("data:image/png;base64,iVBOR")


def test_a_lab_that_fails_does_not_stop_the_others(draft: Course) -> None:
    broken = draft.root / "solutions" / "00-broken"
    broken.mkdir()
    (broken / "00-broken.py").write_text("# %%\n1 / 0\n", encoding="utf-8")
    site = draft.root / "site"
    failures = run_labs(draft, draft.labs(), "smoke", site)
    assert failures == {"00-broken": "00-broken: 1 / 0 raised ZeroDivisionError: division by zero"}
    index = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert [link["href"] for link in index.find_all("a")] == [f"{TINY}.html"]
    assert "profile smoke" in (site / f"{TINY}.html").read_text(encoding="utf-8")
