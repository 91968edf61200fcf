"""The oracles of lab 02 against identities that they do not use themselves."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import linprog
from scipy.stats import wasserstein_distance
from torch import Tensor, nn

from lvmlib.exercises.penalised import Polynomial
from lvmlib.exercises.transport import Problem, ask_problem, law, problems
from lvmlib.grading.judges import find
from lvmlib.probe import Draw, interrogate

SIZES = [(1, 1), (5, 5), (4, 7), (9, 3), (1, 6)]


def samples(*counts: int) -> list[Tensor]:
    torch.manual_seed(0)
    return [(k + 1) * torch.randn(count, dtype=torch.float64) for k, count in enumerate(counts)]


def potential(x: Tensor, y: Tensor):
    """The critic that attains W₁: it rises by 1 where more of y lies below, and falls by 1 elsewhere."""
    joined = torch.cat([x, y]).sort().values
    middles = (joined[1:] + joined[:-1]) / 2
    excess = (y[:, None] < middles).double().mean(0) - (x[:, None] < middles).double().mean(0)
    heights = torch.cat([joined.new_zeros(1), (excess.sign() * joined.diff()).cumsum(0)])
    return lambda points: heights[torch.searchsorted(joined, points)]


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_w1_is_scipys_and_the_value_of_the_best_critic(n: int, m: int) -> None:
    x, y = samples(n, m)
    w1 = find("wasserstein-1d").reference
    value = w1(x, y).item()
    assert value == pytest.approx(wasserstein_distance(x, y), abs=1e-12)
    critic = potential(x, y)
    assert -find("critic-loss").reference(critic(x), critic(y)).item() == pytest.approx(value, abs=1e-12)
    assert w1(3 - 2 * y, 3 - 2 * x).item() == pytest.approx(2 * value, abs=1e-12)


def test_the_gradient_of_w1_is_a_sign_for_each_place() -> None:
    x, y = samples(6, 6)
    (gradient,) = torch.autograd.grad(find("wasserstein-1d").reference(x.requires_grad_(), y), x)
    signs = (x.sort().values - y.sort().values).sign() / 6
    assert torch.allclose(gradient[x.argsort()], signs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_problem_made_from_its_plan_has_the_optimum_of_a_linear_program(seed: int) -> None:
    for problem in problems(Draw(seed)):
        n, m = problem.cost.shape
        assert problem.p.sum() == problem.q.sum() == (3 if "add up to 3" in problem.question else 1)
        rows = torch.eye(n).repeat_interleave(m, dim=1)
        columns = torch.eye(m).repeat(1, n)
        found = linprog(
            problem.cost.flatten().numpy(),
            A_eq=torch.cat([rows, columns]).numpy(),
            b_eq=torch.cat([problem.p, problem.q]).numpy(),
        )
        assert found.fun == pytest.approx(problem.optimum, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_transport_on_a_line_is_w1(n: int, m: int) -> None:
    x, y = samples(n, m)
    uniform = [torch.full((count,), 1 / count, dtype=torch.float64) for count in (n, m)]
    value, plan = find("wasserstein-discrete").reference(*uniform, (x[:, None] - y).abs())
    assert value.item() == pytest.approx(find("wasserstein-1d").reference(x, y).item(), abs=1e-9)
    assert torch.allclose(plan.sum(0), uniform[1], atol=1e-9)


def test_the_law_of_transport_takes_any_cheapest_plan_and_no_other() -> None:
    costs = {}

    def answer(problem: Problem, off: float, waste: float):
        _, plan = find("wasserstein-discrete").reference(problem.p, problem.q, problem.cost)
        plan = (1 - waste) * plan + waste * torch.outer(problem.p, problem.q)
        costs[problem.question] = float((plan * problem.cost).sum())
        return costs[problem.question] + off, plan

    def verdict(off: float, waste: float) -> str | None:
        waiting = iter(problems(Draw(3)))
        answers = interrogate(
            lambda ask: [ask_problem(ask, problem) for problem in problems(ask.draw)],
            lambda p, q, cost: answer(next(waiting), off, waste),
            seed=3,
        )
        return law(answers, 3)

    assert verdict(0, 0) is None
    assert "value is the sum of plan · cost" in verdict(1e-3, 0)
    assert "a plan of cost" in verdict(0, 1e-3)


@pytest.mark.parametrize("theta", [-1.5, 0.0, 0.25])
def test_divergences_of_parallel_lines_are_those_of_points_far_from_another(theta: float) -> None:
    """A line at 0 and one at theta, on whatever grid: they share all of their points or none."""
    p = torch.tensor([1.0, 0.0], dtype=torch.float64)
    q = p if theta == 0 else p.flip(0)
    half = (p + q) / 2

    def kl(one: Tensor, other: Tensor) -> float:
        return torch.where(one > 0, one * (one / other).log(), 0).sum().item()

    w1, jsd, divergence = find("parallel-lines").reference(theta)
    assert jsd == pytest.approx((kl(p, half) + kl(q, half)) / 2)
    assert divergence == kl(p, q)
    assert w1 == pytest.approx(wasserstein_distance([0.0], [theta]))


def test_the_best_clipped_linear_critic_of_a_shift_gives_the_limit_times_w1() -> None:
    (x,) = samples(8)
    losses = [find("critic-loss").reference(slope * (x + 2), slope * x) for slope in torch.linspace(-0.01, 0.01, 21)]
    assert min(losses).item() == pytest.approx(-0.01 * 2)


def test_the_generator_loss_is_what_the_critics_has_of_generated_scores() -> None:
    fake, real = samples(5, 7)
    fake.requires_grad_()
    critic, generator = find("critic-loss").reference(real, fake), find("wgan-generator-loss").reference(fake)
    assert (critic + generator).item() == pytest.approx(-real.mean().item())
    assert torch.allclose(torch.autograd.grad(generator, fake)[0], torch.full((5,), -0.2, dtype=torch.float64))


def test_clipping_projects_onto_the_box_once_and_for_all() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(30, 20), nn.BatchNorm1d(20))
    before = nn.utils.parameters_to_vector(critic.parameters()).clone()
    inside = before.abs() <= 0.1
    for _ in range(2):
        find("clip-weights").reference(critic, 0.1)
        after = nn.utils.parameters_to_vector(critic.parameters())
        assert torch.equal(after[inside], before[inside])
        assert torch.equal(after[~inside], 0.1 * before[~inside].sign())


def test_a_step_of_a_linear_critic_goes_along_the_gap_of_the_means() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(3, 1, bias=False), nn.Flatten(0))
    generator = nn.Linear(2, 3)
    x, z = torch.randn(7, 3), torch.randn(4, 2)
    before = critic[0].weight.detach().clone()
    gap = x.mean(0) - generator(z).mean(0).detach()
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.3)
    loss = find("critic-step").reference(critic, generator, optimizer, x, z, 0.4)
    assert loss.item() == pytest.approx(-(before @ gap).item(), rel=1e-5)
    assert torch.allclose(critic[0].weight, (before + 0.3 * gap).clamp(-0.4, 0.4))


def test_the_penalty_of_a_linear_critic_and_its_gradient_are_known() -> None:
    direction = torch.tensor([0.6, -1.2, 0.4], dtype=torch.float64)  # of length 1.4
    critic = Polynomial(direction)
    real, fake, eps = (torch.randn(*shape, dtype=torch.float64) for shape in ((5, 3), (5, 3), (5,)))
    penalty = find("gradient-penalty").reference(critic, real, fake, eps, 10.0)
    assert penalty.item() == pytest.approx(10 * 0.4**2)
    (gradient,) = torch.autograd.grad(penalty, critic.coefficients[0])
    assert torch.allclose(gradient, 2 * 10 * 0.4 * direction / 1.4)


def test_the_penalty_of_a_paraboloid_tells_where_it_was_taken() -> None:
    """Of f(x) = |x|² / 2 the slope at x has the length of x."""
    torch.manual_seed(0)
    critic = Polynomial(torch.zeros(2, 3, 4), torch.ones(2, 3, 4))
    real, fake, eps = torch.randn(5, 2, 3, 4), torch.randn(5, 2, 3, 4), torch.rand(5)
    lengths = [(e * r + (1 - e) * f).square().sum().sqrt() for r, f, e in zip(real, fake, eps, strict=True)]
    wanted = sum((length - 1) ** 2 for length in lengths) / 5
    assert find("gradient-penalty").reference(critic, real, fake, eps, 1.0).item() == pytest.approx(wanted.item())


@pytest.mark.parametrize("n_critic", [1, 2, 5])
def test_after_any_number_of_steps_the_generator_had_its_share_of_turns(n_critic: int) -> None:
    turns = find("generator-turns").reference
    assert [sum(turns(steps, n_critic)) for steps in range(23)] == [steps // n_critic for steps in range(23)]
    assert turns(23, n_critic)[:9] == turns(9, n_critic)
    assert math.isclose(sum(turns(1000, n_critic)) / 1000, 1 / n_critic)
