"""Mistakes in particle gradient descent on the toy model, as recursions of θ and the mean of the cloud."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lvmlib.exercises.mean_recursion import (
    ANY,
    NEXT,
    QUIET,
    ROUNDING,
    SAME,
    SECOND,
    Recursion,
    log_likelihood,
    misfits,
    right,
    surprises,
)
from lvmlib.exercises.toy_run import Plan

Mistake = Callable[[Plan], Recursion]
Run = tuple[Plan, Tensor, Tensor]
"""What was asked for, paths of θ of shape (runs, steps), and last clouds of shape (runs, D, N)."""


def _gain(change: Callable[[Plan], float]) -> Mistake:
    return lambda plan: replace(right(plan), gain=change(plan))


def _pulls(likelihood: Callable[[Plan], float], prior: Callable[[Plan], float]) -> Mistake:
    """Particles step by other sizes towards x and towards θ."""

    def mistake(plan: Plan) -> Recursion:
        data, old = likelihood(plan), prior(plan)
        return replace(right(plan), own=1 - data - old, data=data, old=old)

    return mistake


def _step(change: Callable[[Plan], float]) -> Mistake:
    """Particles step by another size towards both."""
    return _pulls(change, change)


def _scale(change: Callable[[float], float]) -> Mistake:
    """Another scale of each particle's noise, as a function of h."""
    return lambda plan: replace(right(plan), noise=change(plan.step_size) / math.sqrt(plan.dims * plan.particles))


def _sequential(end: str) -> Mistake:
    return lambda plan: replace(right(plan), old=0.0, new=plan.step_size, end=end)


def _early(plan: Plan) -> Recursion:
    """The gradient pulls back what the noise has just added."""
    return replace(right(plan), noise=abs(1 - 2 * plan.step_size) * right(plan).noise)


def _langevin(plan: Plan) -> Recursion:
    return replace(_step(lambda plan: plan.step_size / 2)(plan), noise=right(plan).noise / math.sqrt(2))


def _once_subtracted(plan: Plan) -> Recursion:
    return replace(right(plan), own=1 - plan.step_size)


def _shaken(share: Callable[[Plan], float]) -> Mistake:
    return lambda plan: replace(right(plan), theta_noise=math.sqrt(2 * plan.step_size * share(plan)))


def _fresh(change: Callable[[Plan], tuple[float, float, float]]) -> Mistake:
    """Particles that are drawn anew around a mean of x and of the new θ, with a variance of their own."""

    def mistake(plan: Plan) -> Recursion:
        data, new, variance = change(plan)
        noise = math.sqrt(variance / (plan.dims * plan.particles))
        return replace(right(plan), own=0.0, data=data, old=0.0, new=new, noise=noise, end=ANY)

    return mistake


RECOGNISED = 1e-5
"""Probability with which a test fails to know a mistake again."""
TAME = 1e3
"""Beyond it, float32 numbers that blow up do not tell small noise any more."""

BY_PARTICLES = "the noise of a step is shared by all particles; each has its own"
BY_DIMENSIONS = "the noise of a step is shared by all dimensions; each has its own"
BY_ALL = "the noise of a step is one number for the whole cloud; each entry of z has its own"
BEFORE = "the path holds θ before each step, and leaves out the last; it holds θ after each"
SHARED = (BY_PARTICLES, BY_DIMENSIONS, BY_ALL)

_FRESH = "the particles start anew in every step; they go on from where they are"
_TWICE = "the step size was used twice"

