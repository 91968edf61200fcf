"""Executed notebook → what students open."""

from __future__ import annotations

import base64
import io
import json

import nbformat
import pytest
import torch
from PIL import Image

from lvmlib.authoring.build import serialise
from lvmlib.authoring.course import Course, CourseError
from lvmlib.authoring.leaks import find_leaks
from lvmlib.authoring.pictures import picture_of, pictures_of
from lvmlib.authoring.release import ReleaseError, make_release, release
from lvmlib.show import Animation, gif

TINY = "00-tiny"


def released(course: Course):
    notebook = nbformat.read(course.released(TINY), as_version=4)
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}


def change_solution(course: Course, change) -> None:
    notebook = nbformat.read(course.solution(TINY), as_version=4)
    change(notebook)
    course.solution(TINY).write_text(serialise(notebook), encoding="utf-8")


def test_a_release_is_the_same_every_time(tiny: Course) -> None:
    assert make_release(tiny, TINY) == make_release(tiny, TINY) == tiny.released(TINY).read_text(encoding="utf-8")


def test_only_the_notebook_is_handed_out(tiny: Course) -> None:
    for name in ("judges.py", "notes.md", "answers.json", "plot.png"):
        (tiny.solution(TINY).parent / name).write_text("private = 1\n", encoding="utf-8")
    make_release(tiny, TINY)
    assert [path.name for path in tiny.released(TINY).parent.iterdir()] == [f"{TINY}.ipynb"]


def test_a_file_that_nbgrader_would_hand_out_stops_the_release(tiny: Course) -> None:
    (tiny.solution(TINY).parent / "ANSWERS").write_text("2 * x", encoding="utf-8")
    with pytest.raises(ReleaseError, match="would hand out ANSWERS with 00-tiny"):
        release(tiny, TINY)


def test_stubs_keep_what_stands_outside_the_marked_region(tiny: Course) -> None:
    cells = released(tiny)
    assert cells["double"].source == (
        'def double(x: float) -> float:\n    """Twice x."""\n    raise NotImplementedError'
    )
    assert cells["test-double"].source.endswith('print("✓ double")')
    assert cells["which-way-question"].source.strip().startswith("**Think.**")
    assert "MARK SCHEME" not in cells["which-way-question"].source
    assert cells["which-way"].source == "*Write your answer here.*"


