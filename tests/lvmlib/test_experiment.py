"""An experiment runs, or says which exercise is missing and shows what it would draw."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from PIL import Image

from lvmlib.experiment import experiment, shipped
from lvmlib.show import Animation, gif

module = sys.modules["lvmlib.experiment"]  # as an attribute of lvmlib the name means the function


def unsolved():
    raise NotImplementedError


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """What is displayed, with one shipped picture and one pair of them."""
    folder = tmp_path / "03-vae"
    folder.mkdir()
    names = ("map.png", "map-of-all.png", "pair-1.png", "pair-2.png")
    for name in names:
        Image.new("L", (60, 20)).save(folder / name)
    gif(torch.eye(4).expand(2, 1, 4, 4)).save(folder / "film.gif")
    words = {name: f"the {name}" for name in (*names, "film.gif")}
    (folder / "alt.json").write_text(json.dumps(words))
    monkeypatch.setattr(module, "PICTURES", tmp_path)
    monkeypatch.setattr(module, "_makers", {})
    displayed = []
    monkeypatch.setattr("IPython.display.display", displayed.append)
    return displayed


def test_variables_stay_and_nothing_is_shown(shown, capsys) -> None:
    with experiment("map"):
        result = 1 + 1
    assert result == 2
    assert not shown
    assert capsys.readouterr().out == ""


def test_a_missing_exercise_is_named_and_its_picture_shown(shown, capsys) -> None:
    with experiment("map"):
        unsolved()
    assert "needs `unsolved`, which is not written yet" in capsys.readouterr().out
    assert [(image.alt, image.width) for image in shown] == [("the map.png", 30)]


class Unwritten:
    def __call__(self):
        raise NotImplementedError


def test_a_missing_class_is_named_and_not_its_method(shown, capsys) -> None:
    with experiment("map"):
        Unwritten()()
    assert "needs `Unwritten`, which is not written yet" in capsys.readouterr().out


def test_a_shipped_animation_moves(shown) -> None:
    with experiment("film"):
        unsolved()
    ((path, alt),) = shipped("film")
    assert shown == [Animation(path.read_bytes(), alt)]


def test_pictures_of_an_experiment_are_told_from_those_of_another(shown) -> None:
    assert [path.name for path, _ in shipped("map")] == ["map.png"]
    assert [path.name for path, _ in shipped("pair")] == ["pair-1.png", "pair-2.png"]


def run(cell: str, names: dict) -> None:
    """Run a cell as a notebook does: at module level, in a file of its own."""
    exec(compile(cell, f"<{cell}>", "exec"), names)


def test_an_experiment_after_a_missed_one_names_that_one_and_its_exercise(shown, capsys) -> None:
    names = {"experiment": experiment, "unsolved": unsolved}
    run("with experiment('pair'):\n    model = unsolved()", names)
    run("with experiment('map'):\n    better = (lambda: model + 1)()", names)
    run("with experiment('map-of-all'):\n    best = better + 1", names)
    first, *later = capsys.readouterr().out.splitlines()
    assert "needs `unsolved`, which is not written yet" in first
    for line in later:
        assert "needs what experiment `pair` makes, and `unsolved` was not written yet when that ran" in line
    assert len(later) == 2
    assert len(shown) == 4


def test_a_students_own_slip_is_theirs_to_see_even_after_a_missed_experiment(shown) -> None:
    names = {"experiment": experiment, "unsolved": unsolved}
    run("with experiment('pair'):\n    model = unsolved()", names)
    with pytest.raises(NameError, match="modle"):
        run("with experiment('map'):\n    modle + 1", names)
    run("def mine():\n    return model", names)
    with pytest.raises(NameError, match="model"):
        run("with experiment('map'):\n    mine()", names)


def test_other_errors_are_the_students_to_see(shown) -> None:
    with pytest.raises(ZeroDivisionError), experiment("map"):
        1 / 0  # noqa: B018
    with pytest.raises(NameError), experiment("map"):
        never_made  # noqa: B018, F821
    with pytest.raises(NotImplementedError, match='missing the required "forward"'), experiment("map"):
        torch.nn.Module()(1)
