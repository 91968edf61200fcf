"""A code that a person can move: a grid of traversals, and below it one slider a latent unit."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from lvmlib.front_end import img, runs_widgets
from lvmlib.profile import profile
from lvmlib.show.figure import Figure
from lvmlib.show.latent import short, traversal
from lvmlib.show.pixels import Bytes, to_bytes

FARTHEST = 3.0
"""Prior deviations; codes beyond are too rare for a decoder to have learned them."""
_POSITIONS = 60
"""Steps of a slider from end to end; an arrow key moves it by one."""
_SIDE = 256  # screen pixels
_VIEW = "application/vnd.jupyter.widget-view+json"
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

Decode = Callable[[Tensor], Tensor]


class Unit(NamedTuple):
    """A latent unit that can be moved."""

    dim: int
    name: str
    label: str


def slider(
    decode: Decode,
    z: Tensor,
    *,
    dims: Sequence[int] | None = None,
    rates: Sequence[float] | Tensor | None = None,
    labels: Sequence[object] | None = None,
    low: float = -FARTHEST,
    high: float = FARTHEST,
    steps: int = 10,
    title: str | None = None,
    alt: str | None = None,
    scale: float | None = None,
) -> Slider:
    """A grid of traversals from one code, and where widgets can run, below it a slider for each unit.

    Grid and sliders set a unit to a value, whatever the base has there.

    Args:
        decode: From codes, shape (n, K) on the profile's device, to images in [0, 1], shape (n, 1 or 3, height,
            width). It is called without gradients: once for the grid, and with one code whenever a slider moves.
        z: The base code, shape (K,), any device; it is copied.
        dims: The units to move; without it all.
        rates: Of every unit in nats, shape (K,). The units are then ordered by it, largest first, and labelled with it.
        labels: One for each of dims, in their order; without it z₁ for unit 0, z₂ for unit 1 and so on.
        low, high: The first and the last value, within three prior deviations.
        steps: Values a row of the grid, equally far apart from low to high and an even number of them, so that the
            base stands in the middle.
        title, alt, scale: Of the grid, as in :func:`lvmlib.show.grid`.

    Raises:
        ValueError: z has another shape, dims, rates or labels do not fit it, the ends lie farther out, steps is odd,
            or decode returns another number of images or what is no image.
    """
    base = z.detach().to(profile.device).clone()
    units = _units(base, dims, rates, labels)
    if not -FARTHEST <= low < high <= FARTHEST:
        raise ValueError(f"The sliders go from {low:g} to {high:g}; keep them within ±{FARTHEST:g} prior deviations.")
    if steps < 2 or steps % 2:
        raise ValueError(f"steps is {steps}; pass an even number, so that the base stands in the middle of a row.")
    values = torch.linspace(low, high, steps)
    strips = _strips(decode, base, units, values)
    words = [short(value) for value in values.tolist()]
    figure = traversal(
        strips,
        row_labels=[unit.label for unit in units],
        column_labels=[*words[: steps // 2], "base", *words[steps // 2 :]],
        base=steps // 2,
        xlabel=f"what the row’s unit is set to: {short(low)} to {short(high)} prior deviations",
        title=title,
        alt=alt,
        scale=scale,
    )
    return Slider(figure, _Controls(decode, base, units, (low, high)))


class Slider:
    """What :func:`slider` returns: a figure, and below it ipywidgets where there is a person to move them.

    A program that runs notebooks, such as nbconvert, nbval or papermill, gets the figure alone, and so does a notebook
    without ipywidgets. The figure is an output of its own, since JupyterLab shows none of a widget whose kernel is
    gone.

    Attributes:
        figure: The traversals of every unit.
    """

    def __init__(self, figure: Figure, controls: _Controls) -> None:
        self.figure = figure
        self._controls = controls

    @property
    def widget(self) -> Any:
        """The ipywidgets box of sliders and image; always the same one.

        Raises:
            ModuleNotFoundError: ipywidgets is not installed.
        """
        return self._controls.widget

    def __repr__(self) -> str:
        return repr(self.figure)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.figure._repr_mimebundle_(**options)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        self.figure._ipython_display_()
        if runs_widgets() and find_spec("ipywidgets"):
            view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
            display({_VIEW: view, "text/plain": "Sliders: run this cell to move them."}, raw=True)


class _Controls:
    """The sliders, the code they stand at and its image."""

    def __init__(self, decode: Decode, base: Tensor, units: Sequence[Unit], ends: tuple[float, float]) -> None:
        self._decode = decode
        self._base = base
        self._code = base.clone()
        self._units = units
        self._ends = ends

    @cached_property
    def widget(self) -> Any:
        import ipywidgets

        low, high = self._ends
        labels = [unit.label.replace("\n", " ") for unit in self._units]
        wide = 1 + 0.5 * max(map(len, labels))
        sliders = [
            ipywidgets.FloatSlider(
                value=self._nearest(unit.dim),
                min=low,
                max=high,
                step=self._step,
                description=label,
                readout_format=".2f",
                style={"description_width": f"{wide}em"},
                layout={"width": f"{wide + 20}em"},
            )
            for unit, label in zip(self._units, labels, strict=True)
        ]
        image = ipywidgets.HTML(self._draw())
        back = ipywidgets.Button(description="back to the base")

        def move(change: Any) -> None:
            dim = self._units[sliders.index(change["owner"])].dim
            if self._set(dim, change["new"]):
                image.value = self._draw()

        def start_again(_: Any) -> None:
            self._code = self._base.clone()
            for slider, unit in zip(sliders, self._units, strict=True):
                slider.unobserve(move, "value")
                slider.value = self._nearest(unit.dim)
                slider.observe(move, "value")
            image.value = self._draw()

        for slider in sliders:
            slider.observe(move, "value")
        back.on_click(start_again)
        said = f"From {short(low)} to {short(high)} prior deviations. Arrow keys move a slider by {self._step:.2g}."
        column = ipywidgets.VBox([*sliders, ipywidgets.HTML(said), back])
        return ipywidgets.HBox([column, image], layout={"flex_flow": "row wrap"})

    @property
    def _step(self) -> float:
        return (self._ends[1] - self._ends[0]) / _POSITIONS

    def _nearest(self, dim: int) -> float:
        """Where a slider stands for the base: it has only so many positions."""
        low, high = self._ends
        position = round((float(self._base[dim]) - low) / self._step)
        return min(max(low + position * self._step, low), high)

    def _set(self, dim: int, value: float) -> bool:
        """Move a unit; the position nearest to the base's value is that value. Whether anything changed."""
        exact = float(self._base[dim])
        near = abs(value - self._nearest(dim)) < self._step / 2 and abs(value - exact) <= 0.51 * self._step
        before = float(self._code[dim])
        self._code[dim] = exact if near else value
        return float(self._code[dim]) != before

    def _draw(self) -> str:
        """The code's image as HTML."""
        with torch.no_grad():
            pixels = to_bytes(self._decode(self._code[None]), "decoded images")[0]
        values = ", ".join(f"{unit.name} at {short(float(self._code[unit.dim]))}" for unit in self._units)
        return _img(pixels, f"Decoded image with {values}.")


