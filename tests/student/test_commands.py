"""`lvm check`, `lvm submit` and `lvm doctor` in a terminal: what they print, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
import typer
from notebooks_made import code, exercise, notebook, save
from typer.testing import CliRunner

from lvmlib.cli import app, main
from lvmlib.cli import doctor as show_findings
from lvmlib.student import doctor
from lvmlib.student.doctor.finding import right, wrong

DONE = notebook(*exercise("double", "def {0}(x):\n    return 2 * x"))


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lvm(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_check_succeeds_where_all_is_right_and_not_otherwise(tmp_path: Path) -> None:
    mine = save(tmp_path / "00-own.ipynb", DONE)
    ended = lvm("check", "0")
    assert ended.exit_code == 0 and "2 of 2  ✓ double" in ended.output
    save(mine, notebook(*DONE["cells"], code("1 / 0")))
    ended = lvm("check", "00-own.ipynb")
    assert ended.exit_code == 1 and "raised ZeroDivisionError" in ended.output


def test_submit_writes_into_the_working_folder(tmp_path: Path) -> None:
    save(tmp_path / "course" / "00-own" / "00-own.ipynb", DONE)
    ended = lvm("submit", "0")
    assert ended.exit_code == 0 and ended.output.startswith("00-own.zip is ready to hand in: 00-own.ipynb as")
    assert (tmp_path / "00-own.zip").is_file()
    assert lvm("submit", "0", "--out", "there").exit_code == 0 and (tmp_path / "there" / "00-own.zip").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("check", "97"), "There is no notebook of lab 97 in "),
        (("submit", "00-own.ipynb", "--strict"), "Nothing was written. No cell was run"),
        (("submit", "00-own.ipynb", "--out", "00-own.ipynb"), "could not be written"),
        (("check", "cut.ipynb"), "cut.ipynb is not a notebook, or was cut off"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    save(tmp_path / "00-own.ipynb", DONE)
    (tmp_path / "cut.ipynb").write_text('{"cells": [', encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["lvm", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr()
    assert end.value.code == 1 and sentence in told.err and told.out == "" and told.err.count("\n") == 1


def test_the_doctor_counts_what_is_to_be_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    fine, broken = right("Python is fine."), wrong("numpy is not.", "Mend it.")
    for findings, code_, last in (
        ([fine], 0, "✓ Python is fine."),
        ([fine, broken], 1, "One thing to mend."),
        ([broken, broken], 1, "2 to mend."),
    ):
        monkeypatch.setattr(doctor, "examine", lambda findings=findings: iter(findings))
        ended = lvm("doctor")
        assert (ended.exit_code, ended.output.splitlines()[-1]) == (code_, last)
    assert ended.output.startswith("✗ numpy is not. Mend it.\n")


def test_signs_are_words_where_a_terminal_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: iter([right("Fine."), wrong("Bad.", "")]))
    monkeypatch.setattr("lvmlib.cli.sys.stdout", written := TextIOWrapper(BytesIO(), encoding="cp1252"))
    with pytest.raises(typer.Exit):
        show_findings()
    written.flush()
    assert written.buffer.getvalue().decode("cp1252").splitlines()[:2] == ["[right] Fine.", "[WRONG] Bad."]


def test_a_terminal_without_our_letters_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    written = BytesIO()
    monkeypatch.setattr("sys.stderr", TextIOWrapper(written, encoding="cp1252"))
    monkeypatch.setattr("sys.argv", ["lvm", "submit", "97-σ"])
    with pytest.raises(SystemExit):
        main()
    assert b"There is no notebook of lab 97-? in " in written.getvalue()


@pytest.mark.slow
def test_ctrl_c_is_one_sentence_and_leaves_no_kernel(tmp_path: Path) -> None:
    waiting = code("import os, time\nopen(os.environ['STARTED'], 'w').write(str(os.getpid()))\ntime.sleep(600)")
    save(tmp_path / "00-own.ipynb", notebook(waiting, *DONE["cells"]))
    os.mkfifo(tmp_path / "started")
    process = subprocess.Popen(
        [sys.executable, "-m", "lvmlib.cli", "check", "0", "--timeout", "600"],
        env=os.environ | {"STARTED": str(tmp_path / "started")},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    kernel = int((tmp_path / "started").read_text(encoding="utf-8"))
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 1 and told.splitlines()[-1] == "Stopped; your notebook is as it was."
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)