def test_outputs_are_stripped_and_graded_cells_are_locked(tiny: Course) -> None:
    notebook = nbformat.read(tiny.released(TINY), as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    assert released(tiny)["test-double"].metadata["editable"] is False


def test_what_is_not_built_is_not_released(tiny: Course) -> None:
    before = tiny.released(TINY).read_bytes()
    tiny.text(TINY).write_text(tiny.text(TINY).read_text(encoding="utf-8") + "\n# %%\nx = 1\n", encoding="utf-8")
    with pytest.raises(ReleaseError, match="run `lvm build 00-tiny` first"):
        release(tiny, TINY)
    assert tiny.released(TINY).read_bytes() == before


def test_a_readme_beside_the_labs_stays(tiny: Course) -> None:
    readme = tiny.release / "README.md"
    readme.write_text("How to work", encoding="utf-8")
    release(tiny, TINY)
    assert readme.read_text(encoding="utf-8") == "How to work"


def test_nothing_leaks_from_the_release(tiny: Course) -> None:
    assert find_leaks(tiny) == []


@pytest.mark.parametrize(
    ("path", "content", "sentence"),
    [
        ("course/README.md", "Two points for naming overflow, two for the smallest subnormal number.", "a mark scheme"),
        (
            "lvmlib/answers.py",
            'assert double(3.5) == 7 and   double(-1) == -2, "double: wrong at some other number"',
            "a hidden tests",
        ),
        ("course/notes.md", "### BEGIN SOLUTION", "the marker ### BEGIN SOLUTION"),
        ("lvmlib/oracle.py", "f = (torch.logsumexp(log_w, dim=0) - math.log(len(log_w)) + 0.0)", "a judge"),
    ],
)
def test_a_leak_is_found(tiny: Course, path: str, content: str, sentence: str) -> None:
    judges = "oracle('bound', reference=lambda log_w: torch.logsumexp(log_w, dim=0) - math.log(len(log_w)))"
    (tiny.solution(TINY).parent / "judges.py").write_text(judges, encoding="utf-8")
    (tiny.root / path).parent.mkdir(exist_ok=True)
    (tiny.root / path).write_text(content, encoding="utf-8")
    leaks = find_leaks(tiny)
    assert [f"{path} holds {sentence}" in leak for leak in leaks] == [True]


def test_code_too_short_to_give_anything_away_is_no_leak(tiny: Course) -> None:
    (tiny.root / "lvmlib" / "double.py").write_text("    return 2 * x", encoding="utf-8")
    assert find_leaks(tiny) == []


def test_a_leak_stops_the_release(tiny: Course) -> None:
    before = tiny.released(TINY).read_bytes()
    (tiny.release / "README.md").write_text("### END HIDDEN TESTS", encoding="utf-8")
    with pytest.raises(ReleaseError, match="students would see: course/README.md holds the marker"):
        release(tiny, TINY)
    assert tiny.released(TINY).read_bytes() == before


def test_an_experiment_leaves_its_picture_with_words(tiny: Course) -> None:
    folder = tiny.pictures / TINY
    assert sorted(path.name for path in folder.iterdir()) == ["alt.json", "line.png"]
    assert json.loads((folder / "alt.json").read_text(encoding="utf-8")) == {"line.png": "line"}
    assert Image.open(folder / "line.png").mode == "P"


def picture(shade: int) -> str:
    content = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(content, format="png")
    return base64.b64encode(content.getvalue()).decode()


def test_several_pictures_are_numbered_and_keep_their_words(tiny: Course) -> None:
    def draw_two(notebook) -> None:
        cell = next(cell for cell in notebook.cells if 'experiment("line")' in cell.source)
        cell.outputs = [
            nbformat.v4.new_output(
                "display_data", {"image/png": picture(shade)}, metadata={"image/png": {"alt": words}}
            )
            for shade, words in ((10, "dark"), (250, "bright"))
        ]

    change_solution(tiny, draw_two)
    files = pictures_of(nbformat.read(tiny.solution(TINY), as_version=4))
    assert sorted(files) == ["alt.json", "line-1.png", "line-2.png"]
    assert json.loads(files["alt.json"]) == {"line-1.png": "dark", "line-2.png": "bright"}
    assert Image.open(io.BytesIO(files["line-2.png"])).convert("RGB").getpixel((0, 0)) == (250, 0, 0)


def test_a_picture_that_is_no_longer_drawn_is_removed(tiny: Course) -> None:
    stale = tiny.pictures / TINY / "gone.png"
    stale.write_bytes(b"")
    release(tiny, TINY)
    assert not stale.exists()


def animated(frames: int = 3, side: int = 8, alt: str = 'A square "turns" white & stays.') -> Animation:
    noise = torch.rand(frames, 1, side, side, generator=torch.Generator().manual_seed(0))
    return gif(noise, scale=1, alt=alt)


def show_in_line(animation: Animation):
    def draw(notebook) -> None:
        cell = next(cell for cell in notebook.cells if 'experiment("line")' in cell.source)
        shown = {"text/html": animation._repr_html_(), "text/plain": repr(animation)}
        cell.outputs = [nbformat.v4.new_output("display_data", shown)]

    return draw


def test_an_animation_leaves_the_file_it_was_with_words(tiny: Course) -> None:
    change_solution(tiny, show_in_line(animated()))
    release(tiny, TINY)
    folder = tiny.pictures / TINY
    assert sorted(path.name for path in folder.iterdir()) == ["alt.json", "line.gif"]
    assert (folder / "line.gif").read_bytes() == animated().gif
    assert json.loads((folder / "alt.json").read_text(encoding="utf-8")) == {"line.gif": animated().alt}


@pytest.mark.parametrize(
    "html",
    [
        "<b>a table</b>",
        '<img src="data:image/png;base64,AAAA" alt="not a GIF">',
        f"<p>{animated()._repr_html_()}</p>",
    ],
)
def test_other_html_is_no_picture(html: str) -> None:
    assert picture_of(nbformat.v4.new_output("display_data", {"text/html": html})) is None


def test_an_animation_that_is_too_large_to_ship_stops_the_release(tiny: Course) -> None:
    change_solution(tiny, show_in_line(animated(frames=30, side=320)))
    with pytest.raises(CourseError, match=r"line\.gif of experiment\('line'\) has 3\.\d MB and may have 2; draw fewer"):
        release(tiny, TINY)
