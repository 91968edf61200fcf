"""How the exercises of lab 04, NVIL and its control variates, are questioned."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmlib.exercises import chains, conditional_gaussian, exercise, running_scale
from lvmlib.exercises.baselines import Table, ask_baseline, image_baseline, rewards, vector_baseline
from lvmlib.exercises.batch_surrogate import ask_nvil_surrogate
from lvmlib.exercises.hybrid_mixture import ask_hybrid_surrogate
from lvmlib.exercises.left_out import ask_leave_one_out
from lvmlib.exercises.running_rewards import ask_running
from lvmlib.exercises.score_function import ask_score_function_surrogate, ask_self_critic
from lvmlib.exercises.several_tensors import ask_tensors
from lvmlib.probe import Ask, Draw, gradients


@exercise("mixture-log-prob", "mixture_log_prob")
def mixture_log_prob(ask: Ask) -> None:
    draw, wrt = ask.draw, ("z", "logits", "means", "scales")
    batch, components, latent = draw.distinct(3, 2, 5)

    def mixture(
        batch: int,
        components: int,
        latent: int,
        *,
        reach: float = 3.0,
        loudness: float = 2.0,
        scales: tuple[float, float] = (0.4, 1.8),
        dtype: torch.dtype = torch.float32,
    ) -> dict[str, Tensor]:
        """Points among the components, whose logits lie far from normalised; up to 2 apart, they are all positive."""
        return {
            "z": draw.uniform(batch, latent, low=-reach, high=reach, dtype=dtype),
            "logits": 2.5 + draw.uniform(components, low=-loudness, high=loudness, dtype=dtype),
            "means": draw.uniform(components, latent, low=-2, high=2, dtype=dtype),
            "scales": draw.uniform(components, latent, low=scales[0], high=scales[1], dtype=dtype),
        }

    sizes = (batch, components, latent)
    ask(f"{batch} points, {components} components, {latent} latents", mixture(*sizes), wrt=wrt)
    wide = mixture(latent, batch, components, loudness=4.0)
    ask(f"{latent} points, {batch} components, {components} latents", wide, wrt=wrt)
    ask("as many points and components as latents", mixture(batch, batch, batch), wrt=wrt, edge=True)
    ask("one point", mixture(1, components, latent), wrt=wrt, edge=True)
    ask("one component", mixture(batch, 1, latent), wrt=wrt, edge=True)
    ask("one latent", mixture(batch, components, 1), wrt=wrt, edge=True)
    ask("float64 inputs", mixture(*sizes, dtype=torch.float64), wrt=wrt, edge=True)
    # In float32 thousands of nats cost a component's share some of its digits.
    far = mixture(*sizes) | {"z": draw.uniform(batch, latent, low=58, high=62)}
    ask("z near 60", far, wrt=wrt, edge=True, rtol=1e-2, atol=1e-3)
    ask("z near 60, float64", {name: value.double() for name, value in far.items()}, wrt=wrt, edge=True)
    sure = mixture(*sizes, loudness=1000.0)
    ask("logits up to ±1000", sure, wrt=wrt, edge=True, rtol=1e-2, atol=1e-3)
    ask("logits up to ±1000, float64", {name: value.double() for name, value in sure.items()}, wrt=wrt, edge=True)
    shifted = mixture(*sizes)
    shifted["logits"] += 500
    ask("all logits near 500", shifted, wrt=wrt, edge=True, rtol=1e-2, atol=1e-3)
    ask("points of a component of weight e⁻²⁰⁰", _rare(draw, *sizes), wrt=wrt, edge=True, rtol=1e-3, atol=1e-3)
    narrow = mixture(*sizes, scales=(1e-3, 4e-3), dtype=torch.float64)
    ask("scales near 0.002", narrow, wrt=wrt, edge=True)
    ask("scales near 500", mixture(*sizes, reach=900.0, scales=(300.0, 700.0)), wrt=wrt, edge=True)


def _rare(draw: Draw, batch: int, components: int, latent: int) -> dict[str, Tensor]:
    """Points that only the least likely component explains, for the others are 40 standard deviations away."""
    means = 40 * torch.arange(components)[:, None] + draw.uniform(components, latent)
    logits = draw.uniform(components)
    logits[0] -= 200
    z = means[0] + draw.uniform(batch, latent, low=-2, high=2)
    return {"z": z, "logits": logits, "means": means, "scales": draw.uniform(components, latent, low=0.7, high=1.1)}


@exercise("marginal-and-posterior", "marginal_and_posterior")
def marginal_and_posterior(ask: Ask) -> None:
    draw = ask.draw
    batch, codes, dimensions = draw.distinct(3, 3, 5)
    names = ("log_p_x", "log_posterior")

    def ask_images(
        question: str,
        x: Tensor,
        codes: int,
        *,
        low: float = -2.0,
        high: float = 2.0,
        preference: float = 2.0,
        edge: bool = True,
        atol: float | None = None,
    ) -> None:
        """Ask about these images under codes whose prior is not uniform."""
        if edge:
            ask.answers.edges.append(question)
        prior_logits = draw.uniform(codes, low=-preference, high=preference, dtype=x.dtype).requires_grad_()
        decoder = draw.uniform(codes, x.shape[-1], low=low, high=high, dtype=x.dtype).requires_grad_()
        # Gradients are taken before the softmax, so that it does not matter whether it is taken again.
        arguments = {"x": x, "log_prior": prior_logits.log_softmax(0), "decoder_logits": decoder}
        parts = ask_tensors(ask, question, arguments, names)
        if parts is None:
            return
        for name, part in zip(names, parts, strict=True):
            ask.record(question, name, part, atol=atol)
        found = ask.attempt(question, gradients, parts[0], [prior_logits, decoder], doing="differentiated")
        for name, gradient in zip(("the prior's logits", "decoder_logits"), found or (), strict=False):
            ask.record(question, f"gradient of log_p_x in {name}", gradient, atol=atol)

    ask_images(f"{batch} images, {codes} codes", draw.bits(batch, dimensions), codes, edge=False)
    pixels = draw.integer(3, 4)
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * pixels)
    # Between 0 and 1, logits that are taken for probabilities give numbers to know the mistake by.
    question = f"all {2**pixels} images of {pixels} pixels, {batch} codes"
    ask_images(question, every, batch, low=0.05, high=0.95, edge=False)
    ask_images("two batch axes, (3, 4)", draw.bits(3, 4, dimensions), codes, edge=False)
    ask_images("two batch axes, (3, 4), and 4 codes of 4 pixels", draw.bits(3, 4, 4), 4)
    ask_images("as many images as codes and pixels", draw.bits(batch, batch), batch)
    ask_images("a single image without a batch axis", draw.bits(dimensions), codes)
    ask_images("one image", draw.bits(1, dimensions), codes)
    ask_images("one code", draw.bits(batch, dimensions), 1)
    ask_images("float64 inputs", draw.bits(batch, dimensions, dtype=torch.float64), codes)
    ask_images("a prior that all but rules codes out", draw.bits(batch, dimensions), codes, preference=60.0)
    large = draw.bits(batch, 24)
    ask_images("24 pixels, log p near −2000", large, codes, low=-330, high=330, atol=5e-3)
    ask_images("24 pixels, log p near −2000, float64", large.double(), codes, low=-330, high=330)
    ask_images("logits up to ±1000", draw.bits(batch, dimensions), codes, low=-1000, high=1000, atol=5e-3)


@exercise("naive-bound", "naive_bound")
def naive_bound(ask: Ask) -> None:
    draw, wrt = ask.draw, ("log_likelihoods",)
    samples, batch = draw.distinct(2, 3, 8)

    def likelihoods(*shape: int, around: float = -6.0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        return {"log_likelihoods": draw.uniform(*shape, low=around - 3, high=around + 3, dtype=dtype)}

    ask(f"{samples} samples, {batch} observations", likelihoods(samples, batch), wrt=wrt)
    ask(f"{batch} samples, {samples} observations", likelihoods(batch, samples), wrt=wrt)
    ask("as many samples as observations", likelihoods(batch, batch), wrt=wrt, edge=True)
    ask("one sample", likelihoods(1, batch), wrt=wrt, edge=True)
    ask("one observation", likelihoods(samples, 1), wrt=wrt, edge=True)
    ask("float64 inputs", likelihoods(samples, batch, dtype=torch.float64), wrt=wrt, edge=True)
    ask("log-likelihoods near −100,000", likelihoods(samples, batch, around=-1e5), wrt=wrt, edge=True, atol=0.02)
    ask("log densities near 800", likelihoods(samples, batch, around=800.0), wrt=wrt, edge=True)
    apart = {"log_likelihoods": draw.uniform(samples, batch, low=-2000, high=-10)}
    ask("samples hundreds of nats apart", apart, wrt=wrt, edge=True)


@exercise(
    "score-function-surrogate",
    "score_function_surrogate",
    praise="gradients right on average over all outcomes, and their variance",
)
def score_function_surrogate(ask: Ask) -> None:
    ask_score_function_surrogate(ask)


@exercise("centred-reward", "CentredReward", praise="rewards, losses and state right")
def centred_reward(ask: Ask) -> None:
    ask_running(ask)


@exercise(
    "scaled-reward", "ScaledReward", praise="rewards, losses and state right in 13 histories", law=running_scale.law
)
def scaled_reward(ask: Ask) -> None:
    ask_running(ask)


@exercise("learned-baseline", "baseline_advantage", praise="advantages, losses and gradients right")
def learned_baseline(ask: Ask) -> None:
    draw = ask.draw
    batch, channels, height, width = draw.distinct(4, 2, 6)

    def images(count: int) -> Tensor:
        return draw.uniform(count, 1, height, width, low=0, high=1)

    def ask_images(question: str, count: int, *, around: float = -4.0, edge: bool = False) -> None:
        baseline = image_baseline(draw, (1, height, width))
        ask_baseline(ask, question, baseline, rewards(draw, count, around=around), images(count), edge=edge)

    ask_images(f"{batch} images of shape {(1, height, width)}", batch)
    x = draw.uniform(height, width, low=-2, high=2)
    ask_baseline(ask, f"{height} vectors", vector_baseline(draw, width), rewards(draw, height), x)
    familiar = images(batch)
    table = Table(familiar, draw.uniform(batch, low=-6, high=-2))
    ask_baseline(ask, "a baseline that knows each observation", table, rewards(draw, batch), familiar)
    colour = draw.uniform(batch, channels, width, height, low=0, high=1)
    ask_baseline(
        ask,
        f"images of {channels} channels",
        image_baseline(draw, (channels, width, height)),
        rewards(draw, batch),
        colour,
        edge=True,
    )
    ask_images("one image", 1, edge=True)
    ask_images("rewards near −300", batch, around=-300.0, edge=True)
    ask_baseline(ask, "one vector", vector_baseline(draw, width), rewards(draw, 1), x[:1], edge=True)
    double = vector_baseline(draw, width).double()
    reward = rewards(draw, height, dtype=torch.float64)
    ask_baseline(ask, "float64 inputs", double, reward, x.double(), edge=True)
    exact = rewards(draw, batch)
    right = Table(familiar, exact.clone())
    ask_baseline(ask, "a baseline that is right", right, exact, familiar, edge=True)


@exercise("chain", "Chain", praise="rewards, losses and state right")
def chain(ask: Ask) -> None:
    draw = ask.draw
    few, some, many = draw.distinct(3, 2, 6)

    def batches(*sizes: int, dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, Tensor]]:
        return [
            (draw.uniform(size, low=-3, high=3, dtype=dtype), draw.uniform(size, 1, few, many, dtype=dtype))
            for size in sizes
        ]

    chains.ask_chain(ask, "two control variates", chains.members_of(draw, "aa"), batches(some, many))
    chains.ask_chain(ask, "three control variates", chains.members_of(draw, "asa"), batches(many, few, some))
    chains.ask_chain(ask, "one control variate", chains.members_of(draw, "a"), batches(some), edge=True)
    chains.ask_chain(ask, "five control variates", chains.members_of(draw, "saasa"), batches(few, some), edge=True)
    chains.ask_chain(ask, "an empty chain", chains.members_of(draw, ""), batches(some, 1), edge=True)
    chains.ask_chain(ask, "a batch of one", chains.members_of(draw, "asa"), batches(1, 1), edge=True)
    double = chains.members_of(draw, "asa", dtype=torch.float64)
    chains.ask_chain(ask, "float64 rewards", double, batches(some, many, dtype=torch.float64), edge=True)
    chains.ask_nested(ask, "a chain inside a chain", chains.members_of(draw, "asa"), batches(some)[0])
    chains.ask_membership(ask, chains.members_of(draw, "asas"), batches(some, many, few))


@exercise("nvil-surrogate", "nvil_surrogate", praise="gradients right on average over all outcomes")
def nvil_surrogate(ask: Ask) -> None:
    ask_nvil_surrogate(ask)


@exercise("self-critic", "self_critic", praise="gradients right on average over all outcomes, and their variance")
def self_critic(ask: Ask) -> None:
    ask_self_critic(ask)


@exercise("leave-one-out", "leave_one_out", praise="gradients right")
def leave_one_out(ask: Ask) -> None:
    ask_leave_one_out(ask)


@exercise(
    "gaussian-cpd",
    "GaussianCPD",
    praise="shapes, scales, gradients and independence right for 4 sizes",
    law=conditional_gaussian.law,
)
def gaussian_cpd(ask: Ask) -> None:
    for plan in conditional_gaussian.plans(ask.draw):
        conditional_gaussian.ask_network(ask, plan)


@exercise("hybrid-mixture", "hybrid_surrogate", praise="gradients right on average over noise and components")
def hybrid_surrogate(ask: Ask) -> None:
    ask_hybrid_surrogate(ask)
