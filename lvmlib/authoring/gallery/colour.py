"""Python in colours: few kinds, so that every one can be told apart in light and dark, and pages stay small."""

from __future__ import annotations

import html
from itertools import groupby

from pygments import lex  # type: ignore[import-untyped]
from pygments.lexers import PythonLexer  # type: ignore[import-untyped]
from pygments.token import Comment, Keyword, Literal, Name, Operator  # type: ignore[import-untyped]

# The classes in style.css; what is not listed is written in the colour of text.
CLASSES = {
    Keyword: "keyword",
    Operator.Word: "keyword",
    Literal.String: "string",
    Literal.Number: "number",
    Comment: "comment",
    Name.Function: "defined",
    Name.Class: "defined",
    Name.Builtin: "builtin",
    Name.Exception: "builtin",
}


def colour(code: str) -> str:
    """The HTML of Python code, without the element around it."""
    tokens = lex(code.rstrip(), PythonLexer(stripnl=False, ensurenl=False))
    runs = groupby(tokens, key=lambda token: _class(token[0]))
    return "".join(_span(kind, "".join(text for _, text in run)) for kind, run in runs)


def _class(token: tuple[str, ...]) -> str:
    return next((kind for family, kind in CLASSES.items() if token in family), "")


def _span(kind: str, text: str) -> str:
    escaped = html.escape(text, quote=False)
    return f'<span class="{kind}">{escaped}</span>' if kind else escaped
