"""Questioning a Langevin sampler, and the law of its points: under a Gaussian's gradient they are exactly Gaussian.

With the gradient −(z − μ)A, a symmetric A and a step size h, T steps of z ← z + h∇ + √(2h)ξ lead from z₀ to a Gaussian
of mean μ + (z₀ − μ)(I − hA)^T and covariance 2h Σ_t (I − hA)^(2t), t = 0, …, T − 1.  The starts lie far from μ
and few steps are taken, so that a wrong drift shows as much as wrong noise.

The tests are exact for every number of chains (see `exact_tests`; for a distribution function, Massart, *The tight
constant in the Dvoretzky–Kiefer–Wolfowitz inequality*, 1990).  A submission meets fewer than 600 of them, so that a
right one is refused with a probability below 1e-6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lvmlib.exercises.exact_tests import has_mean_zero, has_variance_one
from lvmlib.probe import Answers, Ask, Draw

FALSE_ALARM = 1.5e-9
CHAINS = 6000
DEVIATIONS = 7
"""Within so many standard deviations of its moments a known mistake is recognised."""

AGAIN = "again from the same state of the generator"
OTHER = "from another state of the generator"
LATER = "once more, from the generator as the first call left it"


class Walk(NamedTuple):
    """One question: where the chains start, the Gaussian whose gradient leads them, and how far they go."""

    question: str
    z0: Tensor
    mean: Tensor
    precision: Tensor
    step_size: float
    steps: int
    by_autograd: bool = False

    def gradient(self, z: Tensor) -> Tensor:
        """Gradient of the log-density, shape (…, K), by the formula or by autograd.

        Raises:
            TypeError, ValueError: z is not a tensor of points of K dimensions.
        """
        latent = self.z0.shape[1]
        if not isinstance(z, Tensor):
            raise TypeError(f"gradient takes points of shape (n, {latent}), and was given {type(z).__name__}")
        if z.dim() == 0 or z.shape[-1] != latent:
            raise ValueError(f"gradient takes points of shape (n, {latent}), and was given {tuple(z.shape)}")
        mean, precision = self.mean.to(z), self.precision.to(z)
        if not self.by_autograd:
            return -(z - mean) @ precision
        with torch.enable_grad():
            point = z.detach().requires_grad_()
            log_density = -0.5 * (((point - mean) @ precision) * (point - mean)).sum()
            return torch.autograd.grad(log_density, point)[0]


def walks(draw: Draw) -> list[Walk]:
    """Few steps and many, with and without autograd, and the smallest sizes there are."""

    def walk(question: str, chains: int, latent: int, steps: int, low: float, high: float, **how: Any) -> Walk:
        dtype = how.pop("dtype", torch.float32)
        precision = _precision(draw, latent)
        return Walk(
            question=question,
            z0=draw.uniform(chains, latent, low=low, high=high, dtype=dtype),
            mean=draw.uniform(latent, low=-2, high=2, dtype=dtype),
            precision=precision.to(dtype),
            step_size=draw.integer(*how.pop("percent")) / 100,
            steps=steps,
            **how,
        )

    return [
        walk("one step, 4 latents", CHAINS, 4, 1, 10, 30, percent=(13, 17)),
        walk("two steps, 2 latents", CHAINS, 2, 2, -30, -10, percent=(31, 35)),
        walk("three steps, 1 latent", CHAINS, 1, 3, -30, 30, percent=(26, 30)),
        walk("ten steps, 3 latents", CHAINS, 3, 10, -30, 30, percent=(6, 9)),
        walk("three steps, a gradient by autograd", CHAINS, 3, 3, 5, 40, percent=(19, 23), by_autograd=True),
        walk("one chain", 1, 3, 4, -9, 9, percent=(20, 30)),
        walk("as many chains as latents", 3, 3, 2, -9, 9, percent=(20, 30)),
        walk("no step", 7, 2, 0, -9, 9, percent=(20, 30)),
        walk("float64 chains", 50, 2, 3, -9, 9, percent=(20, 30), dtype=torch.float64),
    ]


def _precision(draw: Draw, latent: int) -> Tensor:
    """A symmetric matrix with eigenvalues between 0.5 and 2, not diagonal."""
    factor = draw.uniform(latent, latent, dtype=torch.float64)
    factor = factor + (2 * draw.bits(1, dtype=torch.float64) - 1)
    square = factor @ factor.mT
    return 0.5 * torch.eye(latent, dtype=torch.float64) + 1.5 * square / square.diagonal().sum()


def ask_langevin(ask: Ask) -> None:
    """Let chains walk, twice from one state of the generator and twice from others, and write down where they end."""
    for walk in walks(ask.draw):
        seed = ask.draw.integer(0, 2**30)
        first, again, other = (torch.Generator().manual_seed(state) for state in (seed, seed, seed + 1))
        for occasion, generator in (("", first), (LATER, first), (AGAIN, again), (OTHER, other)):
            if occasion and walk.question in ask.answers.faults:
                break
            result = ask.call(
                walk.question,
                {
                    "z0": walk.z0,
                    "gradient": walk.gradient,
                    "step_size": walk.step_size,
                    "steps": walk.steps,
                    "generator": generator,
                },
            )
            if isinstance(result, Tensor):
                ask.record(walk.question, occasion or "value", result)


@dataclass(frozen=True)
class Account:
    """One way to walk, right or wrong, by the Gaussian that it leads to.

    `drift` and `noise` are what multiplies the gradient and ξ, from h.  `noisy` says which of T steps, counted from 0,
    get noise; `more` how many steps more than T are taken.  `early` adds the noise before the gradient is taken;
    `frozen` takes the gradient at the start in all steps; `reused` draws one ξ for all steps, and `between` gives the
    covariance of ξ's coordinates.
    """

    drift: Callable[[float], float] = lambda h: h
    noise: Callable[[float], float] = lambda h: math.sqrt(2 * h)
    noisy: Callable[[int, int], bool] = lambda step, steps: True
    more: int = 0
    early: bool = False
    frozen: bool = False
    reused: bool = False
    between: Callable[[int], Tensor] = lambda latent: torch.eye(latent, dtype=torch.float64)

    def moments(self, walk: Walk) -> tuple[Tensor, Tensor]:
        """Mean of every chain, shape (n, K), and covariance (K, K) of the points after a walk, in float64."""
        latent, steps = walk.z0.shape[1], max(0, walk.steps + self.more)
        one = torch.eye(latent, dtype=torch.float64)
        pull = self.drift(walk.step_size) * walk.precision.double()
        start, noises = one, []
        for step in range(steps):
            scale = self.noise(walk.step_size) * self.noisy(step, steps)
            if self.early:
                noises.append(scale * one)
            if self.frozen:
                start = start - pull
            else:
                start, noises = start @ (one - pull), [factor @ (one - pull) for factor in noises]
            if not self.early:
                noises.append(scale * one)
        if self.reused:
            noises = [sum(noises, torch.zeros_like(one))]
        between = self.between(latent)
        covariance = sum((factor.mT @ between @ factor for factor in noises), torch.zeros_like(one))
        mean = walk.mean.double()
        return mean + (walk.z0.double() - mean) @ start, covariance


def _everywhere(latent: int) -> Tensor:
    return torch.ones(latent, latent, dtype=torch.float64)


RIGHT = Account()
MOVED = "the points moved, though there is no step to take"

WRONG: Mapping[str, Mapping[str, Any]] = {
    "the noise is multiplied by √h; here it is √(2h)": {"noise": lambda h: h**0.5},
    "the noise is multiplied by h; here it is √(2h)": {"noise": lambda h: h},
    "the noise is multiplied by 2h, without its root: √(2h)": {"noise": lambda h: 2 * h},
    "the noise is multiplied by √2·h; h belongs under the root: √(2h)": {"noise": lambda h: 2**0.5 * h},
    "the noise is multiplied by 2√h; the 2 belongs under the root: √(2h)": {"noise": lambda h: 2 * h**0.5},
    "the noise is multiplied by √(h/2); here it is √(2h)": {"noise": lambda h: (h / 2) ** 0.5},
    "the noise is multiplied by √2; the step size is missing: √(2h)": {"noise": lambda h: 2**0.5},
    "the noise is not scaled; multiply it by √(2h)": {"noise": lambda h: 1.0},
    "noise is missing: add √(2h)·ξ in every step": {"noise": lambda h: 0.0},
    "this is z + h/2·∇ + √h·ξ, another convention; here a step is z + h·∇ + √(2h)·ξ": {
        "drift": lambda h: h / 2,
        "noise": lambda h: h**0.5,
    },
    "the gradient is multiplied by h/2; here it is h": {"drift": lambda h: h / 2},
    "the gradient is multiplied by 2h; here it is h": {"drift": lambda h: 2 * h},
    "the gradient is multiplied by √(2h), as the noise is; here it is h": {"drift": lambda h: (2 * h) ** 0.5},
    "the gradient is multiplied by h²; here it is h": {"drift": lambda h: h**2},
    "the gradient is not scaled; multiply it by h": {"drift": lambda h: 1.0},
    "the gradient is missing: this only adds noise": {"drift": lambda h: 0.0},
    "the gradient is subtracted, which leads downhill; add it": {"drift": lambda h: -h},
    "the last step has no noise; every step has": {"noisy": lambda step, steps: step < steps - 1},
    "the first step has no noise; every step has": {"noisy": lambda step, steps: step > 0},
    "only the last step has noise; every step has": {"noisy": lambda step, steps: step == steps - 1},
    "only the first step has noise; every step has": {"noisy": lambda step, steps: step == 0},
    "one step is missing": {"more": -1},
    "one step too many": {"more": 1},
    "noise is added before the gradient is taken; take it where the points are": {"early": True},
    "the gradient is taken at the start and never again; take it anew in every step": {"frozen": True},
    "the same noise is used in every step; draw it anew": {"reused": True},
    "the coordinates of a point share one number of noise; draw it in the shape of z0": {"between": _everywhere},
}


def law(answers: Answers, seed: int) -> str | None:
    """What is wrong with a Langevin sampler, in a clause, from the points that it gave; None if nothing is."""
    for question, fault in answers.faults.items():
        if fault.startswith("draws random numbers"):
            fault = "draws random numbers of its own; draw all noise with generator=generator"
        return f"{fault} ({question})"
    asked = walks(Draw(seed))
    for complain in (_about_shape, _about_dtype, _about_finite, _about_generator):
        for walk in asked:
            clause = complain(answers, walk)
            if clause:
                return f"{clause} ({walk.question})"
    return _about_moments(answers, asked) or _about_normality(answers, asked)


def _about_shape(answers: Answers, walk: Walk) -> str | None:
    found, wanted = tuple(_end(answers, walk).shape), tuple(walk.z0.shape)
    if found == wanted:
        return None
    hint = "; the last points are wanted, not the way there" if found[-2:] == wanted and len(found) == 3 else ""
    return f"returned points of shape {found}; it should be {wanted}{hint}"


def _about_dtype(answers: Answers, walk: Walk) -> str | None:
    found = _end(answers, walk).dtype
    return None if found == walk.z0.dtype else f"returned {found}; it should be {walk.z0.dtype}, as z0 is"


def _about_finite(answers: Answers, walk: Walk) -> str | None:
    end = _end(answers, walk)
    return None if end.isfinite().all() else f"a point is {end[~end.isfinite()][0].item()}; it should be finite"


def _about_generator(answers: Answers, walk: Walk) -> str | None:
    end = _end(answers, walk)
    if not torch.equal(end, answers.tensors[walk.question, AGAIN]):
        return "gives other points from the same state of the generator; draw all noise with generator=generator"
    if walk.steps == 0 or not _is_noisy(end, walk):
        return None
    if torch.equal(end, answers.tensors[walk.question, OTHER]):
        return "gives the same points whatever state the generator is in; draw with it, and do not seed it"
    if torch.equal(end, answers.tensors[walk.question, LATER]):
        return "the same noise in every call; draw from `generator` itself, and neither seed nor copy it"
    return None


def _is_noisy(end: Tensor, walk: Walk) -> bool:
    """Whether where points end is no linear function of where they started, so that there was noise."""
    starts = torch.cat([walk.z0.double(), torch.ones(len(end), 1, dtype=torch.float64)], 1)
    if len(end) <= 2 * starts.shape[1]:
        return False
    fitted = starts @ torch.linalg.lstsq(starts, end.double()).solution
    return bool((end.double() - fitted).abs().max() > 1e-2)


def _about_moments(answers: Answers, asked: list[Walk]) -> str | None:
    crowds = [walk for walk in asked if len(walk.z0) == CHAINS]
    for walk in asked:
        clause = _against_law(_end(answers, walk), walk)
        if clause:
            break
    else:
        return _about_centre(answers, crowds)
    if all(_is_common(answers, walk) for walk in crowds):
        return "all chains share one noise; draw it in the shape of z0, so that every chain has its own"
    for sentence, change in WRONG.items():
        account = replace(RIGHT, **change)
        if all(_matches(_end(answers, walk), *account.moments(walk)) for walk in crowds):
            return sentence
    for still in asked:
        if still.steps == 0 and not torch.equal(_end(answers, still), still.z0):
            return f"{MOVED} ({still.question})"
    return f"{clause} ({walk.question})"


def _about_centre(answers: Answers, crowds: list[Walk]) -> str | None:
    """How the chains' means differ from what chance does to them, all coordinates taken together."""
    means = torch.cat([_white(_end(answers, walk), walk).mean(0) for walk in crowds])
    total = CHAINS * means.square().sum().item()
    if has_variance_one(total, len(means), FALSE_ALARM):
        return None
    if total < len(means):
        return "the noise adds up to 0 over the chains; take it as it is drawn, without centring it"
    return "the points' means are further off than chance allows"


