"""Who decides in lab 02: oracles, right answers in other styles, and wrong ones under the sentence that names them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvmlib.grading.judges import oracle

AVERAGED = "summed, not averaged; divide by the number of samples"


def wasserstein_1d(x: Tensor, y: Tensor) -> Tensor:
    """The area between the two distribution functions, over the joined samples."""
    joined = torch.cat([x, y]).sort().values
    levels = joined[:-1].detach()
    below = [torch.searchsorted(s.detach().sort().values, levels, right=True).to(s.dtype) / len(s) for s in (x, y)]
    return ((below[0] - below[1]).abs() * joined.diff()).sum()


def repeated_pairs(x: Tensor, y: Tensor, *, descending: bool = False) -> Tensor:
    """Differences of the sorted samples, each repeated up to their least common multiple."""
    count = math.lcm(len(x), len(y))
    xs, ys = x.sort().values, y.sort(descending=descending).values
    return xs.repeat_interleave(count // len(x)) - ys.repeat_interleave(count // len(y))


def repeated(x: Tensor, y: Tensor) -> Tensor:
    return repeated_pairs(x, y).abs().mean()


def quantile_pairing(x: Tensor, y: Tensor) -> Tensor:
    """Both quantile functions are constant between neighbouring levels k/n and k/m."""
    levels = torch.cat([torch.arange(1, len(s) + 1, dtype=torch.float64) / len(s) for s in (x, y)]).sort().values
    widths = torch.diff(levels, prepend=levels.new_zeros(1))
    middles = levels - widths / 2
    xs, ys = (s.sort().values[(middles * len(s)).long().clamp(max=len(s) - 1)] for s in (x, y))
    return (widths.to(x.dtype) * (xs - ys).abs()).sum()


def signed_steps(x: Tensor, y: Tensor) -> Tensor:
    values, order = torch.sort(torch.cat((x, y)))
    weights = torch.cat((torch.full_like(x, 1 / len(x)), torch.full_like(y, -1 / len(y)))).detach()[order]
    return torch.sum(weights.cumsum(0)[:-1].abs() * (values[1:] - values[:-1]))


def two_pointers(x: Tensor, y: Tensor) -> Tensor:
    """Fill the lower places first, sample by sample; masses are counted in whole units."""
    xs, ys = torch.sort(x)[0], torch.sort(y)[0]
    i = j = 0
    left, right, total = len(y), len(x), x.new_zeros(())
    while i < len(xs) and j < len(ys):
        moved = min(left, right)
        total = total + moved * torch.abs(xs[i] - ys[j])
        left, right = left - moved, right - moved
        if left == 0:
            i, left = i + 1, len(y)
        if right == 0:
            j, right = j + 1, len(x)
    return total / (len(x) * len(y))


def unsorted_pairs(x: Tensor, y: Tensor, *, whole: bool = False) -> Tensor:
    """Differences of samples as they come, each repeated up to their least common multiple, in place or as a whole."""
    count = math.lcm(len(x), len(y))
    repeat = Tensor.repeat if whole else Tensor.repeat_interleave
    return torch.sub(*(repeat(sample, count // len(sample)) for sample in (x, y)))


def squared_cdf(x: Tensor, y: Tensor) -> Tensor:
    joined = torch.cat([x, y]).sort().values
    shares = [(s[:, None] <= joined[:-1]).to(x.dtype).mean(0) for s in (x, y)]
    return (torch.sub(*shares).square() * joined.diff()).sum()


def truncated(x: Tensor, y: Tensor, *, ordered: bool = True) -> Tensor:
    count = min(len(x), len(y))
    xs, ys = (s.sort().values if ordered else s for s in (x, y))
    return (xs[:count] - ys[:count]).abs().mean()


def padded(x: Tensor, y: Tensor) -> Tensor:
    count = max(len(x), len(y))
    return torch.sub(*(F.pad(s.sort().values, (0, count - len(s))) for s in (x, y))).abs().mean()


def interpolated(x: Tensor, y: Tensor) -> Tensor:
    levels = torch.linspace(0, 1, max(len(x), len(y)), dtype=x.dtype)
    return (torch.quantile(x, levels) - torch.quantile(y, levels)).abs().mean()


def trapezoids(x: Tensor, y: Tensor) -> Tensor:
    joined = torch.cat([x, y]).sort().values
    shares = [(s[:, None] <= joined).to(x.dtype).mean(0) for s in (x, y)]
    return torch.trapezoid(torch.sub(*shares).abs(), joined)


def middle_quantiles(x: Tensor, y: Tensor) -> Tensor:
    count = max(len(x), len(y))
    levels = (torch.arange(count, dtype=x.dtype) + 0.5) / count
    return (torch.quantile(x, levels) - torch.quantile(y, levels)).abs().mean()


def stretched(x: Tensor, y: Tensor) -> Tensor:
    """The nearest of the shorter sample's places for each of the longer's."""
    count = max(len(x), len(y))
    xs, ys = (s.sort().values[torch.arange(count) * len(s) // count] for s in (x, y))
    return (xs - ys).abs().mean()


def shifted_cdf(x: Tensor, y: Tensor) -> Tensor:
    joined = torch.cat([x, y]).sort().values
    below = [torch.searchsorted(s.detach().sort().values, joined[1:].detach(), right=True) / len(s) for s in (x, y)]
    return ((below[0] - below[1]).to(x.dtype).abs() * joined.diff()).sum()


def counted_cdf(x: Tensor, y: Tensor) -> Tensor:
    joined = torch.cat([x, y]).sort().values
    below = [(s.detach()[:, None] <= joined[:-1].detach()).sum(0) for s in (x, y)]
    return ((below[0] - below[1]).to(x.dtype).abs() * joined.diff()).sum()


def highest_gap(x: Tensor, y: Tensor) -> Tensor:
    joined = torch.cat([x, y]).sort().values
    shares = [(s[:, None] <= joined).to(x.dtype).mean(0) for s in (x, y)]
    return torch.sub(*shares).abs().max()


def as_float(x: Tensor, y: Tensor) -> float:
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(x.detach().numpy(), y.detach().numpy()))


oracle(
    "wasserstein-1d",
    reference=wasserstein_1d,
    right={
        "repeated to the least common multiple": repeated,
        "quantile functions between all levels": quantile_pairing,
        "sorted steps up and down": signed_steps,
        "two pointers": two_pointers,
        "sorted differences where the counts agree": lambda x, y: (
            (x.sort().values - y.sort().values).abs().mean() if len(x) == len(y) else wasserstein_1d(x, y)
        ),
    },
    wrong={
        "the samples were not sorted; the cheapest plan pairs the lowest with the lowest": lambda x, y: truncated(
            x, y, ordered=False
        ),
        "the samples were repeated but not sorted; the cheapest plan pairs the lowest with the lowest": lambda x, y: (
            unsorted_pairs(x, y).abs().mean()
        ),
        "the sorted samples were repeated as a whole; repeat each in its place, by repeat_interleave": lambda x, y: (
            unsorted_pairs(x.sort().values, y.sort().values, whole=True).abs().mean()
        ),
        "the gap between the means is only a lower bound; it misses a difference in spread": lambda x, y: (
            x.mean() - y.mean()
        ).abs(),
        "the absolute value was taken after the mean; take it of each difference": lambda x, y: repeated_pairs(
            x, y
        ).mean(),
        "this is W₂, the root of the mean squared difference; W₁ averages absolute differences": lambda x, y: (
            repeated_pairs(x, y).square().mean().sqrt()
        ),
        "the differences were squared; W₁ averages their absolute values": lambda x, y: (
            repeated_pairs(x, y).square().mean()
        ),
        "the longer sample was cut to the length of the shorter": truncated,
        "the shorter sample was filled up with zeros": padded,
        AVERAGED: lambda x, y: repeated(x, y) * max(len(x), len(y)),
        "summed over the repeated samples, not averaged": lambda x, y: repeated_pairs(x, y).abs().sum(),
        "the gap of the distribution functions was squared; that is the Cramér distance": squared_cdf,
        "torch.quantile interpolates between samples; quantile functions of samples are steps": interpolated,
        "torch.quantile interpolates between samples, in the middle of steps too": middle_quantiles,
        "the trapezoid rule cuts the corners of distribution functions, which are steps": trapezoids,
        "the shorter sample was stretched to the longer's length; that is exact only for multiples": stretched,
        "the distribution functions were taken one sample too late": shifted_cdf,
        "counts were compared, not shares; divide each count by its own number of samples": counted_cdf,
        "this is the Kolmogorov–Smirnov distance, the largest gap of the distribution functions": highest_gap,
        "this is the largest distance moved; W₁ is the mean": lambda x, y: repeated_pairs(x, y).abs().max(),
        "averaged over all pairs; a plan moves each sample once": lambda x, y: (x[:, None] - y).abs().mean(),
        "the distance to the nearest other sample is no plan; masses must arrive": lambda x, y: (
            (x[:, None] - y).abs().min(1).values.mean()
        ),
        "y was sorted from the highest down; pair the lowest with the lowest": lambda x, y: (
            repeated_pairs(x, y, descending=True).abs().mean()
        ),
        "the sign is wrong; a distance is never negative": lambda x, y: -repeated(x, y),
        "no gradient reaches x": lambda x, y: repeated(x.detach(), y),
        "no gradient reaches x and y: the graph is cut, by detach, no_grad or numpy": lambda x, y: repeated(
            x, y
        ).detach(),
        "raised RuntimeError": lambda x, y: (x.sort().values - y.sort().values).abs().mean(),
        "returned a float; its signature promises a tensor": as_float,
        "value is float32; it should be float64": lambda x, y: repeated(x, y).float(),
    },
)


Solution = tuple[Tensor, Tensor]


def linear_program(p: Tensor, q: Tensor, cost: Tensor) -> Solution:
    """HiGHS on the plan's entries; the last condition follows from the others."""
    from scipy.optimize import linprog

    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    marginals = torch.cat([p, q]).double().numpy()
    found = linprog(cost.double().flatten().numpy(), A_eq=np.vstack([rows, columns]), b_eq=marginals, method="highs")
    return torch.tensor(found.fun, dtype=torch.float64), torch.from_numpy(found.x).reshape(n, m)


