"""How the exercises of lab 02, the Wasserstein GAN, are questioned."""

from __future__ import annotations

import math
from typing import Any

import numpy
import torch
from torch import Tensor

from lvmlib.exercises import exercise, transport
from lvmlib.exercises.clipping import ask_clipping, dense_critic, nested_critic, normalised_critic
from lvmlib.exercises.penalised import Polynomial, ask_penalty, smooth_critic
from lvmlib.exercises.plain_values import blame, kind_of, number, several
from lvmlib.exercises.training_steps import OPTIMIZERS, ask_steps, small_discriminator, small_generator
from lvmlib.probe import Ask, Draw

GRID = 1 / 64
"""Samples lie on this grid, x on its even points and y on its odd ones: none is met twice, and gradients exist."""


def _apart(draw: Draw, count: int, odd: int, *, low: float, high: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Samples in random order, no two the same, on the even or the odd points of the grid."""
    first, last = math.ceil(low / GRID / 2), math.floor(high / GRID / 2)
    points = first + torch.randperm(last - first + 1, generator=draw.generator)[:count]
    return (GRID * (2 * points + odd)).to(dtype)


@exercise("wasserstein-1d", "wasserstein_1d")
def wasserstein_1d(ask: Ask) -> None:
    draw, wrt = ask.draw, ("x", "y")
    few, some = draw.distinct(2, 4, 9)
    # Neither count divides the other, so that no one is served by repeating the shorter sample.
    more = few + draw.integer(1, few - 1)

    def samples(n: int, m: int, *, shift: float = 0.0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Two samples around one centre, the second three times as wide and then shifted."""
        narrow, wide = {"low": -1, "high": 1}, {"low": shift - 3, "high": shift + 3}
        return {"x": _apart(draw, n, 0, dtype=dtype, **narrow), "y": _apart(draw, m, 1, dtype=dtype, **wide)}

    ask(f"{some} and {some} samples around one centre", samples(some, some), wrt=wrt)
    ask(f"{few} and {more} samples", samples(few, more, shift=0.5), wrt=wrt)
    ask(f"{more} and {few} samples", samples(more, few), wrt=wrt)
    ask("two far groups", samples(some, some, shift=8), wrt=wrt, edge=True)
    ask("twice as many samples of one as of the other", samples(some, 2 * some), wrt=wrt, edge=True)
    ask("90 and 130 samples", samples(29, 90) | {"x": _apart(draw, 130, 0, low=-4, high=4)}, wrt=wrt, edge=True)
    ask("one sample and one", samples(1, 1, shift=-4), wrt=wrt, edge=True)
    ask("one sample against many", samples(1, more), wrt=wrt, edge=True)
    ask("many samples against one", samples(more, 1, shift=0.3), wrt=wrt, edge=True)
    # So far out, float32 keeps steps of 1/8 only.
    far = {name: 2.0**20 + sample for name, sample in samples(few, more, dtype=torch.float64).items()}
    ask("float64 inputs near a million", far, wrt=wrt, edge=True)
    sizes = {"x": (some, -2, 3), "y": (more, -1, 2)}
    ties = {name: draw.uniform(n, low=low, high=high).round() for name, (n, low, high) in sizes.items()}
    ask("samples that coincide", ties, edge=True)
    same = samples(some, 1)["x"]
    ask("the same samples in another order", {"x": same, "y": same.flip(0)}, edge=True)
    ask("a sample that repeats the other", {"x": same, "y": same.repeat(2)}, edge=True)
    equal = {"x": torch.full((few,), 0.25), "y": torch.full((some,), -1.5)}
    ask("all samples of each alike", equal, edge=True)


@exercise(
    "wasserstein-discrete",
    "wasserstein_discrete",
    praise="plans and values right on 13 problems",
    law=transport.law,
)
def wasserstein_discrete(ask: Ask) -> None:
    for problem in transport.problems(ask.draw):
        transport.ask_problem(ask, problem)


@exercise("parallel-lines", "parallel_lines", praise="values right")
def parallel_lines(ask: Ask) -> None:
    sizes = [ask.draw.integer(3, 30) / 32 for _ in range(3)]
    names = ("w1", "jsd", "kl")

    def ask_lines(theta: float, *, edge: bool = False) -> None:
        question = f"theta = {theta:g}"
        if question in ask.answers.questions:
            return
        if edge:
            ask.answers.edges.append(question)
        parts = several(ask, question, ask.call(question, {"theta": theta}, returns=None), names)
        for name, part in zip(names, parts or (), strict=False):
            value = number(part)
            if value is None:
                blame(ask, question, f"returned {kind_of(part)} as {name}; a float is wanted")
                return
            ask.record(question, name, torch.tensor(value, dtype=torch.float64))

    for theta in (sizes[0], -sizes[1], sizes[2] - 2, sizes[2] + 1):
        ask_lines(theta)
    for theta in (0.0, 5e-6, -5e-6, 1.0, -250.0):
        ask_lines(theta, edge=True)


def _scores(draw: Draw, count: int, *, around: float = 0.0, dtype: torch.dtype = torch.float32) -> Tensor:
    return draw.uniform(count, low=around - 3, high=around + 3, dtype=dtype)


@exercise("critic-loss", "critic_loss")
def critic_loss(ask: Ask) -> None:
    draw, wrt = ask.draw, ("real_scores", "fake_scores")
    few, many = sorted(draw.distinct(2, 3, 9))

    def scores(real: int, fake: int, **how: Any) -> dict[str, Tensor]:
        return {name: _scores(draw, count, **how) for name, count in zip(wrt, (real, fake), strict=True)}

    def gap(real: int, fake: int, above: float) -> dict[str, Tensor]:
        """Real scores that are on average higher than generated ones, or lower, so that a lost sign shows."""
        return {
            "real_scores": _scores(draw, real, around=above),
            "fake_scores": _scores(draw, fake, around=-above),
        }

    ask(f"{few} real and {many} generated scores", gap(few, many, 2.0), wrt=wrt)
    ask(f"{many} real and {few} generated scores", gap(many, few, -2.0), wrt=wrt)
    ask("as many real as generated scores", scores(few, few), wrt=wrt, edge=True)
    ask("one score of each", scores(1, 1), wrt=wrt, edge=True)
    ask("one generated score", scores(many, 1), wrt=wrt, edge=True)
    ask("float64 inputs", scores(few, many, dtype=torch.float64), wrt=wrt, edge=True)
    apart = {"real_scores": _scores(draw, many, around=40), "fake_scores": _scores(draw, few, around=-60)}
    ask("real scores near 40, generated near −60", apart, wrt=wrt, edge=True, atol=1e-4)
    swapped = {"real_scores": apart["fake_scores"], "fake_scores": apart["real_scores"]}
    ask("real scores near −60, generated near 40", swapped, wrt=wrt, edge=True, atol=1e-4)
    ask("scores near 1000", scores(few, many, around=1000), wrt=wrt, edge=True, atol=1e-2)


@exercise("wgan-generator-loss", "generator_loss")
def wgan_generator_loss(ask: Ask) -> None:
    draw = ask.draw
    few, many = sorted(draw.distinct(2, 3, 9))

    def ask_scores(question: str, count: int, *, edge: bool = True, atol: float | None = None, **how: Any) -> None:
        ask(question, {"fake_scores": _scores(draw, count, **how)}, wrt=("fake_scores",), edge=edge, atol=atol)

    ask_scores(f"{few} scores", few, edge=False)
    ask_scores(f"{many} scores", many, around=1, edge=False)
    ask_scores(f"{many} scores, most of them negative", many, around=-2, edge=False)
    ask_scores("one score", 1)
    ask_scores("float64 inputs", few, dtype=torch.float64)
    for around in (-1000.0, 1000.0):
        ask_scores(f"scores near {around:.0f}", many, around=around, atol=1e-2)


@exercise("clip-weights", "clip_weights", praise="weights clipped, all else untouched")
def clip_weights(ask: Ask) -> None:
    draw = ask.draw
    inputs, width = draw.distinct(2, 2, 5)

    def limit() -> float:
        return draw.integer(1, 20) / 64

    ask_clipping(ask, "an MLP", dense_critic(inputs, width), 0.5 + limit())
    ask_clipping(ask, "convolutions and normalisations", normalised_critic(inputs, width), limit())
    ask_clipping(ask, "modules inside modules", nested_critic(inputs, width), limit(), edge=True)
    ask_clipping(ask, "all weights inside the box", dense_critic(inputs, width), limit(), reach=0.9, edge=True)
    ask_clipping(ask, "a limit of 2.5", normalised_critic(inputs, width), 2.5, edge=True)
    ask_clipping(ask, "float64 weights", normalised_critic(inputs, width).double(), limit(), edge=True)
    ask_clipping(ask, "eval mode", normalised_critic(inputs, width).eval(), limit(), edge=True)
    ask_clipping(ask, "no gradients yet", dense_critic(inputs, width), limit(), learned=False, edge=True)
    half_frozen = dense_critic(inputs, width)
    half_frozen[1].requires_grad_(False)
    ask_clipping(ask, "a frozen layer", half_frozen, limit(), edge=True)


@exercise("critic-step", "critic_step", praise="loss, step and clipping right")
def critic_step(ask: Ask) -> None:
    draw = ask.draw

    def ask_step(
        question: str, name: str, shape: tuple[int, ...], real: int, fake: int, limit: float, *, edge: bool = False
    ) -> None:
        """Steps whose weights start on both sides of the limit, with more or fewer real observations than codes."""
        latent = draw.integer(2, 3)
        critic = small_discriminator(draw, shape)
        networks = {"critic": critic, "generator": small_generator(draw, latent, shape, normalised=fake > 2)}
        batches = [
            {"x": draw.uniform(real, *shape, low=-2, high=2), "z": draw.uniform(fake, latent, low=-2, high=2)}
            | {"limit": limit}
            for _ in range(2)
        ]
        optimizer = OPTIMIZERS[name](critic.parameters())
        ask_steps(ask, question, networks, "critic", optimizer, batches, edge=edge)

    few, many = sorted(draw.distinct(2, 3, 7))
    ask_step(f"RMSprop, {few} observations, {many} codes", "RMSprop", (3,), few, many, 0.6)
    ask_step(f"SGD, images, {many} observations, {few} codes", "SGD with momentum", (1, 2, 3), many, few, 0.75)
    ask_step("as many codes as observations", "RMSprop", (4,), few, few, 0.5, edge=True)
    ask_step("one observation, one code", "SGD with momentum", (2,), 1, 1, 0.6, edge=True)
    ask_step("a limit of 0.01", "RMSprop", (3,), few, many, 0.01, edge=True)
    ask_step("a limit that nothing reaches", "RMSprop", (3,), many, few, 5.0, edge=True)


@exercise("gradient-penalty", "gradient_penalty")
def gradient_penalty(ask: Ask) -> None:
    draw = ask.draw
    batch, features, channels = draw.distinct(3, 3, 6)
    height, width = draw.distinct(2, 2, 4)
    image = (channels, height, width)

    def data(count: int, *shape: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Real, fake and eps, apart enough for a critic's slope to differ between them."""
        real = draw.uniform(count, *shape, low=-1, high=2, dtype=dtype)
        fake = draw.uniform(count, *shape, low=-2, high=1, dtype=dtype)
        return [real, fake, draw.uniform(count, low=0.05, high=0.95, dtype=dtype)]

    def polynomial(*shape: int, degree: int, steep: float = 1.0, dtype: torch.dtype = torch.float32) -> Polynomial:
        """Slopes longer than 1 here and shorter there."""
        scale = steep * math.prod(shape) ** -0.5
        return Polynomial(*(draw.uniform(*shape, low=-scale, high=scale, dtype=dtype) for _ in range(degree)))

    flat, images = (f"{batch} vectors", f"{batch} images of shape {image}")
    ask_penalty(ask, f"a critic of degree 2, {flat}", polynomial(features, degree=2), data(batch, features), 10.0)
    ask_penalty(
        ask, f"a critic of degree 3, {images}", polynomial(*image, degree=3, steep=2.0), data(batch, *image), 0.5
    )
    ask_penalty(ask, f"a smooth network, {images}", smooth_critic(draw, image), data(batch, *image), 3.0)
    for steep in (0.5, 3.0):
        linear = polynomial(features, degree=1, steep=steep)
        ask_penalty(ask, f"a linear critic of steepness {steep:g}", linear, data(batch, features), 4.0, edge=True)
    unit = draw.uniform(features, low=0.5, high=1)
    ask_penalty(ask, "a slope of length 1", Polynomial(unit / unit.norm()), data(batch, features), 10.0, edge=True)
    # A constant that keeps the root away from 0 is no mistake.
    level = Polynomial(torch.zeros(features))
    ask_penalty(ask, "a flat critic", level, data(batch, features), 10.0, slopes=False, edge=True, rtol=5e-3)
    square = polynomial(batch, degree=2)
    ask_penalty(ask, "as many features as observations", square, data(batch, batch), 2.0, edge=True)
    cube = polynomial(batch, batch, batch, degree=2)
    ask_penalty(ask, "as many rows, columns and channels as images", cube, data(batch, *[batch] * 3), 2.0, edge=True)
    ask_penalty(ask, "one vector", polynomial(features, degree=2), data(1, features), 10.0, edge=True)
    ask_penalty(ask, "one image", polynomial(*image, degree=2), data(1, *image), 10.0, edge=True)
    double = polynomial(*image, degree=3, dtype=torch.float64)
    ask_penalty(ask, "float64 inputs", double, data(batch, *image, dtype=torch.float64), 10.0, edge=True)
    attached = data(batch, features)
    ask_penalty(
        ask, "fake with the generator's graph", polynomial(features, degree=2), attached, 1.0, attached=True, edge=True
    )
    ends = data(2, features)
    ends[2] = torch.tensor([0.0, 1.0])
    ask_penalty(ask, "eps of 0 and 1", polynomial(features, degree=2), ends, 10.0, edge=True)


@exercise("generator-turns", "generator_turns", praise="turns right")
def generator_turns(ask: Ask) -> None:
    draw = ask.draw

    def ask_turns(steps: int, n_critic: int, *, edge: bool = False) -> None:
        question = f"{steps} steps, n_critic {n_critic}"
        if edge:
            ask.answers.edges.append(question)
        arguments = {"steps": steps, "n_critic": n_critic}
        turns, again = (ask.call(question, arguments, returns=None) for _ in range(2))
        fault = _no_list_of_bools(turns, steps)
        if not fault and turns != again:
            fault = "gives another answer when it is called again"
        if fault:
            blame(ask, question, fault)
        if question not in ask.answers.faults:
            _record_turns(ask, question, torch.tensor([bool(turn) for turn in turns], dtype=torch.bool))

    n_critic = draw.integer(3, 6)
    ask_turns(n_critic * draw.integer(4, 6) + draw.integer(1, n_critic - 1), n_critic)
    ask_turns(2 * draw.integer(4, 9) + 1, 2)
    ask_turns(30, 5)
    ask_turns(draw.integer(2, 6), 1, edge=True)
    ask_turns(0, n_critic, edge=True)
    ask_turns(1, n_critic, edge=True)
    ask_turns(n_critic - 1, n_critic, edge=True)
    ask_turns(n_critic, n_critic, edge=True)
    ask_turns(301 + draw.integer(0, 50), 7, edge=True)


def _no_list_of_bools(turns: Any, length: int) -> str | None:
    if type(turns) is not list:
        return f"returned {kind_of(turns)}; its signature promises a list of bools"
    odd = next((turn for turn in turns if not isinstance(turn, bool | numpy.bool_)), None)
    if odd is not None:
        return f"returned a list that holds {kind_of(odd)}; its signature promises a list of bools"
    if len(turns) != length:
        return f"returned a list of {len(turns)}; one entry for each step is wanted"
    return None


def _record_turns(ask: Ask, question: str, turns: Tensor) -> None:
    when = turns.nonzero().flatten()
    ask.record(question, "the number of generator turns", torch.tensor(len(when)))
    ask.record(question, "the index of the first generator turn", when[0] if len(when) else torch.tensor(-1))
    ask.record(question, "an entry of the list", turns)
