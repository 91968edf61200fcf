"""The law of particle gradient descent on the toy model: exact where it says so, and no louder than it may be."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lvmlib.check import complain
from lvmlib.exercises import exact_tests, mean_recursion, toy_run, toy_run_law
from lvmlib.exercises.key import PUBLIC_SEEDS
from lvmlib.exercises.mean_recursion import SECOND, Recursion, log_likelihood, misfits, right, surprises
from lvmlib.exercises.toy_run import SHORT, Plan, plans
from lvmlib.exercises.toy_run_mistakes import MISTAKES, log_ratios
from lvmlib.grading.judges import SEEDS_A_VERDICT, find
from lvmlib.probe import Answers, Draw

double = {"dtype": torch.float64}
LOOSE = 0.05


def short_plan(seed: int) -> Plan:
    return next(plan for plan in plans(Draw(seed)) if plan.question == SHORT)


def simulated(plan: Plan, shake: float = 0.0, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """All runs of a plan at once, from a start that tells nothing: paths, last clouds and the noise of each step."""
    generator = torch.Generator().manual_seed(plan.seed + seed)
    shape = (plan.runs, plan.dims, plan.particles)
    h, x = plan.step_size, plan.x.double()[:, None]
    theta = plan.mean + torch.zeros(plan.runs, **double)
    z = (x + plan.mean) / 2 + 0.7 * torch.randn(*shape, generator=generator, **double)
    path, noises = [], []
    for _ in range(plan.steps):
        noise = torch.randn(*shape, generator=generator, **double)
        moved = theta + h * (z - theta[:, None, None]).sum(1).mean(1)
        z = z + h * (x + theta[:, None, None] - 2 * z) + math.sqrt(2 * h) * noise
        theta = moved + shake * torch.randn(plan.runs, generator=generator, **double)
        path.append(theta)
        noises.append(noise)
    return torch.stack(path, 1), z, torch.stack(noises, 1)


def test_a_path_tells_the_mean_of_the_noise_in_each_step() -> None:
    plan = short_plan(3)
    theta, z, noise = simulated(plan)
    found = surprises(plan, right(plan), theta, z)
    wanted = noise.mean((2, 3)) * math.sqrt(plan.dims * plan.particles)
    # The first two values of θ tell of the start; the last noise is only seen in the cloud.
    assert torch.allclose(found.path, wanted[:, 1:-1], rtol=0, atol=1e-9)
    assert torch.allclose(found.end, wanted[:, -1], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("dims", "particles", "step_size"), [(1, 1, 0.4), (3, 2, 0.3), (2, 5, 0.05)])
def test_the_recursion_and_the_spread_of_the_cloud_are_those_of_the_whole_system(
    dims: int, particles: int, step_size: float
) -> None:
    """Stationary variances as power sums: of θ and the cloud's mean alone, and of θ with every entry of the cloud."""
    step, x = find("pgd-step").reference, torch.arange(dims, **double)
    size = dims * particles

    def whole(state: Tensor, noise: Tensor) -> Tensor:
        moved, z = step(state[0], state[1:].reshape(dims, particles), x, step_size, noise.reshape(dims, particles))
        return torch.cat([moved[None], z.flatten()])

    start = torch.zeros(size + 1, **double), torch.zeros(size, **double)
    moves, pushes = torch.autograd.functional.jacobian(whole, start)
    entries = power_sum(moves, pushes @ pushes.mT)
    recursion = right(Plan("", x, particles, step_size, 3, 0))
    pair = torch.tensor([[1 - recursion.gain, recursion.gain], [recursion.old, recursion.own]], **double)
    of_pair = power_sum(pair, torch.diag(torch.tensor([0.0, recursion.noise**2], **double)))
    to_pair = torch.zeros(2, size + 1, **double)
    to_pair[0, 0], to_pair[1, 1:] = 1.0, 1 / size
    assert torch.allclose(to_pair @ entries @ to_pair.mT, of_pair, rtol=1e-9, atol=0)
    # Around their mean the entries are independent, of variance 1/(2(1 − h)).
    around = torch.eye(size, **double) - 1 / size
    spread = around @ entries[1:, 1:] @ around
    assert torch.allclose(spread, around / (2 * (1 - step_size)), rtol=0, atol=1e-9)


