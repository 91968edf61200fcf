"""How the exercises of lab 01, generative adversarial networks, are questioned."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmlib.exercises import exercise
from lvmlib.exercises.adversaries import ask_network, discriminators, generators, law_of
from lvmlib.exercises.initial_weights import ask_initial_weights
from lvmlib.exercises.initial_weights import law as law_of_initial_weights
from lvmlib.exercises.snapshots import ask_snapshot
from lvmlib.exercises.training_steps import OPTIMIZERS, ask_steps, small_discriminator, small_generator
from lvmlib.probe import Ask


@exercise("optimal-logit", "optimal_logit", praise="values right")
def optimal_logit(ask: Ask) -> None:
    draw = ask.draw
    few, more = draw.distinct(2, 3, 9)

    def ask_densities(
        question: str,
        count: int,
        *,
        around: float = 0.0,
        apart: float = 3.0,
        dtype: torch.dtype = torch.float32,
        edge: bool = True,
        rtol: float = 1e-3,
        atol: float = 1e-2,
    ) -> None:
        """Where q is larger, where p is, and a logit between −`apart` and `apart`."""
        log_q = around + draw.uniform(count, low=-3, high=1, dtype=dtype)
        log_p = log_q + draw.uniform(count, low=-apart, high=apart, dtype=dtype)
        # Room for whoever goes through a probability, or climbs to the optimum.
        ask(question, {"log_p": log_p, "log_q": log_q}, edge=edge, rtol=rtol, atol=atol)

    ask_densities(f"n = {few}", few, edge=False)
    ask_densities(f"n = {more}", more, edge=False)
    ask_densities("one point", 1)
    # No detour costs digits here, so that a rounded answer shows.
    ask_densities("float64 inputs", few, dtype=torch.float64, rtol=1e-5, atol=1e-5)
    ask_densities("log densities eight apart", more, apart=8)
    for around in (-40.0, -1000.0, 90.0):
        ask_densities(f"log densities near {around:.0f}", few, around=around)
    same = draw.uniform(few, low=-3, high=1)
    ask("p equal to q", {"log_p": same, "log_q": same.clone()}, edge=True, atol=1e-2)


@exercise("gan-value", "gan_value", praise="values right")
def gan_value(ask: Ask) -> None:
    draw = ask.draw
    few, more = draw.distinct(2, 3, 9)

    def masses(count: int, zeros: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """A distribution over `count` outcomes, of which the first `zeros` have none of the mass."""
        mass = draw.uniform(count, low=0.1, high=1, dtype=torch.float64).pow(2)
        mass[:zeros] = 0
        return (mass / mass.sum()).to(dtype)

    def ask_masses(question: str, p: Tensor, q: Tensor, *, edge: bool = True) -> None:
        ask(question, {"p": p, "q": q}, edge=edge)

    ask_masses(f"{few} outcomes", masses(few), masses(few), edge=False)
    ask_masses(f"{more} outcomes", masses(more), masses(more), edge=False)
    ask_masses("q is 0 somewhere", masses(6), masses(6, 2))
    ask_masses("p is 0 somewhere", masses(6, 2), masses(6))
    ask_masses("p and q are 0 at the same place", masses(7, 3), masses(7, 2))
    ask_masses("disjoint supports", masses(7, 3), masses(7, 4).flip(0))
    same = masses(few)
    ask_masses("p equal to q", same, same.clone())
    ask_masses("p equal to q, with zeros", same := masses(6, 3), same.clone())
    ask_masses("all mass on one outcome", torch.eye(5)[1], masses(5))
    ask_masses("one outcome", torch.ones(1), torch.ones(1))
    ask_masses("a thousand outcomes", masses(1000, 100), masses(1000, 300))
    ask_masses("float64 inputs", masses(few, 1, torch.float64), masses(few, 0, torch.float64))


@exercise("discriminator-loss", "discriminator_loss")
def discriminator_loss(ask: Ask) -> None:
    draw, wrt = ask.draw, ("real_logits", "fake_logits")
    real, fake = draw.distinct(2, 3, 8)

    def logits(
        real: int, fake: int, limit: float = 3.0, dtype: torch.dtype = torch.float32, middle: float = 0.5
    ) -> dict[str, Tensor]:
        return {
            "real_logits": draw.uniform(real, low=middle - limit, high=middle + limit, dtype=dtype),
            "fake_logits": draw.uniform(fake, low=-middle - limit, high=-middle + limit, dtype=dtype),
        }

    ask(f"{real} real and {fake} fake logits", logits(real, fake), wrt=wrt)
    ask(f"{fake} real and {real} fake logits", logits(fake, real), wrt=wrt)
    ask("as many real as fake logits", logits(real, real), wrt=wrt, edge=True)
    ask("one logit of each", logits(1, 1), wrt=wrt, edge=True)
    ask("one real logit", logits(1, fake), wrt=wrt, edge=True)
    ask("float64 inputs", logits(real, fake, dtype=torch.float64), wrt=wrt, edge=True)
    sure = _alternating(logits(real, fake, 2.0, torch.float64), 10)
    ask("float64 logits near ±10", sure, wrt=wrt, edge=True)
    for size in (25.0, 100.0, 1000.0):
        ask(f"logits near ±{size:.0f}", _alternating(logits(real, fake, 0.1 * size), size), wrt=wrt, edge=True)


def _alternating(logits: dict[str, Tensor], size: float) -> dict[str, Tensor]:
    """The same logits, moved to `size` and `-size` in turn, so that some are confident and wrong."""
    signs = {name: 1 - 2.0 * (torch.arange(len(values)) % 2) for name, values in logits.items()}
    return {name: values + size * signs[name] for name, values in logits.items()}


@exercise("generator-loss", "generator_loss")
def generator_loss(ask: Ask) -> None:
    draw, wrt = ask.draw, ("fake_logits",)
    batch = draw.integer(3, 8)

    def ask_both(question: str, logits: Tensor, *, edge: bool = True, atol: float | None = None) -> None:
        for saturating in (True, False):
            arguments = {"fake_logits": logits, "saturating": saturating}
            ask(f"{question}, saturating={saturating}", arguments, wrt=wrt, edge=edge, atol=atol)

    ask_both(f"{batch} logits", draw.uniform(batch, low=-4, high=2), edge=False)
    ask_both("one logit", draw.uniform(1, low=-4, high=2))
    ask_both("logits near −10, where a generator starts", draw.uniform(batch, low=-10.5, high=-9.5), atol=1e-6)
    ask_both("float64 inputs", draw.uniform(batch, low=-4, high=2, dtype=torch.float64))
    sure = {"fake_logits": draw.uniform(batch, low=-2, high=2, dtype=torch.float64)}
    ask_both("float64 logits near ±10", _alternating(sure, 10)["fake_logits"])
    for size in (25.0, 100.0, 1000.0):
        near = {"fake_logits": draw.uniform(batch, low=-0.1 * size, high=0.1 * size)}
        ask_both(f"logits near ±{size:.0f}", _alternating(near, size)["fake_logits"])


def _ask_game(
    ask: Ask,
    trained: str,
    method: str,
    shape: tuple[int, ...],
    sizes: list[tuple[int, int]],
    *,
    normalised: bool = False,
    sure: bool = False,
    edge: bool = False,
) -> None:
    """Steps of one of the two players, each on so many observations and codes; a generator sees the codes alone."""
    draw = ask.draw
    latent = draw.integer(2, 4)
    networks = {
        "discriminator": small_discriminator(draw, shape),
        "generator": small_generator(draw, latent, shape, normalised=normalised),
    }
    if sure:
        with torch.no_grad():
            list(networks["discriminator"].parameters())[-1].sub_(200)
    batches = []
    for real, fake in sizes:
        x = {"x": draw.uniform(real, *shape, low=0, high=1)} if trained == "discriminator" else {}
        batches.append({**x, "z": draw.uniform(fake, latent, low=-2, high=2)})
    many = " and ".join(f"{len(values)} {name}" for name, values in batches[0].items())
    what = "points in the plane" if len(shape) == 1 else f"images of shape {shape}"
    norm = ", a generator with BatchNorm" if normalised else ""
    norm += ", a discriminator that calls everything fake, with logits near −200" if sure else ""
    optimizer = OPTIMIZERS[method](networks[trained].parameters())
    leads = trained == "generator"
    question = f"{method}, {what}, {many}{norm}"
    ask_steps(ask, question, networks, trained, optimizer, batches, passes_gradients=leads, edge=edge)


@exercise("discriminator-step", "discriminator_step", praise="losses and weights right")
def discriminator_step(ask: Ask) -> None:
    _ask_games(ask, "discriminator")


@exercise("generator-step", "generator_step", praise="losses and weights right")
def generator_step(ask: Ask) -> None:
    _ask_games(ask, "generator")


def _ask_games(ask: Ask, trained: str) -> None:
    few, more = ask.draw.distinct(2, 3, 7)
    _ask_game(ask, trained, "SGD with momentum", (2,), [(few, more), (few, more)])
    _ask_game(ask, trained, "SGD with momentum", (1, 2, 3), [(more, few), (more, few)])
    _ask_game(ask, trained, "Adam", (2, 1, 3), [(few, few), (few, few)], normalised=True)
    _ask_game(ask, trained, "SGD with momentum", (1, 3, 2), [(1, 1), (1, 2)], edge=True)
    _ask_game(ask, trained, "Adam", (2,), [(few, more), (more, 5), (1, few)], normalised=True, edge=True)
    _ask_game(ask, trained, "SGD with momentum", (2,), [(few, more)], sure=True, edge=True)


@exercise("conv-transpose-size", "conv_transpose_size", praise="sizes right")
def conv_transpose_size(ask: Ask) -> None:
    draw = ask.draw

    def ask_size(n: int, kernel: int, stride: int, padding: int, output_padding: int, *, edge: bool = False) -> None:
        sizes = {
            "n": n,
            "kernel": kernel,
            "stride": stride,
            "padding": padding,
            "output_padding": output_padding,
        }
        question = ", ".join(f"{name} {size}" for name, size in sizes.items())
        if question not in ask.answers.questions:
            # Whoever makes the layer and measures its output draws its weights.
            ask(question, sizes, returns=int, edge=edge, may_draw=True)

    ask_size(7, 4, 2, 1, 0)
    ask_size(7, 3, 2, 1, 1)
    for _ in range(8):
        kernel, stride = draw.integer(3, 7), draw.integer(3, 5)
        ask_size(draw.integer(4, 15), kernel, stride, draw.integer(1, 2), draw.integer(1, stride - 1))
    ask_size(draw.integer(4, 15), draw.integer(3, 6), 1, 1, 0)
    ask_size(draw.integer(70, 90), 4, 2, 1, 0, edge=True)
    ask_size(draw.integer(4, 15), 2, 5, 1, draw.integer(1, 4), edge=True)
    ask_size(draw.integer(6, 15), 3, 1, 2, 0, edge=True)
    ask_size(1, 7, 1, 0, 0, edge=True)
    ask_size(1, draw.integer(4, 6), 2, 0, 1, edge=True)
    ask_size(draw.integer(4, 15), 1, 1, 0, 0, edge=True)


@exercise(
    "build-generator",
    "build_generator",
    praise="shapes, range, gradients and independence right for 5 sizes",
    law=law_of(generators),
)
def build_generator(ask: Ask) -> None:
    for plan in generators(ask.draw):
        ask_network(ask, plan)


@exercise(
    "build-discriminator",
    "build_discriminator",
    praise="shapes, range, gradients and independence right for 4 sizes",
    law=law_of(discriminators),
)
def build_discriminator(ask: Ask) -> None:
    for plan in discriminators(ask.draw):
        ask_network(ask, plan)


@exercise(
    "init-weights",
    "init_weights",
    praise="weights of convolutions and BatchNorm have the right distribution",
    law=law_of_initial_weights,
)
def init_weights(ask: Ask) -> None:
    ask_initial_weights(ask)


@exercise("snapshot", "snapshot", praise="images right, and the generator as it was")
def snapshot(ask: Ask) -> None:
    draw = ask.draw
    few, more = draw.distinct(2, 3, 7)
    ask_snapshot(ask, "a generator in train mode", (1, 2, 3), few, training=True)
    ask_snapshot(ask, "a generator in eval mode", (1, 3, 2), more, training=False)
    ask_snapshot(ask, "colour", (3, 2, 2), few, training=True)
    ask_snapshot(ask, "one code", (1, 2, 3), 1, training=True, edge=True)
    ask_snapshot(ask, "a generator with dropout", (1, 2, 3), few, training=True, dropout=True, edge=True)
