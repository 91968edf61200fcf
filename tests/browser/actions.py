"""What a person does in JupyterLab, by mouse and keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

Shoot = Callable[[Page, str], Path]
"""Keeps what a page shows as a PNG of a name."""
OUTPUTS = ".jp-Notebook .jp-OutputArea-output"
RUN = re.compile(r"\[\d+\]:")
"""What stands beside a cell that has run."""


def arrive(page: Page, address: str) -> None:
    """Open JupyterLab for the first time, and decline its news."""
    page.goto(address)
    news = page.get_by_text("Would you like to get notified")
    page.get_by_role("button", name="No", exact=True).click()
    news.wait_for(state="hidden")


def open_lab(page: Page, lab: str) -> None:
    """Open a lab's notebook in the file browser that shows the course."""
    for name in (lab, f"{lab}.ipynb"):
        page.locator(".jp-DirListing-item").filter(has=page.get_by_text(name, exact=True)).dblclick()
    page.get_by_role("heading", name=re.compile(f"^Lab {lab[:2]}")).wait_for()
    wait_for_kernel(page)


def wait_for_kernel(page: Page) -> None:
    """Wait until the status bar says that the kernel can be given work."""
    page.get_by_role("button", name=re.compile(r"\| Idle$")).wait_for()


def choose(page: Page, menu: str, entry: str) -> None:
    """Choose an entry of a menu."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.get_by_role("menuitem", name=entry, exact=True).click()


def cell(page: Page, text: str) -> Locator:
    """The code cell that holds a text."""
    return page.locator(".jp-CodeCell").filter(has=page.locator(".jp-InputArea", has_text=text))


def output(page: Page, text: str) -> Locator:
    """All that the code cell that holds a text has shown."""
    return cell(page, text).locator(".jp-OutputArea").first


def write_over(page: Page, code: Locator, line: str, text: str) -> None:
    """Type a text in place of a line of a cell, behind its indentation, and leave the cursor there."""
    code.locator(".cm-line", has_text=line).click()
    for key in ("Home", "Shift+End"):
        page.keyboard.press(key)
    page.keyboard.type(text)


def run(page: Page, times: int = 1) -> None:
    """Run the cell with the cursor, and those that follow it."""
    for _ in range(times):
        page.keyboard.press("Shift+Enter")


def wait_until_run(page: Page, text: str) -> None:
    """Wait until the code cell that holds a text has run."""
    expect(cell(page, text).locator(".jp-InputPrompt")).to_have_text(RUN)


def put_in_view(place: Locator, where: str = "center") -> None:
    """Scroll until a place stands at the `start`, the `center` or the `end` of the window."""
    place.evaluate("(place, where) => place.scrollIntoView({block: where})", where)
