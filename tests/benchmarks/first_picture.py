"""Seconds from opening lab 03 in JupyterLab, through Run All, to its first picture.

    python -m tests.benchmarks.first_picture [--repeats 5] [--profile cpu]

Every turn has a server of its own, which runs already, as after `make lab`, a new kernel and a browser that has stored
nothing: in turns the released lab, whose pictures are shipped, and the solved one, which draws them. Medians, with the
least and the most, since the address was entered. On a machine that does other things set `OMP_WAIT_POLICY=passive`.

    text            the notebook can be read
    kernel          the status bar says that it is ready
    setup           its first cell has run, which imports torch and lvmlib
    first picture   is there
    trained         the first picture that needs a model to be trained
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from playwright.sync_api import Browser, sync_playwright

from tests.benchmarks.training_loop import spread
from tests.browser.actions import OUTPUTS, cell, choose, output, wait_for_kernel, wait_until_run
from tests.browser.conftest import PATIENCE, launch
from tests.browser.jupyter import jupyterlab, lay_out
from tests.browser.solved import hand_in

LAB = "03-vae"
TRAINED = 'experiment("when-no-latent-is-needed")'


def open_and_run(browser: Browser, address: str) -> dict[str, float]:
    """Open a notebook, run it, and note when each station was reached."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    began = perf_counter()
    reached = {}
    page.goto(address)
    page.get_by_role("heading", name="Lab 03").wait_for()
    reached["text"] = perf_counter() - began
    wait_for_kernel(page)
    reached["kernel"] = perf_counter() - began
    choose(page, "Run", "Run All Cells")
    wait_until_run(page, "import lvmlib; lvmlib.setup()")
    reached["setup"] = perf_counter() - began
    page.locator(f"{OUTPUTS} img").first.wait_for(state="attached")
    reached["first picture"] = perf_counter() - began
    cell(page, TRAINED).wait_for(state="attached")
    output(page, TRAINED).locator("img").first.wait_for(state="attached")
    reached["trained"] = perf_counter() - began
    context.close()
    return reached


def turn(browser: Browser, root: Path, profile: str, *, solved: bool) -> dict[str, float]:
    """The stations of one turn, in a clone of its own, whose kernel ends with it."""
    lay_out(root, f"course/{LAB}")
    if solved:
        hand_in(LAB, root / "course" / LAB)
    with jupyterlab(root, profile) as address:
        start, token = address.split("?")
        return open_and_run(browser, f"{start}/{LAB}/{LAB}.ipynb?{token}")


def measure(repeats: int, profile: str) -> dict[str, list[dict[str, float]]]:
    """The stations of every turn, by kind of notebook."""
    reached: dict[str, list[dict[str, float]]] = {"released": [], "solved": []}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launch(playwright)
        for number in range(repeats):
            for kind, turns in reached.items():
                turns.append(turn(browser, Path(folder) / f"{kind}-{number}", profile, solved=kind == "solved"))
        browser.close()
    return reached


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="turns of each notebook")
    parser.add_argument("--profile", default="cpu", help="smoke, cpu or full")
    options = parser.parse_args(arguments)
    for kind, turns in measure(options.repeats, options.profile).items():
        for station in turns[0]:
            print(f"{kind:10}{station:15}{spread([turn[station] for turn in turns], 1):>22}")


if __name__ == "__main__":
    main()
