"""The IPython that runs a notebook's cells: magics, `display` and top-level await work, nothing is printed or kept."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def the_shell() -> Any:
    """The one shell of this process, made when it is first asked for."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.cache_size = 0
    config.InteractiveShell.colors = "nocolor"
    shell = InteractiveShell.instance(config=config)
    # Rendering a traceback takes longer than most cells, and nobody would read it.
    for name in ("showtraceback", "showsyntaxerror", "showindentationerror"):
        setattr(shell, name, _silent)
    setattr(shell.display_formatter, "format", _undisplayed)  # noqa: B010 - mypy knows it as a method
    return shell


def _undisplayed(*arguments: Any, **options: Any) -> tuple[dict, dict]:
    """Of whatever is displayed, no picture and no text is made."""
    return {}, {}


def _silent(*arguments: Any, **options: Any) -> None:
    pass
