"""A stranger's text as HTML: nothing in it runs, loads, leads astray or passes for something else."""

from __future__ import annotations

import html
import re
import secrets
from functools import lru_cache
from typing import Any

# In characters and tags; beyond them, text is shown as it is, or cut: some parsers need the square of its length.
LONGEST_RENDERED = 5_000
LONGEST_SHOWN = 10_000
LONGEST_SENTENCE = 1_000
MOST_TAGS = 100
MOST_GROWTH = 20
"""How much longer than `LONGEST_RENDERED` the HTML may be."""
LONGEST_FORMULA = 1_000
"""The translator descends by recursion, and a formula of some thousand braces ends the process."""

CHARACTER_REFERENCE = re.compile(r"&#?\w{1,40};")
TOKEN = re.compile(r"(x[0-9a-f]{32}x)([.,;:!?)]*)")
# Control characters, marks that turn the direction of text or cannot be seen, and what no encoding can write.
DECEPTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ue000-\uf8ff\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
TAGS = {"p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "pre", "details", "summary"}
TAGS |= {"ul", "ol", "li", "dl", "dt", "dd"}
TAGS |= {"strong", "b", "em", "i", "del", "s", "sub", "sup", "kbd", "code", "a"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}
ADDRESSES = ("https://", "http://", "mailto:")


def visible(text: str) -> str:
    """Text in which every control character and every mark that hides or turns text shows as a code."""
    return DECEPTIVE.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text.replace("\r\n", "\n"))


def trust(markup: str) -> str:
    """Mark HTML of ours, so that templates do not escape it."""
    from markupsafe import Markup

    return Markup(markup)


def render_sentence(words: str) -> str:
    """One sentence with what stands between backticks as code; what is too long ends in an ellipsis."""
    shown = words if len(words) <= LONGEST_SENTENCE else words[: LONGEST_SENTENCE - 1] + "…"
    parts = [html.escape(visible(part)) for part in shown.split("`")]
    if len(parts) % 2 == 0:
        return trust("`".join(parts))
    return trust("".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts)))


@lru_cache(maxsize=256)
def render_code(source: str) -> str:
    """Python with its words in colours."""
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

    if len(source) > LONGEST_RENDERED:
        return verbatim(source, "code")
    lexer = PythonLexer(stripnl=True, ensurenl=False)
    coloured = highlight(visible(source), lexer, HtmlFormatter(nowrap=True))
    return trust(f'<pre tabindex="0"><code>{coloured}</code></pre>')


@lru_cache(maxsize=256)
def render_markdown(source: str) -> str:
    """Markdown as HTML that holds nothing but text, lists, tables, links and formulas; as it is where that fails."""
    if len(source) > LONGEST_RENDERED or source.count("<") > MOST_TAGS:
        return verbatim(source, "words")
    try:
        rendered = _sanitised(visible(source))
    except Exception:  # whatever a stranger's text does to the parsers, it still is text
        return verbatim(source, "words")
    return trust(rendered) if len(rendered) < MOST_GROWTH * LONGEST_RENDERED else verbatim(source, "words")


def verbatim(source: str, kind: str) -> str:
    """Text as it stands, as far as it is not too long.

    Args:
        kind: `code`, or `words` where lines may be broken.
    """
    cut = len(source) - LONGEST_SHOWN
    more = f"\n… and {cut} characters more" if cut > 0 else ""
    return trust(f'<pre class="{kind}" tabindex="0">{html.escape(visible(source[:LONGEST_SHOWN] + more))}</pre>')


def _sanitised(source: str) -> str:
    import bleach
    from nbconvert.filters.markdown_mistune import MarkdownWithMath

    renderer = _renderer()
    rendered = MarkdownWithMath(renderer=renderer).render(source)
    kept = renderer.kept

    def is_harmless(tag: str, name: str, value: str) -> bool:
        # What is put in for a token has quotes, which would end the attribute.
        tokens = [token for token, _ in TOKEN.findall(value) if token in kept]
        return tag == "a" and name == "href" and value.startswith(ADDRESSES) and not tokens

    cleaned = bleach.clean(rendered, tags=TAGS, attributes=is_harmless, protocols={"http", "https", "mailto"})
    # References come last: &#x202e; is as deceptive as what it stands for.
    shown = visible(CHARACTER_REFERENCE.sub(lambda match: html.escape(html.unescape(match[0])), cleaned))
    return TOKEN.sub(lambda match: _hold(kept[match[1]], match[2]) if match[1] in kept else match[0], shown)


def _hold(formula: str, punctuation: str) -> str:
    # A browser may end a line between a formula and its comma.
    return f'<span class="held">{formula}{punctuation}</span>' if punctuation else formula


def _renderer() -> Any:
    from lvmlib.authoring.formulas import FormulaError, MathMLRenderer

    class Renderer(MathMLRenderer):
        """Formulas and coloured code go round the sanitiser, under tokens that no submission can guess."""

        def __init__(self) -> None:
            super().__init__(escape=False, exclude_anchor_links=True)
            self.kept: dict[str, str] = {}

        def _keep(self, trusted: str) -> str:
            token = f"x{secrets.token_hex(16)}x"
            self.kept[token] = trusted
            return token

        def formula(self, latex: str, *, displaystyle: bool) -> str:
            if len(latex) > LONGEST_FORMULA:
                return f"<code>{html.escape(latex)}</code>"
            try:
                translated = super().formula(latex, displaystyle=displaystyle)
            except FormulaError:
                return f"<code>{html.escape(latex)}</code>"
            # A display scrolls where the window is too narrow for it, so the keyboard must reach it.
            return self._keep(translated.replace("<math", '<math tabindex="0"', 1) if displaystyle else translated)

        def block_code(self, code: str, info: str | None = None) -> str:
            if (info or "").strip() in ("python", "py", "python3"):
                return self._keep(f'<div class="highlight">{render_code(code)}</div>')
            return self._keep(verbatim(code.rstrip("\n"), "code"))

        def heading(self, text: str, level: int, **attrs: Any) -> str:
            return f"<h{min(level + 2, 6)}>{text}</h{min(level + 2, 6)}>\n"

        def image(self, text: str, url: str, title: str | None = None) -> str:
            return f"[picture: {text}]" if text else "[picture]"

    return Renderer()