def in_units(p: Tensor, q: Tensor, cost: Tensor) -> Solution:
    """An assignment problem: mass in units of 1/256, each with a row or column of its own."""
    from scipy.optimize import linear_sum_assignment

    sources, targets = (torch.arange(len(mass)).repeat_interleave((256 * mass).long()) for mass in (p, q))
    rows, columns = linear_sum_assignment(cost[sources][:, targets].numpy())
    plan = torch.zeros_like(cost)
    plan.index_put_((sources[rows], targets[columns]), torch.tensor(1 / 256, dtype=cost.dtype), accumulate=True)
    return (plan * cost).sum(), plan


def cheapest_paths(p: Tensor, q: Tensor, cost: Tensor) -> Solution:
    """Send mass along the cheapest path, which may take back what was sent before, until all has arrived."""
    n, m = cost.shape
    costs, plan = cost.double(), torch.zeros(n, m, dtype=torch.float64)
    supply, demand = p.double().clone(), q.double().clone()
    while supply.max() > 1e-9:
        reached = torch.where(supply > 1e-9, 0.0, math.inf).double()
        arrived, sender, taker = torch.full((m,), math.inf).double(), [-1] * m, [-1] * n
        for _ in range(n + m):
            offers, best = (reached[:, None] + costs).min(0)
            for j in (offers < arrived - 1e-12).nonzero().flatten().tolist():
                arrived[j], sender[j] = offers[j], int(best[j])
            for i, j in (plan > 1e-9).nonzero().tolist():
                if arrived[j] - costs[i, j] < reached[i] - 1e-12:
                    reached[i], taker[i] = arrived[j] - costs[i, j], j
        end = int(torch.where(demand > 1e-9, arrived, math.inf).argmin())
        path, j = [], end
        while True:
            i = sender[j]
            path.append((i, j, 1))
            if taker[i] < 0:
                break
            path.append((i, taker[i], -1))
            j = taker[i]
        moved = min(float(room) for room in [supply[i], demand[end], *(plan[a, b] for a, b, sign in path if sign < 0)])
        for a, b, sign in path:
            plan[a, b] += sign * moved
        supply[i] -= moved
        demand[end] -= moved
    return (plan * costs).sum(), plan


def sinkhorn(p: Tensor, q: Tensor, cost: Tensor, blur: float, rounds: int = 200) -> Solution:
    """Entropic transport in logarithms; `blur` in units of the costs' range."""
    p, q, costs = p.double(), q.double(), cost.double()
    epsilon = blur * float(costs.max() - costs.min() + 1e-3)
    f, g = torch.zeros_like(p), torch.zeros_like(q)
    for _ in range(rounds):
        f = epsilon * (p.log() - ((g - costs) / epsilon).logsumexp(1))
        f = torch.where(p > 0, f, -math.inf)
        g = epsilon * (q.log() - ((f[:, None] - costs) / epsilon).logsumexp(0))
        g = torch.where(q > 0, g, -math.inf)
    plan = ((f[:, None] + g - costs) / epsilon).exp()
    plan = plan * (p / plan.sum(1).clamp(min=1e-300)).nan_to_num()[:, None]
    return (plan * costs).sum(), _rounded(p, q, plan)


def _rounded(p: Tensor, q: Tensor, plan: Tensor) -> Tensor:
    """A plan whose marginals are exact (Altschuler, Weed & Rigollet, 2017, algorithm 2)."""
    plan = plan * (p / plan.sum(1)).nan_to_num(0, 0, 0).clamp(max=1)[:, None]
    plan = plan * (q / plan.sum(0)).nan_to_num(0, 0, 0).clamp(max=1)
    missing = p - plan.sum(1), q - plan.sum(0)
    return plan + torch.outer(*missing) / missing[0].sum() if missing[0].sum() > 1e-14 else plan


def entropic(p: Tensor, q: Tensor, cost: Tensor, blur: float = 0.05) -> Solution:
    """The objective of entropic transport with its plan."""
    _, plan = sinkhorn(p, q, cost, blur)
    return (plan * cost).sum() + blur * (plan * (plan + 1e-30).log()).sum(), plan


def independent(p: Tensor, q: Tensor, cost: Tensor) -> Solution:
    plan = torch.outer(p, q)
    return (plan * cost).sum(), plan


