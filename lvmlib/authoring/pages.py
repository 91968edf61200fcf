"""A notebook as one HTML page that needs nothing else: pictures embedded, formulas as MathML, no script."""

from __future__ import annotations

import copy
import html
import re

from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.course import CourseError

# nbconvert's own page loads MathJax, RequireJS and Mermaid from a server.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block extra_css -%}
<style>math { font-family: "STIX Two Math", "Cambria Math", math; font-size: 1.1em; }</style>
{%- endblock -%}
"""
HIDDEN = re.compile(r"\n*### BEGIN (HIDDEN TESTS|MARK SCHEME)\n.*?### END \1", re.DOTALL)
# A backslash that ends a line is a space to LaTeX (two are a new row), and unknown to the translator.
SPACE_AT_END = re.compile(r"(?<!\\)((?:\\\\)*)\\\n")
MARKS = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)


class FormulaError(CourseError):
    """A formula of a notebook is not LaTeX that can be shown; the message quotes it and says why."""


def render_page(notebook: NotebookNode, title: str) -> str:
    """The page of an executed notebook, without what is meant for graders.

    Raises:
        FormulaError: a formula cannot be translated.
    """
    from jinja2 import DictLoader

    exporter = HTMLExporter(
        template_file="page.html.j2",
        extra_loaders=[DictLoader({"page.html.j2": TEMPLATE})],
        embed_images=True,
        filters={"markdown2html": _markdown_to_html},
    )
    readable = _for_readers(notebook)
    readable.metadata["title"] = title
    page, _ = exporter.from_notebook_node(readable)
    return page


def _for_readers(notebook: NotebookNode) -> NotebookNode:
    readable = copy.deepcopy(notebook)
    readable.cells = [cell for cell in readable.cells if not _is_answer(cell)]
    for cell in readable.cells:
        cell.source = MARKS.sub("", HIDDEN.sub("", cell.source))
        for output in cell.get("outputs", []):
            _show_picture(output)
    return readable


def _is_answer(cell: NotebookNode) -> bool:
    return cell.cell_type == "markdown" and bool(cell.metadata.get("nbgrader", {}).get("solution"))


def _show_picture(output: NotebookNode) -> None:
    # nbconvert's page drops the alt text of a PNG, and knows no GIF at all.
    for kind in ("image/gif", "image/png"):
        image = output.get("data", {}).get(kind)
        if image:
            told = output.metadata.get(kind, {})
            size = "".join(f' {side}="{told[side]}"' for side in ("width", "height") if side in told)
            source = f"data:{kind};base64,{''.join(image.split())}"
            output.data = {"text/html": f'<img src="{source}" alt="{html.escape(told.get("alt", ""))}"{size}>'}


class MathMLRenderer(IPythonRenderer):
    """Markdown's renderer, with every formula as MathML."""

    def formula(self, latex: str, *, displaystyle: bool) -> str:
        """The HTML of one formula."""
        return to_mathml(latex, displaystyle=displaystyle)

    def inline_math(self, body: str) -> str:
        return self.formula(body, displaystyle=False)

    def block_math(self, body: str) -> str:
        return self.formula(body, displaystyle=True)

    def latex_environment(self, name: str, body: str) -> str:
        return self.formula(rf"\begin{{{name}}}{body}\end{{{name}}}", displaystyle=True)


def _markdown_to_html(source: str) -> str:
    return MarkdownWithMath(renderer=MathMLRenderer(escape=False)).render(source)


def to_mathml(latex: str, *, displaystyle: bool) -> str:
    """A formula as MathML, which needs neither script nor font from elsewhere.

    Raises:
        FormulaError: it is no LaTeX that can be shown.
    """
    from math_core import LatexError, LatexToMathML

    spaced = SPACE_AT_END.sub(r"\1\\ ", latex)
    try:
        return LatexToMathML(fancy_error=False).convert_with_local_state(spaced, displaystyle=displaystyle)
    except LatexError as error:
        raise FormulaError(f"The formula {latex.strip()!r} cannot be shown: {error}") from error
