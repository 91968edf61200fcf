from __future__ import annotations

import imports
import pytest


def test_the_benchmark_takes_turns_and_prints_the_difference(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = {"import torch": iter([9.0, 1.0, 2.0, 1.5]), "import torch, lvmlib": iter([9.5, 1.25, 2.5, 1.5])}
    monkeypatch.setattr(imports, "seconds", lambda statement: next(taken[statement]))
    imports.main(["--repeats", "3"])
    rows = [row.split("  ") for row in capsys.readouterr().out.splitlines()]
    assert [(row[0], row[-1].strip()) for row in rows] == [
        ("import torch", "1.500 (1.000–2.000)"),
        ("import torch, lvmlib", "1.500 (1.250–2.500)"),
        ("lvmlib adds", "0.250 (0.000–0.500)"),
    ]


def test_a_statement_is_timed() -> None:
    assert imports.seconds("import time; time.sleep(0.05)") >= 0.05
