from __future__ import annotations

import json
import math

import matplotlib.pyplot as plt
import pytest

from lvmlib.history import History


@pytest.fixture
def history() -> History:
    history = History()
    history.append({"loss": 4.0, "rate": 1.0}, 0.5)
    history.append({"loss": 3.0, "rate": 1.5, "test/loss": 3.5}, 0.25)
    history.append({"loss": 2.0, "rate": 2.0}, 0.25)
    history.append({"loss": 1.0, "rate": 2.5, "test/loss": 1.5}, 0.25)
    return history


def test_a_column_has_one_value_an_epoch(history: History) -> None:
    assert history["loss"] == [4.0, 3.0, 2.0, 1.0]
    assert history.epochs == 4
    assert history.seconds == 1.25
    assert history.names == ["loss", "rate", "test/loss"]


def test_an_epoch_that_did_not_measure_gives_nan(history: History) -> None:
    first, second, third, fourth = history["test/loss"]
    assert math.isnan(first) and math.isnan(third)
    assert (second, fourth) == (3.5, 1.5)


def test_an_unknown_metric_names_the_known_ones(history: History) -> None:
    with pytest.raises(KeyError, match="no 'elbo'; it has loss, rate, test/loss"):
        history["elbo"]


def test_repr_is_one_short_line(history: History) -> None:
    assert repr(history) == "History(epoch 4 · loss 1 · rate 2.5 · test/loss 1.5 · 1.2 s)"
    assert repr(History()) == "History(no epoch complete)"


def test_survives_json(history: History) -> None:
    again = History.from_state_dict(json.loads(json.dumps(history.state_dict())))
    assert again == history
    assert again.seconds == history.seconds


def test_equality_is_about_metrics_and_not_time(history: History) -> None:
    other = History.from_state_dict({**history.state_dict(), "durations": [9.0] * 4})
    assert other == history
    other.rows[2]["loss"] = 2.5
    assert other != history


def test_plot_joins_measurements_that_lie_epochs_apart(history: History) -> None:
    figure = history.plot("test/loss", "loss", ylabel="nats")
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert list(lines["loss"].get_xdata()) == [1, 2, 3, 4]
    drawn = list(lines["test/loss"].get_ydata())
    assert math.isnan(drawn[0])
    assert drawn[1:] == [3.5, 2.5, 1.5]
    plt.close(figure)


def test_plot_without_names_draws_all(history: History) -> None:
    figure = history.plot()
    assert {line.get_label() for line in figure.axes[0].get_lines()} >= {"loss", "rate", "test/loss"}
    plt.close(figure)
