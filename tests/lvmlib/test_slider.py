"""The slider: an honest grid, widgets that decode what they say, and one without the other where widgets cannot run."""

from __future__ import annotations

import base64
import io
import json
import re
from queue import Empty
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lvmlib import show
from lvmlib.show import sliders
from lvmlib.show.figure import SHARPNESS

VIEW = "application/vnd.jupyter.widget-view+json"


class Decoder:
    """An image of one pixel a unit: ½ + z/10."""

    def __init__(self) -> None:
        self.asked: list[Tensor] = []
        self.with_gradients = False

    def __call__(self, z: Tensor) -> Tensor:
        self.asked.append(z.clone())
        self.with_gradients |= torch.is_grad_enabled()
        return (0.5 + z / 10)[:, None, None, :]


BASE = torch.tensor([0.3, -1.27, 0.0])


def pixels_of(figure: show.Figure) -> np.ndarray:
    """The images of a grid at scale 4, whose images have one row of three pixels, in order."""
    (image,) = figure.axes[0].images
    picture = np.asarray(image.get_array())[:: 4 * SHARPNESS, :: 4 * SHARPNESS, 0]
    return np.stack([picture[::2, column : column + 3] for column in range(0, picture.shape[1], 4)], axis=1)


def shown(widget: Any) -> tuple[np.ndarray, str]:
    """The live image and its alternative text."""
    html = widget.children[1].value
    source, alt = re.search(r'base64,([\w+/=]+)" alt="([^"]*)"', html).groups()
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("L")), alt


def levels(code: list[float]) -> list[int]:
    return [[round(255 * (0.5 + value / 10)) for value in code]]


def test_grid_sets_each_unit_to_even_steps_around_the_base():
    decode = Decoder()
    figure = show.slider(decode, BASE, low=-3, high=3, steps=4, scale=4).figure
    assert len(decode.asked) == 1 and decode.asked[0].shape == (15, 3) and not decode.with_gradients
    codes = decode.asked[0].view(3, 5, 3)
    for unit in range(3):
        expected = BASE.repeat(5, 1)
        expected[[0, 1, 3, 4], unit] = torch.tensor([-3.0, -1, 1, 3])
        torch.testing.assert_close(codes[unit], expected)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["−3", "−1", "base", "1", "3"]
    assert axes.get_xlabel() == "what the row’s unit is set to: −3 to 3 prior deviations"
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["z₁\n(base 0.3)", "z₂\n(base −1.27)", "z₃\n(base 0)"]
    assert axes.patches[0].get_bbox().x0 == pytest.approx(2 * 4 - 0.5)
    assert pixels_of(figure).tolist() == [[levels(code)[0] for code in row] for row in codes.tolist()]


def test_rows_are_ordered_by_rate_and_labelled_with_it():
    decode = Decoder()
    slider = show.slider(decode, BASE, dims=[0, 1], labels=["size", "place"], rates=torch.tensor([0.5, 2.0, 9.0]))
    rows = [label.get_text() for label in slider.figure.axes[0].get_yticklabels()]
    assert rows == ["place, 2.00 nats\n(base −1.27)", "size, 0.50 nats\n(base 0.3)"]
    codes = decode.asked[0].view(2, 11, 3)
    assert (codes[0, :, 0] == BASE[0]).all() and (codes[1, :, 1] == BASE[1]).all() and (codes[..., 2] == 0).all()
    assert "from the top, place, 2.00 nats (base −1.27), size, 0.50 nats (base 0.3)." in slider.figure.alt
    assert repr(slider) == f"<figure: {slider.figure.alt}>"
    assert slider._repr_mimebundle_() == slider.figure._repr_mimebundle_()


def boxes(slider: show.Slider) -> tuple[list[Any], Any]:
    """The sliders and the button."""
    *moved, _, back = slider.widget.children[0].children
    return moved, back


def test_a_move_decodes_once_what_the_sliders_say():
    pytest.importorskip("ipywidgets")
    decode, z = Decoder(), BASE.clone()
    slider = show.slider(decode, z, rates=[0.5, 2.0, 1.0])
    (second, third, first), back = boxes(slider)
    assert second.description == "z₂, 2.00 nats (base −1.27)"
    assert (second.min, second.max, second.step) == (-3, 3, pytest.approx(0.1))
    assert shown(slider.widget)[0].tolist() == levels([0.3, -1.27, 0])
    before = len(decode.asked)
    second.value = 2.0
    third.value = -3.0
    assert len(decode.asked) == before + 2 and decode.asked[-1].tolist() == [pytest.approx([0.3, 2, -3])]
    pixels, alt = shown(slider.widget)
    assert pixels.tolist() == levels([0.3, 2, -3])
    assert alt == "Decoded image with z₂ at 2, z₃ at −3, z₁ at 0.3."
    assert not decode.with_gradients and torch.equal(z, BASE)
    back.click()
    assert len(decode.asked) == before + 3 and torch.equal(decode.asked[-1], BASE[None])
    assert [box.value for box in (second, third, first)] == pytest.approx([-1.3, 0, 0.3])
    first.value = 1.0
    assert decode.asked[-1].tolist() == [pytest.approx([1, -1.27, 0])], "the sliders are still heard after that"


