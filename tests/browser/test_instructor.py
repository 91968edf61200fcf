"""An instructor's first ten minutes: `make grade`, mark a Think question in formgrader, grade again, read the pages."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Literal

import pytest
from accessibility import serious_problems
from actions import Shoot, arrive, choose, put_in_view
from jupyter import jupyterlab, lay_out, make, surroundings
from nbgrader.api import Gradebook
from playwright.sync_api import FrameLocator, Locator, Page, expect
from solved import hand_in

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.slow]

LAB, STUDENT, LATE, BROKEN = "03-vae", "ada", "bob", "eve"
QUESTION, OTHER = "tight-but-poor", "which-beta"
ANSWER = "The encoder fits the model, which is itself a poor one: log p(x) may be low although the bound is tight."
COMMENT = "Right. Which number would show it?"
SCHEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")


def test_an_instructor_grades_marks_and_reads_what_comes_of_it(page: Page, shoot: Shoot, tmp_path: Path) -> None:
    root = lay_out(tmp_path / "clone", f"course/{LAB}", f"solutions/{LAB}")
    hand_in(LAB, root / "submitted" / STUDENT / LAB, ANSWER)
    assert scores(grade(root)) == ["22", "27", "to", "do"]
    with jupyterlab(root) as address:
        arrive(page, address)
        choose(page, "Nbgrader", "Formgrader")
        page.get_by_role("tab", name="File Browser").click()  # which gives its room to formgrader
        formgrader = page.frame_locator("iframe")
        go_to_submission(formgrader)
        shoot(page, "instructor-1-submission")
        mark(page, formgrader)
        shoot(page, "instructor-2-marking")
        go_on(formgrader)
        shoot(page, "instructor-3-marked")
    assert marks(root) == {QUESTION: (1.0, False, COMMENT), OTHER: (2.5, False, None)}
    submitted = root / "submitted"
    shutil.copytree(root / "course", submitted / LATE)  # as it was released
    (submitted / BROKEN / LAB).mkdir(parents=True)
    (submitted / BROKEN / LAB / f"{LAB}.ipynb").write_text("{", encoding="utf-8")
    assert scores(grade(root)) == ["25.5", "27"]
    read_pages(page, shoot, root / "feedback")


def grade(root: Path) -> str:
    """What `make grade` prints."""
    home = root.with_name("home")
    done = subprocess.run(make("grade"), cwd=root, env=surroundings(home), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def scores(printed: str) -> list[str]:
    """Score, of how many, and whether marks by hand are due, from the line of the one student."""
    (line,) = [line for line in printed.splitlines() if line.startswith(STUDENT)]
    return line.split()[2:-1]


def go_to_submission(formgrader: FrameLocator) -> None:
    formgrader.get_by_role("link", name="Manual Grading").click()
    for assignment in (f"gradebook/{LAB}", f"gradebook/{LAB}/{LAB}"):
        formgrader.locator(f"table a[href$='{assignment}']").click()
    formgrader.get_by_role("link", name="Submission #1").click()
    expect(formgrader.locator(f"#{QUESTION}")).to_have_class(re.compile("needs_manual_grade"))


def mark(page: Page, formgrader: FrameLocator) -> None:
    """Give points for both answers, and a comment on the first."""
    enter(page, formgrader.locator(f"#{OTHER}"), "2.5")
    enter(page, formgrader.locator(f"#{QUESTION}"), "1")
    comment = formgrader.locator(f"#{QUESTION}-comment")
    enter(page, comment, COMMENT)
    put_in_view(comment)
    expect(formgrader.get_by_text("A tight bound says that the encoder")).to_be_in_viewport()


def enter(page: Page, field: Locator, text: str) -> None:
    """Type into a field of formgrader, and leave it, which saves it."""
    field.click()
    page.keyboard.type(text)
    with page.expect_response(lambda answer: answer.request.method == "PUT" and answer.ok):
        page.keyboard.press("Tab")


def go_on(formgrader: FrameLocator) -> None:
    """To the next submission, or the list where that was the last."""
    formgrader.get_by_role("link", name="Next").click()
    row = formgrader.get_by_role("row").filter(has=formgrader.get_by_role("link", name="Submission #1"))
    expect(row).to_contain_text("25.5 / 27")


def marks(root: Path) -> dict[str, tuple[float, bool, str | None]]:
    """What nbgrader's gradebook holds on the answers: points, whether they are still due, and the comment."""
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        found = {}
        for name in (QUESTION, OTHER):
            given = book.find_grade(name, LAB, LAB, STUDENT)
            comment = book.find_comment(name, LAB, LAB, STUDENT).manual_comment
            found[name] = given.manual_score, given.needs_manual_grade, comment
        return found


def read_pages(page: Page, shoot: Shoot, folder: Path) -> None:
    """The pages that `make grade` writes, in both colour schemes."""
    pages = {student: folder / student / LAB / f"{LAB}.html" for student in (LATE, BROKEN, STUDENT)}
    for name, path in {"summary": folder / f"summary-{LAB}.html", **pages}.items():
        page.goto(path.as_uri())
        shoot(page, f"instructor-4-{name}")
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert serious_problems(page) == [], name
    expect(page.get_by_text(COMMENT)).to_be_visible()
