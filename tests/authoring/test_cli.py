"""`lvm` in a terminal."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from lvmlib.authoring.course import Course
from lvmlib.cli import app, main

TINY = "00-tiny"


def lvm(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_help_names_every_command() -> None:
    shown = lvm("--help")
    assert shown.exit_code == 0
    for command in ("build", "release", "run", "grade", "variants"):
        assert command in shown.output


def test_build_tells_what_it_did_and_the_points(tiny: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.root)
    assert lvm("build").output == f"{TINY}: unchanged · 5 points by tests, 4 by hand\n"


def test_release_names_the_file(tiny: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.root / "solutions")
    tiny.released(TINY).unlink()
    assert lvm("release", TINY).exit_code == 0
    assert tiny.released(TINY).is_file()


def test_run_names_the_labs_that_failed_and_does_not_succeed(
    draft: Course, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draft.text(TINY).write_text("# %%\nundefined\n", encoding="utf-8")
    monkeypatch.chdir(draft.root)
    monkeypatch.setenv("LVM_PROFILE", "smoke")
    monkeypatch.setattr("sys.argv", ["lvm", "run", "--profile", "smoke"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert f"{TINY} has no page: {TINY}: undefined raised NameError" in capsys.readouterr().err
    assert not (draft.root / "site").exists()


def test_what_goes_wrong_is_one_sentence(
    tiny: Course, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tiny.root)
    monkeypatch.setattr("sys.argv", ["lvm", "grade"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        "submitted holds no lab; lay submissions out as submitted/STUDENT/LAB/LAB.ipynb.\n"
    )
