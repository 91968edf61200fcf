"""A stranger's text → HTML that is but text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bs4 import BeautifulSoup

from lvmlib.grading import markup
from lvmlib.grading.markup import render_code, render_markdown, render_sentence, verbatim, visible


def soup(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def words(found: Any) -> str:
    return " ".join(found.get_text().split())


def test_what_deceives_is_spelt_out() -> None:
    assert visible("a\tb\r\nc\x1b[31m \u202e\ud800") == "a\tb\nc⟨U+001B⟩[31m ⟨U+202E⟩⟨U+D800⟩"
    assert words(soup(render_code("print('\x1b[31m \u202e')"))) == "print('⟨U+001B⟩[31m ⟨U+202E⟩')"
    assert words(soup(render_markdown("*&#x202e;&rlm;*"))) == "⟨U+202E⟩⟨U+200F⟩"


# -- sentences


@pytest.mark.parametrize(
    ("sentence", "html"),
    [
        ("read `x<2` as `y`", "read <code>x&lt;2</code> as <code>y</code>"),
        ("one ` of them, a <b>", "one ` of them, a &lt;b&gt;"),
        ("\x1b", "⟨U+001B⟩"),
    ],
)
def test_what_a_sentence_quotes_is_code(sentence: str, html: str) -> None:
    assert render_sentence(sentence) == html


def test_a_long_sentence_ends_in_an_ellipsis() -> None:
    longest = "x" * markup.LONGEST_SENTENCE
    assert render_sentence(longest) == longest
    assert render_sentence(f"{longest}x") == f"{longest[1:]}…"


# -- code


@pytest.mark.parametrize(
    "source", ["def f(x):\n    return 2 * x\n", "</code></pre><script>alert(1)</script>\n", "'''\n"]
)
def test_code_reads_as_it_was_written(source: str) -> None:
    shown = soup(render_code(source))
    assert shown.pre.code.get_text() == source
    assert {tag.name for tag in shown.find_all()} <= {"pre", "code", "span"}


@pytest.mark.parametrize("render", [render_code, render_markdown])
def test_what_is_too_long_is_shown_as_it_is_and_cut(render: Callable[[str], str]) -> None:
    long = "<b>" + "x" * markup.LONGEST_RENDERED
    assert soup(render(long)).pre.string == long
    more = "y" * markup.LONGEST_SHOWN
    assert soup(render(more + "zz")).pre.string == f"{more}\n… and 2 characters more"


# -- markdown


def test_markdown_keeps_its_meaning() -> None:
    shown = soup(render_markdown("# Why\n\n- **this** [here](https://example.org)\n\n<details>*that*</details>"))
    assert words(shown.h3) == "Why"
    assert shown.li.strong.string == "this"
    assert shown.a.attrs == {"href": "https://example.org"}
    assert words(shown.details) == "*that*"


def test_what_a_page_may_not_hold_stays_readable() -> None:
    shown = soup(render_markdown("See <script>alert(1)</script> and ![a cat](https://evil.example/cat.png)"))
    assert words(shown) == "See <script>alert(1)</script> and [picture: a cat]"
    assert not shown.find_all(["script", "img"])


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "/x", "#top"])
def test_a_link_leads_to_the_web_or_nowhere(address: str) -> None:
    for source in (f"[x]({address})", f'<a href="{address}" onclick="alert(1)">x</a>'):
        shown = soup(render_markdown(source))
        assert words(shown) == "x"
        assert not any(tag.attrs for tag in shown.find_all())


def test_a_formula_needs_nothing_from_elsewhere() -> None:
    shown = soup(render_markdown("$$\\begin{aligned}a&=b\\\\c&=d\\end{aligned}$$ and $x$, then"))
    display, inline = shown.find_all("math")
    assert inline.parent.get_text() == "x,"
    assert display["display"] == "block" and len(display.find_all("mtr")) == 2


def test_a_formula_may_touch_letters_and_other_formulas() -> None:
    assert words(soup(render_markdown(r"abc$x$def \\(y\\)$z$x and xab$w$."))) == "abcxdef yzx and xabw."


def test_a_formula_that_is_none_is_shown_as_it_is() -> None:
    assert soup(render_markdown(r"As $\nosuch{<b>x</b>}$ says.")).p.code.string == r"\nosuch{<b>x</b>}"


@pytest.mark.parametrize("nest", ["{%s}", r"\frac1{%s}", r"\sqrt%s", r"\left(%s\right)", "x^{%s}"])
def test_no_formula_is_too_deep(nest: str) -> None:
    before, after = nest.split("%s")
    for longest in (markup.LONGEST_FORMULA, markup.LONGEST_RENDERED - 10, 10**6):
        depth = longest // len(before + after)
        shown = soup(render_markdown(f"${before * depth + after * depth}$"))
        assert shown.find(["math", "code", "pre"]) is not None


def test_markdown_that_grows_out_of_proportion_is_shown_as_it_is() -> None:
    fence = f"```python\n{'x.' * (markup.LONGEST_RENDERED // 2 - 10)}\n```"
    for growing in (fence, "".join(f"<b x{number}><p>" for number in range(400))):
        assert soup(render_markdown(growing)).pre.string == growing


def test_a_parser_that_gives_up_leaves_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(source: str) -> str:
        raise RecursionError(source)

    monkeypatch.setattr(markup, "_sanitised", give_up)
    source = "*A text* of <b>mine</b>, which nothing has rendered before."
    assert render_markdown(source) == verbatim(source, "words")
    assert soup(render_markdown(source)).pre.string == source
