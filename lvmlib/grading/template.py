"""What every page of the grader shares: skeleton, style and policy; one file that loads nothing and runs nothing."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from typing import TYPE_CHECKING, Any

from lvmlib.grading.markup import render_sentence, trust, visible

if TYPE_CHECKING:
    from jinja2 import Template

CSS = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #57606a; --paper: #fff; --panel: #f4f5f7; --line: #d5d9de;
  --link: #0b5cad; --good: #00674a; --good-paper: #e8f5ef; --bad: #a13d00; --bad-paper: #fdf0e6; --open: #55585c;
  --keyword: #7b30a8; --text: #0a5a76; --number: #a13d00; --comment: #5d646c; --name: #0b5cad; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #a5adb8; --paper: #15181c;
  --panel: #1f2429; --line: #3a424b; --link: #7ab7ff; --good: #63d3ab; --good-paper: #12291f; --bad: #ffab73;
  --bad-paper: #33200f; --open: #b4bac2; --keyword: #d3a4f5; --text: #7fcbe6; --number: #ffab73; --comment: #98a1ab;
  --name: #7ab7ff; } }
* { box-sizing: border-box; }
body { font: 1rem/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 54rem;
  margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.15rem; margin: 1.5rem 0 .5rem; } h4 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
h5, h6 { font-size: 1rem; margin: 1.4rem 0 .5rem; }
a { color: var(--link); } p { margin: .6rem 0; } ul, ol { padding-left: 1.4rem; }
.who { color: var(--soft); margin: 0 0 .4rem; }
.result { background: var(--panel); border-radius: .6rem; padding: .9rem 1.2rem; margin: 1.2rem 0; }
.score { font-size: 1.25rem; margin: 0; } .score strong { font-size: 2rem; }
.result p:last-child { margin-bottom: 0; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--soft); padding: 0 0 .5rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line); }
tbody th { font-weight: 500; }
thead th { font-size: .85rem; color: var(--soft); white-space: normal; overflow-wrap: break-word; }
.narrow { width: 4.5rem; } td p { margin: 0 0 .3rem; } td.number, .status { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.exercise { overflow-wrap: break-word; } .held { white-space: nowrap; }
bdi, .said { unicode-bidi: isolate; }
.right { color: var(--good); } .wrong { color: var(--bad); } .open { color: var(--open); }
code, pre { font: .86em ui-monospace, "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { margin: 0; line-height: 1.45; overflow-x: auto; overflow-wrap: normal; unicode-bidi: isolate; }
pre.words { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; } pre code { font-size: 1em; }
.cell { margin: .7rem 0; unicode-bidi: isolate; } .cell > :first-child { margin-top: 0; }
.code, .answer, .cell .highlight { background: var(--panel); border-radius: .4rem; padding: .6rem .8rem; }
.mine { border-left: .25rem solid var(--link); border-radius: 0 .4rem .4rem 0; }
.label { font-size: .85rem; color: var(--soft); margin: 1.2rem 0 .25rem; }
.verdict { padding: .5rem .8rem; margin: .3rem 0 1.4rem; border-left: .25rem solid; border-radius: 0 .4rem .4rem 0; }
.verdict .points { float: right; margin-left: 1rem; color: var(--ink); white-space: nowrap; }
.verdict.right { background: var(--good-paper); } .verdict.wrong { background: var(--bad-paper); }
.verdict.open { background: var(--panel); }
.comment { white-space: pre-wrap; margin: .5rem 0; padding-left: .8rem; border-left: .25rem solid var(--line); }
blockquote { margin: .6rem 0; padding-left: 1rem; border-left: .25rem solid var(--line); color: var(--soft); }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--link); }
math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", math; font-size: 1.1em; }
math[display=block] { overflow-x: auto; overflow-y: hidden; padding: .2rem 0; }
.k, .kn, .kd, .kc, .kr, .ow { color: var(--keyword); } .s, .s1, .s2, .sa, .sd, .se, .si, .sx { color: var(--text); }
.mi, .mf, .mh, .mb, .mo { color: var(--number); } .c, .c1, .cm, .ch { color: var(--comment); font-style: italic; }
.nf, .nc, .nd { color: var(--name); }
.chart { max-width: 100%; height: auto; background: #fff; border-radius: .4rem; display: block; margin: 0 0 1rem; }
:focus-visible { outline: .15rem solid var(--link); outline-offset: .15rem; }
:target { scroll-margin-top: 1rem; }
@media (max-width: 36rem) { body { font-size: .95rem; padding-top: 1rem; } h1 { font-size: 1.5rem; }
  th, td { padding-right: .5rem; } .verdict .points { float: none; display: block; margin: 0; } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } a { color: inherit; text-decoration: none; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; } h1, h2, h3, h4, .label { break-after: avoid; }
  tr, .verdict, .result, .code { break-inside: avoid; } }
"""

SKELETON = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ css }}</style>
</head>
<body>
{% block body %}{% endblock %}
</body>
</html>
"""


def fill(template: str, *, pictures: bool = False, **told: Any) -> str:
    """Fill in a page that extends `skeleton`; every string is escaped, and made visible, unless it is Markup.

    Args:
        template: its text.
        pictures: whether the page may show embedded ones.
    """
    return _compile(template).render(css=trust(CSS), policy=_policy(pictures), **told)


@cache
def _compile(template: str) -> Template:
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        loader=DictLoader({"skeleton": SKELETON}),
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {"number": number, "sentence": render_sentence}
    return environment.from_string(template)


def number(points: float) -> str:
    """Points as people write them: 2, 1.5."""
    return f"{round(points, 2):g}"


def _policy(pictures: bool) -> str:
    style = b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
    images = "data:" if pictures else "'none'"
    # MathML aligns by style attributes; those of a student's HTML are gone before.
    return (
        f"default-src 'none'; style-src-elem 'sha256-{style}'; style-src-attr 'unsafe-inline'; "
        f"img-src {images}; base-uri 'none'; form-action 'none'"
    )
