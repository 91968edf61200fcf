"""Whether a page gives away what only instructors may see."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from lvmlib.authoring.course import Course, CourseError
from lvmlib.authoring.leaks import find_secrets, secrets_of

TAG = re.compile(r"<[^>]*>")


def refuse_leaks(course: Course, pages: dict[str, str]) -> None:
    """Make sure that no page shows a solution, a judge, a hidden test or a mark scheme.

    Args:
        pages: HTML by file.

    Raises:
        CourseError: one does; the message says which.
    """
    secrets = secrets_of(course)
    leaks = [f"{file} holds {what}" for file, page in pages.items() for what in secrets_on(page, secrets)]
    if leaks:
        raise CourseError("The site is not written, because visitors would see answers: " + "; ".join(leaks))


def secrets_on(page: str, secrets: Iterable[tuple[str, str]]) -> list[str]:
    """Which of the secrets stand in the text of a page or in its tags, however they are coloured."""
    return find_secrets(html.unescape(TAG.sub("", page) + page), secrets)