def power_sum(moves: Tensor, covariance: Tensor) -> Tensor:
    """Σ Aᵏ Q Aᵏᵀ, by doubling the number of its terms."""
    total = covariance
    for _ in range(20):
        total = total + moves @ total @ moves.mT
        moves = moves @ moves
    return total


def refusals(refused: Callable[[int], bool], times: int = 400) -> int:
    return sum(refused(seed) for seed in range(times))


STATISTICS: dict[str, Callable[[Tensor], bool]] = {
    "mean": lambda values: exact_tests.has_mean_zero(values, LOOSE),
    "variance": lambda values: exact_tests.has_variance_one(values.square().sum().item(), len(values), LOOSE),
    "prediction": lambda values: exact_tests.is_unpredictable(
        values[1:], torch.stack([values[:-1], values.cumsum(0)[:-1]], 1), LOOSE
    ),
    "company": lambda values: exact_tests.is_uncorrelated(values[::2], values[1::2], LOOSE),
    "tails": lambda values: exact_tests.has_normal_tails(values, LOOSE),
}
WRONG_NUMBERS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda values: values + 0.5,
    "variance": lambda values: values * 1.6,
    "prediction": lambda values: values + 0.8 * values.roll(1),
    "company": lambda values: values + values.roll(1),
    "tails": lambda values: values.clamp(-1.5, 1.5),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_a_test_refuses_normal_numbers_no_more_often_than_its_level(name: str) -> None:
    def numbers(seed: int) -> Tensor:
        return torch.randn(200, generator=torch.Generator().manual_seed(seed), **double)

    allowed = 400 * LOOSE + 4 * math.sqrt(400 * LOOSE)
    assert refusals(lambda seed: not STATISTICS[name](numbers(seed))) <= allowed
    assert refusals(lambda seed: not STATISTICS[name](WRONG_NUMBERS[name](numbers(seed)))) > 390


@pytest.mark.parametrize("statistic", ["mean", "variance", "prediction"])
def test_nan_passes_no_test(statistic: str) -> None:
    assert not STATISTICS[statistic](torch.full((50,), math.nan, **double))


def test_right_runs_are_refused_no_more_often_than_the_level_of_each_test() -> None:
    def refused(seed: int) -> int:
        plan = short_plan(seed)
        theta, z, _ = simulated(plan)
        return len(list(misfits(plan, right(plan), theta, z, LOOSE)))

    tests, seeds = 6, 100
    assert sum(map(refused, range(seeds))) <= tests * seeds * LOOSE + 4 * math.sqrt(tests * seeds * LOOSE)


def test_ratios_of_likelihoods_have_expectation_one_at_most() -> None:
    """So the mean over all mistakes passes 20 in one of 20 right runs at most."""

    def refused(seed: int) -> bool:
        plan = short_plan(seed)
        theta, z, _ = simulated(plan)
        return exact_tests.is_likelier(log_ratios((plan, theta, z)), LOOSE)

    assert refusals(refused, 50) <= 50 * LOOSE + 4 * math.sqrt(50 * LOOSE)


def test_a_ratio_of_likelihoods_is_one_on_average() -> None:
    """Of a mistake that is hard to tell from the truth, in single short runs."""
    plan = replace(short_plan(0), runs=1)
    other = replace(right(plan), noise=1.1 * right(plan).noise, own=right(plan).own + 0.01, end=SECOND)
    ratios = []
    for seed in range(400):
        theta, z, _ = simulated(plan, seed=seed)
        ratios.append(log_likelihood(plan, other, theta, z) - log_likelihood(plan, right(plan), theta, z))
    weights = torch.tensor(ratios, **double).exp()
    assert weights.mean().item() == pytest.approx(1, abs=4 * weights.std().item() / math.sqrt(len(weights)))


def test_noise_in_theta_is_whitened_by_its_own_recursion() -> None:
    plan = replace(short_plan(1), runs=20_000)
    theta, z, _ = simulated(plan, shake=0.3)
    found = surprises(plan, replace(right(plan), theta_noise=0.3), theta, z)
    white = torch.cat([found.path, found.end[:, None]], 1)
    covariance = white.mT @ white / len(white)
    assert torch.allclose(covariance, torch.eye(plan.steps - 1, **double), rtol=0, atol=0.06)


