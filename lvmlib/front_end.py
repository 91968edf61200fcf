"""What a cell shows: to a person in a front end as HTML, to a program that runs notebooks as it stores best."""

from __future__ import annotations

import base64
import html
import sys
from dataclasses import dataclass
from typing import Any

RIGHT = "background: #dff3e8; color: #00482f; margin: 0; padding: 1px 8px; font-size: var(--jp-code-font-size)"
"""The line of a check that passed; those that fail stand on red, with which front ends mark an error."""


def is_live() -> bool:
    """Whether the running cell was sent by a front end that a person uses.

    Those let a cell ask for input; programs that run notebooks do not.
    """
    parent = _parent()
    return parent is not None and bool(parent.get("content", {}).get("allow_stdin"))


def runs_widgets() -> bool:
    """Whether a person could move a widget of the running cell."""
    return is_live() or (_parent() is not None and "google.colab" in sys.modules)


def _parent() -> dict[str, Any] | None:
    """The message that asked a kernel to run the cell, or None where no kernel runs; only asks an IPython in use."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or getattr(shell, "kernel", None) is None:
        return None
    parent: dict[str, Any] = shell.get_parent()
    return parent


def say_right(line: str) -> None:
    """Print a line, on green for a person."""
    if not is_live():
        print(line)
        return
    from IPython.display import display

    data = {"text/html": f'<pre style="{RIGHT}">{html.escape(line)}</pre>', "text/plain": line}
    display(data, raw=True)


@dataclass(frozen=True)
class Picture:
    """A PNG that a notebook shows at a width and height in screen pixels, with what it shows in words.

    A notebook stores PNG, which repositories' pages show, and the words beside it, which no front end reads: only HTML
    tells them to a person who cannot see the picture.
    """

    png: bytes
    alt: str
    width: int
    height: int

    def __repr__(self) -> str:
        return f"<figure: {self.alt}>"

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if is_live():
            return {"text/html": img("image/png", self.png, self.alt, width=self.width), "text/plain": repr(self)}, {}
        # The keys that IPython.display.Image writes.
        told = {"alt": self.alt, "width": self.width, "height": self.height}
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": repr(self)}
        return data, {"image/png": told}


def img(kind: str, data: bytes, alt: str, **attributes: object) -> str:
    """HTML that holds an image of a media type."""
    told = {"src": f"data:{kind};base64,{base64.b64encode(data).decode()}", "alt": alt, **attributes}
    words = [f'{name}="{html.escape(str(value))}"' for name, value in told.items()]
    return f"<img {' '.join(words)}>"
