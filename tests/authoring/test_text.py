"""An author's text becomes a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvmlib.authoring.course import Course, CourseError, find_course
from lvmlib.authoring.text import TextError, points_of, read_notebook

TINY = "00-tiny"


def read(tmp_path: Path, text: str):
    path = tmp_path / "lab.py"
    path.write_text(text, encoding="utf-8")
    return read_notebook(path, {"tag": "v9", "repository": "https://example.org/course"})


EXERCISE = """# %% exercise="double"
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

"""
TEST = '# %% test="double" points=2\nassert double(1) == 2\n\n'
THINK = '# %% [markdown] think="why" points=3\n# Why?\n# ### BEGIN MARK SCHEME\n# Because.\n# ### END MARK SCHEME\n'


def test_headers_become_nbgrader_metadata(tmp_path: Path) -> None:
    solution, test, question, answer = read(tmp_path, EXERCISE + TEST + THINK).cells

    def facts(cell):
        return {key: cell.metadata.nbgrader.get(key) for key in ("grade_id", "grade", "solution", "locked", "points")}

    assert facts(solution) == dict(grade_id="double", grade=False, solution=True, locked=False, points=None)
    assert facts(test) == dict(grade_id="test-double", grade=True, solution=False, locked=True, points=2)
    assert facts(question) == dict(grade_id="why-question", grade=False, solution=False, locked=True, points=None)
    assert facts(answer) == dict(grade_id="why", grade=True, solution=True, locked=False, points=3)
    assert test.metadata.tags == ["raises-exception", "nbval-check-output"]
    assert (question.cell_type, answer.cell_type) == ("markdown", "markdown")


def test_points_are_told_by_who_gives_them(tmp_path: Path) -> None:
    assert points_of(read(tmp_path, EXERCISE + TEST + THINK)) == (2, 3)


def test_tags_stay_and_other_metadata_does_not(tmp_path: Path) -> None:
    (cell,) = read(tmp_path, '# %% tags=["experiment"] lines_to_next_cell=2\nx = 1\n').cells
    assert cell.metadata == {"tags": ["experiment"]}


def test_a_check_is_followed_by_the_hidden_judge_of_the_same_name(tmp_path: Path) -> None:
    header = '# %% test="double" points=2\n'
    check, *hidden = read(tmp_path, EXERCISE + header + 'check("double", double)\n').cells[1].source.split("\n")
    assert check == 'check("double", double)'
    assert hidden[0] == "### BEGIN HIDDEN TESTS" and hidden[-1] == "### END HIDDEN TESTS"
    assert 'judge("double", double)' in hidden

    longer = 'check("double", double)\nassert double(1) == 2'
    assert read(tmp_path, EXERCISE + header + longer).cells[1].source == longer


def test_placeholders_are_filled_in_prose_and_code(tmp_path: Path) -> None:
    prose, code = read(
        tmp_path, '# %% [markdown]\n# {{repository}} at {{tag}}\n\n# %%\nx = "{{tag}}", f"{{other}}"\n'
    ).cells
    assert prose.source == "https://example.org/course at v9"
    assert code.source == 'x = "v9", f"{{other}}"'


def test_ids_survive_a_rebuild_and_an_edit_elsewhere(tmp_path: Path) -> None:
    text = "# %%\na = 1\n\n# %%\nb = 1\n\n# %%\na = 1\n\n" + EXERCISE + TEST
    before = [cell.id for cell in read(tmp_path, text).cells]
    assert before == [cell.id for cell in read(tmp_path, text).cells]
    assert len(set(before)) == len(before)
    after = [cell.id for cell in read(tmp_path, text.replace("b = 1", "b = 2")).cells]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True, True, True]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (EXERCISE + EXERCISE + TEST, "The grade id 'double' is used 2 times"),
        (EXERCISE, 'no cell test="double"'),
        (TEST, 'no cell exercise="double"'),
        (EXERCISE + TEST.replace(" points=2", ""), "points=None; give it a whole number"),
        (EXERCISE + TEST.replace("points=2", "points=1.5"), "points=1.5; give it a whole number"),
        (EXERCISE.replace("### END SOLUTION", "") + TEST, "exactly one region from ### BEGIN SOLUTION"),
        (THINK.replace("### BEGIN MARK SCHEME", ""), "needs a region from ### BEGIN MARK SCHEME"),
    ],
)
def test_a_mistake_in_a_header_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(TextError) as error:
        read(tmp_path, text)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_course_is_found_from_inside_and_not_from_outside(draft: Course, tmp_path: Path) -> None:
    assert find_course(draft.text(TINY).parent) == draft
    with pytest.raises(CourseError, match="is not inside the course"):
        find_course(tmp_path)


def test_an_unknown_lab_is_named(draft: Course) -> None:
    assert draft.labs() == [TINY]
    with pytest.raises(CourseError, match="no lab '09-none' under solutions/; there are 00-tiny"):
        draft.labs(["09-none"])
