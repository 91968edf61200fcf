"""Cells of a notebook in this very process, with the outputs that a kernel would send for them."""

from __future__ import annotations

import contextlib
import io
from types import SimpleNamespace
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

Output = dict[str, Any]


class Publisher(DisplayPublisher):
    """Keeps what is displayed, and changes in place what is displayed again."""

    def publish(self, data, metadata=None, source=None, *, transient=None, update=False, **_) -> None:  # noqa: ANN001
        name = (transient or {}).get("display_id")
        output = {"output_type": "display_data", "data": data, "metadata": metadata or {}, "display_id": name}
        if not update:
            self.shell.outputs.append(output)
        for shown in self.shell.outputs:
            if update and shown.get("display_id") == name:
                shown.update(output)


class LastValue(DisplayHook):
    """Keeps the value of a cell's last expression."""

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict, md_dict=None) -> None:  # noqa: ANN001
        self.shell.outputs.append({"output_type": "execute_result", "data": format_dict, "metadata": md_dict or {}})

    def finish_displayhook(self) -> None:
        pass


class Stream(io.TextIOBase):
    """Keeps what is printed."""

    def __init__(self, name: str, outputs: list[Output]) -> None:
        self.name = name
        self.outputs = outputs

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.outputs.append({"output_type": "stream", "name": self.name, "text": text})
        return len(text)


class Shell(InteractiveShell):
    """IPython without a terminal, a history or a thread, so that its process can be forked between two cells."""

    display_pub_class = Type(Publisher)
    displayhook_class = Type(LastValue)
    # What a library asks of a kernel: whether there is one, and whether a person sits before it.
    kernel = SimpleNamespace()

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        super().__init__(config=Config(HistoryManager={"enabled": False}))
        InteractiveShell._instance = self

    def get_parent(self) -> dict[str, Any]:
        return {"content": {"allow_stdin": False}}

    def _showtraceback(self, etype, evalue, stb) -> None:  # noqa: ANN001
        said = {"ename": etype.__name__, "evalue": str(evalue), "traceback": stb}
        self.outputs.append({"output_type": "error", **said})

    def outputs_of(self, source: str) -> list[Output]:
        """Run a cell."""
        self.outputs.clear()
        streams = [Stream(name, self.outputs) for name in ("stdout", "stderr")]
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            self.run_cell(source, store_history=True)
        return list(self.outputs)
