"""Run one submission and tell what came of it.

`grade` is a function of a submission and its assignment alone: it reads no gradebook and writes nothing.  It runs the
student's code on this machine as it is; grade strangers' work in a container.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from enum import StrEnum

from nbformat.notebooknode import NotebookNode
from traitlets.config import Config

from lvmlib.authoring.execute import environment
from lvmlib.grading.assignment import Assignment
from lvmlib.grading.submission import Submission, UnreadableError, read_submission


class Status(StrEnum):
    """What grading a submission came to."""

    GRADED = "graded"
    UNREADABLE = "unreadable"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What grading a submission came to.

    Attributes:
        status: only a graded submission has a score; any other needs a person.
        notebook: the submission after it ran, with the outputs its score follows from; None unless graded.
        notes: sentences for the instructor.
    """

    submission: Submission
    status: Status
    notebook: NotebookNode | None = None
    notes: list[str] = field(default_factory=list)


def grade(submission: Submission, assignment: Assignment, config: Config) -> Outcome:
    """Run a submission in the `smoke` profile, its locked cells as the course has them.

    Args:
        config: nbgrader's settings, for the limits of `Execute` and `LimitOutput`.

    Returns:
        An outcome, whatever the submission does.
    """
    try:
        notebook, notes = read_submission(submission, assignment)
    except UnreadableError as error:
        return Outcome(submission, Status.UNREADABLE, notes=[str(error)])
    try:
        with environment(LVM_PROFILE="smoke", LVM_SOLUTIONS=str(assignment.solutions), NBGRADER_EXECUTION="autograde"):
            executed = _execute(notebook, config)
    except Exception as error:  # whatever a stranger's notebook does must not stop the others
        return Outcome(submission, Status.FAILED, notes=[*notes, _sentence(error)])
    return Outcome(submission, Status.GRADED, executed, notes)


def _execute(notebook: NotebookNode, config: Config) -> NotebookNode:
    from nbgrader.preprocessors import ClearOutput, DeduplicateIds, Execute, LimitOutput

    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        for preprocessor in (ClearOutput, DeduplicateIds, Execute, LimitOutput):
            notebook, _ = preprocessor(config=config).preprocess(notebook, resources)
    return notebook


def _sentence(error: Exception) -> str:
    from nbclient.exceptions import DeadKernelError

    if isinstance(error, DeadKernelError):
        return "The kernel died while it ran: out of memory, or the notebook ended it; run it by hand."
    return f"It could not be run: {str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__}"
