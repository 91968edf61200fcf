"""Executed notebooks → a web site that needs nothing else and gives no answer away."""

from __future__ import annotations

import base64
import inspect
import io
import re
import shutil
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image

from lvmlib import cli
from lvmlib.authoring.course import Course, CourseError
from lvmlib.authoring.formulas import FormulaError
from lvmlib.authoring.gallery.addresses import Addresses, find_addresses
from lvmlib.authoring.gallery.colour import colour
from lvmlib.authoring.gallery.front import ROOM, on_card
from lvmlib.authoring.gallery.lab import Lab, read_lab
from lvmlib.authoring.gallery.make import make_site, render_pages
from lvmlib.authoring.gallery.privacy import refuse_leaks, secrets_on
from lvmlib.authoring.gallery.readers import for_readers
from lvmlib.authoring.leaks import secrets_of
from lvmlib.show import Animation

TINY = "00-tiny"
HOME = Addresses("https://github.com/ada/labs", "v1", "https://colab.research.google.com/github/ada/labs/blob/v1", "")


def gif(*colours: str) -> bytes:
    frames = [Image.new("RGB", (4, 2), colour) for colour in colours]
    file = io.BytesIO()
    frames[0].save(file, format="gif", save_all=True, append_images=frames[1:])
    return file.getvalue()


def soup(page: str) -> BeautifulSoup:
    return BeautifulSoup(page, "html.parser")


def page_of(notebook, **options) -> BeautifulSoup:
    lab = read_lab(TINY, notebook, **options)
    return soup(render_pages([lab], Addresses(), **options)[lab.page])


@pytest.fixture
def notebook(tiny: Course):
    return nbformat.read(tiny.solution(TINY), as_version=4)