def test_the_position_nearest_to_the_base_is_the_base():
    pytest.importorskip("ipywidgets")
    decode = Decoder()
    slider = show.slider(decode, BASE)
    (_, second, _), _ = boxes(slider)
    before = len(decode.asked)
    second.value = -1.3000000001  # what a browser makes of the position
    assert len(decode.asked) == before
    second.value = -1.2
    second.value = -1.3
    assert decode.asked[-1][0, 1] == BASE[1]


def test_a_base_beyond_the_ends_is_kept_until_its_slider_moves():
    pytest.importorskip("ipywidgets")
    decode = Decoder()
    slider = show.slider(decode, torch.tensor([3.4, 0.0]))
    (first, second), _ = boxes(slider)
    assert first.value == 3
    second.value = 1.0
    assert decode.asked[-1].tolist() == [pytest.approx([3.4, 1])]
    first.value = 2.9
    first.value = 3.0
    assert decode.asked[-1].tolist() == [[3, 1]]


def test_asking_twice_gives_the_same_widget_and_the_reader_keeps_their_code():
    pytest.importorskip("ipywidgets")
    z = BASE.clone().requires_grad_()
    slider = show.slider(Decoder(), z)
    with torch.no_grad():
        z.zero_()
    assert slider.widget is slider.widget
    assert shown(slider.widget)[0].tolist() == levels(BASE.tolist())


@pytest.mark.parametrize(("person", "installed"), [(True, True), (True, False), (False, True)])
def test_the_figure_is_always_shown_and_widgets_only_where_they_run(monkeypatch, person, installed):
    pytest.importorskip("ipywidgets")
    import IPython.display

    outputs: list[dict[str, Any]] = []
    monkeypatch.setattr(IPython.display, "display", lambda data, **_: outputs.append(data))
    monkeypatch.setattr(sliders, "runs_widgets", lambda: person)
    monkeypatch.setattr(sliders, "find_spec", lambda name: object() if installed else None)
    slider = show.slider(Decoder(), BASE)
    slider._ipython_display_()
    assert sorted(outputs[0]) == ["image/png", "text/plain"]
    assert len(outputs) == 1 + (person and installed)
    if person and installed:
        assert outputs[1][VIEW]["model_id"] == slider.widget.model_id
        assert outputs[1]["text/plain"] == "Sliders: run this cell to move them."


FAILURES = {
    "a batch of codes": (lambda: show.slider(Decoder(), BASE[None]), r"base z is float32 of shape \(1, 3\); pass one"),
    "a code of integers": (lambda: show.slider(Decoder(), torch.tensor([1, 2])), "base z is int64"),
    "no units": (lambda: show.slider(Decoder(), BASE, dims=[]), r"dims is \[\]; pass units of the code, from 0 to 2"),
    "a unit outside": (lambda: show.slider(Decoder(), BASE, dims=[0, 3]), r"dims is \[0, 3\]"),
    "too few labels": (lambda: show.slider(Decoder(), BASE, labels=["a"]), "3 units to move and 1 labels"),
    "too few rates": (lambda: show.slider(Decoder(), BASE, rates=[1.0]), "1 rates and the code has 3 units"),
    "too far out": (lambda: show.slider(Decoder(), BASE, high=4), "from -3 to 4; keep them within ±3 prior deviations"),
    "the wrong way round": (lambda: show.slider(Decoder(), BASE, low=1, high=-1), "from 1 to -1; keep them"),
    "no middle": (lambda: show.slider(Decoder(), BASE, steps=7), "steps is 7; pass an even number"),
    "a decoder of one": (lambda: show.slider(lambda z: z[:1, None, None], BASE), "returned 1 images for 33 codes"),
    "no images": (lambda: show.slider(lambda z: z, BASE), r"strips have shape \(3, 11, 3\)"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_cannot_be_moved_is_said_in_one_sentence(failure):
    attempt, sentence = FAILURES[failure]
    with pytest.raises(ValueError, match=sentence) as caught:
        attempt()
    assert "\n" not in str(caught.value)


CELL = """
import torch
from lvmlib import show
show.slider(lambda z: z.sigmoid()[:, None, None, :], torch.zeros(2))
"""


@pytest.mark.slow
def test_a_program_that_runs_the_cell_gets_the_grid_and_a_person_the_sliders_too():
    pytest.importorskip("ipywidgets")
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel()
    try:
        run_by_a_program, run_by_a_person = (_outputs(client, asks) for asks in (False, True))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert [sorted(data) for data in run_by_a_program["display_data"]] == [["image/png", "text/plain"]]
    assert "comm_open" not in run_by_a_program
    (stored,), (seen, _) = run_by_a_program["display_data"], run_by_a_person["display_data"]
    assert f'src="data:image/png;base64,{stored["image/png"]}" alt="' in seen["text/html"], "the same picture"
    assert [VIEW in data for data in run_by_a_person["display_data"]] == [False, True]
    assert not run_by_a_program.get("stream") and not run_by_a_person.get("stream")
    json.dumps(run_by_a_person["display_data"])


def _outputs(client: Any, allow_stdin: bool) -> dict[str, list[Any]]:
    """What a cell sends, by kind of message."""
    request = client.execute(CELL, allow_stdin=allow_stdin)
    sent: dict[str, list[Any]] = {}
    while True:
        try:
            message = client.get_iopub_msg(timeout=60)
        except Empty:
            raise AssertionError("The kernel fell silent.") from None
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            return sent
        assert message["msg_type"] != "error", content
        sent.setdefault(message["msg_type"], []).append(content.get("data", content))
