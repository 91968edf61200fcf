"""nbgrader's converters, run in this process on a folder of our choice, with one sentence when they fail."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from lvmlib.authoring.course import Course, CourseError
from lvmlib.authoring.execute import environment


class ConverterError(CourseError):
    """nbgrader could not convert something; the message is the reason it logged."""


def read_settings(course: Course, work: Path, links: tuple[str, ...] = ("solutions",)) -> Config:
    """nbgrader_config.py, for a run in a working folder instead of the course's root.

    Args:
        work: an empty folder; nbgrader deletes what it is about to make, and may then fail, so it does so here.
        links: folders of the course that the run may reach from there.
    """
    config = PyFileConfigLoader(course.config.name, path=str(course.config.parent)).load_config()
    for name in links:
        (course.root / name).mkdir(exist_ok=True)
        (work / name).symlink_to(course.root / name)
    config.CourseDirectory.root = str(work.resolve())
    if "db_url" not in config.CourseDirectory:
        config.CourseDirectory.db_url = f"sqlite:///{course.root / 'gradebook.db'}"
    return config


def convert(converter_class: Any, config: Config, **options: Any) -> None:
    """Run one of `nbgrader.converters` with these settings.

    Raises:
        ConverterError: it failed.
    """
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory

    converter = converter_class(coursedir=CourseDirectory(config=config), config=config, **options)
    # nbgrader calls `alembic`, which stands beside this Python also where the virtual environment is not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    with environment(PATH=path), _captured(converter.log) as messages, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nbgrader's use of SQLAlchemy warns about itself
        try:
            converter.start()
        except (NbGraderException, SystemExit) as error:
            tracebacks = [message for message in messages if message.startswith("Traceback")]
            reason = (tracebacks or messages or [str(error)])[0]
            raise ConverterError(reason.strip().splitlines()[-1]) from error


@contextmanager
def _captured(log: logging.Logger) -> Iterator[list[str]]:
    messages: list[str] = []

    class Capture(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    before, log.handlers = log.handlers, [Capture(logging.ERROR)]
    propagated, log.propagate = log.propagate, False
    try:
        yield messages
    finally:
        log.handlers, log.propagate = before, propagated
