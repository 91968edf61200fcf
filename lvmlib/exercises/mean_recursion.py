"""How θ and the mean of the cloud move in a run of particle gradient descent on the toy model, rightly or wrongly.

The mean m of all entries of z and θ move by themselves: θ' = θ + hD(m − θ) and m' = (1 − 2h)m + h(mean(x) + θ) + noise
of variance 2h/(DN).  So a path of θ alone tells every m but the last, and those tell the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lvmlib.exercises.exact_tests import FALSE_ALARM, has_mean_zero, has_variance_one, is_unpredictable
from lvmlib.exercises.toy_run import Plan

ROUNDING = 2e-3
"""Of a mean that a path of float32 numbers near 10 tells, at most."""

NEXT, SECOND, SAME, QUIET, ANY = "next", "second", "same", "quiet", "any"


@dataclass(frozen=True)
class Recursion:
    """θ' = θ + gain·(m − θ) and m' = own·m + data·mean(x) + old·θ + new·θ' + N(0, noise²).

    `theta_noise` is the standard deviation of noise in θ itself.  `end` says how the returned cloud goes on from the
    last mean that the path tells: it is the next, or the second after it, or the same, or the next without noise.
    """

    gain: float
    own: float
    data: float
    old: float
    new: float
    noise: float
    theta_noise: float = 0.0
    end: str = NEXT


def right(plan: Plan) -> Recursion:
    """Particle gradient descent."""
    h, dims, particles = plan.step_size, plan.dims, plan.particles
    noise = math.sqrt(2 * h / (dims * particles))
    return Recursion(gain=h * dims, own=1 - 2 * h, data=h, old=h, new=0.0, noise=noise)


@dataclass(frozen=True)
class Surprises:
    """What a recursion does not account for: in the path, shape (runs, steps − 2), and at the end, shape (runs,).

    They come in units of the noise, or as they are where there should be none; `spread` is the standard deviations of a
    run's surprises, the last of them the end's.
    """

    path: Tensor
    end: Tensor
    spread: Tensor


def surprises(plan: Plan, recursion: Recursion, theta: Tensor, z: Tensor) -> Surprises:
    """Those of paths (runs, steps) with at least three steps, and of the clouds (runs, D, N) at their ends."""
    mean = _means(recursion, theta)
    following = _expected(plan, recursion, mean, theta[:, :-1], theta[:, 1:])
    path, last = mean[:, 1:] - following[:, :-1], z.mean((1, 2))
    noise = recursion.noise or 1.0
    at_end, spread = following[:, -1], noise
    if recursion.end == SECOND:
        at_end = _expected(plan, recursion, at_end, theta[:, -1], theta[:, -1])
        spread = noise * math.sqrt(1 + recursion.own**2)
    elif recursion.end != NEXT:
        at_end = {QUIET: at_end, SAME: mean[:, -1], ANY: last}[recursion.end]
        spread = 1.0
    end = last - at_end
    if recursion.theta_noise:
        path, end, spreads = _whitened(recursion, path, end)
    else:
        path, end = path / noise, end / spread
        spreads = torch.full((path.shape[1] + 1,), noise, dtype=torch.float64)
        spreads[-1] = spread
    return Surprises(path, end, spreads)


def _means(recursion: Recursion, theta: Tensor) -> Tensor:
    """The mean of the cloud before each step but the first."""
    return theta[:, :-1] + theta.diff(dim=1) / recursion.gain


def _known(plan: Plan, recursion: Recursion, theta: Tensor, path: Tensor) -> tuple[Tensor, Tensor]:
    """What was known before each surprise, as regressors: of the path (runs, steps − 2, 4), of the end (runs, 3)."""
    mean, unit = _means(recursion, theta), math.sqrt(plan.dims * plan.particles)
    known = torch.stack([(mean - plan.mean) * unit, (theta[:, :-1] - plan.mean) * unit, torch.ones_like(mean)], -1)
    before = torch.cat([torch.zeros_like(path[:, :1]), path[:, :-1]], 1)[..., None]
    return torch.cat([known[:, :-1], before], -1), known[:, -1]


def _expected(plan: Plan, recursion: Recursion, mean: Tensor, theta: Tensor, moved: Tensor) -> Tensor:
    pulls = recursion.data * plan.mean + recursion.old * theta + recursion.new * moved
    return recursion.own * mean + pulls


def _whitened(recursion: Recursion, path: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Noise of θ's own is taken for a move of the mean, and taken back one step later: part of it is undone."""
    count = path.shape[1] + 1
    share = recursion.theta_noise / recursion.gain
    mixing = torch.zeros(count, count, dtype=torch.float64)
    mixing.diagonal().fill_(-recursion.own * share)
    mixing[:-1].diagonal(1).fill_(share)
    covariance = mixing @ mixing.mT + recursion.noise**2 * torch.eye(count, dtype=torch.float64)
    root = torch.linalg.cholesky(covariance)
    both = torch.cat([path, end[:, None]], 1)
    white = torch.linalg.solve_triangular(root, both.mT, upper=False).mT
    return white[:, :-1], white[:, -1], root.diagonal()


def log_likelihood(plan: Plan, recursion: Recursion, theta: Tensor, z: Tensor) -> float:
    """Of all but the first two values of θ in each run, and of the last cloud's mean, up to a constant.

    An end without noise of its own counts as a right one, so that ratios of likelihoods remain what they are.
    """
    found = surprises(plan, recursion, theta, z)
    exact = recursion.end in (SAME, QUIET, ANY)
    end = surprises(plan, right(plan), theta, z) if exact else found
    path = found.path.square().sum() / 2 + found.path.shape[0] * (found.spread[:-1] * abs(recursion.gain)).log().sum()
    return -(path + end.end.square().sum() / 2 + len(end.end) * end.spread[-1].log()).item()


def misfits(plan: Plan, recursion: Recursion, theta: Tensor, z: Tensor, level: float = FALSE_ALARM) -> Iterator[str]:
    """In what the surprises are not independent N(0, 1): `mean`, `variance` or `prediction`, of the path or the end."""
    found = surprises(plan, recursion, theta, z)
    known_on_path, known_at_end = _known(plan, recursion, theta, found.path)
    exact = recursion.noise == 0
    predicted = not recursion.theta_noise
    yield from (f"{fault} of the path" for fault in _faults(found.path, known_on_path, exact, predicted, level))
    exact = exact or recursion.end in (SAME, QUIET, ANY)
    yield from (f"{fault} at the end" for fault in _faults(found.end, known_at_end, exact, predicted, level))


def _faults(values: Tensor, known: Tensor, exact: bool, predicted: bool, level: float) -> Iterator[str]:
    flat = values.flatten()
    if exact:
        if not flat.abs().max() <= ROUNDING:
            yield "noise"
        return
    if not has_variance_one(flat.square().sum().item(), len(flat), level):
        yield "variance"
    if not has_mean_zero(flat, level):
        yield "mean"
    if predicted and not is_unpredictable(flat, known.flatten(0, -2), level):
        yield "prediction"
