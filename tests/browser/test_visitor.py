"""The site of the solved labs, opened from its files in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from accessibility import serious_problems
from PIL import Image, ImageStat
from playwright.sync_api import Browser, Page, Request, Route

from lvmlib.authoring.course import Course
from lvmlib.authoring.gallery.make import make_site

Scheme = Literal["light", "dark"]
Shoot = Callable[[Page, str], Path]

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SMALL, LARGE = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
HERE = ("file:", "data:")
# Every picture is loaded, also those further down, and answers whether it could be and says what it shows.
LOAD_ALL = """async () => {
  const images = [...document.images];
  images.forEach(image => { image.loading = "eager"; });
  await Promise.allSettled(images.map(image => image.decode()));
  return images.filter(image => !image.naturalWidth || !image.alt.trim()).map(image => image.outerHTML.slice(0, 200));
}"""
WIDTH = "document.documentElement.scrollWidth"
# An examination asks each element, and thousands are alike: one coloured word of each kind and one formula stay.
ONE_OF_EACH = """() => {
  const seen = new Set();
  for (const part of document.querySelectorAll("pre span, math")) {
    const kind = `${part.parentElement.tagName} ${part.tagName} ${part.className}`;
    if (seen.has(kind)) part.replaceWith(part.textContent);
    seen.add(kind);
  }
}"""


@pytest.fixture(scope="module")
def site(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery") / "site"
    assert make_site(course, course.labs(), folder) == {}
    return folder


@pytest.fixture
def front(page: Page, site: Path) -> Iterator[Page]:
    """The front page; whatever a page asks of a network or complains about fails the test."""
    wrong: list[str] = []

    def answer(route: Route, request: Request) -> None:
        if request.url.startswith(HERE):
            route.continue_()
        else:
            wrong.append(request.url)
            route.abort()

    page.route("**/*", answer)
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((site / "index.html").as_uri())
    yield page
    assert not wrong


def test_every_picture_is_there_and_no_page_is_too_wide(front: Page, course: Course) -> None:
    examine(front)
    for lab in course.labs():
        front.locator(f"a.read[href='{lab}.html']").click()
        front.wait_for_url(f"**/{lab}.html")
        examine(front)
        front.locator("header a.home").click()
        front.wait_for_url("**/index.html")


def examine(page: Page) -> None:
    assert page.evaluate(LOAD_ALL) == [], page.url
    for size in (SMALL, LARGE):
        page.set_viewport_size(size)
        assert page.evaluate(WIDTH) == size["width"], page.url


def test_every_page_is_accessible_in_light_and_dark(page: Page, site: Path) -> None:
    schemes: tuple[Scheme, ...] = ("light", "dark")
    for file in sorted(site.glob("*.html")):
        page.goto(file.as_uri())
        page.evaluate(ONE_OF_EACH)
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            assert serious_problems(page) == [], f"{file.name}, {scheme}"


def test_a_lab_leads_to_the_next_and_to_its_parts(front: Page, course: Course) -> None:
    first, second, *_ = course.labs()
    front.locator("a.read").first.click()
    front.locator("header").get_by_role("link", name="Lab 02").click()
    front.wait_for_url(f"**/{second}.html")
    front.get_by_role("navigation", name="Contents").get_by_role("link").nth(1).click()
    target = front.evaluate("decodeURIComponent(location.hash.slice(1))")
    assert front.locator(f"[id='{target}']").evaluate("part => part.matches('h2, h3')")
    front.get_by_role("navigation", name="Onward").get_by_role("link", name="Before").click()
    front.wait_for_url(f"**/{first}.html")


def test_the_keyboard_skips_to_the_content(front: Page) -> None:
    front.keyboard.press("Tab")
    assert front.evaluate("document.activeElement.getAttribute('href')") == "#main"


def test_animations_can_be_stopped(front: Page) -> None:
    film = front.locator(".film").first
    film.get_by_label("Stop the animation").check()
    assert film.locator(".still").is_visible() and not film.locator(".moving img").is_visible()


def test_who_wants_less_motion_sees_stills(browser: Browser, site: Path) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    shown = page.locator(".film .moving img").first.evaluate("async image => (await image.decode(), image.currentSrc)")
    assert shown.endswith("-still.png")
    assert not page.locator(".film .stop").first.is_visible()
    context.close()


def test_a_lab_is_bright_by_day_and_dark_by_night(front: Page, site: Path, shoot: Shoot) -> None:
    light, dark = (look_at(front, site, scheme, shoot) for scheme in ("light", "dark"))
    assert dark < light / 2


def look_at(page: Page, site: Path, scheme: Scheme, shoot: Shoot) -> float:
    """Shoot the front and a lab, on a phone and on a laptop; how bright the lab is there, up to 255."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for name, address in {"front": "index.html", "lab": "03-vae.html#4-the-evidence-lower-bound"}.items():
        page.goto(f"{site.as_uri()}/{address}")
        for size in (SMALL, LARGE):
            page.set_viewport_size(size)
            page.evaluate(LOAD_ALL)
            shot = shoot(page, f"gallery-{name}-{scheme}-{size['width']}")
    return ImageStat.Stat(Image.open(shot).convert("L")).mean[0]
