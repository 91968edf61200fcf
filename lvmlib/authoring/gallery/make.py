"""Labs → a folder that is a web site, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.build import read_text
from lvmlib.authoring.course import Course, CourseError
from lvmlib.authoring.execute import execute
from lvmlib.authoring.gallery.addresses import Addresses, find_addresses
from lvmlib.authoring.gallery.front import exhibits, on_card
from lvmlib.authoring.gallery.lab import Lab, read_lab
from lvmlib.authoring.gallery.privacy import refuse_leaks
from lvmlib.authoring.gallery.text import unbroken
from lvmlib.authoring.release import current_solution

FRONT, STYLE = "index.html", "style.css"
OURS = '<meta name="generator" content="lvm run">'
"""Stands in the front page: a folder with such a page may be replaced."""


def make_site(
    course: Course, labs: Iterable[str], out: Path, *, profile: str | None = None, answers: bool = False
) -> dict[str, str]:
    """Write the site of some labs, in place of the one that is there, which stays where no lab has a page.

    Args:
        out: the folder; its old content goes.
        profile: execute the labs anew at this size; without, their stored notebooks are shown.
        answers: with solutions and mark schemes, for instructors.

    Returns:
        Why a lab has no page, by lab; empty where all have one.

    Raises:
        CourseError: the folder holds something else than such a site, or a page without answers would give one away.
    """
    out = out.resolve()
    _refuse_strangers(out)
    shown: list[Lab] = []
    failures: dict[str, str] = {}
    for lab in labs:
        try:
            shown.append(read_lab(lab, _executed(course, lab, profile), answers=answers))
        except CourseError as error:
            failures[lab] = str(error)
    if failures and not shown:
        return failures
    pages = render_pages(shown, find_addresses(course), answers=answers)
    if not answers:
        refuse_leaks(course, pages)
    _replace(out, pages, shown)
    return failures


def render_pages(labs: list[Lab], addresses: Addresses, *, answers: bool = False) -> dict[str, str]:
    """The HTML of all pages, by file."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    common: dict[str, Any] = {"labs": labs, "addresses": addresses, "answers": answers}
    front = environment.get_template("front.html.j2")
    pages = {FRONT: front.render(common, exhibits=exhibits(labs), on_card=on_card, unbroken=unbroken)}
    for before, lab, after in zip([None, *labs], labs, [*labs[1:], None], strict=False):
        page = environment.get_template("lab.html.j2")
        pages[lab.page] = page.render(common, lab=lab, before=before, after=after)
    return pages


def _executed(course: Course, lab: str, profile: str | None) -> NotebookNode:
    return execute(read_text(course, lab), profile, lab) if profile else current_solution(course, lab)


def _refuse_strangers(out: Path) -> None:
    front = out / FRONT
    is_ours = front.is_file() and OURS.encode() in front.read_bytes() and not _others(out)
    is_free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not is_ours and not is_free:
        raise CourseError(
            f"{out} holds what `lvm run` did not make; choose another folder by --out, or clear this one."
        )


def _others(out: Path) -> set[str]:
    """What lies in a site beside its pages, their pictures and its style: a repository, say, or an address's CNAME."""
    pages = [path for path in out.iterdir() if path.suffix == ".html"]
    ours = {name for page in pages for name in (page.name, page.stem)} | {STYLE, ".DS_Store"}
    return {path.name for path in out.iterdir()} - ours


def _replace(out: Path, pages: dict[str, str], labs: Iterable[Lab]) -> None:
    style = files(__package__).joinpath(STYLE).read_bytes()
    contents = {STYLE: style} | {file: page.encode() for file, page in pages.items()}
    for lab in labs:
        contents |= lab.album.files
    draft, before = (out.with_name(f".{out.name}.{os.getpid()}{ending}") for ending in ("", ".before"))
    try:
        for file, content in contents.items():
            path = draft / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if out.exists():
            out.replace(before)
        draft.replace(out)
        shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
