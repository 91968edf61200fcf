"""Questioning functions of the toy model z_d ~ N(θ, 1), x_d | z_d ~ N(z_d, 1), and of its particles z of shape (D, N).

It is the toy hierarchical model of Kuntz, Lim & Johansen, *Particle algorithms for maximum likelihood training of
latent variable models*, 2023.  Only values are written down: a gradient may come from a formula or from autograd, which
cuts its own graph.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lvmlib.exercises.plain_values import blame, kind_of
from lvmlib.exercises.several_tensors import ask_tensors
from lvmlib.probe import Ask, Draw, is_plain, same

ACCURATE = 1e-4
"""Relative tolerance of a step size, which may be found by bisection."""


def toy(
    draw: Draw,
    dims: int,
    particles: int,
    *,
    around: float = 0.0,
    reach: float = 3.0,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """θ, a cloud and an observation, all of them `reach` around a number at most."""
    low, high = around - reach, around + reach
    return {
        "theta": draw.uniform(low=low, high=high, dtype=dtype),
        "z": draw.uniform(dims, particles, low=low, high=high, dtype=dtype),
        "x": draw.uniform(dims, low=low, high=high, dtype=dtype),
    }


def transposed_in_memory(values: Tensor) -> Tensor:
    """The same matrix with its columns, not its rows, side by side in memory."""
    return values.mT.contiguous().mT


def ask_gradient(ask: Ask) -> None:
    """Ask `gradient(theta, z, x)`."""
    draw = ask.draw
    small, large = sorted(draw.distinct(2, 2, 6))
    ask(f"{small} dimensions, {large} particles", toy(draw, small, large))
    ask(f"{large} dimensions, {small} particles", toy(draw, large, small, around=2.0))
    ask("as many dimensions as particles", toy(draw, large, large), edge=True)
    ask("one particle", toy(draw, large, 1), edge=True)
    ask("one dimension", toy(draw, 1, large), edge=True)
    ask("one dimension, one particle", toy(draw, 1, 1), edge=True)
    ask("float64 inputs", toy(draw, small, large, dtype=torch.float64), edge=True)
    # In float32 a difference of numbers near 1000 is off by a ten-thousandth.
    ask("numbers near 1000", toy(draw, large, small, around=1000.0), atol=5e-3, edge=True)
    ask("numbers up to ±100,000", toy(draw, small, large, reach=1e5), atol=0.5, edge=True)
    ask("200 dimensions, 30 particles", toy(draw, 200, 30), atol=2e-3, edge=True)
    origin = toy(draw, small, large)
    ask("θ = 0", origin | {"theta": torch.zeros(())}, edge=True)
    ask("all particles at one place", origin | {"z": origin["z"][:1, :1].repeat(small, large)}, edge=True)
    turned = toy(draw, small, large)
    ask("a z that is not contiguous", turned | {"z": transposed_in_memory(turned["z"])}, edge=True)
    _ask_again(ask, "the very same tensors once more", toy(draw, small, large))


def _ask_again(ask: Ask, question: str, arguments: dict[str, Tensor]) -> None:
    """Call the function twice with these very tensors, where something of the first call could be left."""
    ask.answers.edges.append(question)
    before = {name: value.detach().clone() for name, value in arguments.items()}
    found = []
    for _ in range(2):
        value = ask.attempt(question, ask.function, *arguments.values(), value_only=True)
        if question in ask.answers.faults:
            return
        if type(value) is not Tensor or not is_plain(value):
            blame(ask, question, f"returned {kind_of(value)}; its signature promises an ordinary tensor")
            return
        found.append(value.detach().clone())
    for name, was in before.items():
        if not torch.equal(arguments[name], was):
            blame(ask, question, f"changed its argument `{name}` in place; work on a new tensor")
    if not same(*found):
        hint = (
            "; did gradients add up in `.grad`?" if any(value.grad is not None for value in arguments.values()) else ""
        )
        blame(ask, question, f"gives another answer when it is called again with the same inputs{hint}")
    if question not in ask.answers.faults:
        ask.record(question, "value", found[0])


def ask_step(ask: Ask) -> None:
    """Ask `step(theta, z, x, step_size, noise)` for the next θ and the next cloud."""
    draw = ask.draw

    def ask_one(
        question: str,
        dims: int,
        particles: int,
        step_size: float,
        *,
        loudness: float = 2.0,
        edge: bool = True,
        atol: float | None = None,
        turned: bool = False,
        around: float = 0.0,
        reach: float = 3.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if edge:
            ask.answers.edges.append(question)
        inputs = toy(draw, dims, particles, around=around, reach=reach, dtype=dtype)
        noise = draw.uniform(dims, particles, low=-loudness, high=loudness, dtype=dtype)
        if turned:
            inputs["z"], noise = transposed_in_memory(inputs["z"]), transposed_in_memory(noise)
        arguments = {**inputs, "step_size": step_size, "noise": noise}
        parts = ask_tensors(ask, question, arguments, ("theta", "z"))
        for name, part in zip(("theta", "z"), parts or (), strict=False):
            ask.record(question, name, part, atol=atol)

    small, large = sorted(draw.distinct(2, 2, 6))
    some, other = (draw.integer(4, 30) / 64 for _ in range(2))
    ask_one(f"{small} dimensions, {large} particles, h = {some:g}", small, large, some, edge=False)
    ask_one(f"{large} dimensions, {small} particles, h = {other:g}", large, small, other, around=2.0, edge=False)
    ask_one("as many dimensions as particles", large, large, some)
    ask_one("one particle", large, 1, some)
    ask_one("one dimension", 1, large, other)
    ask_one("one dimension, one particle", 1, 1, other)
    ask_one("float64 inputs", small, large, some, dtype=torch.float64)
    ask_one("noise of zeros", small, large, some, loudness=0.0)
    ask_one("h = 1", large, small, 1.0)
    ask_one("h = 2", small, large, 2.0)
    ask_one("h = 0", small, large, 0.0)
    ask_one("h = 0.0001", small, large, 1e-4, dtype=torch.float64)
    ask_one("numbers near 1000", large, small, some, around=1000.0, atol=5e-3)
    ask_one("numbers up to ±100,000", small, large, some, reach=1e5, atol=0.5)
    ask_one("200 dimensions, 30 particles", 200, 30, 0.01, atol=1e-3)
    ask_one("z and noise that are not contiguous", small, large, other, turned=True)


def ask_stable_step(ask: Ask) -> None:
    """Ask `max_stable_step(dims)`."""
    few, more = ask.draw.integer(3, 6), ask.draw.integer(7, 15)

    def ask_dims(question: str, dims: int, *, edge: bool = True) -> None:
        ask(question, {"dims": dims}, returns=float, rtol=ACCURATE, atol=1e-12, edge=edge)

    ask_dims(f"{few} dimensions", few, edge=False)
    ask_dims(f"{more} dimensions", more, edge=False)
    ask_dims("one dimension", 1)
    ask_dims("two dimensions", 2)
    ask_dims("20 dimensions", 20)
    ask_dims("100 dimensions", 100)
    ask_dims("784 dimensions", 784)
    ask_dims("a million dimensions", 1_000_000)
