"""The oracles and laws of lab 01 against identities that they do not use themselves."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from lvmlib.exercises import initial_weights
from lvmlib.exercises.training_steps import small_generator
from lvmlib.grading.judges import find
from lvmlib.probe import Draw


def masses(*rows: list[float]) -> Tensor:
    counts = torch.tensor(rows, dtype=torch.float64)
    return counts / counts.sum(1, keepdim=True)


P, Q = masses([4, 0, 1, 3, 0, 2], [1, 2, 1, 0, 0, 6])


def score(p: Tensor, q: Tensor, d: Tensor) -> Tensor:
    """Value of the game at a discriminator D strictly between 0 and 1."""
    return (p * d.log() + q * (1 - d).log()).sum()


def test_no_discriminator_scores_higher_than_the_value_and_the_optimal_logit_does() -> None:
    value, logit = find("gan-value").reference, find("optimal-logit").reference
    p, q = masses([4, 3, 1, 3, 5, 2], [1, 2, 1, 7, 3, 6])
    best = torch.sigmoid(logit(p.log(), q.log()))
    assert score(p, q, best).item() == pytest.approx(value(p, q).item(), abs=1e-12)
    for d in torch.rand(100, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)):
        assert score(p, q, d) < value(p, q)
        assert score(p, q, 0.99 * best + 0.01 * d) < value(p, q)


def test_the_value_of_hand_worked_games() -> None:
    value = find("gan-value").reference
    assert value(P, P).item() == pytest.approx(-math.log(4), abs=1e-12)
    assert value(P, masses([0, 2, 0, 0, 3, 0])[0]).item() == pytest.approx(0, abs=1e-12)
    fair, certain = masses([1, 1], [1, 0])
    assert value(fair, certain).item() == pytest.approx(0.5 * math.log(1 / 3) + math.log(2 / 3), abs=1e-12)


def test_the_value_is_symmetric_and_falls_when_outcomes_are_merged() -> None:
    value = find("gan-value").reference
    assert value(P, Q).item() == pytest.approx(value(Q, P).item(), abs=1e-12)
    merged = [mass.view(3, 2).sum(1) for mass in (P, Q)]
    assert value(*merged) < value(P, Q)


def test_the_discriminators_loss_at_the_optimal_logits_is_minus_the_value() -> None:
    p, q = masses([4, 3, 1, 2], [1, 2, 10, 3])
    logits = find("optimal-logit").reference(p.log(), q.log())
    real, fake = logits.repeat_interleave((10 * p).round().long()), logits.repeat_interleave((16 * q).round().long())
    loss = find("discriminator-loss").reference(real, fake)
    assert loss.item() == pytest.approx(-find("gan-value").reference(p, q).item(), abs=1e-12)


def test_the_discriminators_loss_has_the_gradients_of_the_text() -> None:
    real = torch.tensor([-1000.0, -25.0, 0.0, 3.0, 1000.0], requires_grad=True)
    fake = torch.tensor([-7.0, 0.5, 400.0], requires_grad=True)
    loss = find("discriminator-loss").reference(real, fake)
    gradients = torch.autograd.grad(loss, (real, fake))
    torch.testing.assert_close(gradients[0], -torch.sigmoid(-real).detach() / 5)
    torch.testing.assert_close(gradients[1], torch.sigmoid(fake).detach() / 3)


def test_the_generators_losses_differ_by_the_mean_logit_and_push_where_the_text_says() -> None:
    loss = find("generator-loss").reference
    logits = torch.tensor([-1000.0, -25.0, -10.0, 0.0, 3.0, 90.0])
    torch.testing.assert_close(loss(logits, False) + loss(logits, True), -logits.mean())
    bad = torch.full((4,), -10.0, requires_grad=True)
    push = {mode: -4 * torch.autograd.grad(loss(bad, mode), bad)[0][0].item() for mode in (True, False)}
    assert push[True] == pytest.approx(4.54e-5, rel=1e-3)
    assert push[False] == pytest.approx(0.99995, abs=1e-5)


def linear_game() -> tuple[nn.Linear, nn.Module, nn.Module, Tensor, Tensor]:
    """A linear discriminator a·x of points in the plane, and a linear generator."""
    torch.manual_seed(0)
    generator, linear = nn.Linear(3, 2, bias=False), nn.Linear(2, 1, bias=False)
    for parameter in (generator.weight, linear.weight):
        parameter.grad = torch.ones_like(parameter)
    return linear, nn.Sequential(linear, nn.Flatten(0)), generator, torch.randn(5, 2), torch.randn(4, 3)


def test_the_discriminators_step_is_that_of_logistic_regression() -> None:
    linear, discriminator, generator, x, z = linear_game()
    a, fake = linear.weight.detach().clone()[0], generator(z).detach()
    gradient = (torch.sigmoid(fake @ a)[:, None] * fake).mean(0) - (torch.sigmoid(-x @ a)[:, None] * x).mean(0)
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.3)
    loss = find("discriminator-step").reference(discriminator, generator, optimizer, x, z)
    torch.testing.assert_close(linear.weight.detach()[0], a - 0.3 * gradient)
    assert loss.item() == pytest.approx(find("discriminator-loss").reference(x @ a, fake @ a).item(), abs=1e-6)


def test_the_generators_step_climbs_the_discriminator() -> None:
    linear, discriminator, generator, _, z = linear_game()
    a, before = linear.weight.detach().clone()[0], generator.weight.detach().clone()
    fooled = torch.sigmoid(-(z @ before.T) @ a)
    ascent = torch.outer(a, (fooled[:, None] * z).mean(0))
    optimizer = torch.optim.SGD(generator.parameters(), lr=0.3)
    find("generator-step").reference(discriminator, generator, optimizer, z)
    torch.testing.assert_close(generator.weight.detach(), before + 0.3 * ascent)
    assert torch.equal(linear.weight[0], a)


@pytest.mark.parametrize("kernel", [1, 3, 4, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_convolution_takes_the_size_of_a_transposed_one_back(kernel: int, stride: int) -> None:
    size = find("conv-transpose-size").reference
    for padding in range((kernel + 1) // 2):
        for output_padding in range(stride):
            n = size(9, kernel, stride, padding, output_padding)
            assert (n + 2 * padding - kernel) // stride + 1 == 9


def test_a_snapshot_normalises_by_the_running_statistics() -> None:
    draw = Draw(3)
    generator = small_generator(draw, 3, (1, 2, 2), normalised=True).train()
    first, norm, _, last = list(generator)[:4]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.fill_(0.7)
    norm.running_var.fill_(2.5)
    z = draw.uniform(5, 3)
    hidden = torch.tanh((first(z) - 0.7) / math.sqrt(2.5 + norm.eps) * norm.weight + norm.bias)
    images = find("snapshot").reference(generator, z)
    torch.testing.assert_close(images, torch.sigmoid(last(hidden)).detach().view(5, 1, 2, 2))
    assert generator.training


@pytest.mark.parametrize("count", [16_500, 18_432])
def test_normal_weights_are_refused_no_more_often_than_is_said(count: int, monkeypatch) -> None:
    monkeypatch.setattr(initial_weights, "FALSE_ALARM", 0.05)
    generator = torch.Generator().manual_seed(0)
    refused = 0
    for _ in range(200):
        weights = 0.02 * torch.randn(count, dtype=torch.float64, generator=generator)
        refused += initial_weights._against_normal(weights, 0.0) is not None
    # Three tests at 0.05 each, whose bounds are not tight; four standard deviations above 30 of 200.
    assert refused <= 30 + 4 * math.sqrt(200 * 0.15 * 0.85)


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda n: 0.0212 * torch.randn(n), "have standard deviation"),
        (lambda n: 0.02 * torch.randn(n) + 0.002, "are not distributed"),
        (lambda n: 0.02 * 3**0.5 * (2 * torch.rand(n) - 1), "are uniform"),
        (lambda n: 0.02 * torch.randn(n).sign(), "are not distributed"),
    ],
)
def test_weights_a_little_off_are_refused_at_the_level_of_a_submission(draw, sentence: str) -> None:
    torch.manual_seed(0)
    clauses = [initial_weights._against_normal(draw(16_384).double(), 0.0) for _ in range(50)]
    assert [clause for clause in clauses if clause is None or not clause.startswith(sentence)] == []
