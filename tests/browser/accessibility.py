"""What axe-core finds wrong with a page."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

GRAVE = ("serious", "critical")


def serious_problems(page: Page, within: str | None = None, but_for: str | None = None) -> list[str]:
    """The serious and critical problems of a page, one sentence each: what, and the first elements that have it.

    Args:
        within: a CSS selector; the whole page without.
        but_for: a CSS selector of what is left out.
    """
    named = {"include": within, "exclude": but_for}
    context = {part: [[selector]] for part, selector in named.items() if selector}
    found = Axe().run(page, context=context or None).response["violations"]
    return [_sentence(problem) for problem in found if problem["impact"] in GRAVE]


def _sentence(problem: dict) -> str:
    places = ", ".join(node["html"][:120] for node in problem["nodes"][:3])
    return f"{problem['id']} ({problem['impact']}, {len(problem['nodes'])} times): {problem['help']}: {places}"