def test_pages_need_no_script_and_nothing_from_elsewhere(tiny: Course, tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert make_site(tiny, [TINY], site) == {}
    assert {path.name for path in site.glob("*")} == {"index.html", f"{TINY}.html", TINY, "style.css"}
    for file in site.glob("*.html"):
        page = soup(file.read_text(encoding="utf-8"))
        assert not page.find_all(["script", "iframe", "object"])
        loaded = [image["src"] for image in page.find_all("img")] + [link["href"] for link in page.find_all("link")]
        assert loaded and all(address.startswith("data:") or (site / address).is_file() for address in loaded)
    assert not re.search(r"@import|url\(", (site / "style.css").read_text(encoding="utf-8"))


def test_formulas_are_mathml(notebook) -> None:
    inline, block = page_of(notebook).main.find_all("math")
    assert inline.get_text() == "2x=x+x"
    assert block["display"] == "block"
    assert len(block.find_all("mtr")) == 2


def test_a_backslash_at_the_end_of_a_line_is_a_space(notebook) -> None:
    notebook.cells[0].source = "$a \\le\\\nb$"
    assert "".join(page_of(notebook).main.math.get_text().split()) == "a≤b"


def test_a_formula_that_cannot_be_shown_is_quoted(notebook) -> None:
    notebook.cells[0].source = r"$\nosuchcommand{x}$"
    with pytest.raises(FormulaError, match="nosuchcommand"):
        read_lab(TINY, notebook)


def test_a_formula_keeps_its_comma(notebook) -> None:
    notebook.cells[0].source = "with $p$, or with $q$"
    assert [held.get_text() for held in page_of(notebook).select(".text .whole")] == ["p,"]


def test_visitors_see_the_code_that_students_get(tiny: Course, notebook) -> None:
    def code(shown) -> list[str]:
        return [cell.source.strip() for cell in shown.cells if cell.cell_type == "code"]

    released = nbformat.read(tiny.released(TINY), as_version=4)
    assert code(for_readers(notebook, answers=False)) == code(released) != code(notebook)
    assert [cell.get("outputs") for cell in for_readers(notebook, answers=False).cells] == [
        cell.get("outputs") for cell in notebook.cells if cell.source != "*Write your answer here.*"
    ]


def test_instructors_see_answers_and_folded_mark_schemes(notebook) -> None:
    page = page_of(notebook, answers=True)
    assert "return 2 * x" in page.get_text()
    assert page.find("meta", {"name": "robots"})["content"] == "noindex"
    assert "smallest subnormal" in page.find("details", class_="scheme").get_text()
    for marker in ("BEGIN", "END", "wrong at some other"):
        assert marker not in page.main.get_text()


def test_colours_change_no_letter_of_the_code(notebook) -> None:
    sources = ["\n\nif a < b:  # why\n    f'{a}' @ 1e-3  \n", *(cell.source for cell in notebook.cells)]
    assert [soup(f"<pre>{colour(source)}</pre>").get_text() for source in sources] == [
        source.rstrip() for source in sources
    ]


def test_a_page_that_gives_an_answer_away_is_refused(tiny: Course) -> None:
    scheme = "Two points for naming <em>overflow</em>, two for the <b>smallest</b> subnormal number."
    with pytest.raises(CourseError, match=f"index.html holds a mark scheme of {TINY}"):
        refuse_leaks(tiny, {"index.html": f"<p>{scheme}</p>"})


@pytest.mark.slow
def test_nothing_private_is_in_the_course_s_site_unless_asked_for(course: Course, tmp_path: Path) -> None:
    secrets = secrets_of(course)
    found = {}
    for answers in (False, True):
        site = tmp_path / f"answers {answers}"
        assert make_site(course, course.labs(), site, answers=answers) == {}
        texts = [path.read_text(encoding="utf-8") for path in site.rglob("*") if path.suffix in {".html", ".css"}]
        found[answers] = {what for text in texts for what in secrets_on(text, secrets)}
    assert not found[False]
    for lab in course.labs():
        assert {f"a solution of {lab}", f"a mark scheme of {lab}"} <= {what.partition(" (")[0] for what in found[True]}


@pytest.mark.parametrize("kind", ["image/gif", "image/png"])
def test_a_picture_is_a_file_and_shown_with_its_words(notebook, kind: str) -> None:
    told = {kind: {"alt": 'a "dot"', "width": 20, "height": 10}}
    drawn = base64.b64encode(gif("red", "blue")).decode()
    notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", {kind: drawn}, metadata=told)]
    lab = read_lab(TINY, notebook)
    shown = lab.album.shown[-1]
    image = page_of(notebook).find("img", alt='a "dot"')
    assert lab.album.files[image["src"]] == gif("red", "blue")
    assert (image["width"], image["height"]) == (str(shown.width), str(shown.height)) == ("20", "10")


def test_an_animation_can_be_stopped_at_its_last_frame(notebook) -> None:
    animation = Animation(gif("red", "blue"), 'a "dot" that blinks')
    notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", {"text/html": animation._repr_html_()})]
    lab = read_lab(TINY, notebook)
    film = page_of(notebook).find(class_="film")
    assert {image["alt"] for image in film.find_all("img")} == {animation.alt}
    assert film.source["media"] == "(prefers-reduced-motion: reduce)"
    assert film.source["srcset"] == film.find(class_="still")["src"] == lab.album.shown[-1].still
    still = Image.open(io.BytesIO(lab.album.files[film.source["srcset"]]))
    assert still.convert("RGB").getpixel((0, 0)) == (0, 0, 255)


def with_cover(notebook, *sizes: tuple[int, int]) -> Lab:
    drawn = {"image/png": base64.b64encode(gif("red")).decode()}
    told = [{"image/png": {"width": width, "height": height}} for width, height in sizes]
    notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", drawn, metadata=each) for each in told]
    notebook.cells[-1].metadata["tags"] = ["cover"]
    return read_lab(TINY, notebook)


def test_a_card_shows_as_much_of_the_cover_as_has_room(notebook) -> None:
    first = read_lab(TINY, notebook)
    assert on_card(first) == first.album.shown[:1]
    assert [shown.height for shown in on_card(with_cover(notebook, (100, 25), (100, 30), (100, 15)))] == [25, 30]
    assert len(on_card(with_cover(notebook, (100, int(200 * ROOM)), (100, 10)))) == 1


def test_a_lab_is_described_by_its_heading_and_first_sentences(notebook) -> None:
    notebook.cells[0].source = (
        "# Lab 07 · Doubling\n\n[![Open in Colab](https://x.org/badge.svg)](https://x.org/open)\n\n"
        "Numbers can be *doubled*. Adding one to itself gives the same as multiplying it by two, and you will see why. "
        "It takes about two hours."
    )
    lab = read_lab(TINY, notebook)
    assert (lab.number, lab.topic, lab.time) == ("00", "Doubling", "about two hours")
    assert lab.lead.startswith("Numbers can be <em>doubled</em>. Adding") and lab.lead.endswith("why.")
    assert lab.about == lab.lead.replace("<em>", "").replace("</em>", "")
    assert "x.org" not in str(page_of(notebook))


def test_a_title_is_shown_as_it_is_written(notebook) -> None:
    notebook.cells[0].source = "# Lab 00 · If p < q & q < r"
    front = soup(render_pages([read_lab(TINY, notebook)], Addresses())["index.html"])
    assert [heading.get_text() for heading in front.select(".card h3")] == ["If p < q & q < r"]


def test_contents_are_the_headings_each_with_its_own_anchor(notebook) -> None:
    notebook.cells[
        0
    ].source = "# Title\n\n## Way\n\n### Exercise 1 · `double` · 2 points · ●○○ · 5 minutes\n\n## Way\n\nA β-VAE"
    page = page_of(notebook)
    links = page.find("nav", {"aria-label": "Contents"}).find_all("a")
    assert [link.get_text() for link in links] == ["Way", "Exercise 1 · double", "Way"]
    assert [page.find(id=link["href"][1:]).get_text() for link in links] == [
        "Way",
        "Exercise 1 · double · 2 points · ●○○ · 5 minutes",
        "Way",
    ]


def test_links_to_notebooks_go_to_pages_and_remote_pictures_are_not_loaded(notebook) -> None:
    notebook.cells[0].source = "[the VAE](../03-vae/03-vae.ipynb) ![a badge](https://x.org/badge.svg)"
    page = page_of(notebook)
    assert page.find("a", string="the VAE")["href"] == "03-vae.html"
    assert "x.org" not in str(page) and "a badge" in page.main.get_text()


def test_colab_is_offered_once_its_address_is_known(tiny: Course, notebook) -> None:
    assert find_addresses(tiny) == Addresses()
    for page in render_pages([read_lab(TINY, notebook)], Addresses()).values():
        assert "colab.research" not in page and "OWNER" not in page.split("<main", 1)[0]
    for page in render_pages([read_lab(TINY, notebook)], HOME).values():
        assert f'href="{HOME.colab}/course/{TINY}/{TINY}.ipynb"' in page
    settings = tiny.root / "pyproject.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("OWNER/REPOSITORY", "Ada/labs"), encoding="utf-8")
    assert find_addresses(tiny).site == "https://ada.github.io/labs/"


def test_pages_lead_to_their_neighbours(notebook) -> None:
    labs = [read_lab(name, notebook) for name in ("01-one", "02-two", "03-three")]
    pages = {file: soup(page) for file, page in render_pages(labs, Addresses()).items()}
    assert [link["href"] for link in pages["index.html"].select("a.read")] == [lab.page for lab in labs]
    bar = pages["02-two.html"].find("header").find_all("a")
    assert [link["href"] for link in bar] == ["index.html", "01-one.html", "03-three.html"]


def test_a_lab_that_fails_does_not_stop_the_others(tiny: Course) -> None:
    broken = tiny.root / "solutions" / "00-broken"
    broken.mkdir()
    (broken / "00-broken.py").write_text("# %%\n1 / 0\n", encoding="utf-8")
    site = tiny.root / "site"
    failures = make_site(tiny, tiny.labs(), site)
    assert list(failures) == ["00-broken"]
    assert failures["00-broken"].endswith("is not what 00-broken.py says; run `lvm build 00-broken` first.")
    index = soup((site / "index.html").read_text(encoding="utf-8"))
    assert [link["href"] for link in index.select("a.read")] == [f"{TINY}.html"]
    assert list(make_site(tiny, ["00-broken"], site)) == ["00-broken"]
    assert (site / f"{TINY}.html").is_file()


def test_a_profile_executes_labs_anew(draft: Course) -> None:
    site = draft.root / "site"
    assert make_site(draft, [TINY], site, profile="smoke") == {}
    assert "profile smoke" in (site / f"{TINY}.html").read_text(encoding="utf-8")


def test_a_site_is_replaced_as_a_whole_and_nothing_else_is(tiny: Course, tmp_path: Path) -> None:
    site = tmp_path / "site"
    make_site(tiny, [TINY], site, answers=True)
    assert "return 2 * x" in soup((site / f"{TINY}.html").read_text(encoding="utf-8")).get_text()
    make_site(tiny, [], site)
    assert {path.name for path in site.iterdir()} == {"index.html", "style.css"}
    other = tmp_path / "thesis"
    shutil.copytree(site, other)
    (other / "index.html").write_text("mine", encoding="utf-8")
    with pytest.raises(CourseError, match="thesis holds what `lvm run` did not make"):
        make_site(tiny, [TINY], other)
    assert (other / "index.html").read_text(encoding="utf-8") == "mine"
    (site / "CNAME").write_text("labs.example.org", encoding="utf-8")
    with pytest.raises(CourseError, match="site holds what `lvm run` did not make"):
        make_site(tiny, [TINY], site)
    assert (site / "CNAME").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"site", "thesis", tiny.root.name}


def test_the_workflow_publishes_what_make_run_writes(course: Course) -> None:
    workflow = yaml.safe_load((course.root / ".github" / "workflows" / "pages.yml").read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    targets = re.findall(r"^(\w+):", (course.root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    commands = [step["run"].split() for step in steps if "run" in step]
    assert commands == [["make", "run"]] and commands[0][1] in targets
    published = [step["with"]["path"] for step in steps if "upload-pages-artifact" in step.get("uses", "")]
    assert published == [str(inspect.signature(cli.run).parameters["out"].default)]
