"""Every lab, executed and laid out as pages to look at, under one index."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.build import read_text
from lvmlib.authoring.course import Course, CourseError, write_atomically
from lvmlib.authoring.execute import execute
from lvmlib.authoring.pages import render_page
from lvmlib.authoring.pictures import picture_of

INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Deep latent-variable models</title>
<style>
body {{ font: 1.05rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
ul {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1.5rem; padding: 0; }}
li {{ list-style: none; border: 1px solid #ccc; border-radius: .5rem; padding: 1rem; }}
img {{ width: 100%; height: 14rem; object-fit: contain; }}
</style>
</head>
<body>
<h1>Deep latent-variable models</h1>
<ul>
{entries}
</ul>
</body>
</html>
"""


@dataclass(frozen=True)
class Entry:
    """A lab on the index."""

    lab: str
    title: str
    sentence: str
    picture: str


def run_labs(course: Course, labs: Iterable[str], profile: str, out: Path) -> dict[str, str]:
    """Execute labs into `out/LAB.html` and write `out/index.html` over those that ran.

    Returns:
        Why a lab has no page, by lab; empty where all have one.
    """
    entries: list[Entry] = []
    failures: dict[str, str] = {}
    for lab in labs:
        try:
            executed = execute(read_text(course, lab), profile, lab)
            entry = describe(lab, executed)
            write_atomically(out / f"{lab}.html", render_page(executed, entry.title))
            entries.append(entry)
        except CourseError as error:
            failures[lab] = str(error)
    write_atomically(out / "index.html", render_index(entries))
    return failures


def describe(lab: str, notebook: NotebookNode) -> Entry:
    """A lab's heading, the first sentence of its text, and the first picture it draws as a data URL."""
    paragraphs = [part for cell in notebook.cells if cell.cell_type == "markdown" for part in cell.source.split("\n\n")]
    title = next((part.lstrip("# ").split("\n")[0] for part in paragraphs if part.startswith("# ")), lab)
    prose = (" ".join(part.split()) for part in paragraphs if re.match(r"\w|\*\*\w", part))
    sentence = re.match(r".*?[.!?](?=\s|$)|.*", next(prose, ""))
    return Entry(lab, title, _plain(sentence[0] if sentence else ""), _first_picture(notebook))


def render_index(entries: Iterable[Entry]) -> str:
    """The page that lists labs."""
    return INDEX.format(entries="\n".join(_item(entry) for entry in entries))


def _item(entry: Entry) -> str:
    title, sentence = html.escape(entry.title), html.escape(entry.sentence)
    picture = f'<img src="{entry.picture}" alt="">' if entry.picture else ""
    return f'<li><a href="{entry.lab}.html">{picture}<h2>{title}</h2></a><p>{sentence}</p></li>'


def _plain(markdown: str) -> str:
    return re.sub(r"\[([^]]*)]\([^)]*\)", r"\1", markdown).replace("*", "").replace("`", "").replace("$", "")


def _first_picture(notebook: NotebookNode) -> str:
    """The first picture of the cell tagged `cover`, else of the notebook, as a data address."""
    covers = [cell for cell in notebook.cells if "cover" in cell.metadata.get("tags", [])]
    for cell in [*covers, *notebook.cells]:
        for output in cell.get("outputs", []):
            picture = picture_of(output)
            if picture:
                return f"data:{picture.kind};base64,{base64.b64encode(picture.content).decode()}"
    return ""
