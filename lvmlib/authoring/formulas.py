"""LaTeX in Markdown → MathML, which needs neither script nor font from elsewhere."""

from __future__ import annotations

import re

from nbconvert.filters.markdown_mistune import IPythonRenderer

from lvmlib.authoring.course import CourseError

# A backslash that ends a line is a space to LaTeX (two are a new row), and unknown to the translator.
SPACE_AT_END = re.compile(r"(?<!\\)((?:\\\\)*)\\\n")


class FormulaError(CourseError):
    """A formula of a notebook is not LaTeX that can be shown; the message quotes it and says why."""


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


def to_mathml(latex: str, *, displaystyle: bool) -> str:
    """A formula as MathML.

    Raises:
        FormulaError: it is no LaTeX that can be shown.
    """
    from math_core import LatexError, LatexToMathML

    spaced = SPACE_AT_END.sub(r"\1\\ ", latex)
    try:
        return LatexToMathML(fancy_error=False).convert_with_local_state(spaced, displaystyle=displaystyle)
    except LatexError as error:
        raise FormulaError(f"The formula {latex.strip()!r} cannot be shown: {error}") from error