def _is_common(answers: Answers, walk: Walk) -> bool:
    """Whether every chain lies off its mean by the same, and by something."""
    apart = _end(answers, walk).double() - RIGHT.moments(walk)[0]
    return bool((apart - apart[0]).abs().max() <= 1e-3 and apart[0].abs().max() > 1e-2)


def _matches(end: Tensor, mean: Tensor, covariance: Tensor) -> bool:
    """Whether points have these moments, as far as that can be told; the covariance may be singular."""
    apart, count = end.double() - mean, len(end)
    variances = covariance.diagonal()
    error = (torch.outer(variances, variances) + covariance.square()).div(count).sqrt()
    found = apart.mean(0)
    return bool(
        (found.abs() <= DEVIATIONS * (variances / count).sqrt() + 1e-3).all()
        and (apart.mT @ apart / count - covariance).abs().le(DEVIATIONS * error + 1e-3).all()
    )


def _against_law(end: Tensor, walk: Walk) -> str | None:
    """How points differ from the exact Gaussian in mean, variance or correlation, in a clause, or None."""
    mean, covariance = RIGHT.moments(walk)
    apart = end.double() - mean
    if walk.steps == 0:
        return None if torch.equal(end, walk.z0) else MOVED
    white = _white(end, walk)
    count, latent = white.shape
    if not all(has_mean_zero(white[:, k], FALSE_ALARM) for k in range(latent)):
        found, wanted = end.double().mean(0), mean.mean(0)
        worst = (found - wanted).abs().argmax()
        return f"the points' mean is {found[worst]:.4g}; it should be {wanted[worst]:.4g}"
    quietest = white.square().sum(1).min().item()
    if not has_variance_one(quietest, latent, FALSE_ALARM / count):
        return "a chain has no noise; every chain has its own in every step"
    # All coordinates first: together they show a smaller fault than one of them does.
    for part in (white, *white.unbind(1)):
        if not _varies_by_one(part.flatten()):
            found, wanted = apart.square().mean(0), covariance.diagonal()
            worst = (found / wanted).log().abs().argmax()
            return f"the points' variance around their means is {found[worst]:.4g}; it should be {wanted[worst]:.4g}"
    for one, other in combinations(range(latent), 2):
        if not all(_varies_by_one(part) for part in _turned(white[:, one], white[:, other])):
            found = apart.mT @ apart / count
            wanted = covariance[one, other]
            return f"the covariance of two coordinates is {found[one, other]:.4g}; it should be {wanted:.4g}"
    if not all(_varies_by_one(part) for pair in _neighbours(white) for part in _turned(*pair)):
        return "chains share noise with one another; every chain has its own in every step"
    return None


