"""What nbgrader's own feedback must not show of a test cell, for `nbgrader generate_feedback`."""

from __future__ import annotations

from typing import Any

from nbformat.notebooknode import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade


class ShortenTracebacks(NbGraderPreprocessor):
    """Leave an error and its sentence under a test cell; its traceback quotes the hidden tests."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Shorten the errors of one cell in place."""
        for output in cell.get("outputs", []):
            if output.output_type == "error" and is_grade(cell):
                output.traceback = [f"{output.ename}: {output.evalue}"]
        return cell, resources