MISTAKES: Mapping[str, tuple[Mistake, ...]] = {
    "the noise is missing": (_scale(lambda h: 0.0),),
    BY_PARTICLES: (lambda plan: replace(right(plan), noise=math.sqrt(2 * plan.step_size / plan.dims)),),
    BY_DIMENSIONS: (lambda plan: replace(right(plan), noise=math.sqrt(2 * plan.step_size / plan.particles)),),
    BY_ALL: (lambda plan: replace(right(plan), noise=math.sqrt(2 * plan.step_size)),),
    "the noise is scaled by √h; the scale is √(2h)": (_scale(math.sqrt),),
    "the noise is scaled by 2h; the scale is √(2h)": (_scale(lambda h: 2 * h),),
    "the noise is scaled by h; the scale is √(2h)": (_scale(lambda h: h),),
    "the noise is scaled by √2·h; the scale is √(2h)": (_scale(lambda h: math.sqrt(2) * h),),
    "the noise is scaled by h·√(2h); the scale is √(2h)": (_scale(lambda h: h * math.sqrt(2 * h)),),
    "the noise is scaled by 2√h; the scale is √(2h)": (_scale(lambda h: 2 * math.sqrt(h)),),
    "the noise is scaled by √2; the scale is √(2h)": (_scale(lambda h: math.sqrt(2)),),
    "the noise is not scaled; the scale is √(2h)": (_scale(lambda h: 1.0),),
    "noise is added before the gradient is taken; take it where the particles are": (_early,),
    "the prior's pull on the particles, θ − z, is missing": (_pulls(lambda plan: plan.step_size, lambda plan: 0.0),),
    "the likelihood's pull on the particles, x − z, is missing": (
        _pulls(lambda plan: 0.0, lambda plan: plan.step_size),
    ),
    "the particles do not follow their gradient": (_step(lambda plan: 0.0),),
    "the particles go downhill; add their gradient": (_step(lambda plan: -plan.step_size),),
    "θ goes downhill; add its gradient": (_gain(lambda plan: -plan.step_size * plan.dims),),
    "particles step by h/2 with noise √h, as some write Langevin; here it is h and √(2h)": (_langevin,),
    "the particles' gradient is halved; it is x + θ − 2z": (_step(lambda plan: plan.step_size / 2),),
    "the particles' gradient is doubled; it is x + θ − 2z": (_step(lambda plan: 2 * plan.step_size),),
    "z is subtracted once in the particles' gradient; it is x + θ − 2z": (_once_subtracted,),
    "the particles' gradient is divided by N; each particle takes a whole step": (
        _step(lambda plan: plan.step_size / plan.particles),
    ),
    "the particles' gradient is divided by D; each entry takes a whole step": (
        _step(lambda plan: plan.step_size / plan.dims),
    ),
    f"the particles step by h²: {_TWICE}": (_step(lambda plan: plan.step_size**2),),
    f"θ steps by h²: {_TWICE}": (_gain(lambda plan: plan.step_size**2 * plan.dims),),
    "the step size is missing before the particles' gradient": (_step(lambda plan: 1.0),),
    "the step size is missing before θ's gradient": (_gain(lambda plan: plan.dims),),
    "θ's gradient is summed over the particles; average it": (
        _gain(lambda plan: plan.step_size * plan.dims * plan.particles),
    ),
    "θ's gradient is averaged over the dimensions; it sums over them": (_gain(lambda plan: plan.step_size),),
    "θ's gradient is divided by the number of particles twice": (
        _gain(lambda plan: plan.step_size * plan.dims / plan.particles),
    ),
    "θ's gradient is averaged over particles and dimensions and divided by N once more": (
        _gain(lambda plan: plan.step_size / plan.particles),
    ),
    "θ's gradient is halved": (_gain(lambda plan: plan.step_size * plan.dims / 2),),
    "θ's gradient is doubled": (_gain(lambda plan: plan.step_size * plan.dims * 2),),
    "θ steps by √(2h); it steps by h": (_gain(lambda plan: math.sqrt(2 * plan.step_size) * plan.dims),),
    "θ follows one particle; it follows their mean": (
        lambda plan: replace(right(plan), noise=math.sqrt(2 * plan.step_size / plan.dims), end=ANY),
    ),
    "θ jumps to the cloud's mean, as in EM; it steps by h along its gradient": (
        _gain(lambda plan: 1.0),
        lambda plan: replace(_sequential(SAME)(plan), gain=1.0),
        lambda plan: replace(_sequential(NEXT)(plan), gain=1.0),
    ),
    "θ moves first, and its new value moves the particles; both steps start from the old values": (_sequential(NEXT),),
    "the particles move first, and the new ones move θ; both steps start from the old values": (_sequential(SAME),),
    BEFORE: (lambda plan: replace(right(plan), end=SECOND),),
    "the returned cloud is that of one step before": (lambda plan: replace(right(plan), end=SAME),),
    "the last step is without noise; each has some, after the gradients were taken": (
        lambda plan: replace(right(plan), end=QUIET),
    ),
    "θ gets noise as well; only particles do": (
        _shaken(lambda plan: 1.0),
        _shaken(lambda plan: 1 / plan.particles),
        _shaken(lambda plan: 1 / (plan.dims * plan.particles)),
        _shaken(lambda plan: 0.5),
    ),
    _FRESH: (
        _fresh(lambda plan: (0.0, 1.0, 1.0)),
        _fresh(lambda plan: (0.5, 0.5, 0.5)),
        _fresh(lambda plan: (plan.step_size, 1 - plan.step_size, (1 - 2 * plan.step_size) ** 2 + 2 * plan.step_size)),
    ),
}


