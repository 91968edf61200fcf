"""The law of particle gradient descent on the toy model, exact from any start.

The path of θ tells the noise in the mean of the cloud, step by step (see `mean_recursion`): that fixes the path's own
distribution, time average and all, and asks nothing of the start.  Once the start is forgotten, the entries of the last
cloud lie around their mean like independent numbers from N((x_d − mean(x))/2, 1/(2(1 − h))).  So do those of one
particle: a θ that is the same for all drops out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import torch
from torch import Tensor

from lvmlib.exercises.exact_tests import has_normal_tails, has_variance_one, is_likelier, is_uncorrelated
from lvmlib.exercises.mean_recursion import ROUNDING, misfits, right, surprises
from lvmlib.exercises.toy_run import ALONE, CLOUD, LONGER, NAMES, SEEDED, SHORT, Plan, plans
from lvmlib.exercises.toy_run_mistakes import BEFORE, BY_ALL, BY_DIMENSIONS, BY_PARTICLES, log_ratios, name_of
from lvmlib.probe import Answers, Draw

OWN = "each particle has a θ of its own; θ is one number, which follows the average over the particles"
ALIKE = 1e-3
"""Noise that differs by less is one and the same."""


def law(answers: Answers, seed: int) -> str | None:
    """What is wrong with a run of particle gradient descent, in a clause, or None."""
    asked = plans(Draw(seed))
    told = {plan.question: plan for plan in asked if (plan.question, NAMES[0]) in answers.tensors}
    for clause in _complaints(answers, told):
        return clause
    for question, fault in answers.faults.items():
        return f"{fault} ({question})"
    missing = [plan.question for plan in asked if plan.question not in told]
    return f"gave no answer ({missing[0]})" if missing else None


def _complaints(answers: Answers, told: dict[str, Plan]) -> Iterator[str]:
    runs = {question: (plan, *_found(answers, question)) for question, plan in told.items() if plan.steps > 2}
    if SHORT not in runs:
        return
    unlike = [question for question, run in runs.items() if any(misfits(run[0], right(run[0]), *run[1:]))]
    if unlike or is_likelier(torch.stack([log_ratios(run) for run in runs.values()]).sum(0)):
        shared = _shared(*runs[CLOUD]) if CLOUD in runs else None
        others = [run for question, run in runs.items() if question != SHORT]
        question = (unlike or [SHORT])[0]
        yield name_of(runs[SHORT], others, shared) or f"{_about_path(*runs[question])} ({question})"
    if SEEDED in runs and (SEEDED, LONGER) in answers.tensors:
        yield from _about_longer(*runs[SEEDED], answers.tensors[SEEDED, LONGER])
    if CLOUD in runs:
        yield from _about_cloud(*runs[CLOUD])
    if ALONE in runs:
        plan, theta, z = runs[ALONE]
        if not has_normal_tails(surprises(plan, right(plan), theta, z).path):
            yield f"the noise has the right variance, but is not normal ({ALONE})"


def _found(answers: Answers, question: str) -> tuple[Tensor, Tensor]:
    theta, z = (answers.tensors[question, name] for name in NAMES)
    return theta, z


def _about_path(plan: Plan, theta: Tensor, z: Tensor) -> str:
    faults = set(misfits(plan, right(plan), theta, z))
    found = surprises(plan, right(plan), theta, z)
    if "variance of the path" in faults and not faults & {"mean of the path", "prediction of the path"}:
        ratio = found.path.square().mean().item()
        return f"the noise in the cloud's mean has {ratio:.3g} times the variance that it should have, 2h/(D·N)"
    if faults and all(fault.endswith("at the end") for fault in faults):
        return "the returned cloud is not one step on from where the path of θ says the particles were"
    return (
        "θ and the cloud do not move as in θ + h·(mean gradient over the particles) and z + h·gradient + √(2h)·noise, "
        "both from the old values"
    )


def _about_longer(plan: Plan, theta: Tensor, z: Tensor, longer: Tensor) -> Iterator[str]:
    """Whether a longer run that begins alike goes on from the returned cloud, where numbers are drawn step by step.

    torch.randn draws its last 16 numbers in another way: those of more than one step, so that no path of many numbers
    drawn in advance begins alike up to its last step only.
    """
    if not torch.allclose(longer[0, : plan.steps], theta[0], rtol=0, atol=ROUNDING):
        return

    def follows(before: Tensor, after: Tensor) -> bool:
        moved = before + plan.step_size * plan.dims * (z.mean() - before)
        return bool((after - moved).abs() <= ROUNDING)

    if follows(longer[0, plan.steps - 1], longer[0, plan.steps]):
        return
    if follows(longer[0, plan.steps], longer[0, plan.steps + 1]):
        yield BEFORE
    else:
        yield f"the returned cloud is not the one from which the next step of θ starts ({SEEDED})"


def _shared(plan: Plan, theta: Tensor, z: Tensor) -> str | None:
    """What a large cloud shows of noise that was shared, once the start is forgotten."""
    around = z[0] - plan.x.double()[:, None] / 2
    one_row, one_column = ((around - around.mean(axis, keepdim=True)).abs().max() < ALIKE for axis in (0, 1))
    if one_row and one_column:
        return BY_ALL
    return BY_DIMENSIONS if one_row else BY_PARTICLES if one_column else None


def _about_cloud(plan: Plan, theta: Tensor, z: Tensor) -> Iterator[str]:
    """What is wrong with how a large cloud lies around its mean; where that lies is the path's matter."""
    variance = 1 / (2 * (1 - plan.step_size))
    scaled = (z[0] - z.mean()) / variance**0.5
    rows = scaled.mean(1)
    yield from _about_spread(plan, scaled - rows[:, None], variance)
    offsets = (plan.x.double() - plan.mean) / 2
    wanted = offsets / variance**0.5
    if not has_variance_one(plan.particles * (rows - wanted).square().sum().item(), plan.dims - 1):
        together = has_variance_one(plan.particles * rows.square().sum().item(), plan.dims - 1)
        yield _about_rows(rows * variance**0.5, offsets, together)
    normal = scaled - wanted[:, None]
    for one, other in combinations(normal - normal.mean(1, keepdim=True), 2):
        if not is_uncorrelated(one, other):
            yield f"the noise of one dimension keeps company with that of another; each has its own ({CLOUD})"


def _about_spread(plan: Plan, around: Tensor, variance: float) -> Iterator[str]:
    """What is wrong with how far particles lie from their mean, each entry in units of what it should be.

    Entries of one particle have nothing in common but θ: their sum tells whether θ is the same for all particles.
    """
    within, free = around.square().sum().item(), plan.particles - 1
    together = around.sum(0).square().sum().item() / plan.dims
    if not has_variance_one(together, free) and has_variance_one(within - together, (plan.dims - 1) * free):
        yield f"{OWN} ({CLOUD})"
    if not (has_variance_one(together, free) and has_variance_one(within, plan.dims * free)):
        found = within / (plan.dims * free) * variance
        yield (
            f"particles lie around their mean with variance {found:.3g}; with this step size it is 1/(2(1 − h)) = "
            f"{variance:.3g} ({CLOUD})"
        )


def _about_rows(found: Tensor, wanted: Tensor, together: bool) -> str:
    if together:
        return "all dimensions are pulled towards the mean of x; dimension d is pulled towards x_d"
    worst = (found - wanted).abs().argmax()
    return (
        f"the particles of dimension {int(worst)} lie {found[worst].item():.3g} from the cloud's mean, on average; "
        f"that should be (x_d − mean(x))/2 = {wanted[worst].item():.3g} ({CLOUD})"
    )
