"""What a cell shows to a person, and what to a program that runs notebooks."""

from __future__ import annotations

import base64
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from lvmlib import front_end
from lvmlib.front_end import Picture, img, is_live, runs_widgets, say_right

LINE = "✓ clamp: right for x < 0 & x > 1"
PICTURE = Picture(b"pixels", 'A "map" of <codes>.', 30, 20)


def shell(**content: object) -> SimpleNamespace:
    return SimpleNamespace(kernel=1, get_parent=lambda: {"content": content} if content else {})


@pytest.mark.parametrize(
    ("running", "live"),
    [
        (None, False),
        (SimpleNamespace(), False),
        (shell(), False),
        (shell(allow_stdin=False), False),
        (shell(allow_stdin=True), True),
    ],
)
def test_only_a_front_end_that_can_answer_is_live(monkeypatch, running, live) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: running))
    assert is_live() == runs_widgets() == live
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    assert is_live() == live
    assert runs_widgets() == (getattr(running, "kernel", None) is not None)


def test_a_person_reads_what_is_right_on_green_and_a_program_as_it_is(monkeypatch, capsys) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    say_right(LINE)
    assert capsys.readouterr().out == f"{LINE}\n" and not shown
    monkeypatch.setattr(front_end, "is_live", lambda: True)
    say_right(LINE)
    assert capsys.readouterr().out == "" and shown[0]["text/plain"] == LINE
    assert ">✓ clamp: right for x &lt; 0 &amp; x &gt; 1</pre>" in shown[0]["text/html"]


def test_a_picture_tells_a_person_in_html_and_a_program_beside_its_png_what_it_shows(monkeypatch) -> None:
    encoded = base64.b64encode(PICTURE.png).decode()
    words = f"<figure: {PICTURE.alt}>"
    told = {"alt": PICTURE.alt, "width": 30, "height": 20}
    assert PICTURE._repr_mimebundle_() == ({"image/png": encoded, "text/plain": words}, {"image/png": told})
    monkeypatch.setattr(front_end, "is_live", lambda: True)
    tag = f'<img src="data:image/png;base64,{encoded}" alt="A &quot;map&quot; of &lt;codes&gt;." width="30">'
    assert PICTURE._repr_mimebundle_() == ({"text/html": tag, "text/plain": words}, {})
    assert tag == img("image/png", PICTURE.png, PICTURE.alt, width=30)