def _steps_of_running_means(theta: Tensor) -> Tensor:
    counts = torch.arange(1, theta.shape[1] + 1, dtype=torch.float64)
    totals = theta * counts
    return torch.cat([totals[:, :1], totals.diff(dim=1)], 1)


PATHS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "the path runs backwards": lambda theta: theta.flip(1),
    "these are running means of θ; its values after each step are wanted": _steps_of_running_means,
}


def name_of(run: Run, others: Iterable[Run], shared: str | None) -> str | None:
    """The mistake that accounts for many short runs, and best of those that do, or None.

    Args:
        run: the short runs.
        others: runs of other sizes; it must account for those that did not blow up as well.
        shared: how a large cloud shows that noise was shared, if it does; one of `SHARED`.
    """
    plan, theta, z = run
    if not theta.diff(dim=1).any():
        return "θ is the same at all steps; it moves in each, and a θ that is changed in place needs a copy in the path"
    path = surprises(plan, right(plan), theta, z).path
    if path.diff(dim=1).abs().max() < ROUNDING < path.abs().max():
        return "the noise is the same in every step; draw it anew"
    if (path - path[0]).abs().max() < ROUNDING < path.abs().max():
        return "the noise is the same in every run, whatever the generator; draw it from `generator`"
    others = [run for run in others if run[1].abs().max() < TAME]
    fitting = {
        _score([run, *others], mistake) + 1e6 * (sentence == shared): sentence
        for sentence, mistakes in MISTAKES.items()
        for mistake in mistakes
        if (sentence not in SHARED or sentence == shared) and all(_fits(each, mistake) for each in (run, *others))
    }
    if fitting:
        return fitting[max(fitting)]
    for sentence, change in PATHS.items():
        if not any(misfits(plan, right(plan), change(theta), z)):
            return sentence
    return None


def _fits(run: Run, mistake: Mistake) -> bool:
    plan, theta, z = run
    return not any(misfits(plan, mistake(plan), theta, z, RECOGNISED))


def _score(runs: Sequence[Run], mistake: Mistake) -> float:
    """How well a recursion that fits explains runs: what comes out exactly is no coincidence."""
    recursion = mistake(runs[0][0])
    if recursion.noise == 0:
        return math.inf
    exact = recursion.end in (SAME, QUIET)
    return sum(log_likelihood(plan, mistake(plan), theta, z) for plan, theta, z in runs) + 1e4 * exact


def log_ratios(run: Run) -> Tensor:
    """How much likelier than the right recursion each mistake with noise is, as a logarithm, shape (mistakes,)."""
    plan, theta, z = run
    base = log_likelihood(plan, right(plan), theta, z)
    found = [mistake(plan) for mistakes in MISTAKES.values() for mistake in mistakes]
    ratios = [log_likelihood(plan, recursion, theta, z) - base for recursion in found if recursion.noise]
    return torch.tensor(ratios, dtype=torch.float64)
