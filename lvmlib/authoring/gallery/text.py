"""A lab's Markdown → HTML for its page: headings that can be linked to, and nothing wider than the page."""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from nbconvert.filters.markdown_mistune import MarkdownWithMath

from lvmlib.authoring.formulas import MathMLRenderer
from lvmlib.authoring.gallery.colour import colour

NOTEBOOK = re.compile(r"(?:.*/)?(\d\d-[\w-]+)\.ipynb")
POINTS = re.compile(r" · \d+ (bonus )?points?.*")
SHORT_HYPHEN = re.compile(r"\b\w-\w+\b(?![^<]*>)")
# A browser may end a line between a formula and its comma.
BEFORE_A_COMMA = re.compile(r"<math>(?:(?!<math).)*?</math>[,.;:!?)]+", re.DOTALL)
LONG_FORMULA = 30
"""Characters of LaTeX; a longer formula may need to be scrolled on a phone, so the keyboard must reach it."""


@dataclass(frozen=True)
class Heading:
    """An entry of a page's contents.

    Attributes:
        words: HTML, without the points and minutes of an exercise.
    """

    level: int
    words: str
    anchor: str


class TextRenderer(MathMLRenderer):
    """Renders all Markdown of one page; `headings` grows with each heading."""

    def __init__(self) -> None:
        super().__init__(escape=False)
        self.headings: list[Heading] = []
        self._used: Counter[str] = Counter()

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        anchor = self._anchor(text)
        self.headings.append(Heading(level, _short(text), anchor))
        return f'<h{level} id="{anchor}">{unbroken(text)}</h{level}>\n'

    def formula(self, latex: str, *, displaystyle: bool) -> str:
        mathml = super().formula(latex, displaystyle=displaystyle)
        kind = "formula" if displaystyle else "inline"
        return f'<span class="{kind}" tabindex="0">{mathml}</span>' if len(latex) > LONG_FORMULA else mathml

    def block_code(self, code: str, info: str | None = None) -> str:
        coloured = colour(code) if info == "python" else html.escape(code)
        return f'<pre class="code" tabindex="0"><code>{coloured.rstrip()}</code></pre>\n'

    def table(self, text: str) -> str:
        return f'<div class="wide" tabindex="0" role="group" aria-label="Table"><table>\n{text}</table></div>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        lab = NOTEBOOK.fullmatch(url)
        return super().link(text, f"{lab[1]}.html" if lab else url, title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        # A picture of another server would be loaded, and tell it who reads this.
        return text

    def _anchor(self, text: str) -> str:
        words = re.sub(r"<[^>]*>", "", _short(text))
        stem = re.sub(r"\W+", "-", words.lower()).strip("-") or "section"
        self._used[stem] += 1
        return stem if self._used[stem] == 1 else f"{stem}-{self._used[stem]}"


def to_html(markdown: str, renderer: TextRenderer) -> str:
    """One Markdown cell.

    Raises:
        FormulaError: a formula cannot be translated.
    """
    return BEFORE_A_COMMA.sub(r'<span class="whole">\g<0></span>', MarkdownWithMath(renderer=renderer).render(markdown))


def unbroken(words: str) -> str:
    """Keep a hyphen after a single letter, as in β-VAE, from ending a line."""
    return SHORT_HYPHEN.sub(r'<span class="whole">\g<0></span>', words)


def _short(text: str) -> str:
    return POINTS.sub("", text)
