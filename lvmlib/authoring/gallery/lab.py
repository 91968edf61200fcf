"""An executed notebook, read for its page and for its card on the front."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.gallery.colour import colour
from lvmlib.authoring.gallery.pictures import Album, Shown
from lvmlib.authoring.gallery.readers import for_readers
from lvmlib.authoring.gallery.text import Heading, TextRenderer, to_html

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
SENTENCE = re.compile(r".+?[.!?](?=\s|$)|.+$")
TIME = re.compile(r"It takes (about [\w ]+?)\.")
ENOUGH = 80
"""Characters that tell what a lab is about; a first sentence is often only a door."""
NARROW = 30
"""Characters of code that any phone shows side by side; what is wider is scrolled, so the keyboard must reach it."""


@dataclass(frozen=True)
class Output:
    """What a cell showed: one of a picture, HTML, and text."""

    picture: Shown | None = None
    html: str = ""
    text: str = ""

    @property
    def right(self) -> bool:
        """Whether it is the sentence of a check that found all right."""
        return self.text.startswith("✓")

    @property
    def wide(self) -> bool:
        """Whether it may have to be scrolled; a sentence is broken into lines instead."""
        return _is_wide(self.text) and not self.right


@dataclass(frozen=True)
class Block:
    """A cell on the page.

    Attributes:
        kind: `text`, `think`, `code`, `exercise`, `check` or `experiment`.
        html: rendered Markdown or coloured code.
        wide: whether it may have to be scrolled.
    """

    kind: str
    html: str
    wide: bool = False
    outputs: list[Output] = field(default_factory=list)


@dataclass(frozen=True)
class Lab:
    """A lab as visitors see it.

    Attributes:
        lead: what it is about, HTML.
        about: the same without marks.
        time: in words, as its text says; empty where it does not.
    """

    name: str
    title: str
    lead: str
    about: str
    time: str
    blocks: list[Block]
    headings: list[Heading]
    album: Album

    @property
    def number(self) -> str:
        return self.name.partition("-")[0]

    @property
    def topic(self) -> str:
        """The title without “Lab 03 · ”."""
        return re.sub(r"^Lab \d+ · ", "", self.title)

    @property
    def page(self) -> str:
        return f"{self.name}.html"


def read_lab(name: str, notebook: NotebookNode, *, answers: bool = False) -> Lab:
    """Lay out a lab's executed notebook.

    Raises:
        FormulaError: a formula cannot be translated.
    """
    readable = for_readers(notebook, answers=answers)
    renderer, album = TextRenderer(), Album(name)
    blocks = [_block(cell, renderer, album) for cell in readable.cells if cell.source.strip()]
    paragraphs = _paragraphs(readable)
    title = next((part.lstrip("# ").split("\n")[0] for part in paragraphs if part.startswith("# ")), name)
    prose = next((" ".join(part.split()) for part in paragraphs if re.match(r"\w|\*\*\w", part)), "")
    lead = _lead(prose)
    rendered = to_html(lead, TextRenderer()).strip().removeprefix("<p>").removesuffix("</p>")
    time = TIME.search(prose)
    return Lab(name, title, rendered, _plain(lead), time[1] if time else "", blocks, renderer.headings, album)


def _paragraphs(notebook: NotebookNode) -> list[str]:
    return [part for cell in notebook.cells if cell.cell_type == "markdown" for part in cell.source.split("\n\n")]


def _lead(prose: str) -> str:
    lead = ""
    for sentence in SENTENCE.findall(prose):
        lead += sentence
        if len(lead) >= ENOUGH:
            break
    return lead.strip()


def _plain(markdown: str) -> str:
    return re.sub(r"\[([^]]*)]\([^)]*\)", r"\1", markdown).replace("*", "").replace("`", "").replace("$", "")


def _block(cell: NotebookNode, renderer: TextRenderer, album: Album) -> Block:
    if cell.cell_type != "code":
        return Block("think" if cell.metadata.get("nbgrader") else "text", to_html(cell.source, renderer))
    outputs = [_output(output, cell, album) for output in cell.get("outputs", [])]
    return Block(_kind(cell), colour(cell.source), _is_wide(cell.source), outputs)


def _is_wide(text: str) -> bool:
    return max(map(len, text.split("\n"))) > NARROW


def _kind(cell: NotebookNode) -> str:
    graded = cell.metadata.get("nbgrader", {})
    if graded:
        return "exercise" if graded.get("solution") else "check"
    return "experiment" if "experiment" in cell.metadata.get("tags", []) else "code"


def _output(output: NotebookNode, cell: NotebookNode, album: Album) -> Output:
    picture = album.add(cell, output)
    if picture:
        return Output(picture=picture)
    data = output.get("data", {})
    if "text/html" in data:
        return Output(html=data["text/html"])
    text = output.get("text") or data.get("text/plain") or "\n".join(output.get("traceback", []))
    return Output(text=ANSI.sub("", text).rstrip())