def test_a_submission_meets_so_few_tests_that_right_ones_pass(monkeypatch) -> None:
    met: Counter[str] = Counter()

    def counted(name: str, test: Callable[..., bool]) -> Callable[..., bool]:
        def run(*arguments: object) -> bool:
            met[name] += 1
            return test(*arguments)

        return run

    for module in (mean_recursion, toy_run_law):
        for name in [name for name in vars(exact_tests) if name.startswith(("has_", "is_")) and hasattr(module, name)]:
            monkeypatch.setattr(module, name, counted(name, getattr(exact_tests, name)))
    judge = find("pgd-run")
    assert judge.verdict(judge.answers(judge.reference, 5), 5) is None
    verdicts = len(PUBLIC_SEEDS) + SEEDS_A_VERDICT
    assert len(met) == 6
    assert met.total() * verdicts * exact_tests.FALSE_ALARM < 1e-6


def test_every_mistake_is_another_recursion_than_the_right_one() -> None:
    plan = short_plan(2)
    for sentence, mistakes in MISTAKES.items():
        recursions: list[Recursion] = [mistake(plan) for mistake in mistakes]
        assert right(plan) not in recursions, sentence
        assert len(set(recursions)) == len(recursions), sentence


def test_step_sizes_are_stable_for_their_numbers_of_dimensions() -> None:
    limit = find("stable-step").reference
    for seed in range(50):
        for plan in plans(Draw(seed)):
            assert plan.step_size < 0.95 * limit(plan.dims), plan.question


def test_the_start_of_the_large_cloud_is_forgotten() -> None:
    for seed in range(50):
        plan = next(plan for plan in plans(Draw(seed)) if plan.question == toy_run.CLOUD)
        assert abs(1 - 2 * plan.step_size) ** plan.steps < 1e-12


def test_a_large_cloud_shows_particles_that_each_follow_a_theta_of_their_own() -> None:
    """A particle on its own is a cloud of one, whose mean varies more than θ of all lets it."""
    for seed in range(50):
        plan = next(plan for plan in plans(Draw(seed)) if plan.question == toy_run.CLOUD)
        recursion, free = right(replace(plan, particles=1)), plan.particles - 1
        pair = torch.tensor([[1 - recursion.gain, recursion.gain], [recursion.old, recursion.own]], **double)
        of_pair = power_sum(pair, torch.diag(torch.tensor([0.0, recursion.noise**2], **double)))
        ratio = plan.dims * of_pair[1, 1].item() * 2 * (1 - plan.step_size)
        unlucky = 1 - 3.5 * math.sqrt(2 / free)
        assert not exact_tests.has_variance_one(free * ratio * unlucky, free)


def test_entries_of_one_particle_have_nothing_in_common_around_their_means() -> None:
    """From a wide cloud that tells the start, with a θ that all particles share."""

    def refused(seed: int) -> bool:
        plan = next(plan for plan in plans(Draw(seed)) if plan.question == toy_run.CLOUD)
        generator = torch.Generator().manual_seed(seed)
        start = torch.zeros((), **double), 1e4 * torch.randn(3, plan.particles, generator=generator, **double)
        theta, z, x = *start, plan.x.double()
        for _ in range(plan.steps):
            noise = torch.randn(z.shape, generator=generator, **double)
            theta, z = find("pgd-step").reference(theta, z, x, plan.step_size, noise)
        around = (z - z.mean(1, keepdim=True)) * math.sqrt(2 * (1 - plan.step_size))
        total = around.sum(0).square().sum().item() / plan.dims
        return not exact_tests.has_variance_one(total, plan.particles - 1, LOOSE)

    assert refusals(refused, 100) <= 100 * LOOSE + 4 * math.sqrt(100 * LOOSE)


def test_a_run_that_only_reaches_the_mean_of_x_is_not_enough() -> None:
    """Gradient ascent on log p_θ(x) ends at the mean of x as well."""

    def run(
        x: Tensor, step_size: float, steps: int, particles: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        path = x.mean() * (1 - (1 - step_size) ** torch.arange(1.0, steps + 1))
        return path.to(x), (x[:, None] + x.mean()) / 2 + torch.randn(len(x), particles, generator=generator).to(x)

    assert complain(find("pgd-run").exercise, run)


def test_silence_is_no_answer() -> None:
    assert toy_run_law.law(Answers(), 5) == "gave no answer (many short runs)"