def in_order(p: Tensor, q: Tensor, cost: Tensor, pairs: Iterable[tuple[int, int]]) -> Solution:
    """Send as much as there is and fits, pair by pair."""
    supply, demand, plan = p.clone(), q.clone(), torch.zeros_like(cost)
    for i, j in pairs:
        plan[i, j] = torch.minimum(supply[i], demand[j])
        supply[i] -= plan[i, j]
        demand[j] -= plan[i, j]
    return (plan * cost).sum(), plan


def north_west(p: Tensor, q: Tensor, cost: Tensor) -> Solution:
    return in_order(p, q, cost, [(i, j) for i in range(len(p)) for j in range(len(q))])


def cheapest_first(p: Tensor, q: Tensor, cost: Tensor) -> Solution:
    return in_order(p, q, cost, [divmod(k, len(q)) for k in cost.flatten().argsort().tolist()])


def cheapest_target(p: Tensor, q: Tensor, cost: Tensor) -> Solution:
    plan = torch.zeros_like(cost)
    plan[torch.arange(len(p)), cost.argmin(1)] = p
    return (plan * cost).sum(), plan


def with_negative_mass(p: Tensor, q: Tensor, cost: Tensor) -> Solution:
    """Least squares instead of a linear program: marginals right, nothing that keeps masses from below zero."""
    _, plan = independent(p, q, cost)
    tilt = cost - cost.mean(0) - cost.mean(1, keepdim=True) + cost.mean()
    plan = plan - tilt
    return (plan * cost).sum(), plan


def normalised(p: Tensor, q: Tensor, cost: Tensor) -> Solution:
    """The masses divided by their sums, as if each had to be a distribution."""
    return linear_program(p / p.sum(), q / q.sum(), cost)


def exactly(change: Callable[[Tensor, Tensor, Solution], object]) -> Callable[..., object]:
    """A variant that solves exactly and then returns something else, made of p, cost and the solution."""
    return lambda p, q, cost: change(p, cost, linear_program(p, q, cost))


oracle(
    "wasserstein-discrete",
    reference=linear_program,
    right={
        "an assignment problem on units of mass": in_units,
        "cheapest augmenting paths": cheapest_paths,
        "a float and a float32 plan": exactly(lambda p, cost, found: (float(found[0]), found[1].float())),
        "a list, and the value from the plan": exactly(lambda p, cost, found: [(found[1] * cost).sum(), found[1]]),
        "a NumPy number": exactly(lambda p, cost, found: (np.float64(found[0]), found[1])),
    },
    wrong={
        "plan is blurred over all pairs, as entropic regularisation does it": lambda p, q, cost: sinkhorn(
            p, q, cost, 0.05
        ),
        "plan is blurred over all pairs": entropic,
        "as entropic regularisation does it": lambda p, q, cost: sinkhorn(p, q, cost, 0.01, rounds=300),
        "plan is p qᵀ, which moves mass everywhere without a look at cost": independent,
        "plan was filled from one corner to the other without a look at cost": north_west,
        "plan is not the cheapest": cheapest_first,
        "it should be q[0]": cheapest_target,
        "plan holds a negative mass": with_negative_mass,
        "it is transposed": exactly(lambda p, cost, found: (found[0], found[1].T)),
        "plan is transposed: plan[i, j] is what source i sends to target j": exactly(
            lambda p, cost, found: (found[0], found[1].T if cost.shape[0] == cost.shape[1] else found[1])
        ),
        "every row of plan sums to 1": exactly(lambda p, cost, found: (found[0], found[1] / p[:, None])),
        "value is the sum of plan · cost": exactly(lambda p, cost, found: ((found[1] * cost).mean(), found[1])),
        "but the plan costs": lambda p, q, cost: (sinkhorn(p, q, cost, 0.05)[0], linear_program(p, q, cost)[1]),
        "returned a Tensor of shape (); its signature promises (value, plan)": exactly(lambda p, cost, found: found[0]),
        "as value; one number is wanted": exactly(lambda p, cost, found: (found[1], found[0])),
        "(masses that add up to 3)": normalised,
        "as plan; make it a tensor": exactly(lambda p, cost, found: (found[0], found[1].numpy())),
        "returned 3 values": exactly(lambda p, cost, found: (*found, p)),
    },
    exact=False,
)


def lines(theta: float) -> tuple[float, float, float]:
    return (abs(theta), 0.0, 0.0) if theta == 0 else (abs(theta), math.log(2), math.inf)


def with_constant(theta: float) -> tuple[float, float, float]:
    return (abs(theta), math.log(2), math.log(1e8)) if theta else (0.0, 0.0, 0.0)


oracle(
    "parallel-lines",
    reference=lines,
    right={
        "an if": lambda theta: (0.0, 0.0, 0.0) if theta == 0 else (abs(theta), math.log(2), float("inf")),
        "NumPy": lambda theta: (np.abs(theta), np.log(2) * (theta != 0), np.inf if theta != 0 else np.float64(0)),
        "tensors without axes": lambda theta: [
            torch.tensor(theta).abs(),
            torch.tensor(2.0).log() * bool(theta),
            torch.tensor(math.inf if theta else 0.0),
        ],
        "a shorthand": lambda theta: (max(theta, -theta), math.log(2) if theta else 0, math.inf if theta else 0),
    },
    wrong={
        "w1 is negative for negative theta; a distance is |theta|": lambda theta: (theta, *lines(theta)[1:]),
        "w1 is theta squared; the mass moves |theta|": lambda theta: (theta**2, *lines(theta)[1:]),
        "w1 is half of what it should be; all of the mass moves |theta|": lambda theta: (
            abs(theta) / 2,
            *lines(theta)[1:],
        ),
        "w1 is 1 or 0; that is the total variation": lambda theta: (float(theta != 0), *lines(theta)[1:]),
        "jsd is ½ log 2; each of its two halves is ½ log 2": lambda theta: (
            abs(theta),
            lines(theta)[1] / 2,
            lines(theta)[2],
        ),
        "jsd is 2 log 2; it is the mean of two divergences and not their sum": lambda theta: (
            abs(theta),
            2 * lines(theta)[1],
            lines(theta)[2],
        ),
        "jsd is 1, which is in bits; here it is in nats": lambda theta: (
            abs(theta),
            float(theta != 0),
            lines(theta)[2],
        ),
        "jsd is √log 2; that is the Jensen–Shannon distance, whose square is wanted": lambda theta: (
            abs(theta),
            math.sqrt(lines(theta)[1]),
            lines(theta)[2],
        ),
        "jsd has the minus sign of −log 2": lambda theta: (abs(theta), -lines(theta)[1], lines(theta)[2]),
        "kl was kept finite by a small constant; where q is 0 and p is not, it is inf": with_constant,
        "kl is 0, as if what q never shows did not count; there it is inf": lambda theta: (*lines(theta)[:2], 0.0),
        "kl is log 2, which is the jsd; kl is inf": lambda theta: (*lines(theta)[:2], lines(theta)[1]),
        "kl is |theta|; it does not see how far apart the lines are": lambda theta: (*lines(theta)[:2], abs(theta)),
        "kl is −inf; a divergence is never negative": lambda theta: (*lines(theta)[:2], -lines(theta)[2]),
        "kl is nan; log(p / 0) with p > 0 is inf": lambda theta: (*lines(theta)[:2], math.nan if theta else 0.0),
        "a theta near 0 was taken for 0; lines so close still have no point in common": lambda theta: lines(
            theta if abs(theta) > 1e-3 else 0.0
        ),
        "theta = 0 was forgotten: the lines are then the same, and jsd and kl are 0": lambda theta: (
            abs(theta),
            math.log(2),
            math.inf,
        ),
        "jsd and kl have exchanged places": lambda theta: (lines(theta)[0], lines(theta)[2], lines(theta)[1]),
        "returned a Tensor of shape (3,)": lambda theta: torch.tensor(lines(theta)),
        "returned 2 values": lambda theta: lines(theta)[:2],
        "as kl; a float is wanted": lambda theta: (*lines(theta)[:2], "inf"),
    },
)


