"""Run a notebook from top to bottom in a chosen profile, and keep only outputs worth keeping."""

from __future__ import annotations

import asyncio
import copy
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nbformat.notebooknode import NotebookNode

from lvmlib.authoring.course import CourseError

CELL_TIMEOUT = 1800
WIDGET = "application/vnd.jupyter.widget-view+json"
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class ExecutionError(CourseError):
    """A cell of a notebook raised; the message names the cell and the error."""


def execute(notebook: NotebookNode, profile: str, title: str = "", timeout: int = CELL_TIMEOUT) -> NotebookNode:
    """Run every cell of a notebook in a fresh kernel, in an empty folder, with a progress bar over its cells.

    Args:
        notebook: left as it is.
        profile: `smoke`, `cpu` or `full`.
        title: what the progress bar is called.
        timeout: seconds that a cell may take; half an hour without.

    Returns:
        A copy with outputs, as `clean_outputs` leaves them.

    Raises:
        ExecutionError: a cell raised, died or took too long.
    """
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from tqdm import tqdm

    executed = copy.deepcopy(notebook)
    cells = [cell for cell in executed.cells if _runs(cell)]
    with (
        environment(LVM_PROFILE=profile),
        tempfile.TemporaryDirectory() as folder,
        tqdm(total=len(cells), desc=title, unit="cell") as bar,
    ):
        client = NotebookClient(
            executed,
            timeout=timeout,
            kernel_name="python3",
            record_timing=False,
            extra_arguments=["--log-level=ERROR", "--HistoryManager.hist_file=:memory:"],
            shutdown_kernel="immediate",
            resources={"metadata": {"path": folder}},
            kernel_manager_class=AsyncKernelManager,
            on_cell_complete=lambda cell, cell_index: bar.update(_runs(cell)),
        )
        try:
            with suppress(CellExecutionError):
                asyncio.run(client.async_execute())
        except CellTimeoutError as error:
            raise ExecutionError(f"{title or 'The notebook'} stopped: a cell took over {timeout} s.") from error
        except DeadKernelError as error:
            raise ExecutionError(f"{title or 'The notebook'} stopped: its kernel died.") from error
    _refuse_errors(executed, title)
    for text in _warnings(executed):
        tqdm.write(f"{title} wrote to stderr: {text.strip()}", file=sys.stderr)
    executed.metadata = copy.deepcopy(notebook.metadata)  # the kernel adds its Python's version and the widgets' state
    clean_outputs(executed)
    return executed


def clean_outputs(notebook: NotebookNode) -> None:
    """Keep what a reader wants, in place: no progress bars, no widgets without their state, no terminal colours."""
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        count += _runs(cell)
        cell.execution_count = count if _runs(cell) else None
        cell.metadata.pop("execution", None)
        cell.outputs = _joined([_clean(output, count) for output in cell.outputs if _is_worth_keeping(output)])


def _runs(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Environment variables for the kernels started inside the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _refuse_errors(notebook: NotebookNode, title: str) -> None:
    # A test cell is tagged raises-exception, so nbclient goes on past it; a notebook of ours must not fail there.
    for cell in notebook.cells:
        nbgrader = cell.metadata.get("nbgrader", {})
        place = nbgrader.get("grade_id") or cell.source.strip().split("\n")[0]
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                raise ExecutionError(f"{title or 'The notebook'}: {place} raised {output.ename}: {output.evalue}")
            if output.get("name") == "stderr" and nbgrader.get("grade"):
                raise ExecutionError(f"{title or 'The notebook'}: {place} wrote to stderr, which nbgrader scores 0.")


def _warnings(notebook: NotebookNode) -> list[str]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.text for output in outputs if output.get("name") == "stderr" and "\r" not in output.text]


def _is_worth_keeping(output: NotebookNode) -> bool:
    return WIDGET not in output.get("data", {}) and output.get("name") != "stderr"


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Pieces of one stream that follow one another as one: where a kernel cuts it depends on the clock."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _clean(output: NotebookNode, count: int) -> NotebookNode:
    if output.output_type == "stream":
        output.text = ANSI.sub("", output.text)
    if output.output_type == "execute_result":
        output.execution_count = count
    output.pop("transient", None)
    return output
