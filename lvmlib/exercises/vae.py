"""How the exercises of lab 03, the variational autoencoder, are questioned."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lvmlib.exercises import exercise
from lvmlib.exercises.encoder_decoder import ask_pair, law, sizes
from lvmlib.probe import Ask, Draw

LogLikelihood = Callable[[Tensor, Tensor], Tensor]


@exercise("kl-divergence", "kl_divergence")
def kl_divergence(ask: Ask) -> None:
    draw, wrt = ask.draw, ("mean", "log_var")
    batch, latent = draw.distinct(2, 2, 7)

    def gaussians(*shape: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        return {
            "mean": draw.uniform(*shape, low=-2, high=2, dtype=dtype),
            "log_var": draw.uniform(*shape, low=-3, high=2, dtype=dtype),
        }

    ask(f"{batch} observations, {latent} latents", gaussians(batch, latent), wrt=wrt)
    ask(f"{latent} observations, {batch} latents", gaussians(latent, batch), wrt=wrt)
    ask("as many observations as latents", gaussians(batch, batch), wrt=wrt, edge=True)
    ask("many latents", gaussians(batch, 9 + latent), wrt=wrt, edge=True)
    ask("one observation", gaussians(1, latent), wrt=wrt, edge=True)
    ask("one latent", gaussians(batch, 1), wrt=wrt, edge=True)
    ask("float64 inputs", gaussians(batch, latent, dtype=torch.float64), wrt=wrt, edge=True)
    prior = {"mean": torch.zeros(batch, latent), "log_var": torch.zeros(batch, latent)}
    ask("mean 0 and log_var 0", prior, wrt=wrt, edge=True)
    for value in (-60.0, 20.0):
        extreme = gaussians(batch, latent) | {"log_var": torch.full((batch, latent), value)}
        ask(f"log_var of {value:.0f}", extreme, wrt=wrt, edge=True)


@exercise("reparameterize", "reparameterize")
def reparameterize(ask: Ask) -> None:
    draw, wrt = ask.draw, ("mean", "log_var")
    samples, batch, latent = draw.distinct(3, 2, 7)

    def code(*shape: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        return {
            "mean": draw.uniform(*shape[-2:], low=-2, high=2, dtype=dtype),
            "log_var": draw.uniform(*shape[-2:], low=-3, high=2, dtype=dtype),
            "eps": draw.uniform(*shape, low=-6, high=6, dtype=dtype),
        }

    ask(f"{batch} observations, {latent} latents", code(batch, latent), wrt=wrt)
    ask(f"{samples} samples of each: eps of shape {(samples, batch, latent)}", code(samples, batch, latent), wrt=wrt)
    ask("one observation", code(1, latent), wrt=wrt, edge=True)
    ask("one sample, eps of three axes", code(1, batch, latent), wrt=wrt, edge=True)
    ask("float64 inputs", code(batch, latent, dtype=torch.float64), wrt=wrt, edge=True)
    for value in (-60.0, 20.0):
        extreme = code(batch, latent) | {"log_var": torch.full((batch, latent), value)}
        ask(f"log_var of {value:.0f}", extreme, wrt=wrt, edge=True)
    tiny = code(batch, latent, dtype=torch.float64) | {"mean": torch.zeros(batch, latent, dtype=torch.float64)}
    tiny["log_var"] = tiny["log_var"] - 60
    ask("log_var near −60 and mean 0, float64", tiny, wrt=wrt, edge=True, rtol=1e-6, atol=1e-18)


@exercise("bernoulli-nll", "bernoulli_nll")
def bernoulli_nll(ask: Ask) -> None:
    draw, wrt = ask.draw, ("logits",)
    batch, channels, height, width = draw.distinct(4, 2, 5)

    def images(*shape: int, limit: float = 3.0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        return {
            "logits": draw.uniform(*shape, low=-limit, high=limit, dtype=dtype),
            "x": draw.uniform(*shape, low=0, high=1, dtype=dtype),
        }

    grey, colour = (batch, 1, height, width), (batch, channels, width, height)
    ask(f"grey images, shape {grey}", images(*grey), wrt=wrt)
    ask(f"images of {channels} channels, shape {colour}", images(*colour), wrt=wrt)
    ask("flat binary vectors", images(batch, width) | {"x": draw.bits(batch, width)}, wrt=wrt)
    ask("one image", images(1, 1, height, width), wrt=wrt, edge=True)
    ask("float64 inputs", images(*grey, dtype=torch.float64), wrt=wrt, edge=True)
    for limit in (30.0, 200.0, 1000.0):
        ask(f"logits up to ±{limit:.0f}", images(batch, 1, height, width, limit=limit), wrt=wrt, edge=True)
    confident = {"logits": 25 * (2 * draw.bits(batch, width) - 1), "x": draw.bits(batch, width)}
    ask("logits of ±25 against binary pixels", confident, wrt=wrt, edge=True)


@exercise("gaussian-nll", "gaussian_nll")
def gaussian_nll(ask: Ask) -> None:
    draw, wrt = ask.draw, ("mean", "variance")
    batch, channels, height, width = draw.distinct(4, 2, 5)

    def images(
        batch: int, *variance: int, low: float = 0.2, high: float = 3, dtype: torch.dtype = torch.float32
    ) -> dict[str, Tensor]:
        shape = (batch, channels, height, width)
        return {
            "x": draw.uniform(*shape, low=0, high=1, dtype=dtype),
            "mean": draw.uniform(*shape, dtype=dtype),
            "variance": draw.uniform(*variance, low=low, high=high, dtype=dtype),
        }

    ask("one variance for all pixels (0-d)", images(batch), wrt=wrt)
    ask("a variance for every pixel", images(batch, batch, channels, height, width), wrt=wrt)
    ask("a variance for every channel, (C, 1, 1)", images(batch, channels, 1, 1), wrt=wrt)
    flat = {name: draw.uniform(batch, width) for name in ("x", "mean")} | {
        "variance": draw.uniform(width, low=0.2, high=3)
    }
    ask("flat vectors with a variance for every coordinate", flat, wrt=wrt)
    ask("a variance for every image, (B, 1, 1, 1)", images(batch, batch, 1, 1, 1), wrt=wrt, edge=True)
    ask("a variance for every place, (H, W)", images(batch, height, width), wrt=wrt, edge=True)
    ask("one image", images(1), wrt=wrt, edge=True)
    ask("variance near 0.00001", images(batch, low=1e-5, high=2e-5), wrt=wrt, edge=True)
    ask("variance near 1000", images(batch, low=900, high=1100), wrt=wrt, edge=True)
    ask("float64 inputs", images(batch, batch, channels, height, width, dtype=torch.float64), wrt=wrt, edge=True)


@exercise("networks", "build_vae", praise="shapes, ranges, gradients and independence right for 4 image sizes", law=law)
def networks(ask: Ask) -> None:
    for size in sizes(ask.draw):
        ask_pair(ask, size)


def _belongs_together(x: Tensor, z: Tensor, rank: int) -> None:
    """Refuse an x with an axis too many or too few: broadcasting would hide it here, and not in training."""
    if x.dim() != rank or x.shape[0] != z.shape[-2]:
        raise ValueError(
            f"log_likelihood(x, z) was given x of shape {tuple(x.shape)} and z of shape {tuple(z.shape)}; "
            "x keeps its own axes, and the samples are an axis of z alone"
        )


def _linear_gaussian(weight: Tensor, bias: Tensor) -> LogLikelihood:
    """log N(x; W z + b, I/4), summed over the observation: quadratic in z, so ±1 corners of eps average it exactly."""

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        _belongs_together(x, z, rank=2)
        error = x - z @ weight.to(z).mT - bias.to(z)
        return (-2 * error**2 - 0.5 * math.log(math.pi / 2)).sum(-1)

    return log_likelihood


def _curved(weight: Tensor) -> LogLikelihood:
    """A log-likelihood of images that is not quadratic in z, so that every sample counts on its own."""

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        _belongs_together(x, z, rank=4)
        decoded = torch.tanh(z @ weight.to(z).mT).unflatten(-1, x.shape[-3:])
        return -(x - decoded).abs().pow(1.5).sum((-3, -2, -1))

    return log_likelihood


def _corners(latent: int) -> Tensor:
    """All 2^K vectors of ±1, shape (2^K, 1, K): their mean of anything quadratic is that of standard normal noise."""
    return torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * latent).reshape(-1, 1, latent)


def _standardised(draw: Draw, samples: int, batch: int, latent: int) -> Tensor:
    """Noise of mean 0 and variance 1 over the samples: a KL estimated from them is then as right as the formula."""
    eps = draw.uniform(samples, batch, latent, dtype=torch.float64)
    return ((eps - eps.mean(0)) / eps.std(0, unbiased=False)).float()


@exercise("elbo", "elbo")
def elbo(ask: Ask) -> None:
    draw, wrt = ask.draw, ("mean", "log_var")

    def linear(
        batch: int,
        latent: int,
        dimensions: int,
        spread: tuple[float, float] = (-3, 1),
        dtype: torch.dtype = torch.float32,
    ) -> dict[str, Any]:
        return {
            "x": draw.uniform(batch, dimensions, low=-2, high=2, dtype=dtype),
            "mean": draw.uniform(batch, latent, low=-2, high=2, dtype=dtype),
            "log_var": draw.uniform(batch, latent, low=spread[0], high=spread[1], dtype=dtype),
            "log_likelihood": _linear_gaussian(draw.uniform(dimensions, latent), draw.uniform(dimensions)),
            "eps": _corners(latent).expand(-1, batch, -1).to(dtype).clone(),
        }

    def curved(samples: int) -> dict[str, Any]:
        batch, latent, height, width = draw.distinct(4, 2, 5)
        return {
            "x": draw.uniform(batch, 1, height, width, low=0, high=1),
            "mean": draw.uniform(batch, latent),
            "log_var": draw.uniform(batch, latent, low=-2, high=1),
            "log_likelihood": _curved(draw.uniform(height * width, latent)),
            "eps": _standardised(draw, samples, batch, latent),
        }

    ask("a linear decoder, 2 latents, 4 samples", linear(draw.distinct(1, 5, 7)[0], 2, 3), wrt=wrt)
    ask("a linear decoder, 3 latents, 8 samples", linear(draw.distinct(1, 4, 7)[0], 3, 5), wrt=wrt)
    ask("images under a curved decoder, 6 samples", curved(6), wrt=wrt)
    ask("as many observations as samples", linear(4, 2, 3), wrt=wrt, edge=True)
    ask("one observation", linear(1, 2, 4), wrt=wrt, edge=True)
    ask("one latent", linear(3, 1, 4), wrt=wrt, edge=True)
    ask("float64 inputs", linear(5, 3, 4, dtype=torch.float64), wrt=wrt, edge=True)
    narrow = linear(3, 2, 4, spread=(-40, -10), dtype=torch.float64)
    ask("log_var between −40 and −10", narrow, wrt=wrt, edge=True, rtol=1e-5, atol=1e-5)
    ask("log_var between 4 and 7", linear(3, 2, 4, spread=(4, 7)), wrt=wrt, edge=True)
    silent = linear(3, 2, 4) | {"mean": torch.zeros(3, 2), "log_var": torch.zeros(3, 2)}
    ask("q equal to the prior", silent, wrt=wrt, edge=True)
    single = linear(5, 3, 4)
    single |= {"mean": torch.zeros(5, 3), "eps": 2 * draw.bits(1, 5, 3) - 1}
    ask("one sample", single, wrt=("log_var",), edge=True)


@exercise("importance-weighted-bound", "importance_weighted_bound")
def importance_weighted_bound(ask: Ask) -> None:
    draw = ask.draw
    samples, batch = draw.distinct(2, 3, 8)

    def weights(*shape: int, around: float = -2.0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        return {"log_w": draw.uniform(*shape, low=around - 3, high=around + 3, dtype=dtype)}

    ask(f"{samples} samples, {batch} observations", weights(samples, batch), wrt=("log_w",))
    ask(f"{batch} samples, {samples} observations", weights(batch, samples), wrt=("log_w",))
    ask("as many samples as observations", weights(batch, batch), wrt=("log_w",), edge=True)
    ask("one sample", weights(1, batch), wrt=("log_w",), edge=True)
    ask("one observation", weights(samples, 1), wrt=("log_w",), edge=True)
    ask("float64 inputs", weights(samples, batch, dtype=torch.float64), wrt=("log_w",), edge=True)
    for around in (-1e5, 800.0):
        rough = weights(samples, batch, around=around)
        ask(f"log weights near {around:.0f}", rough, wrt=("log_w",), edge=True, atol=0.02)
        tight = weights(samples, batch, around=around, dtype=torch.float64)
        ask(f"log weights near {around:.0f}, float64", tight, wrt=("log_w",), edge=True)
    apart = {"log_w": draw.uniform(samples, batch, low=-1000, high=-10)}
    ask("samples hundreds of nats apart", apart, wrt=("log_w",), edge=True)
    steps = torch.linspace(-1000, -10, batch)
    spread = {"log_w": steps + draw.uniform(samples, batch, low=-5, high=5)}
    ask("log weights from −1000 to −10", spread, wrt=("log_w",), edge=True)


@exercise("beta-schedule", "beta_schedule", praise="values right")
def beta_schedule(ask: Ask) -> None:
    draw = ask.draw
    warmup = 7 * draw.integer(2, 9)
    later = [laps * warmup + draw.integer(1, 3) for laps in range(2, 12)]
    for step in (0, 1, draw.integer(2, warmup - 2), warmup - 1, warmup, warmup + 1, *later):
        for beta_max in (1.0, draw.integer(3, 15) / 2):
            question = f"step {step} of a warm-up of {warmup}, beta_max {beta_max:g}"
            ask(question, {"step": step, "warmup": warmup, "beta_max": beta_max}, returns=float)
    ask("a warm-up of one step", {"step": 1, "warmup": 1, "beta_max": 2.0}, returns=float, edge=True)


@exercise("active-units", "active_units", praise="counts right")
def active_units(ask: Ask) -> None:
    draw = ask.draw

    def ask_units(question: str, count: int, threshold: float, ratios: list[float], *, edge: bool = False) -> None:
        """Units whose variances are these multiples of the threshold, around centres far from zero."""
        shapes = torch.stack([_column(draw, count, kind % 5) for kind in range(len(ratios))], 1)
        deviations = (torch.tensor(ratios, dtype=torch.float64) * threshold).sqrt()
        means = shapes * deviations + draw.uniform(len(ratios), low=-4, high=4)
        order = torch.randperm(len(ratios), generator=draw.generator)
        ask(question, {"means": means[:, order].float(), "threshold": threshold}, returns=int, edge=edge)

    few, many = draw.integer(40, 60), draw.integer(300, 500)
    ask_units("variances on either side of 0.01", few, 0.01, [0.05, 9.0, 0.25, 25.0, 4.0, 0.5, 0.01, 1.3, 0.7, 6.0])
    ask_units("variances on either side of 4", few, 4.0, [0.4, 3.2, 2.5, 0.05, 0.45, 0.8])
    ask_units("variances on either side of 0.2", many, 0.2, [0.25, 1.2, 2.3, 0.1, 1.3, 0.85, 3.0, 3.6, 0.7, 0.01, 1.2])
    ask_units("variances on either side of 0.001", many, 0.001, [1.2, 1.2, 1.2, 1.2, 1.2, 0.85, 0.85, 0.85, 0.85, 0.85])
    ask_units("no active unit", few, 0.05, [0.1, 0.4, 0.6], edge=True)
    ask_units("all units active", few, 0.05, [2.0, 1.7, 3.0, 4.0], edge=True)
    ask_units("one unit", 20, 0.01, [9.0], edge=True)


def _column(draw: Draw, count: int, kind: int) -> Tensor:
    """One unit's means over the data, of mean 0 and variance 1: even, rare, two-valued, drifting, or late."""
    noise = draw.uniform(count, dtype=torch.float64)
    column = (
        noise,
        torch.where(torch.arange(count) % 17 == 3, 5 + noise, 0.01 * noise),
        noise.sign() + 0.01 * noise,
        torch.arange(count) + noise,
        torch.where(torch.arange(count) > count // 2, noise, 0.01 * noise),
    )[kind]
    return (column - column.mean()) / column.std()


@exercise("continuous-bernoulli", "continuous_bernoulli_log_normalizer")
def continuous_bernoulli(ask: Ask) -> None:
    draw = ask.draw
    batch, width = draw.distinct(2, 2, 5)

    def ask_logits(question: str, logits: Tensor, *, edge: bool = True, rtol: float = 1e-3, atol: float = 2e-3) -> None:
        ask(question, {"logits": logits}, wrt=("logits",), edge=edge, rtol=rtol, atol=atol)

    ask_logits(
        "logits from 1 to 6, both signs", _signed(draw, draw.uniform(batch, 1, width, low=1, high=6)), edge=False
    )
    ask_logits("logits from 1 to 3", draw.uniform(batch, width, low=1, high=3), edge=False)
    mixed = torch.tensor([0, 1e-3, -1e-3, 0.03, -0.03, 0.3, -0.3, 5, -5, 40, -40], dtype=torch.float64)
    ask_logits(
        "logits of every size at once", mixed + 0.1 * mixed * draw.uniform(len(mixed), dtype=torch.float64), atol=5e-4
    )
    alone = torch.cat([1e-3 * torch.arange(1.0, 30.0), torch.tensor([2.5])])
    ask_logits("one large logit among small ones", alone.double(), atol=5e-4)
    ask_logits("a single logit", torch.tensor([2.5]))
    ask_logits("logits of 0", torch.zeros(batch, width))
    for size in (1e-6, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.5):
        near = _signed(draw, size * draw.uniform(5, low=0.5, high=1))
        # In float32 the closed form's gradient loses its digits here, and that is no mistake.
        ask(f"logits near ±{size:g}", {"logits": near}, edge=True, rtol=1e-3, atol=2e-3)
        ask_logits(f"float64 logits near ±{size:g}", near.double(), atol=5e-4)
    for size in (15.0, 30.0, 90.0, 700.0):
        far = _signed(draw, size * draw.uniform(batch, width, low=0.9, high=1))
        ask_logits(f"logits near ±{size:g}", far)
        ask_logits(f"float64 logits near ±{size:g}", far.double(), rtol=1e-6, atol=1e-6)


def _signed(draw: Draw, sizes: Tensor) -> Tensor:
    return sizes * (2 * draw.bits(*sizes.shape, dtype=sizes.dtype) - 1)
