"""How the exercises of lab 03, the variational autoencoder, are questioned."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lvmlib.exercises import exercise
from lvmlib.probe import Answers, Ask, Draw

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
            "eps": draw.uniform(*shape, low=-2, high=2, dtype=dtype),
        }

    ask(f"{batch} observations, {latent} latents", code(batch, latent), wrt=wrt)
    ask(f"{samples} samples of each: eps of shape {(samples, batch, latent)}", code(samples, batch, latent), wrt=wrt)
    ask("one observation", code(1, latent), wrt=wrt, edge=True)
    ask("float64 inputs", code(batch, latent, dtype=torch.float64), wrt=wrt, edge=True)
    for value in (-60.0, 20.0):
        extreme = code(batch, latent) | {"log_var": torch.full((batch, latent), value)}
        ask(f"log_var of {value:.0f}", extreme, wrt=wrt, edge=True)


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
    ask("one image", images(1), wrt=wrt, edge=True)
    ask("variance near 0.001", images(batch, low=0.001, high=0.002), wrt=wrt, edge=True)
    ask("variance near 1000", images(batch, low=900, high=1100), wrt=wrt, edge=True)
    ask("float64 inputs", images(batch, batch, channels, height, width, dtype=torch.float64), wrt=wrt, edge=True)


VAE_SIZES = ((1, 16, 16, 10), (3, 16, 40, 7), (2, 24, 8, 1))


def _vae_sizes(draw: Draw) -> list[tuple[int, int, int, int]]:
    """The (channels, height, width, latent) asked for: three that are fixed and one that only the seed knows."""
    height, width = draw.distinct(2, 1, 5)
    return [*VAE_SIZES, (draw.integer(1, 4), 8 * height, 8 * width, draw.integer(2, 13))]


def networks_law(answers: Answers, seed: int) -> str | None:
    """What is wrong with a pair of networks, decided from what they returned."""
    for clause in answers.faults.values():
        return clause
    lowest_log_var, lowest_logit, highest_logit = math.inf, math.inf, -math.inf
    for size in _vae_sizes(Draw(seed)):
        channels, height, width, latent = size
        question = _vae_question(size)
        for batch in (4, 1):
            shapes = {"mean": (batch, latent), "log_var": (batch, latent), "logits": (batch, channels, height, width)}
            for name, shape in shapes.items():
                found = tuple(answers.tensors[question, f"{name}, batch of {batch}"].shape)
                if found != shape:
                    swapped = found[-2:] == (width, height) and name == "logits" and height != width
                    hint = "; height and width are swapped" if swapped else ""
                    return f"{name} has shape {found}; it should be {shape}{hint} ({question}, batch of {batch})"
        mean, log_var, logits = (
            answers.tensors[question, f"{name}, batch of 4"] for name in ("mean", "log_var", "logits")
        )
        loud = answers.tensors[question, "logits, large codes"]
        for name, tensor in (("mean", mean), ("log_var", log_var), ("logits", logits), ("logits", loud)):
            if tensor.dtype != torch.float32:
                return f"{name} is {tensor.dtype}; it should be torch.float32 as the images are ({question})"
            if not tensor.isfinite().all():
                return f"{name} is not finite ({question})"
        for name, tensor in (("mean", mean), ("log_var", log_var), ("logits", logits)):
            if not torch.equal(tensor, answers.tensors[question, f"{name}, once more"]):
                return f"{name} differs when a batch is given twice; leave sampling to reparameterize ({question})"
            items = answers.tensors[question, f"{name}, one by one"]
            if items.shape != tensor.shape or not torch.allclose(items, tensor, rtol=1e-3, atol=1e-3):
                return f"{name} of an image depends on the other images of its batch ({question})"
            if not (tensor[1:] != tensor[:1]).any():
                return f"{name} is the same for every input ({question})"
        if torch.allclose(mean, log_var):
            return f"mean and log_var are the same numbers; each needs weights of its own ({question})"
        lowest_log_var = min(lowest_log_var, log_var.min().item())
        lowest_logit = min(lowest_logit, loud.min().item())
        highest_logit = max(highest_logit, loud.max().item())
    if not lowest_log_var < 0:
        return "log_var is never negative; a variance below 1 needs a negative log_var, so no activation belongs there"
    if not lowest_logit < 0:
        return "the decoder's logits are never negative; return logits, without a sigmoid or other activation"
    if not max(-lowest_logit, highest_logit) > 1:
        return "the decoder's logits never leave [−1, 1]; return logits, without a tanh"
    return None


def _vae_question(size: tuple[int, int, int, int]) -> str:
    return f"build_vae{size}"


@exercise("networks", "build_vae", praise="shapes, signs and independence right for 4 image sizes", law=networks_law)
def networks(ask: Ask) -> None:
    for size in _vae_sizes(ask.draw):
        question = _vae_question(size)
        pair = ask.attempt(question, _built_pair, ask, size)
        if pair is not None:
            ask.answers.faults.pop(question, None)
            ask.attempt(question, _question_pair, ask, question, size, *pair)


def _built_pair(ask: Ask, size: tuple[int, int, int, int]) -> tuple[nn.Module, nn.Module]:
    encoder, decoder = ask.function(*size)
    if not isinstance(encoder, nn.Module) or not isinstance(decoder, nn.Module):
        raise TypeError("build_vae should return two torch.nn.Module objects, (encoder, decoder)")
    for module in (encoder, decoder):
        module.eval()
        with torch.no_grad():
            for parameter in module.parameters():
                scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.1
                parameter.add_(scale * ask.draw.uniform(*parameter.shape).to(parameter))
    return encoder, decoder


def _question_pair(
    ask: Ask, question: str, size: tuple[int, int, int, int], encoder: nn.Module, decoder: nn.Module
) -> None:
    channels, height, width, latent = size
    x = ask.draw.uniform(4, channels, height, width, low=0, high=1)
    z = ask.draw.uniform(4, latent, low=-2, high=2)

    def run(x: Tensor, z: Tensor, occasion: str) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_var = encoder(x.clone())
        logits = decoder(z.clone())
        for name, tensor in (("mean", mean), ("log_var", log_var), ("logits", logits)):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"{name} should be a tensor, not {type(tensor).__name__}")
            if not tensor.requires_grad:
                raise ValueError(f"{name} carries no gradient to the weights")
            ask.record(question, f"{name}, {occasion}", tensor)
        return mean, log_var, logits

    run(x, z, "batch of 4")
    run(x, z, "once more")
    run(x[:1], z[:1], "batch of 1")
    ask.record(question, "logits, large codes", decoder(100 * z))
    singles = [(*encoder(x[[item]]), decoder(z[[item]])) for item in range(4)]
    for name, tensors in zip(("mean", "log_var", "logits"), zip(*singles, strict=True), strict=True):
        ask.record(question, f"{name}, one by one", torch.cat(tensors))


def _linear_gaussian(weight: Tensor, bias: Tensor) -> LogLikelihood:
    """log N(x; W z + b, I/4), summed over the observation: quadratic in z, so ±1 corners of eps average it exactly."""

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        error = x - z @ weight.to(z).mT - bias.to(z)
        return (-2 * error**2 - 0.5 * math.log(math.pi / 2)).sum(-1)

    return log_likelihood


def _curved(weight: Tensor) -> LogLikelihood:
    """A log-likelihood of images that is not quadratic in z, so that every sample counts on its own."""

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        decoded = torch.tanh(z @ weight.to(z).mT).unflatten(-1, x.shape[-3:])
        return -(x - decoded).abs().pow(1.5).sum((-3, -2, -1))

    return log_likelihood


def _corners(latent: int) -> Tensor:
    """All 2^K vectors of ±1, shape (2^K, 1, K): their mean of anything quadratic is that of standard normal noise."""
    return torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * latent).reshape(-1, 1, latent)


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

    ask("a linear decoder, 2 latents, 4 samples", linear(draw.distinct(1, 5, 7)[0], 2, 3), wrt=wrt)
    ask("a linear decoder, 3 latents, 8 samples", linear(draw.distinct(1, 4, 7)[0], 3, 5), wrt=wrt)
    ask("one observation", linear(1, 2, 4), wrt=wrt, edge=True)
    ask("one latent", linear(3, 1, 4), wrt=wrt, edge=True)
    ask("float64 inputs", linear(5, 3, 4, dtype=torch.float64), wrt=wrt, edge=True)
    ask("log_var between −20 and −10", linear(3, 2, 4, spread=(-20, -10)), wrt=wrt, edge=True, rtol=1e-3)

    batch, latent, height, width = draw.distinct(4, 2, 5)
    eps = 2 * draw.bits(1, batch, latent) - 1
    images = {
        "x": draw.uniform(batch, 1, height, width, low=0, high=1),
        "mean": draw.uniform(batch, latent),
        "log_var": draw.uniform(batch, latent, low=-2, high=1),
        "log_likelihood": _curved(draw.uniform(height * width, latent)),
        "eps": torch.cat([eps, -eps]),
    }
    ask("images under a curved decoder, 2 samples", images, wrt=wrt)


@exercise("importance-weighted-bound", "importance_weighted_bound")
def importance_weighted_bound(ask: Ask) -> None:
    draw = ask.draw
    samples, batch = draw.distinct(2, 3, 8)

    def weights(*shape: int, around: float = -2.0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        return {"log_w": draw.uniform(*shape, low=around - 3, high=around + 3, dtype=dtype)}

    ask(f"{samples} samples, {batch} observations", weights(samples, batch), wrt=("log_w",))
    ask(f"{batch} samples, {samples} observations", weights(batch, samples), wrt=("log_w",))
    ask("one sample", weights(1, batch), wrt=("log_w",), edge=True)
    ask("one observation", weights(samples, 1), wrt=("log_w",), edge=True)
    ask("float64 inputs", weights(samples, batch, dtype=torch.float64), wrt=("log_w",), edge=True)
    for around in (-1e5, 800.0):
        rough = weights(samples, batch, around=around)
        ask(f"log weights near {around:.0f}", rough, wrt=("log_w",), edge=True, atol=0.02)
        tight = weights(samples, batch, around=around, dtype=torch.float64)
        ask(f"log weights near {around:.0f}, float64", tight, wrt=("log_w",), edge=True)
    spread = {"log_w": draw.uniform(samples, batch, low=-1000, high=-10)}
    ask("log weights from −1000 to −10", spread, wrt=("log_w",), edge=True)


@exercise("beta-schedule", "beta_schedule", praise="values right")
def beta_schedule(ask: Ask) -> None:
    draw = ask.draw
    warmup = draw.integer(5, 40)
    for step in (0, 1, draw.integer(2, warmup - 2), warmup - 1, warmup, warmup + 1, 10 * warmup):
        for beta_max in (1.0, draw.integer(3, 15) / 2):
            question = f"step {step} of a warm-up of {warmup}, beta_max {beta_max:g}"
            ask(question, {"step": step, "warmup": warmup, "beta_max": beta_max}, returns=float)
    ask("a warm-up of one step", {"step": 1, "warmup": 1, "beta_max": 2.0}, returns=float, edge=True)


@exercise("active-units", "active_units", praise="counts right")
def active_units(ask: Ask) -> None:
    draw = ask.draw

    def ask_units(question: str, count: int, threshold: float, deviations: list[float], *, edge: bool = False) -> None:
        """Units whose means deviate this much, in units of √threshold, around centres far from zero."""
        column = draw.uniform(count, len(deviations), low=-1, high=1)
        column = (column - column.mean(0)) / column.std(0)
        centres = draw.uniform(len(deviations), low=-4, high=4)
        means = column * torch.tensor(deviations) * math.sqrt(threshold) + centres
        ask(question, {"means": means, "threshold": threshold}, returns=int, edge=edge)

    ask_units("variances on either side of 0.01", draw.integer(40, 60), 0.01, [0.2, 3.0, 0.5, 5.0, 2.0, 0.7, 0.1])
    ask_units("variances on either side of 4", draw.integer(40, 60), 4.0, [0.6, 1.8, 1.6, 0.1, 0.65])
    ask_units("variances on either side of 0.2", draw.integer(40, 60), 0.2, [0.5, 0.6, 1.5, 0.2, 0.4, 0.1, 1.7, 1.9])
    ask_units("no active unit", 30, 0.05, [0.1, 0.4, 0.6], edge=True)
    ask_units("all units active", 30, 0.05, [2.0, 1.7, 3.0, 4.0], edge=True)
    ask_units("one unit", 30, 0.01, [3.0], edge=True)


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
    ask_logits("logits of 0", torch.zeros(batch, width))
    for size in (1e-6, 1e-4, 1e-3, 1e-2, 0.1, 0.5):
        near = _signed(draw, size * draw.uniform(5, low=0.5, high=1))
        # In float32 the closed form's gradient loses its digits here, and that is no mistake.
        ask(f"logits near ±{size:g}", {"logits": near}, edge=True, rtol=1e-3, atol=2e-3)
        ask_logits(f"float64 logits near ±{size:g}", near.double(), atol=1e-4)
    for size in (15.0, 30.0, 90.0, 700.0):
        far = _signed(draw, size * draw.uniform(batch, width, low=0.9, high=1))
        ask_logits(f"logits near ±{size:g}", far)
        ask_logits(f"float64 logits near ±{size:g}", far.double(), rtol=1e-6, atol=1e-6)


def _signed(draw: Draw, sizes: Tensor) -> Tensor:
    return sizes * (2 * draw.bits(*sizes.shape, dtype=sizes.dtype) - 1)
