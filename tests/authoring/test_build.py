"""Text → executed notebook."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from lvmlib.authoring.build import Built, build, is_executed, read_text, without_outputs
from lvmlib.authoring.course import Course
from lvmlib.authoring.execute import ExecutionError, clean_outputs

TINY = "00-tiny"


def edit(course: Course, old: str, new: str) -> None:
    path = course.text(TINY)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def read(course: Course):
    return nbformat.read(course.solution(TINY), as_version=4)


def test_building_twice_from_nothing_gives_the_same_bytes(tiny: Course) -> None:
    before = tiny.solution(TINY).read_bytes()
    assert build(tiny, TINY, force=True) is Built.EXECUTED
    assert tiny.solution(TINY).read_bytes() == before


def test_the_notebook_says_what_the_text_says_and_ran_in_order_in_the_cpu_profile(tiny: Course) -> None:
    notebook = read(tiny)
    nbformat.validate(notebook)
    assert without_outputs(notebook) == read_text(tiny, TINY)
    assert is_executed(notebook)
    assert notebook.cells[1].outputs[0].text == "profile cpu\n"


def test_unchanged_text_changes_nothing(tiny: Course) -> None:
    before = tiny.solution(TINY).stat()
    assert build(tiny, TINY) is Built.UNCHANGED
    assert tiny.solution(TINY).stat().st_mtime_ns == before.st_mtime_ns


def test_changed_prose_keeps_the_outputs(tiny: Course) -> None:
    outputs = [cell.get("outputs") for cell in read(tiny).cells]
    edit(tiny, "# # A tiny lab", "# # A very small lab")
    assert build(tiny, TINY) is Built.REWORDED
    assert read(tiny).cells[0].source.startswith("# A very small lab")
    assert [cell.get("outputs") for cell in read(tiny).cells] == outputs


def test_changed_code_runs_again(tiny: Course) -> None:
    edit(tiny, 'print("end"', 'print("the end"')
    assert build(tiny, TINY) is Built.EXECUTED
    assert read(tiny).cells[-1].outputs[0].text == "the end\n"


def test_a_test_that_fails_stops_the_build_and_leaves_the_old_notebook(tiny: Course) -> None:
    before = tiny.solution(TINY).read_bytes()
    edit(tiny, "return 2 * x", "return 3 * x")
    with pytest.raises(ExecutionError, match="00-tiny: test-double raised AssertionError"):
        build(tiny, TINY)
    assert tiny.solution(TINY).read_bytes() == before
    assert not list(tiny.solution(TINY).parent.glob(".*"))


def test_a_cell_that_raises_stops_the_build(tiny: Course) -> None:
    edit(tiny, 'print("end"', 'print(missing_name, "end"')
    with pytest.raises(ExecutionError, match="NameError: name 'missing_name' is not defined"):
        build(tiny, TINY)


def test_a_test_that_writes_to_stderr_stops_the_build(tiny: Course) -> None:
    edit(tiny, 'print("✓ halve")', 'print("✓ halve", file=sys.stderr)')
    with pytest.raises(ExecutionError, match="test-halve wrote to stderr, which nbgrader scores 0"):
        build(tiny, TINY)


def test_progress_bars_colours_and_timings_are_not_stored(tiny: Course) -> None:
    edit(
        tiny,
        'print("end", file=sys.stdout)',
        'from tqdm import tqdm\nprint("end" + "".join(map(str, tqdm(range(2)))))\nprint("\\x1b[32mgreen\\x1b[0m")',
    )
    build(tiny, TINY)
    last = read(tiny).cells[-1]
    assert [output.name for output in last.outputs] == ["stdout"]
    assert last.outputs[0].text == "end01\ngreen\n"
    assert last.metadata == {}


def test_a_stream_that_the_kernel_cut_is_stored_in_one_piece() -> None:
    printed = [new_output("stream", name="stdout", text=text) for text in ("✓ double", "\n")]
    shown = new_output("display_data", data={"text/plain": "a picture"})
    cell = new_code_cell("check()", outputs=[*printed, shown, new_output("stream", name="stdout", text="end\n")])
    clean_outputs(new_notebook(cells=[cell]))
    assert [output.get("text") for output in cell.outputs] == ["✓ double\n", None, "end\n"]


def test_a_notebook_that_ran_out_of_order_is_noticed(tiny: Course) -> None:
    notebook = read(tiny)
    assert is_executed(notebook)
    notebook.cells[2].execution_count = 7
    assert not is_executed(notebook)
