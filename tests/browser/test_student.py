"""A student's first ten minutes: `make lab`, run a lab, solve an exercise, validate, move a slider."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from accessibility import serious_problems
from actions import OUTPUTS, Shoot, arrive, cell, choose, open_lab, output, put_in_view, run, wait_until_run, write_over
from jupyter import jupyterlab, lay_out
from playwright.sync_api import Page, expect
from solved import code_cells, hand_in, solution

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHECK, EXPERIMENT = 'check("kl-divergence"', 'experiment("price-of-precision")'
MISTAKEN = "return 0.5 * (mean.square() + (2 * log_var).exp() - 1 - 2 * log_var).sum(-1)"
TALL = {"width": 1280, "height": 30_000}
"""A window that shows a whole notebook, of which JupyterLab lays out only what is seen."""
UNNAMED = ".noUi-handle"
"""ipywidgets tells no screen reader what its sliders are called, and has no setting for it."""


def test_a_student_solves_an_exercise(page: Page, shoot: Shoot, tmp_path: Path) -> None:
    with jupyterlab(lay_out(tmp_path / "clone", "course")) as address:
        arrive(page, address)
        expect(page.get_by_text("06-particle-em")).to_be_visible()
        shoot(page, "student-1-course")
        open_lab(page, "03-vae")
        shoot(page, "student-2-lab")
        choose(page, "Run", "Run All Cells")
        check_that_it_ran(page)
        read_what_is_not_written(page)
        shoot(page, "student-3-not-written")
        solve(page, shoot)
        validate(page)
        shoot(page, "student-6-validated")


def check_that_it_ran(page: Page) -> None:
    """Past every exercise that is not solved, to the last cell; and what it shows can be read by everybody."""
    wait_until_run(page, code_cells("03-vae")[-1].splitlines()[0])
    window = page.viewport_size
    page.set_viewport_size(TALL)
    assert page.locator(f"{OUTPUTS} img").count() > 10
    assert serious_problems(page, OUTPUTS) == []
    page.set_viewport_size(window or TALL)


def read_what_is_not_written(page: Page) -> None:
    said, instead = output(page, CHECK), output(page, EXPERIMENT)
    expect(said).to_have_text(
        "✗ kl_divergence: not written yet; put your code where `raise NotImplementedError` stands"
    )
    expect(instead).to_contain_text("needs `kl_divergence`, which is not written yet")
    expect(instead.get_by_role("img", name="What one unit costs")).to_have_count(1)
    put_in_view(said)


def solve(page: Page, shoot: Shoot) -> None:
    exercise, said = cell(page, "def kl_divergence("), output(page, CHECK)
    write_over(page, exercise, "raise NotImplementedError", MISTAKEN)
    run(page, times=2)
    expect(said).to_have_text("✗ kl_divergence: log_var was read as log σ; here log_var = log σ²")
    put_in_view(said)
    shoot(page, "student-4-mistaken")
    write_over(page, exercise, MISTAKEN, solution("03-vae", "kl-divergence"))
    run(page, times=4)
    expect(said).to_have_text(re.compile("✓ kl_divergence: .* right on"))
    red, green, blue = map(int, re.findall(r"\d+", ground(page)))
    assert green > max(red, blue)
    picture = output(page, EXPERIMENT)
    expect(picture).not_to_contain_text("not written yet")
    expect(picture.get_by_role("img", name="What one unit costs")).to_be_visible()
    put_in_view(said, "start")
    shoot(page, "student-5-solved")


def ground(page: Page) -> str:
    """The colour on which the line of the check stands."""
    line = output(page, CHECK).locator("pre")
    return str(line.evaluate("line => getComputedStyle(line).backgroundColor"))


def validate(page: Page) -> None:
    page.get_by_role("button", name="Validate").click()
    results = page.get_by_role("dialog")
    expect(results).to_contain_text("✗ reparameterize: not written yet")
    expect(results).not_to_contain_text("kl_divergence")


def test_a_student_moves_a_slider(page: Page, shoot: Shoot, tmp_path: Path) -> None:
    clone = lay_out(tmp_path / "clone", "course")
    hand_in("05-beta-vae", clone / "course" / "05-beta-vae")
    by_hand = 'experiment("by-hand")'
    with jupyterlab(clone) as address:
        arrive(page, address)
        open_lab(page, "05-beta-vae")
        cell(page, by_hand).locator(".cm-line").first.click()
        choose(page, "Run", "Run All Above Selected Cell")
        cell(page, by_hand).locator(".cm-line").first.click()
        run(page)
        shown = output(page, by_hand)
        first, image = shown.get_by_role("slider").first, shown.get_by_alt_text("Decoded")
        put_in_view(first)
        before = image.get_attribute("src") or ""
        shoot(page, "student-7-slider")
        first.focus()
        for _ in range(8):
            page.keyboard.press("ArrowRight")
        expect(image).to_have_attribute("alt", re.compile(r"at 0\.8"))
        expect(image).not_to_have_attribute("src", before)
        shoot(page, "student-8-slider-moved")
        assert serious_problems(page, OUTPUTS, but_for=UNNAMED) == []