def _white(end: Tensor, walk: Walk) -> Tensor:
    """Points as what should be independent standard normal numbers, shape (n, K), in float64."""
    mean, covariance = RIGHT.moments(walk)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), (end.double() - mean).mT, upper=False).mT


def _neighbours(white: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Coordinates of chains that lie side by side, and of chains half a batch apart."""
    half = len(white) // 2
    if half:
        yield white[: 2 * half : 2].flatten(), white[1 : 2 * half : 2].flatten()
        yield white[:half].flatten(), white[half : 2 * half].flatten()


def _turned(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and difference of independent standard normal numbers, which are such numbers again."""
    return (one + other) / math.sqrt(2), (one - other) / math.sqrt(2)


def _varies_by_one(values: Tensor) -> bool:
    """Whether numbers of mean 0 can have variance 1."""
    return has_variance_one(values.square().sum().item(), len(values), FALSE_ALARM)


def _about_normality(answers: Answers, asked: list[Walk]) -> str | None:
    for walk in asked:
        if walk.steps == 0:
            continue
        values = _white(_end(answers, walk), walk).flatten().sort().values
        steps = torch.arange(len(values) + 1, dtype=torch.float64) / len(values)
        below = torch.special.ndtr(values)
        distance = max((steps[1:] - below).max().item(), (below - steps[:-1]).max().item())
        if not distance <= math.sqrt(math.log(2 / FALSE_ALARM) / (2 * len(values))):
            return f"the noise has the right variance and is not normal; draw it with torch.randn ({walk.question})"
    return None


def _end(answers: Answers, walk: Walk) -> Tensor:
    return answers.tensors[walk.question, "value"]