def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return fake_scores.mean() - real_scores.mean()


def bce(scores: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))


def joined(real: Tensor, fake: Tensor) -> Tensor:
    return torch.cat([fake, -real])


oracle(
    "critic-loss",
    reference=critic_loss,
    right={
        "two terms": lambda real, fake: -torch.mean(real) + torch.mean(fake),
        "minus the estimate": lambda real, fake: -(real.mean() - fake.mean()),
        "sums over counts": lambda real, fake: fake.sum() / len(fake) - real.sum() / real.shape[0],
        "weights on all scores": lambda real, fake: (
            joined(real, fake)
            @ torch.cat([torch.full_like(fake, 1 / len(fake)), torch.full_like(real, 1 / len(real))]).detach()
        ),
    },
    wrong={
        "the sign is wrong: a critic that minimises this scores generated samples higher": lambda real, fake: (
            real.mean() - fake.mean()
        ),
        "this is the binary cross-entropy of a discriminator; a critic's scores are no logits": lambda real, fake: (
            bce(real, 1) + bce(fake, 0)
        ),
        "a sigmoid was taken of the scores; a critic has none": lambda real, fake: critic_loss(
            real.sigmoid(), fake.sigmoid()
        ),
        "the absolute value hides which of the two is larger": lambda real, fake: critic_loss(real, fake).abs(),
        "one mean was taken over all scores; real and generated ones have a mean each": lambda real, fake: joined(
            real, fake
        ).mean(),
        "summed over the scores; average them": lambda real, fake: fake.sum() - real.sum(),
        "both means were added; one of them is subtracted": lambda real, fake: real.mean() + fake.mean(),
        "both means were subtracted; only that of the real scores is": lambda real, fake: -real.mean() - fake.mean(),
        "halved; there is no factor ½": lambda real, fake: critic_loss(real, fake) / 2,
        "both sums were divided by the number of real scores; each mean has a count of its own": lambda real, fake: (
            (fake.sum() - real.sum()) / len(real)
        ),
        "both sums were divided by the number of generated scores; each mean has a count of its own": (
            lambda real, fake: (fake.sum() - real.sum()) / len(fake)
        ),
        "minus the absolute value hides which of the two is larger": lambda real, fake: -critic_loss(real, fake).abs(),
        "no gradient reaches the real scores: they were detached": lambda real, fake: critic_loss(real.detach(), fake),
        "scores were cut off at −1 and 1; a critic's are not": lambda real, fake: critic_loss(
            real.clamp(-1, 1), fake.clamp(-1, 1)
        ),
        "this is the hinge loss; a critic's scores are not cut off": lambda real, fake: (
            F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        ),
        "these are the squares of a least-squares GAN": lambda real, fake: (
            (real - 1).square().mean() + fake.square().mean()
        ),
        "the difference was squared": lambda real, fake: critic_loss(real, fake).square(),
        "the generated scores are missing": lambda real, fake: -real.mean(),
        "the real scores are missing": lambda real, fake: fake.mean(),
        "no gradient reaches the generated scores: they were detached": lambda real, fake: critic_loss(
            real, fake.detach()
        ),
        "no gradient reaches the scores: the loss was detached": lambda real, fake: critic_loss(real, fake).detach(),
        "paired each real score with a generated one; there may be more of one kind": lambda real, fake: (
            fake[: min(len(real), len(fake))] - real[: min(len(real), len(fake))]
        ).mean(),
        "the medians were taken; take the means": lambda real, fake: fake.median() - real.median(),
        "raised RuntimeError": lambda real, fake: (fake - real).mean(),
        "returned a float; its signature promises a tensor": lambda real, fake: float(fake.mean() - real.mean()),
    },
)


def generator_loss(fake_scores: Tensor) -> Tensor:
    return -fake_scores.mean()


oracle(
    "wgan-generator-loss",
    reference=generator_loss,
    right={
        "mean of the negatives": lambda fake: (-fake).mean(),
        "sum over the count": lambda fake: torch.sum(fake) / -len(fake),
        "einsum": lambda fake: torch.einsum("b->", fake).neg() / fake.numel(),
    },
    wrong={
        "the sign is wrong: the generator wants high scores, and what is minimised is −mean": lambda fake: fake.mean(),
        "this is the binary cross-entropy of a GAN; scores are averaged as they are": lambda fake: bce(fake, 1),
        "this is the saturating loss of a GAN; scores are averaged as they are": lambda fake: -bce(fake, 0),
        "a sigmoid was taken of the scores; a critic has none": lambda fake: generator_loss(fake.sigmoid()),
        "a logarithm was taken of the scores": lambda fake: generator_loss((fake.abs() + 1e-8).log()),
        "the absolute value hides whether a score is high or low": lambda fake: fake.mean().abs(),
        "the absolute value of each score was taken": lambda fake: -fake.abs().mean(),
        "summed over the scores; average them": lambda fake: -fake.sum(),
        "squared": lambda fake: (fake - 1).square().mean(),
        "cut off at 0, as in the hinge loss": lambda fake: F.relu(-fake).mean(),
        "minus the absolute value hides whether a score is high or low": lambda fake: -fake.mean().abs(),
        "halved; there is no factor ½": lambda fake: -fake.mean() / 2,
        "the median was taken; take the mean": lambda fake: -fake.median(),
        "1 − mean: the constant is too much": lambda fake: 1 - fake.mean(),
        "left one value for each score; average them": lambda fake: -fake,
        "no gradient reaches the scores: they were detached": lambda fake: -fake.detach().mean(),
        "returned a float; its signature promises a tensor": lambda fake: -fake.mean().item(),
    },
)


def all_parameters(critic: nn.Module) -> list[Tensor]:
    return [parameter.data for parameter in critic.parameters()]


@torch.no_grad()
def clip_weights(critic: nn.Module, limit: float) -> None:
    for parameter in critic.parameters():
        parameter.clamp_(-limit, limit)


def by_state(critic: nn.Module, limit: float) -> None:
    """Load clipped copies of the parameters; buffers stay as they are."""
    clipped = {name: parameter.detach().clip(-limit, limit) for name, parameter in critic.named_parameters()}
    critic.load_state_dict(clipped, strict=False)


def by_vector(critic: nn.Module, limit: float) -> None:
    vector = nn.utils.parameters_to_vector(critic.parameters())
    nn.utils.vector_to_parameters(vector.detach().clamp(-limit, limit), critic.parameters())


def by_masks(critic: nn.Module, limit: float) -> nn.Module:
    with torch.no_grad():
        for tensor in all_parameters(critic):
            tensor[tensor > limit] = limit
            tensor[tensor < -limit] = -limit
    return critic


