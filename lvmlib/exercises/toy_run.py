"""Questioning runs of particle gradient descent on the toy model: sizes, observations and generators of each run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lvmlib.exercises.plain_values import blame
from lvmlib.exercises.several_tensors import tensors
from lvmlib.probe import Ask, Draw

SHORT = "many short runs"
LONG = "a long run"
CLOUD = "a large cloud"
ALONE = "one dimension, one particle"
DOUBLE = "a float64 x"
ONE_STEP = "one step"
SEEDED = "the same seed, and another one"

NAMES = ("theta", "z")
LONGER = "theta of a run that is longer by two steps"


@dataclass(frozen=True)
class Plan:
    """What a question asks for: so many runs on one observation x of shape (D,), from one generator."""

    question: str
    x: Tensor
    particles: int
    step_size: float
    steps: int
    seed: int
    runs: int = 1

    @property
    def dims(self) -> int:
        """D."""
        return len(self.x)

    @property
    def mean(self) -> float:
        """Of x: where the likelihood of θ is largest."""
        return self.x.double().mean().item()


def plans(draw: Draw) -> list[Plan]:
    """The questions of one seed; the mean of x lies far from 0, and its numbers lie apart."""

    def plan(
        question: str,
        dims: int,
        particles: int,
        between: tuple[float, float],
        steps: int,
        *,
        runs: int = 1,
        dtype: torch.dtype = torch.float32,
    ) -> Plan:
        side = 1 - 2 * draw.integer(0, 1)
        offsets = 2 * torch.arange(dims) + draw.uniform(dims, low=0, high=1.5, dtype=torch.float64)
        x = (side * (6 + draw.integer(0, 6)) + offsets - offsets.mean()).to(dtype)
        step_size = draw.integer(*(round(1000 * limit) for limit in between)) / 1000
        return Plan(question, x, particles, step_size, steps, draw.integer(0, 2**31 - 1), runs)

    few, more = draw.distinct(2, 3, 4)
    return [
        plan(SHORT, few, more, (0.29, 0.31), 5, runs=250),
        plan(LONG, 4, 5, (0.05, 0.1), 200),
        # Almost too large a step: there, particles that each follow a θ of their own show best.
        plan(CLOUD, 3, 1600, (0.42, 0.435), 25),
        plan(ALONE, 1, 1, (0.35, 0.4), 400),
        plan(DOUBLE, 2, 4, (0.1, 0.3), 30, dtype=torch.float64),
        plan(ONE_STEP, 3, 4, (0.05, 0.3), 1),
        plan(SEEDED, 3, 2, (0.1, 0.3), 6),
    ]


def ask_run(ask: Ask) -> None:
    """Ask `run(x, step_size, steps, particles, generator)` for paths of θ and for the clouds at their ends."""
    for plan in plans(ask.draw):
        found = _runs(ask, plan, torch.Generator().manual_seed(plan.seed))
        if plan.question == SEEDED and found:
            _ask_seeds(ask, plan, found)
            longer = _runs(ask, replace(plan, steps=plan.steps + 2), torch.Generator().manual_seed(plan.seed))
            if longer:
                ask.record(plan.question, LONGER, longer[0])
        if plan.question not in ask.answers.faults and found:
            for name, values in zip(NAMES, found, strict=True):
                ask.record(plan.question, name, values)


def _runs(ask: Ask, plan: Plan, generator: torch.Generator) -> tuple[Tensor, Tensor] | None:
    """θ of all runs, shape (runs, steps), and their last clouds, shape (runs, D, N); or a fault of the question."""
    x = plan.x.clone()
    inputs = x, plan.step_size, plan.steps, plan.particles, generator

    def run_all() -> list[object]:
        return [ask.function(*inputs) for _ in range(plan.runs)]

    stream = torch.get_rng_state()
    results = ask.attempt(plan.question, run_all, may_draw=True, value_only=True)
    if not torch.equal(stream, torch.get_rng_state()):
        blame(ask, plan.question, "draws random numbers outside `generator`: give it to torch.randn and its kin")
    if not torch.equal(x, plan.x):
        blame(ask, plan.question, "changed its argument `x` in place; work on a new tensor")
    found = [tensors(ask, plan.question, result, NAMES) for result in results or ()]
    for parts in found:
        fault = parts and _misshapen(plan, *parts)
        if fault:
            blame(ask, plan.question, fault)
    if plan.question in ask.answers.faults:
        return None
    whole = [parts for parts in found if parts]
    theta, z = (torch.stack([parts[place].detach().double() for parts in whole]) for place in (0, 1))
    if plan.runs > 1 and torch.equal(theta[0], theta[1]) and torch.equal(z[0], z[1]):
        blame(ask, plan.question, "goes the same way in every run: leave the generator's seed to the caller")
        return None
    return theta, z


def _misshapen(plan: Plan, theta: Tensor, z: Tensor) -> str | None:
    steps, shape = (plan.steps,), (plan.dims, plan.particles)
    if theta.shape != steps:
        hints = {
            (plan.steps + 1,): "; the start does not belong to it, and there is no step too many",
            (plan.steps - 1,): "; one step is missing",
            (): "; keep its path",
            (plan.steps, plan.particles): "; θ is one number, which follows the average over the particles",
        }
        hint = hints.get(tuple(theta.shape), "")
        return f"theta has shape {tuple(theta.shape)}; one value after each step is wanted, {steps}{hint}"
    if z.shape != shape:
        hint = "; it is transposed" if tuple(z.shape) == shape[::-1] else ""
        return f"z has shape {tuple(z.shape)}; the last cloud is wanted, {shape}{hint}"
    for name, values in (("theta", theta), ("z", z)):
        if values.dtype not in (torch.float32, torch.float64):
            return f"{name} is {str(values.dtype).removeprefix('torch.')}; it should be float32 or float64"
        if not values.isfinite().all():
            return f"{name} is {values[~values.isfinite()][0].item()}; with this step size nothing blows up"
    return None


def _ask_seeds(ask: Ask, plan: Plan, found: tuple[Tensor, Tensor]) -> None:
    """Whether the generator's seed alone decides."""

    def repeated(seed: int) -> bool | None:
        again = _runs(ask, plan, torch.Generator().manual_seed(seed))
        return again and all(map(torch.equal, found, again))

    if repeated(plan.seed) is False:
        blame(ask, plan.question, "gives another answer for the same seed; draw all random numbers from `generator`")
    if repeated(plan.seed + 1):
        blame(ask, plan.question, "gives the same answer for another seed; draw from `generator` as it comes")
