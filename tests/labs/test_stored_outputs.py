"""What a reader of the repository's pages sees: files of a size that opens, and models that convince."""

from __future__ import annotations

import re

import pytest

from lvmlib.authoring.build import read_stored
from lvmlib.authoring.course import Course, find_course

LARGEST_NOTEBOOK = 5_000_000  # bytes


def printed(course: Course, lab: str) -> str:
    notebook = read_stored(course, lab)
    assert notebook is not None
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


@pytest.mark.parametrize("lab", find_course().labs())
def test_a_notebook_opens_quickly(course: Course, lab: str) -> None:
    assert course.solution(lab).stat().st_size < LARGEST_NOTEBOOK


@pytest.mark.parametrize(
    ("lab", "model", "least"),
    [
        ("01-gan", "Your steady game", 60),
        ("01-gan", "After longer training", 85),
        ("02-wgan", "Penalised", 60),
        ("02-wgan", "Penalised, longer training", 85),
    ],
)
def test_samples_are_recognised_as_digits_of_every_class(course: Course, lab: str, model: str, least: int) -> None:
    found = re.search(rf"^{re.escape(model)}: (\d+) % .*, 10 of 10 classes", printed(course, lab), re.MULTILINE)
    assert found, f"{model} is not reported, or does not draw every class"
    assert int(found[1]) >= least
