"""solutions/LAB/LAB.ipynb → course/LAB/LAB.ipynb, by nbgrader, and nothing students must not see."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.build import read_stored, read_text, serialise, without_outputs
from lvmlib.authoring.converters import ConverterError, convert, read_settings
from lvmlib.authoring.course import Course, CourseError, write_atomically
from lvmlib.authoring.leaks import find_leaks
from lvmlib.authoring.pictures import pictures_of, write_pictures
from lvmlib.authoring.text import GITHUB, read_placeholders, substitute

PLACEHOLDER = "OWNER/REPOSITORY"


class ReleaseError(CourseError):
    """A lab was not released, and what students have is as it was; the message says why."""


def release(course: Course, lab: str) -> Path:
    """Give students the present state of a lab: its notebook, the pictures of its experiments, its keys.

    Returns:
        The released notebook.

    Raises:
        ReleaseError: the solutions notebook is missing or is not what its text says, or something would leak.
    """
    from lvmlib.grading.key import write_keys

    solution = current_solution(course, lab)
    released = make_release(course, lab)
    target = course.released(lab)
    write_pictures(course.pictures / lab, pictures_of(solution))
    if course.judges(lab).is_file():
        write_keys(lab)
    leaks = find_leaks(course, {target: released})
    if leaks:
        raise ReleaseError(f"{lab} is not released, because students would see: " + "; ".join(leaks))
    write_atomically(target, released)
    return target


def release_guide(course: Course) -> Path:
    """Make course/README.md, what students read first, from solutions/STUDENTS.md."""
    write_atomically(course.guide, make_guide(course))
    return course.guide


def doubt_address(course: Course) -> str | None:
    """What is wrong with the address that a release gives students, in one sentence."""
    address = read_placeholders(course.root / "pyproject.toml")["repository"]
    change = "set repository and tag under [tool.lvm] in pyproject.toml to where students find the course, and release"
    if PLACEHOLDER in address:
        return f"The Colab badges and install lines point to the placeholder {address}; {change} again."
    if not address.startswith(GITHUB):
        return f"Colab's badges open files on GitHub only, and {address} is not there; {change} again."
    return None


def make_guide(course: Course) -> str:
    """What students read first, with the addresses that pyproject.toml gives."""
    draft = (course.root / "solutions" / "STUDENTS.md").read_text(encoding="utf-8")
    return substitute(draft, read_placeholders(course.root / "pyproject.toml"))


def current_solution(course: Course, lab: str) -> NotebookNode:
    """A lab's executed notebook.

    Raises:
        ReleaseError: it is missing, or its text has changed since it was built.
    """
    stored = read_stored(course, lab)
    if stored is None or without_outputs(stored) != read_text(course, lab):
        raise ReleaseError(f"solutions/{lab}/{lab}.ipynb is not what {lab}.py says; run `lvm build {lab}` first.")
    return stored


def make_release(course: Course, lab: str) -> str:
    """A lab's notebook as students get it, as JSON; the same solutions always give the same release.

    Raises:
        ReleaseError: nbgrader refuses the notebook, or would hand out other files beside it.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = _generate_assignment(course, lab, Path(folder))
        extra = sorted(path.name for path in made.parent.rglob("*") if path.is_file() and path != made)
        if extra:
            raise ReleaseError(
                f"nbgrader would hand out {', '.join(extra)} with {lab}; add it to CourseDirectory.ignore."
            )
        return serialise(nbformat.read(made, as_version=4))


def _generate_assignment(course: Course, lab: str, work: Path) -> Path:
    from nbgrader.converters import GenerateAssignment

    config = read_settings(course, work)
    config.SaveCells.enabled = False
    config.CourseDirectory.assignment_id = lab
    try:
        convert(GenerateAssignment, config, no_database=True, create_assignment=False)
    except ConverterError as error:
        raise ReleaseError(f"nbgrader could not release {lab}: {error}") from error
    return work / "course" / lab / f"{lab}.ipynb"
