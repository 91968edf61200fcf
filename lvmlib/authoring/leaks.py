"""Whether students could find a solution, a judge, a hidden test or a mark scheme in what they are given."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import nbformat
from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.build import read_text
from lvmlib.authoring.course import Course

REGION = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS|MARK SCHEME)\n(.*?)### END \1", re.DOTALL)
MARKER = re.compile(r"### (?:BEGIN|END) (?:SOLUTION|HIDDEN TESTS|MARK SCHEME)")
MARKUP = re.compile(r"\$[^$]*\$|[*`_]")
# Shorter pieces of code, such as `return x`, are found anywhere and give nothing away.
SHORTEST = 40


def find_leaks(course: Course, drafts: dict[Path, str] | None = None) -> list[str]:
    """Look for what is private in everything that students get: course/ and lvmlib/.

    Args:
        drafts: contents that are about to be written, instead of what is on disk at these paths.

    Returns:
        One sentence a leak; none where all is well.
    """
    secrets = secrets_of(course)
    leaks = []
    for path, text in _public_texts(course, drafts or {}):
        place = path.relative_to(course.root).as_posix()
        if place.startswith("course/"):
            leaks += [f"{place} holds the marker {marker}" for marker in sorted(set(MARKER.findall(text)))]
        leaks += [f"{place} holds {what}" for what in find_secrets(text, secrets)]
    return leaks


def secrets_of(course: Course) -> list[tuple[str, str]]:
    """All that is private: what each piece is, in words, and the piece without white space."""
    return list(_secrets(course))


def find_secrets(text: str, secrets: Iterable[tuple[str, str]]) -> list[str]:
    """What of `secrets` stands in a text, however it is broken into lines."""
    flat = _flatten(text)
    return [what for what, secret in secrets if secret in flat]


def _public_texts(course: Course, drafts: dict[Path, str]) -> Iterator[tuple[Path, str]]:
    on_disk = {path for folder in ("course", "lvmlib") for path in (course.root / folder).rglob("*")}
    for path in sorted(on_disk | drafts.keys()):
        if path.suffix not in {".ipynb", ".py", ".md", ".json"} or ".ipynb_checkpoints" in path.parts:
            continue
        text = drafts.get(path) or path.read_text(encoding="utf-8")
        yield path, _notebook_text(text) if path.suffix == ".ipynb" else text


def _notebook_text(text: str) -> str:
    notebook = nbformat.reads(text, as_version=4)
    return "\n".join("\n".join([cell.source, *_output_texts(cell)]) for cell in notebook.cells)


def _output_texts(cell: NotebookNode) -> Iterable[str]:
    return (str(output) for output in cell.get("outputs", []))


def _secrets(course: Course) -> Iterator[tuple[str, str]]:
    for lab in course.labs():
        for cell in read_text(course, lab).cells:
            for kind, body in REGION.findall(cell.source):
                yield from _long_enough(f"a {kind.lower()} of {lab}", _pieces(kind, body))
        judges = course.judges(lab)
        if judges.is_file():
            yield from _long_enough(f"a judge of {lab}", _functions(judges.read_text(encoding="utf-8")))


def _pieces(kind: str, body: str) -> list[str]:
    # A mark scheme gives itself away by any of its lines, also as a page shows them, code only as a whole.
    if kind != "MARK SCHEME":
        return [body]
    lines = body.splitlines()
    return list(dict.fromkeys([*lines, *(part for line in lines for part in MARKUP.split(line))]))


def _functions(source: str) -> Iterator[str]:
    lines = source.encode().splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            body = node.body if isinstance(node.body, list) else [node.body]
            yield "\n".join(_segment(lines, statement) for statement in body)


def _segment(lines: list[bytes], node: ast.stmt | ast.expr) -> str:
    # ast.get_source_segment splits the whole source for each node: half a minute for the judges of a course.
    rows = lines[node.lineno - 1 : node.end_lineno]
    rows[-1] = rows[-1][: node.end_col_offset]
    rows[0] = rows[0][node.col_offset :]
    return b"".join(rows).decode()


def _long_enough(what: str, pieces: Iterable[str]) -> Iterator[tuple[str, str]]:
    for piece in pieces:
        if len(flat := _flatten(piece)) >= SHORTEST:
            yield f"{what} ({flat[:30]}…)", flat


def _flatten(text: str) -> str:
    return re.sub(r"\s+", "", text)
