"""A notebook's checks are run in a kernel of their own, and every ending is told in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from notebooks_made import answer, code, exercise, notebook, save, solved

from lvmlib.authoring.course import CourseError
from lvmlib.student.checking import Report, check, make_plan
from lvmlib.student.notebooks import NotebookError
from lvmlib.student.outline import outline
from lvmlib.student.report import lines

DOUBLE = "def {0}(x):\n    return 2 * x"


def experiment(source: str) -> dict:
    cell = code(source)
    cell["metadata"]["tags"] = ["experiment"]
    return cell


def told(report: Report) -> list[tuple[str, bool, str]]:
    return [(one.exercise.name, one.passed, one.sentence) for one in report.verdicts]


def text(report: Report) -> str:
    return "\n".join(line for line, _ in lines(report, "x.ipynb"))


def test_a_notebook_of_all_kinds(tmp_path: Path) -> None:
    cells = [
        code("import os\nassert os.environ['LVM_PROFILE'] == 'smoke' and not os.listdir()"),
        *exercise("solved", DOUBLE),
        *exercise("stub"),
        *exercise("wrong", "def {0}(x):\n    return x"),
        *exercise("cut", "def {0}(x)\n    return x"),
        *exercise("later", "def {0}(x):\n    return 0"),
        code("undefined + 1"),
        experiment("import pathlib; pathlib.Path('ran').touch(); 1 / 0"),
        experiment("def later(x): return 2 * x"),
        answer("why"),
        answer("what", "Because."),
    ]
    path = save(tmp_path / "00-own.ipynb", notebook(*cells))
    before = path.read_bytes()
    report = check(path)
    assert told(report) == [
        ("solved", True, "✓ solved"),
        ("stub", False, "✗ stub: NotImplementedError"),
        ("wrong", False, "✗ wrong: AssertionError: one"),
        ("cut", False, "✗ cut: nothing has this name; write it, and see that its cell runs"),
        ("later", True, "✓ later"),
    ]
    assert [problem.partition(" raised ")[0] for problem in report.problems] == [
        "Code cell 8 (`def cut(x)`)",
        "Code cell 12 (`undefined + 1`)",
    ]
    assert report.problems[0].endswith("; the rest was run without it.")
    assert report.left_out == 1 and not report.is_right
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == [path.name]
    shown = text(report)
    assert shown.splitlines()[0] == "x.ipynb · in the smoke profile, without 1 experiment (--all runs them too)"
    assert "2 of 2  ✓ solved" in shown and "0 of 2  ✗ stub" in shown
    assert "4 of 10 points by checks, 6 by hand" in shown
    assert "Think questions without an answer: why (3)." in shown


@pytest.mark.slow
def test_what_ends_the_kernel_or_takes_too_long_is_left_out(tmp_path: Path) -> None:
    cells = [
        code("import os, time\nclock = 0"),
        code("os._exit(1)"),
        code("while True:\n    try:\n        time.sleep(9)\n    except KeyboardInterrupt:\n        pass"),
        *exercise("endless", "def {0}(x):\n    while True: pass"),
        *exercise("fatal", "def {0}(x):\n    os._exit(1)"),
        *exercise("good", DOUBLE),
    ]
    report = check(save(tmp_path / "00-own.ipynb", notebook(*cells)), timeout=5)
    assert report.problems == (
        "Code cell 2 (`os._exit(1)`) ended Python (too much memory, or an exit), and was left out.",
        "Code cell 3 (`while True:`) took longer than 5 s (is there a loop without end? --timeout gives it longer), "
        "and was left out.",
    )
    assert told(report) == [
        (
            "endless",
            False,
            "✗ endless: took longer than 5 s (is there a loop without end? --timeout gives it longer)",
        ),
        ("fatal", False, "✗ fatal: ended Python (too much memory, or an exit)"),
        ("good", True, "✓ good"),
    ]


def test_experiments_run_if_asked_for(tmp_path: Path) -> None:
    mine = save(tmp_path / "00-own.ipynb", notebook(*exercise("solved", DOUBLE), experiment("1 / 0")))
    report = check(mine, experiments=True)
    assert report.problems == (
        "Code cell 3 (`1 / 0`) raised ZeroDivisionError: division by zero; the rest was run without it.",
    )
    assert text(report).splitlines()[0] == "x.ipynb · all cells, in the smoke profile"


@pytest.mark.parametrize("experiments", [True, False])
def test_what_is_run(experiments: bool) -> None:
    own = code("x = 1")
    trial = code('with experiment("manifold"):\n    y = 1')
    edited = code("helper = 2", "test-stub")
    mine = notebook(own, *exercise("solved"), *exercise("stub")[:2], edited, trial, code("stub = 1"), code(" "))
    plan = make_plan(mine, outline("00-own", mine), experiments=experiments)
    sources = [cell["source"] for _, cell in plan.cells]
    ran = [own, mine["cells"][2], mine["cells"][5], edited, *([trial] if experiments else []), code("stub = 1")]
    assert sources == [cell["source"] for cell in ran]
    assert [place for place, _ in plan.cells] == [1, 2, 4, 5, *([6] if experiments else []), 7]
    assert plan.left_out == (0 if experiments else 1)


def test_edited_and_missing_checks_are_those_that_were_handed_out() -> None:
    released = notebook(*exercise("one"), *exercise("two"), *exercise("three"))
    mine = notebook(*exercise("one")[:2], code("assert True", "test-one"), *exercise("two")[:2], *exercise("three"))
    tasks = outline("00-own", mine, released)
    assert [one.test for one in tasks.exercises] == [
        f"assert {name}(1) == 2, 'one'" for name in ("one", "two", "three")
    ]
    assert make_plan(mine, tasks, experiments=False).notes == (
        "The check of one was edited; the original was run, as grading does.",
        "The check of two is missing; it was run all the same.",
    )


def test_a_check_that_a_student_added_is_neither_edited_nor_run() -> None:
    mine = notebook(*exercise("one"), code('check("one", mine)'))
    plan = make_plan(mine, outline("00-own", mine), experiments=False)
    assert plan.notes == () and [place for place, _ in plan.cells] == [1]


def test_a_notebook_without_exercises_is_refused(tmp_path: Path) -> None:
    for name in ("own", "03-vae"):
        with pytest.raises(NotebookError, match=f"{name}.ipynb holds no exercise of a lab; take the notebook that"):
            check(save(tmp_path / f"{name}.ipynb", notebook(code("x = 1"))))


def test_a_broken_torch_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text("raise OSError('libtorch is cut short')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    with pytest.raises(CourseError, match=r"lvmlib cannot be used here \(.*libtorch is cut short.*run `lvm doctor`"):
        check(save(tmp_path / "03-vae.ipynb", solved("03-vae")))


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lvmlib.student.kernel.tempfile.TemporaryDirectory", full)
    with pytest.raises(CourseError, match=r"no room for temporary files \(No space left on device\); free"):
        check(save(tmp_path / "00-own.ipynb", notebook(*exercise("solved"))))


@pytest.mark.slow
def test_a_real_lab_half_done_saved_by_colab(tmp_path: Path) -> None:
    done = frozenset({"kl-divergence", "reparameterize", "gaussian-nll", "elbo"})
    mine = solved("03-vae", done) | {"nbformat_minor": 0}
    for cell in mine["cells"]:
        del cell["id"]
        cell["metadata"] |= {"id": "a1", "executionInfo": {"user": {"displayName": "Ada"}}}
    mine["cells"].append(code("def elbo(*args): return None\ndef reparameterize(mean, log_var, eps): return mean"))
    report = check(save(tmp_path / "03-vae (1).ipynb", mine))
    passed = {name for name, passed, _ in told(report) if passed}
    assert passed == {"kl-divergence", "gaussian-nll"}
    sentences = {name: sentence for name, _, sentence in told(report)}
    assert sentences["networks"].startswith("✗ build_vae: not written yet; put your code where")
    assert sentences["kl-divergence"].startswith("✓ kl_divergence: values and gradients right on ")
    assert sentences["elbo"].startswith("✗ elbo: ")
    assert "4 of 20 points by checks, 0 of 2 bonus points, 5 by hand" in text(report)
    assert report.lab == "03-vae"


@pytest.mark.slow
def test_a_solved_lab_that_lost_its_metadata(tmp_path: Path) -> None:
    mine = solved("06-particle-em")
    experiments = sum("experiment" in cell["metadata"].get("tags", []) for cell in mine["cells"])
    mine["cells"] = [cell | {"metadata": {}} for cell in mine["cells"]]
    report = check(save(tmp_path / "work.ipynb", mine))
    assert report.is_right and report.problems == () and report.left_out == experiments
    assert "20 of 20 points by checks, 3 of 3 bonus points" in text(report)
