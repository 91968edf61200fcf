"""Transport between discrete distributions: the questions, and the law that judges a value and its plan.

Several plans may be cheapest, so nothing here compares with an oracle, and no solver is needed either: a problem is
made from its answer.  Take any potentials u and v and any plan, and let the cost be u_i + v_j where the plan puts mass
and more elsewhere; then no plan of the same marginals is cheaper (complementary slackness; Peyré & Cuturi,
*Computational Optimal Transport*, 2019, section 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lvmlib.exercises.plain_values import blame, kind_of, number, several
from lvmlib.probe import Answers, Ask, Draw, is_plain

UNITS = 256
"""Masses are multiples of 1/256, exact in every floating-point type, so that p and q have the very same sum."""

TOLERANCE = 1e-5


class Problem(NamedTuple):
    """One transport problem and the cost of its cheapest plan."""

    question: str
    p: Tensor
    q: Tensor
    cost: Tensor
    optimum: float

    @property
    def tolerance(self) -> float:
        """How far a cost may be off: by rounding only."""
        return TOLERANCE * max(1.0, float(self.cost.abs().max()))


def problems(draw: Draw) -> list[Problem]:
    """Problems of changing sizes and, among them, the limits."""
    few, some, many = sorted(draw.distinct(3, 3, 7))
    return [
        _problem(draw, f"{few} sources, {many} targets", few, many),
        _problem(draw, f"{many} sources, {some} targets", many, some),
        _problem(draw, f"{some} sources and targets", some, some),
        _problem(draw, "detours that cost little more, 9 sources, 8 targets", 9, 8, detours=_slight),
        _problem(draw, "some p and q of 0", many, some + 1, idle=2),
        _problem(draw, "negative costs", few, some, shift=-7),
        _problem(draw, "costs in the thousands", some, few, scale=1000),
        _problem(draw, "the same cost for all pairs", few, some, detours=_none, level=True),
        _problem(draw, "several cheapest plans", some, some, detours=_few),
        _problem(draw, "one source", 1, some),
        _problem(draw, "one target", many, 1),
        _problem(draw, "masses that add up to 3", some, few, total=3),
        _problem(draw, "float64 inputs", some, many, dtype=torch.float64),
    ]


def ask_problem(ask: Ask, problem: Problem) -> None:
    """Have a problem solved, and write down the value and the plan."""
    arguments = {"p": problem.p, "q": problem.q, "cost": problem.cost}
    question = problem.question
    parts = several(ask, question, ask.call(question, arguments, returns=None), ("value", "plan"))
    if parts is None:
        return
    value, plan = number(parts[0]), parts[1]
    if value is None:
        blame(ask, question, f"returned {kind_of(parts[0])} as value; one number is wanted")
    elif not isinstance(plan, Tensor):
        blame(ask, question, f"returned {kind_of(plan)} as plan; make it a tensor")
    elif not is_plain(plan) or not plan.is_floating_point():
        blame(ask, question, f"returned a plan of {plan.dtype}; an ordinary dense tensor of floats is wanted")
    else:
        ask.record(question, "value", torch.tensor(value, dtype=torch.float64))
        ask.record(question, "plan", plan.double())


def law(answers: Answers, seed: int) -> str | None:
    """What is wrong with the solutions, in a clause; None if nothing is."""
    for question, fault in answers.faults.items():
        return f"{fault} ({question})"
    for problem in problems(Draw(seed)):
        for complain in (_about_shape, _about_numbers, _about_marginals, _about_optimality, _about_value):
            plan, value = (answers.tensors[problem.question, name] for name in ("plan", "value"))
            clause = complain(problem, plan, float(value))
            if clause:
                return f"{clause} ({problem.question})"
    return None


Detours = Callable[[Draw, int, int], Tensor]


def _dear(draw: Draw, n: int, m: int) -> Tensor:
    return draw.uniform(n, m, low=0.2, high=2, dtype=torch.float64)


def _slight(draw: Draw, n: int, m: int) -> Tensor:
    """Some of every size, down to two thousandths: what is blurred at any scale then shows."""
    return 2.0 ** -torch.randint(3, 10, (n, m), generator=draw.generator).double()


def _few(draw: Draw, n: int, m: int) -> Tensor:
    return _dear(draw, n, m) * draw.bits(n, m, dtype=torch.float64)


def _none(draw: Draw, n: int, m: int) -> Tensor:
    return torch.zeros(n, m, dtype=torch.float64)


def _problem(
    draw: Draw,
    question: str,
    n: int,
    m: int,
    *,
    detours: Detours = _dear,
    idle: int = 0,
    level: bool = False,
    scale: float = 1.0,
    shift: float = 0.0,
    total: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Problem:
    """A problem made from its cheapest plan.

    Args:
        detours: what a pair costs over u_i + v_j where the plan does not use it.
        idle: how many sources and targets hold nothing.
        level: whether the potentials are constant.
        scale: of the costs, which otherwise lie between 0 and 4.
        shift: is added to them.
        total: the sum of p, and that of q.
    """
    used = _used(draw, n, m, idle)
    units = _units(draw, used)
    potentials = draw.uniform(n + m, dtype=torch.float64) * (not level)
    cost = potentials[:n, None] + potentials[n:] + torch.where(used, 0.0, detours(draw, n, m))
    cost = (scale * (cost - cost.min() + shift + level)).to(dtype)
    plan = total * units / UNITS
    return Problem(question, plan.sum(1).to(dtype), plan.sum(0).to(dtype), cost, float((plan * cost).sum()))


def _used(draw: Draw, n: int, m: int, idle: int) -> Tensor:
    """Which pairs the plan uses: each source that holds something has a target, and each target a source."""
    rows, columns = (torch.randperm(size, generator=draw.generator)[: size - idle] for size in (n, m))
    used = torch.zeros(n, m, dtype=torch.bool)
    longest = max(len(rows), len(columns))
    used[rows.repeat(longest)[:longest], columns.repeat(longest)[:longest]] = True
    extra = torch.randint(len(columns), (len(rows),), generator=draw.generator)
    used[rows[::2], columns[extra][::2]] = True
    return used


def _units(draw: Draw, used: Tensor) -> Tensor:
    """Whole units of mass on the pairs in use, 256 in all."""
    shares = torch.where(used, draw.uniform(*used.shape, low=0.2, high=1, dtype=torch.float64), 0.0)
    units = (shares / shares.sum() * UNITS).floor()
    largest = int(units.argmax())
    units.view(-1)[largest] += UNITS - units.sum()
    return units


def _about_shape(problem: Problem, plan: Tensor, value: float) -> str | None:
    if plan.shape == problem.cost.shape:
        return None
    hint = "; it is transposed" if plan.shape == problem.cost.mT.shape else ""
    return f"plan has shape {tuple(plan.shape)}; it should be {tuple(problem.cost.shape)}, as cost is{hint}"


def _about_numbers(problem: Problem, plan: Tensor, value: float) -> str | None:
    if not plan.isfinite().all():
        return f"plan holds {float(plan[~plan.isfinite()][0])}; masses are finite"
    if not math.isfinite(value):
        return f"value is {value}; it should be finite"
    if not plan.min() >= -TOLERANCE:
        return f"plan holds a negative mass, {float(plan.min()):.4g}"
    return None


def _about_marginals(problem: Problem, plan: Tensor, value: float) -> str | None:
    for what, axis, name, wanted, other in _margins(problem):
        found = plan.sum(axis)
        if _same_masses(found, wanted):
            continue
        if other.shape == wanted.shape and _same_masses(found, other):
            return f"plan is transposed: plan[i, j] is what source i sends to target j, so its {what}s sum to {name}"
        if _same_masses(found, torch.ones_like(found)):
            return f"every {what} of plan sums to 1; {what} i should sum to {name}[i], the mass there"
        worst = int((found - wanted).abs().argmax())
        return f"{what} {worst} of plan sums to {found[worst]:.6g}; it should be {name}[{worst}] = {wanted[worst]:.6g}"
    return None


def _same_masses(found: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(found, wanted, rtol=0, atol=TOLERANCE)


def _margins(problem: Problem) -> Iterator[tuple[str, int, str, Tensor, Tensor]]:
    p, q = problem.p.double(), problem.q.double()
    yield "row", 1, "p", p, q
    yield "column", 0, "q", q, p


def _about_optimality(problem: Problem, plan: Tensor, value: float) -> str | None:
    spent = float((plan * problem.cost).sum())
    if spent <= problem.optimum + problem.tolerance:
        return None
    independent = torch.outer(problem.p, problem.q).double() / problem.p.sum()
    dearer = f"it costs {spent:.6g}, and a plan of cost {problem.optimum:.6g} exists"
    if _same_masses(plan, independent):
        return f"plan is p qᵀ, which moves mass everywhere without a look at cost; {dearer}"
    if _is_staircase(plan > 1e-9):
        return f"plan was filled from one corner to the other without a look at cost; {dearer}"
    if plan[independent > 0].all():
        return f"plan is blurred over all pairs, as entropic regularisation does it; {dearer}"
    return f"plan is not the cheapest: {dearer}"


def _is_staircase(carries: Tensor) -> bool:
    """Whether mass lies on one path from a corner that only goes right and down."""
    _, columns = carries.nonzero(as_tuple=True)
    return bool((columns.diff() >= 0).all())


def _about_value(problem: Problem, plan: Tensor, value: float) -> str | None:
    spent = float((plan * problem.cost).sum())
    if abs(value - spent) <= problem.tolerance:
        return None
    return f"value is {value:.6g}, but the plan costs {spent:.6g}; value is the sum of plan · cost"