def _units(
    base: Tensor, dims: Sequence[int] | None, rates: Sequence[float] | Tensor | None, labels: Sequence[object] | None
) -> list[Unit]:
    """The units to move, in the order to show them."""
    if base.ndim != 1 or not base.is_floating_point():
        kind = str(base.dtype).removeprefix("torch.")
        raise ValueError(f"The base z is {kind} of shape {tuple(base.shape)}; pass one code, floats of shape (K,).")
    chosen = list(range(len(base))) if dims is None else [int(dim) for dim in dims]
    if not chosen or not 0 <= min(chosen) <= max(chosen) < len(base):
        raise ValueError(f"dims is {chosen}; pass units of the code, from 0 to {len(base) - 1}.")
    if labels is not None and len(labels) != len(chosen):
        raise ValueError(f"There are {len(chosen)} units to move and {len(labels)} labels; pass one a unit.")
    if rates is not None and len(rates) != len(base):
        raise ValueError(f"There are {len(rates)} rates and the code has {len(base)} units; pass one a unit.")
    names = [f"z{dim + 1}".translate(_SUBSCRIPTS) for dim in chosen] if labels is None else [str(x) for x in labels]
    nats = {dim: float(rates[dim]) for dim in chosen} if rates is not None else {}
    units = []
    for dim, name in zip(chosen, names, strict=True):
        rate = f", {nats[dim]:.2f} nats" if nats else ""
        units.append(Unit(dim, name, f"{name}{rate}\n(base {short(float(base[dim]))})"))
    return sorted(units, key=lambda unit: -nats[unit.dim]) if nats else units


def _strips(decode: Decode, base: Tensor, units: Sequence[Unit], values: Tensor) -> Tensor:
    """For each unit the images of its values with the base's in the middle, shape (units, values + 1, …)."""
    codes = base.repeat(len(units), len(values) + 1, 1)
    middle = len(values) // 2
    beside = torch.arange(len(values) + 1) != middle
    for row, unit in zip(codes, units, strict=True):
        row[beside, unit.dim] = values.to(row)
    with torch.no_grad():
        images = decode(codes.flatten(0, 1))
    if len(images) != codes[..., 0].numel():
        given = codes[..., 0].numel()
        raise ValueError(f"decode returned {len(images)} images for {given} codes; it must return one a code.")
    return images.unflatten(0, codes.shape[:2])


def _img(pixels: Bytes, alt: str) -> str:
    """An image that the browser enlarges, every pixel a square."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    height, width = pixels.shape[:2]
    zoom = max(1, _SIDE // max(height, width))
    size = {"width": zoom * width, "height": zoom * height, "style": "image-rendering: pixelated"}
    return img("image/png", file.getvalue(), alt, **size)