def by_rebinding_data(critic: nn.Module, limit: float) -> None:
    for parameter in critic.parameters():
        parameter.data = torch.minimum(torch.maximum(parameter.data, torch.tensor(-limit)), torch.tensor(limit)).to(
            parameter
        )


def by_apply(critic: nn.Module, limit: float) -> None:
    def clip(module: nn.Module) -> None:
        for parameter in module.parameters(recurse=False):
            parameter.data.clamp_(min=-limit, max=limit)

    critic.apply(clip)


def where(choose: Callable[[nn.Module, str], bool]) -> Callable[[nn.Module, float], None]:
    """A variant that clips the parameters only that are chosen by their module and name."""

    def clip(critic: nn.Module, limit: float) -> None:
        for module in critic.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if choose(module, name):
                    parameter.data.clamp_(-limit, limit)

    return clip


def mapped(change: Callable[[Tensor, float], Tensor]) -> Callable[[nn.Module, float], None]:
    """A variant that changes each parameter in another way."""

    def clip(critic: nn.Module, limit: float) -> None:
        for tensor in all_parameters(critic):
            tensor.copy_(change(tensor, limit))

    return clip


def after_clipping(change: Callable[[nn.Module, float], object]) -> Callable[[nn.Module, float], None]:
    """A variant that clips as it should and then does something else."""

    def clip(critic: nn.Module, limit: float) -> None:
        clip_weights(critic, limit)
        change(critic, limit)

    return clip


def clip_statistics(critic: nn.Module, limit: float) -> None:
    for tensor in critic.state_dict().values():
        if tensor.is_floating_point():
            tensor.clamp_(-limit, limit)


def clip_gradients(critic: nn.Module, limit: float) -> None:
    nn.utils.clip_grad_value_(critic.parameters(), limit)


def clip_gradient_norm(critic: nn.Module, limit: float) -> None:
    nn.utils.clip_grad_norm_(critic.parameters(), limit)


def replace_parameters(critic: nn.Module, limit: float) -> None:
    for module in critic.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(parameter.detach().clamp(-limit, limit)))


def replace_by_tensors(critic: nn.Module, limit: float) -> None:
    for module in critic.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            setattr(module, name, parameter.clamp(-limit, limit))


def rebind_names(critic: nn.Module, limit: float) -> None:
    for parameter in critic.parameters():
        parameter = parameter.clamp(-limit, limit)  # noqa: PLW2901


def clip_with_graph(critic: nn.Module, limit: float) -> None:
    for parameter in critic.parameters():
        parameter.clamp_(-limit, limit)


def clip_copy(critic: nn.Module, limit: float) -> nn.Module:
    clipped = copy.deepcopy(critic)
    clip_weights(clipped, limit)
    return clipped


def where_not_frozen(critic: nn.Module, limit: float) -> None:
    for parameter in critic.parameters():
        if parameter.requires_grad:
            parameter.data.clamp_(-limit, limit)


def where_learned(critic: nn.Module, limit: float) -> None:
    for parameter in critic.parameters():
        if parameter.grad is not None:
            parameter.data.clamp_(-limit, limit)


def clip_switching_off(critic: nn.Module, limit: float) -> None:
    torch.set_grad_enabled(False)
    for parameter in critic.parameters():
        parameter.clamp_(-limit, limit)


def is_layer(module: nn.Module, name: str) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d)


oracle(
    "clip-weights",
    reference=clip_weights,
    right={
        "a copy loaded back": by_state,
        "one long vector": by_vector,
        "masks, and the critic returned": by_masks,
        "data set anew": by_rebinding_data,
        "module by module": by_apply,
        "copy_": mapped(lambda tensor, limit: tensor.clip(-limit, limit)),
    },
    wrong={
        "only the upper bound was kept; weights below −limit are outside the box too": mapped(
            lambda tensor, limit: tensor.clamp(max=limit)
        ),
        "only the lower bound was kept; weights above limit are outside the box too": mapped(
            lambda tensor, limit: tensor.clamp(min=-limit)
        ),
        "negative weights were clipped to 0; the box reaches from −limit to limit": mapped(
            lambda tensor, limit: tensor.clamp(0, limit)
        ),
        "biases were left out; every parameter is clipped": where(lambda module, name: name != "bias"),
        "only linear layers were clipped; every parameter is": where(
            lambda module, name: isinstance(module, nn.Linear)
        ),
        "only convolutions and linear layers were clipped; normalisations have parameters too": where(is_layer),
        "only their weights were clipped; biases and normalisations have parameters too": where(
            lambda module, name: is_layer(module, name) and name == "weight"
        ),
        "parameters outside of layers were left out; go over critic.parameters()": where(
            lambda module, name: name in ("weight", "bias")
        ),
        "running statistics were clipped; only parameters are, not buffers": clip_statistics,
        "the gradients were clipped, not the weights": clip_gradients,
        "the norm of the gradients was clipped, not the weights": clip_gradient_norm,
        "frozen parameters were left out; every parameter is clipped": where_not_frozen,
        "parameters without a gradient were left out; every parameter is clipped": where_learned,
        "left gradients switched off for all that follows": clip_switching_off,
        "which was frozen; clip without tracking": after_clipping(lambda critic, limit: critic.requires_grad_()),
        "the gradients were clipped as well; leave them alone": after_clipping(clip_gradients),
        "the gradients were set to zero; leave them alone": after_clipping(
            lambda critic, limit: critic.zero_grad(set_to_none=False)
        ),
        "took the gradient of": after_clipping(lambda critic, limit: critic.zero_grad()),
        "clipped to [−1, 1], whatever the limit": mapped(lambda tensor, limit: tensor.clamp(-1, 1)),
        "clipped to [−0.01, 0.01], whatever the limit": mapped(lambda tensor, limit: tensor.clamp(-0.01, 0.01)),
        "scaled until the largest weight fits; weights inside the box stay as they are": mapped(
            lambda tensor, limit: tensor * (limit / tensor.abs().max()).clamp(max=1)
        ),
        "scaled until the norm fits; the limit is for each weight by itself": mapped(
            lambda tensor, limit: tensor * (limit / tensor.norm()).clamp(max=1)
        ),
        "every weight was set to −limit or limit; those inside the box stay as they are": mapped(
            lambda tensor, limit: limit * tensor.sign()
        ),
        "weights outside the box were set to 0; move them to its edge": mapped(
            lambda tensor, limit: torch.where(tensor.abs() > limit, 0, tensor)
        ),
        "squeezed by tanh; weights inside the box stay as they are": mapped(
            lambda tensor, limit: limit * torch.tanh(tensor / limit)
        ),
        "no weight has changed; `p = p.clamp(…)` gives a new tensor a name, `p.clamp_(…)` changes p": rebind_names,
        "a leaf Variable that requires grad is being used in an in-place operation": clip_with_graph,
        "replaced the parameter": replace_parameters,
        "from the critic's parameters; change its values alone": replace_by_tensors,
        "where no gradient reaches it": after_clipping(lambda critic, limit: critic.requires_grad_(False)),
        "between train and eval mode; leave its mode alone": after_clipping(
            lambda critic, limit: critic.train(not critic.training)
        ),
    },
    exact=False,
)


