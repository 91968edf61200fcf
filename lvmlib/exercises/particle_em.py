"""How the exercises of lab 06, particle EM, are questioned."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lvmlib.exercises import exercise, inpainting, langevin_law, minibatches, mixture_steps, toy_run_law
from lvmlib.exercises.adaptive_steps import ask_rmsprop_steps, where_both_conventions_agree
from lvmlib.exercises.toy_model import ask_gradient, ask_stable_step, ask_step
from lvmlib.exercises.toy_run import ask_run
from lvmlib.probe import Ask


@exercise("grad-theta", "grad_theta", praise="values right")
def grad_theta(ask: Ask) -> None:
    ask_gradient(ask)


@exercise("grad-particles", "grad_particles", praise="values right")
def grad_particles(ask: Ask) -> None:
    ask_gradient(ask)


@exercise("pgd-step", "pgd_step", praise="θ and particles right")
def pgd_step(ask: Ask) -> None:
    ask_step(ask)


@exercise("stable-step", "max_stable_step", praise="values right")
def max_stable_step(ask: Ask) -> None:
    ask_stable_step(ask)


@exercise("pgd-run", "pgd_run", praise="path and cloud follow the law of PGD from your start", law=toy_run_law.law)
def pgd_run(ask: Ask) -> None:
    ask_run(ask)


@exercise("minibatch-gradient", "minibatch_gradient", praise="values right, and on average over all batches,")
def minibatch_gradient(ask: Ask) -> None:
    draw = ask.draw

    def gradients(total: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return draw.uniform(total, *shape, low=-3, high=3, dtype=dtype)

    def late(total: int, size: int) -> list[int]:
        """Indices in no order, from the second half, so that counting from 0 leads elsewhere."""
        return draw.distinct(size, total - total // 2, total - 1)

    few, some, width = draw.distinct(3, 3, 6)
    many = 4 * few + 1
    minibatches.ask_batch(ask, f"a batch of {few} out of {many} images", gradients(many, width), late(many, few))
    minibatches.ask_every_batch(ask, 2, gradients(7, some))
    minibatches.ask_every_batch(ask, 4, gradients(7))
    minibatches.ask_batch(ask, "a batch of one", gradients(11, width), late(11, 1), edge=True)
    minibatches.ask_batch(ask, "a batch of all images", gradients(9, width), draw.distinct(9, 0, 8), edge=True)
    minibatches.ask_batch(ask, "a single image", gradients(1, width), [0], edge=True)
    minibatches.ask_batch(ask, "gradients without axes", gradients(15), late(15, few), edge=True)
    minibatches.ask_batch(
        ask, f"gradients of shape {(some, width)}", gradients(15, some, width), late(15, 3), edge=True
    )
    minibatches.ask_batch(ask, "gradients of shape (1, 3)", gradients(15, 1, 3), late(15, few), edge=True)
    minibatches.ask_batch(ask, "gradients of shape (1,)", gradients(15, 1), late(15, few), edge=True)
    minibatches.ask_batch(ask, "as many images in the batch as entries", gradients(16, 5), late(16, 5), edge=True)
    minibatches.ask_batch(ask, "a batch of 64 out of 1000 images", gradients(1000, 3), late(1000, 64), edge=True)
    double = gradients(17, width, dtype=torch.float64)
    minibatches.ask_batch(ask, "float64 gradients", double, late(17, some), edge=True)


@exercise("rmsprop-step", "rmsprop_step", praise="p and v right")
def rmsprop_step(ask: Ask) -> None:
    draw = ask.draw

    def slopes(steps: int, *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Gradients of both signs, none of them near 0: there, conventions on eps differ."""
        sizes = [scale * draw.uniform(*shape, low=0.5, high=3, dtype=dtype) for _ in range(steps)]
        return [size * (2 * draw.bits(*shape, dtype=dtype) - 1) for size in sizes]

    def start(*shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        v = scale**2 * draw.uniform(*shape, low=0.3, high=4, dtype=dtype)
        return draw.uniform(*shape, low=-2, high=2, dtype=dtype), v

    def fresh(*shape: int) -> tuple[Tensor, Tensor]:
        return start(*shape)[0], torch.zeros(shape)

    height, width = draw.distinct(2, 2, 5)
    rates = draw.integer(10, 40) / 100, draw.integer(55, 85) / 100, 1e-8
    lr, decay, eps = rates
    ask_rmsprop_steps(ask, f"{width} parameters", start(width), slopes(1, width), rates)
    ask_rmsprop_steps(ask, "three steps from v = 0", fresh(height, width), slopes(3, height, width), rates)
    large = draw.integer(4, 6) / 10
    gradient, v = where_both_conventions_agree(draw, large, decay, width)
    ask_rmsprop_steps(ask, f"eps = {large:g}", (draw.uniform(width), v), [gradient], (lr, decay, large))
    ask_rmsprop_steps(ask, "one number", start(), slopes(1), rates, edge=True)
    ask_rmsprop_steps(ask, "one parameter", start(1), slopes(2, 1), rates, edge=True)
    shape = (height, 1, 2, width)
    ask_rmsprop_steps(ask, f"parameters of shape {shape}", start(*shape), slopes(1, *shape), rates, edge=True)
    mixed = slopes(1, 6)[0] * torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    ask_rmsprop_steps(ask, "some gradients 0, v = 0", fresh(6), [mixed], rates)
    ask_rmsprop_steps(ask, "all gradients 0, v = 0", fresh(width), [torch.zeros(width)], rates, edge=True)
    ask_rmsprop_steps(ask, "all gradients 0", start(width), [torch.zeros(width)] * 2, rates, edge=True)
    ask_rmsprop_steps(ask, "decay = 0", start(width), slopes(2, width), (lr, 0.0, eps), edge=True)
    ask_rmsprop_steps(ask, "decay = 0.99", start(width), slopes(2, width), (lr, 0.99, eps), edge=True)
    ask_rmsprop_steps(ask, "lr = 0", start(width), slopes(1, width), (0.0, decay, eps), edge=True)
    loud = start(width, scale=1e4), slopes(2, width, scale=1e4)
    ask_rmsprop_steps(ask, "gradients in the ten thousands", *loud, rates, edge=True)
    double = start(width, dtype=torch.float64), slopes(2, width, dtype=torch.float64)
    ask_rmsprop_steps(ask, "float64 parameters", *double, rates, edge=True)


@exercise(
    "langevin",
    "langevin",
    praise="means, covariances and independence right for 9 walks",
    law=langevin_law.law,
)
def langevin(ask: Ask) -> None:
    langevin_law.ask_langevin(ask)


@exercise("best-start", "best_start", praise="the codes of the best starts, image by image")
def best_start(ask: Ask) -> None:
    draw = ask.draw
    starts, batch, latent = draw.distinct(3, 3, 6)

    def runs(
        starts: int,
        batch: int,
        latent: int,
        *,
        around: float = 2.0,
        apart: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> dict[str, Tensor]:
        """Losses of both signs, in no order, the least of every image well below the others."""
        ranks = torch.stack([torch.randperm(starts, generator=draw.generator) for _ in range(batch)], 1)
        losses = around + apart * (2.0 * ranks - starts + draw.uniform(starts, batch, dtype=torch.float64) / 2)
        # Another best start for every image, as far as there are enough of them.
        best = (torch.arange(batch) + draw.integer(0, starts - 1)) % starts
        losses[best, torch.arange(batch)] = around - apart * (starts + 1 + torch.arange(batch).double() % 3)
        return {
            "losses": losses.to(dtype),
            "z": draw.uniform(starts, batch, latent, low=-2, high=2, dtype=dtype),
        }

    ask(f"{starts} starts, {batch} images, {latent} latents", runs(starts, batch, latent))
    ask(f"{latent} starts, {starts} images, {batch} latents", runs(latent, starts, batch))
    ask(f"{batch} starts, {latent} images, {starts} latents", runs(batch, latent, starts))
    ask("as many starts as images", runs(batch, batch, latent), edge=True)
    ask("as many images as latents", runs(starts, batch, batch), edge=True)
    ask("as many starts as images and latents", runs(latent, latent, latent), edge=True)
    ask("one start", runs(1, batch, latent), edge=True)
    ask("one image", runs(starts, 1, latent), edge=True)
    ask("one latent", runs(starts, batch, 1), edge=True)
    ask("forty starts", runs(40, batch, latent), edge=True)
    ask("losses near −1,000", runs(starts, batch, latent, around=-1000.0), edge=True)
    ask("losses near 10^30", runs(starts, batch, latent, around=1e30, apart=1e28), edge=True)
    ask("losses a thousandth apart", runs(starts, batch, latent, apart=1e-3), edge=True)
    fine = runs(starts, batch, latent, around=100.0, apart=1e-9, dtype=torch.float64)
    ask("float64 losses that differ in the tenth digit", fine, edge=True)
    lost = runs(starts, batch, latent)
    lost["losses"] = torch.where(lost["losses"] > 2, torch.inf, lost["losses"])
    ask("some losses infinite", lost, edge=True)
    tied = runs(starts, batch, latent)
    tied = {"losses": tied["losses"].repeat(2, 1), "z": tied["z"].repeat(2, 1, 1)}
    ask("every start twice", tied, edge=True)


@exercise("inpaint", "inpaint_linear", praise="codes and completed observations right")
def inpaint_linear(ask: Ask) -> None:
    draw = ask.draw
    latent, hidden = draw.integer(2, 3), draw.integer(2, 4)
    seen = latent + draw.integer(2, 3)
    while seen == hidden:
        hidden = draw.integer(2, 4)
    size = seen + hidden

    def ask_hidden(
        question: str, dimensions: int, latent: int, seen: int, *, variance: float, edge: bool = True, **how: Any
    ) -> None:
        arguments = inpainting.partly_hidden(draw, dimensions, latent, seen, variance, **how)
        inpainting.ask_inpainting(ask, question, arguments, edge=edge)

    few, much = draw.integer(25, 40) / 100, draw.integer(17, 30) / 10
    question = f"{seen} of {size} entries observed, {latent} latents, variance {few:g}"
    ask_hidden(question, size, latent, seen, variance=few, edge=False)
    question = f"{seen - 1} of {size + 1} entries observed, {latent + 1} latents, variance {much:g}"
    ask_hidden(question, size + 1, latent + 1, seen - 1, variance=much, edge=False)
    # A search takes its time for every question, so each of these tests more than one limit.
    strange = (math.nan, math.inf, -math.inf, 1000.0)
    ask_hidden("hidden entries NaN, ∞, −∞ and 1000", seen + 4, latent, seen, variance=few, hidden=strange)
    ask_hidden("all entries observed, as many latents, variance 1", size, size, size, variance=1.0)
    ask_hidden("one entry observed, variance 25", size, latent, 1, variance=25.0)
    ask_hidden("more latents than entries", size, size + 3, seen, variance=few)
    ask_hidden("one latent, all entries but one observed, variance 0.01", size, 1, size - 1, variance=0.01)
    ask_hidden("one entry, one latent", 1, 1, 1, variance=few)
    ask_hidden("60 entries in float64", 60, latent, 45, variance=few, dtype=torch.float64)


@exercise("gmm-em-step", "gmm_em_step", praise="weights, means and covariances right")
def gmm_em_step(ask: Ask) -> None:
    draw = ask.draw
    points = draw.integer(11, 16)
    mixture = mixture_steps.mixture

    def ask_mixture(question: str, *sizes: int, edge: bool = True) -> None:
        mixture_steps.ask_steps(ask, question, mixture(draw, *sizes), edge=edge)

    ask_mixture(f"{points} points, 3 components, 2 dimensions", points, 3, 2, edge=False)
    ask_mixture(f"{points + 2} points, 2 components, 3 dimensions", points + 2, 2, 3, edge=False)
    ask_mixture("one component", points, 1, 3)
    ask_mixture("one dimension", points, 3, 1)
    ask_mixture("one dimension, one component", points, 1, 1)
    ask_mixture("two points", 2, 2, 3)
    ask_mixture("as many components as dimensions", points, 3, 3)
    ask_mixture("as many points as components and dimensions", 4, 4, 4)
    ask_mixture("60 points, 5 components, 4 dimensions", 60, 5, 4)
    mixture_steps.ask_steps(ask, "three steps in a row", mixture(draw, 30, 3, 2), steps=3, atol=2e-3)
    # In float32, squares of numbers near 40 cost a variance some of its digits.
    mixture_steps.ask_steps(ask, "points near 40", mixture(draw, points, 3, 2, offset=40.0), atol=2e-2)
    mixture_steps.ask_steps(ask, "a point that is far away", mixture_steps.far_point(draw, points, 3, 2), atol=5e-2)
    rare = mixture(draw, points, 3, 2)
    rare["weights"] = torch.tensor([0.7, 1e-6, 0.3 - 1e-6])
    mixture_steps.ask_steps(ask, "a component of weight 0.000001", rare)
    double = {name: tensor.double() for name, tensor in mixture(draw, points, 3, 2).items()}
    mixture_steps.ask_steps(ask, "float64 points", double)
