"""A real browser for tests: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000
"""Milliseconds that a page may take to show what it should, on a machine that does other things besides."""
NAMES = ("chromium", "chromium-browser", "google-chrome")

Shoot = Callable[[Page, str], Path]


def launch(playwright: Playwright) -> Browser:
    """Start Chromium as the system installed it; one that Playwright would download is never used."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    assert path, f"None of {', '.join(NAMES)} is installed; on Debian: apt install chromium."
    expect.set_options(timeout=PATIENCE)
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


# Not for the session: Playwright's event loop, while it lasts, keeps other tests of this process from running theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, shared by the tests of a module."""
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of a laptop's size, with no cookies and nothing stored."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture
def shoot() -> Shoot:
    """Keep what a page shows as a PNG in `build/screenshots`, or in the folder LVM_SCREENSHOTS."""
    folder = Path(os.environ.get("LVM_SCREENSHOTS") or ROOT / "build" / "screenshots")

    def take(page: Page, name: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        page.screenshot(path=path)
        return path

    return take