def clipping_step(critic, generator, optimizer, x, z, limit, *, loss=critic_loss, made=None):
    """Zero, backward, step, clip; `made` says how the generated batch comes about."""
    fake = made(generator, z) if made else generator(z).detach()
    value = loss(critic(x), critic(fake))
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    clip_weights(critic, limit)
    return value.detach()


def two_backwards(critic, generator, optimizer, x, z, limit):
    with torch.no_grad():
        fake = generator(z)
    optimizer.zero_grad(set_to_none=False)
    on_fake = critic(fake).mean()
    on_fake.backward()
    on_real = -critic(x).mean()
    on_real.backward()
    optimizer.step()
    clip_weights(critic, limit)
    return on_fake + on_real


def one_pass(critic, generator, optimizer, x, z, limit):
    """Real and generated observations in one batch, gradients by torch.autograd.grad."""
    scores = critic(torch.cat([x, generator(z).data]))
    loss = scores[len(x) :].mean() - scores[: len(x)].mean()
    parameters = list(critic.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()
    for parameter in parameters:
        parameter.data.clip_(-limit, limit)
    return loss


def maximised(critic, generator, optimizer, x, z, limit):
    """Ascend the estimate by flipping the gradient's sign, and return the loss."""
    estimate = critic(x).mean() - critic(generator(z).detach()).mean()
    critic.zero_grad()
    (-estimate).backward()
    optimizer.step()
    mapped(lambda tensor, bound: tensor.clamp(-bound, bound))(critic, limit)
    return -estimate.detach()


def step_with(
    *,
    zero: bool = True,
    before: Callable[..., object] | None = None,
    between: Callable[..., object] | None = None,
    after: Callable[..., object] | None = clip_weights,
    loss: Callable[[Tensor, Tensor], Tensor] = critic_loss,
    detach: bool = True,
) -> Callable[..., object]:
    """A step with other things done before it, between backward and step, or after it; each gets critic and limit."""

    def step(critic, generator, optimizer, x, z, limit):
        if before:
            before(critic, limit)
        fake = generator(z)
        value = loss(critic(x), critic(fake.detach() if detach else fake))
        if zero:
            optimizer.zero_grad()
        value.backward()
        if between:
            between(critic, limit)
        optimizer.step()
        if after:
            after(critic, limit)
        return value.detach()

    return step


def generator_clipped(critic, generator, optimizer, x, z, limit):
    value = step_with(after=None)(critic, generator, optimizer, x, z, limit)
    clip_weights(generator, limit)
    return value


def paired_step(critic, generator, optimizer, x, z, limit):
    count = min(len(x), len(z))
    return clipping_step(critic, generator, optimizer, x[:count], z[:count], limit)


def several_steps(critic, generator, optimizer, x, z, limit):
    return [clipping_step(critic, generator, optimizer, x, z, limit) for _ in range(5)][-1]


def without_step(critic, generator, optimizer, x, z, limit):
    value = critic_loss(critic(x), critic(generator(z).detach()))
    optimizer.zero_grad()
    value.backward()
    clip_weights(critic, limit)
    return value


def zeroed_afterwards(critic, generator, optimizer, x, z, limit):
    value = step_with(zero=False)(critic, generator, optimizer, x, z, limit)
    optimizer.zero_grad()
    return value


def upwards(critic, generator, optimizer, x, z, limit):
    return -step_with(loss=lambda real, fake: -critic_loss(real, fake))(critic, generator, optimizer, x, z, limit)


def plain_descent(critic, generator, optimizer, x, z, limit):
    plain = torch.optim.SGD(critic.parameters(), optimizer.param_groups[0]["lr"])
    return clipping_step(critic, generator, plain, x, z, limit)


def made_in_eval_mode(critic, generator, optimizer, x, z, limit):
    def made(network: nn.Module, codes: Tensor) -> Tensor:
        network.eval()
        fake = network(codes).detach()
        network.train()
        return fake

    return clipping_step(critic, generator, optimizer, x, z, limit, made=made)


def loss_afterwards(critic, generator, optimizer, x, z, limit):
    clipping_step(critic, generator, optimizer, x, z, limit)
    with torch.no_grad():
        return critic_loss(critic(x), critic(generator(z)))


def in_eval_mode(critic, generator, optimizer, x, z, limit):
    generator.eval()
    return clipping_step(critic, generator, optimizer, x, z, limit)


def generator_frozen(critic, generator, optimizer, x, z, limit):
    generator.requires_grad_(False)
    return clipping_step(critic, generator, optimizer, x, z, limit, made=lambda network, codes: network(codes))


def generator_trained(critic, generator, optimizer, x, z, limit):
    value = clipping_step(critic, generator, optimizer, x, z, limit)
    loss = -critic(generator(z)).mean()
    with torch.no_grad():
        for parameter, gradient in zip(
            generator.parameters(), torch.autograd.grad(loss, list(generator.parameters())), strict=True
        ):
            parameter -= 0.05 * gradient
    return value


def ignoring(limit: float) -> Callable[..., object]:
    return lambda critic, generator, optimizer, x, z, _: clipping_step(critic, generator, optimizer, x, z, limit)


oracle(
    "critic-step",
    reference=clipping_step,
    right={
        "two backward passes": two_backwards,
        "one pass over the joined batch": one_pass,
        "flipped sign and critic.zero_grad": maximised,
        "an attached loss": lambda critic, generator, optimizer, x, z, limit: two_backwards(
            critic, generator, optimizer, x, z, limit
        ).requires_grad_(),
    },
    wrong={
        "sent gradients into the generator": step_with(detach=False),
        "stale gradients were left in; zero the critic's gradients before backward": step_with(zero=False),
        "the gradients were zeroed after the step; those of an earlier turn were still in this one": zeroed_afterwards,
        "the step went up the loss; backward belongs to what is minimised": upwards,
        "this is plain gradient descent; leave the step to the optimizer": plain_descent,
        "the fakes were made in eval mode; leave the generator's mode alone": made_in_eval_mode,
        "no gradient reaches the critic through the fakes' scores; detach the fakes, not their scores": (
            step_with(loss=lambda real, fake: critic_loss(real, fake.detach()))
        ),
        "no step was taken, or the gradients were zeroed between backward and step": without_step,
        "the sign of the loss is wrong: the critic learns to prefer generated samples": step_with(
            loss=lambda real, fake: -critic_loss(real, fake)
        ),
        "the step is right, but its loss has the sign of the estimate; return what was minimised": (
            lambda *arguments: -clipping_step(*arguments)
        ),
        "clipped before the step, which leaves the box again": step_with(before=clip_weights, after=None),
        "clipped between backward and step, which leaves the box again": step_with(between=clip_weights, after=None),
        "clipped before the step as well; the gradient belongs to the weights as they are": step_with(
            before=clip_weights
        ),
        "the weights were not clipped": step_with(after=None),
        "the gradients were clipped, not the weights": step_with(between=clip_gradients, after=None),
        "the gradients were clipped as well": step_with(between=clip_gradients),
        "the norm of the gradients was clipped, not the weights": step_with(between=clip_gradient_norm, after=None),
        "only as many observations and codes were used as there are of the fewer; take each mean over all": paired_step,
        "several steps were taken; this is one of them": several_steps,
        "moved the generator; this step trains the critic alone": generator_clipped,
        "moved the generator": generator_trained,
        "this is the binary cross-entropy of a discriminator": step_with(
            loss=lambda real, fake: bce(real, 1) + bce(fake, 0)
        ),
        "one mean was taken over all scores; real and generated ones have a mean each": step_with(
            loss=lambda real, fake: joined(real, fake).mean()
        ),
        "summed over the scores; average them": step_with(loss=lambda real, fake: fake.sum() - real.sum()),
        "the real scores are missing": step_with(loss=lambda real, fake: fake.mean()),
        "the generated scores are missing": step_with(loss=lambda real, fake: -real.mean()),
        "biases were not clipped; every parameter is": step_with(after=where(lambda module, name: name == "weight")),
        "only the upper bound was kept": step_with(after=mapped(lambda tensor, limit: tensor.clamp(max=limit))),
        "clipped to [−0.01, 0.01], whatever the limit": ignoring(0.01),
        "this is the loss after the step; return the one that the step was taken from": loss_afterwards,
        "left the generator in another mode": in_eval_mode,
        "left the generator frozen": generator_frozen,
        "returned None; its signature promises a tensor": lambda *arguments: (clipping_step(*arguments), None)[1],
        "returned a float; its signature promises a tensor": lambda *arguments: clipping_step(*arguments).item(),
        "put new parameters into the critic": step_with(after=replace_parameters),
    },
    exact=False,
)


def per_item(weights: Tensor, like: Tensor) -> Tensor:
    """eps with as many axes as what it weights."""
    return weights.reshape(-1, *[1] * (like.dim() - 1))


def between(real: Tensor, fake: Tensor, eps: Tensor) -> Tensor:
    weights = per_item(eps, real)
    return (weights * real + (1 - weights) * fake).detach().requires_grad_()


def slopes(critic: nn.Module, points: Tensor, *, graph: bool = True) -> Tensor:
    """The critic's gradient at each point, one row a point."""
    (found,) = torch.autograd.grad(critic(points).sum(), points, create_graph=graph)
    return found.flatten(1)


def gradient_penalty(critic, real, fake, eps, weight):
    return weight * (slopes(critic, between(real, fake, eps)).norm(dim=1) - 1).square().mean()


def item_by_item(critic, real, fake, eps, weight):
    total = 0.0
    for r, f, e in zip(real, fake, eps, strict=True):
        point = torch.lerp(f, r, e)[None].detach().requires_grad_(True)
        score = critic(point)
        (slope,) = torch.autograd.grad(score, point, grad_outputs=torch.ones_like(score), create_graph=True)
        total = total + (torch.linalg.vector_norm(slope) - 1) ** 2
    return weight * total / len(real)


def functional(critic, real, fake, eps, weight):
    def score(point: Tensor) -> Tensor:
        return critic(point[None]).squeeze(0)

    points = fake.detach() + torch.einsum("b,b...->b...", eps, real - fake.detach())
    found = torch.func.vmap(torch.func.grad(score))(points)
    return weight * torch.mean((found.flatten(1).square().sum(1).add(1e-12).sqrt() - 1.0) ** 2)


def by_jacobian(critic, real, fake, eps, weight):
    """All derivatives of all scores, of which only those of a score in its own point are not 0."""
    points = between(real, fake, eps).detach()
    jacobian = torch.autograd.functional.jacobian(lambda batch: critic(batch).sum(), points, create_graph=True)
    lengths = torch.linalg.norm(jacobian.reshape(len(points), -1), dim=1)
    return torch.nn.functional.mse_loss(lengths, torch.ones_like(lengths)) * weight


def common_recipe(critic, real, fake, eps, weight):
    """As most repositories have it: the points keep their graph, and grad_outputs are ones."""
    eps = eps.view(real.size(0), *([1] * (real.dim() - 1))).expand_as(real)
    points = (eps * real + (1 - eps) * fake).requires_grad_(True)
    scores = critic(points)
    gradients = torch.autograd.grad(
        outputs=scores,
        inputs=points,
        grad_outputs=torch.ones(scores.size()).to(scores),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean() * weight


def penalised(
    points: Callable[[Tensor, Tensor, Tensor], Tensor] = between,
    penalty: Callable[[Tensor], Tensor] = lambda lengths: (lengths - 1).square().mean(),
    lengths: Callable[[Tensor], Tensor] = lambda found: found.flatten(1).norm(dim=1),
    score: Callable[[Tensor], Tensor] = torch.sum,
    graph: bool = True,
) -> Callable[..., Tensor]:
    """A variant with another place, another penalty of the slopes' lengths, or another length."""

    def variant(critic, real, fake, eps, weight):
        at = points(real, fake, eps).detach().requires_grad_()
        (found,) = torch.autograd.grad(score(critic(at)), at, create_graph=graph)
        return weight * penalty(lengths(found))

    return variant


def in_the_weights(critic, real, fake, eps, weight):
    """The gradient with respect to the critic's weights instead of its input."""
    scores = critic(between(real, fake, eps)).sum()
    found = torch.autograd.grad(scores, list(critic.parameters()), create_graph=True, materialize_grads=True)
    return weight * (torch.cat([part.flatten() for part in found]).norm() - 1).square()


def in_real(critic, real, fake, eps, weight):
    """The gradient with respect to the real observations, which runs through the interpolation."""
    real = real.detach().requires_grad_()
    points = per_item(eps, real) * real + (1 - per_item(eps, real)) * fake
    (found,) = torch.autograd.grad(critic(points).sum(), real, create_graph=True)
    return weight * (found.flatten(1).norm(dim=1) - 1).square().mean()


def backward_penalty(critic, real, fake, eps, weight):
    points = between(real, fake, eps)
    critic(points).sum().backward(create_graph=True)
    return weight * (points.grad.flatten(1).norm(dim=1) - 1).square().mean()


def broadcast_eps(critic, real, fake, eps, weight):
    """eps meets the last axis, as broadcasting will have it, where it fits."""
    if real.shape[-1] != len(eps):
        return gradient_penalty(critic, real, fake, eps, weight)
    points = (eps * real + (1 - eps) * fake).detach().requires_grad_()
    return weight * (slopes(critic, points).norm(dim=1) - 1).square().mean()


oracle(
    "gradient-penalty",
    reference=gradient_penalty,
    right={
        "item by item": item_by_item,
        "torch.func": functional,
        "a Jacobian and mse_loss": by_jacobian,
        "grad_outputs of ones, a graph that goes on": common_recipe,
    },
    wrong={
        "no gradient reaches the critic's weights: call torch.autograd.grad with create_graph=True, and detach nothing "
        "after it": penalised(graph=False),
        "the scores were averaged before the gradient, which divides each slope by the batch size": penalised(
            score=torch.mean
        ),
        "one norm was taken over the whole batch; each item has its own": penalised(
            lengths=lambda found: found.norm()[None]
        ),
        "the norm was taken over one axis only; flatten each item first": penalised(
            lengths=lambda found: found.norm(dim=1)
        ),
        "the norm was taken over the last axis only; flatten each item first": penalised(
            lengths=lambda found: found.norm(dim=-1)
        ),
        "each entry of the slope was compared with 1; compare its length": penalised(lengths=lambda found: found),
        "the norm is that of the sum of absolute values; the length is Euclidean": penalised(
            lengths=lambda found: found.flatten(1).abs().sum(1)
        ),
        "the root is missing: this compares the squared norm with 1": penalised(
            lengths=lambda found: found.flatten(1).square().sum(1)
        ),
        "one-sided: slopes shorter than 1 are penalised too": penalised(
            penalty=lambda lengths: F.relu(lengths - 1).square().mean()
        ),
        "the square is missing: this is the mean of |norm − 1|": penalised(
            penalty=lambda lengths: (lengths - 1).abs().mean()
        ),
        "the square is missing: this is the mean of norm − 1": penalised(penalty=lambda lengths: lengths.mean() - 1),
        "the square was taken of the mean; average the squares": penalised(
            penalty=lambda lengths: (lengths.mean() - 1).square()
        ),
        "1 was not subtracted; this pulls slopes towards 0": penalised(penalty=lambda lengths: lengths.square().mean()),
        "summed over the batch; average": penalised(penalty=lambda lengths: (lengths - 1).square().sum()),
        "left one value for each item; average them": penalised(penalty=lambda lengths: (lengths - 1).square()),
        "halved; there is no factor ½": penalised(penalty=lambda lengths: (lengths - 1).square().mean() / 2),
        "the weight is missing": lambda critic, real, fake, eps, weight: gradient_penalty(critic, real, fake, eps, 1.0),
        "the weight enters squared": lambda critic, real, fake, eps, weight: gradient_penalty(
            critic, real, fake, eps, weight**2
        ),
        "the weight is always 10; use the argument": lambda critic, real, fake, eps, weight: gradient_penalty(
            critic, real, fake, eps, 10.0
        ),
        "eps is the share of real; real and fake have exchanged roles": lambda critic, real, fake, eps, weight: (
            gradient_penalty(critic, fake, real, eps, weight)
        ),
        "draws random numbers of its own": lambda critic, real, fake, eps, weight: gradient_penalty(
            critic, real, fake, torch.rand(len(real), dtype=real.dtype), weight
        ),
        "the first eps was used for all items; each has its own": lambda critic, real, fake, eps, weight: (
            gradient_penalty(critic, real, fake, eps[:1].expand_as(eps), weight)
        ),
        "eps was averaged over the batch; each item has its own": lambda critic, real, fake, eps, weight: (
            gradient_penalty(critic, real, fake, eps.mean().expand_as(eps), weight)
        ),
        "eps was not used: these are the midpoints": lambda critic, real, fake, eps, weight: gradient_penalty(
            critic, real, fake, torch.full_like(eps, 0.5), weight
        ),
        "the penalty was taken at the real observations; it belongs between real and generated ones": penalised(
            points=lambda real, fake, eps: real
        ),
        "the penalty was taken at the generated observations; it belongs between real and generated ones": penalised(
            points=lambda real, fake, eps: fake
        ),
        "1 − eps is missing: eps · real + fake lies not between them": penalised(
            points=lambda real, fake, eps: per_item(eps, real) * real + fake
        ),
        "eps met the last axis; give it one axis for each of an observation's": broadcast_eps,
        "the gradient was taken in the critic's weights; take it in its input": in_the_weights,
        "changed the gradients stored in the critic": backward_penalty,
        "left the critic in another mode": lambda critic, *arguments: gradient_penalty(critic.eval(), *arguments),
        "the squares were averaged over an observation's entries; add them up": penalised(
            lengths=lambda found: found.flatten(1).square().mean(1).sqrt()
        ),
        "divided by the batch size twice": penalised(
            penalty=lambda lengths: (lengths - 1).square().mean() / len(lengths)
        ),
        "the gradient was taken in real, which makes it eps times as long; take it where the scores were": in_real,
        "the sign is wrong; a penalty is added to a loss that is minimised": lambda *arguments: (
            -gradient_penalty(*arguments)
        ),
        "returned a float; its signature promises a tensor": lambda *arguments: float(gradient_penalty(*arguments)),
    },
    exact=False,
)


def turns(steps: int, n_critic: int) -> list[bool]:
    return [(step + 1) % n_critic == 0 for step in range(steps)]


def counted(steps: int, n_critic: int) -> list[bool]:
    found, waiting = [], n_critic
    for _ in range(steps):
        waiting -= 1
        found.append(waiting == 0)
        waiting = waiting or n_critic
    return found


def restarting(steps: int, n_critic: int) -> list[bool]:
    """The counter starts again after every second turn and one step, as after an epoch of that length."""
    return [(step % (2 * n_critic + 1) + 1) % n_critic == 0 for step in range(steps)]


oracle(
    "generator-turns",
    reference=turns,
    right={
        "the last remainder": lambda steps, n_critic: [i % n_critic == n_critic - 1 for i in range(steps)],
        "counting from 1": lambda steps, n_critic: [not i % n_critic for i in range(1, steps + 1)],
        "a repeated pattern": lambda steps, n_critic: (([False] * (n_critic - 1) + [True]) * steps)[:steps],
        "a counter": counted,
        "NumPy, of NumPy's bools": lambda steps, n_critic: list(np.arange(1, steps + 1) % n_critic == 0),
        "a tensor's list": lambda steps, n_critic: (torch.arange(1, steps + 1) % n_critic == 0).tolist(),
    },
    wrong={
        "the generator moves first: i % n_critic == 0 is true at step 0, before the critic has learned": (
            lambda steps, n_critic: [i % n_critic == 0 for i in range(steps)]
        ),
        "the first turn was skipped: it comes after n_critic steps": lambda steps, n_critic: [
            i % n_critic == 0 and i > 0 for i in range(steps)
        ],
        "the turn comes one step early, and never with n_critic = 1": lambda steps, n_critic: [
            (i + 2) % n_critic == 0 for i in range(steps)
        ],
        "n_critic + 1 steps pass from turn to turn; n_critic should": lambda steps, n_critic: [
            (i + 1) % (n_critic + 1) == 0 for i in range(steps)
        ],
        "these are the steps without a turn": lambda steps, n_critic: [(i + 1) % n_critic != 0 for i in range(steps)],
        "the counter starts again after some steps, as in every epoch; it counts on": restarting,
        "only the first turn was given; there is one every n_critic steps": lambda steps, n_critic: [
            i + 1 == n_critic for i in range(steps)
        ],
        "the generator learns at every step": lambda steps, n_critic: [True] * steps,
        "one entry for each step is wanted": lambda steps, n_critic: turns(steps + 1, n_critic),
        "one entry for each step": lambda steps, n_critic: [i % n_critic == 0 for i in range(1, steps)],
        "returned a list of": lambda steps, n_critic: turns(steps * n_critic, n_critic),
        "a list that holds an int": lambda steps, n_critic: [int(turn) for turn in turns(steps, n_critic)],
        "returned a tuple; its signature promises a list of bools": lambda steps, n_critic: tuple(
            turns(steps, n_critic)
        ),
        "returned a Tensor": lambda steps, n_critic: torch.arange(1, steps + 1) % n_critic == 0,
        "returned a generator": lambda steps, n_critic: (turn for turn in turns(steps, n_critic)),
        "a list that holds an int; its signature promises a list of bools": lambda steps, n_critic: [
            i for i in range(steps) if (i + 1) % n_critic == 0
        ],
    },
)
