"""Lab 04's claim at the size of a laptop: training by trial and reward keeps up with training on the exact log p(x)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lvmlib import seed_all

pytestmark = pytest.mark.slow

WITHIN = 3.0
"""Nats of an image."""


@pytest.fixture
def lab(definitions, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the notebook defines, at the size of a laptop."""
    monkeypatch.setenv("LVM_PROFILE", "cpu")
    return SimpleNamespace(**definitions("04-nvil"))


def test_a_score_function_keeps_up_with_the_exact_sum_once_its_noise_is_lowered(lab: SimpleNamespace) -> None:
    (_, exact), (model, judged), (_, plain) = (
        lab.train_choices(name, estimator, nn.ModuleList())
        for name, estimator in (("exact", lab.exact_marginal), ("others", lab.three_draws), ("plain", lab.plain))
    )
    assert judged["nats"][-1] < exact["nats"][-1] + WITHIN
    assert plain["nats"][-1] > judged["nats"][-1] + WITHIN
    assert max(judged["noise"]) < min(plain["noise"])
    _the_bound_holds(lab, model)


def _the_bound_holds(lab: SimpleNamespace, model: nn.Module) -> None:
    """The ELBO of ten codes, summed out, lies below log p(x) for every image."""
    x = lab.dev.images[:200].to(lab.device)
    with torch.no_grad():
        log_q = model.posterior(x).logits
        log_joint = model.log_joint(x, lab.TEN[:, None].expand(-1, len(x), -1)).T
        elbo = (log_q.exp() * (log_joint - log_q)).sum(-1)
        assert (elbo <= lab.evidence(model, x, lab.TEN) + 1e-3).all()


def test_no_round_of_em_lowers_what_it_climbs(lab: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pseudo-image more in every template, half black and half white, makes it climb the log posterior of both."""
    x = lab.clothes.images[:1000].flatten(1).to(lab.device)
    heights = []
    for rounds in range(1, 8):
        monkeypatch.setattr(lab.em_sizes, "rounds", rounds)
        seed_all(0)
        log_prior, logits = lab.expectation_maximisation(x, 10)
        likelihood = lab.in_parts(x, log_prior, logits)[0].double().sum()
        log_pixels = nn.functional.logsigmoid(torch.stack([logits, -logits]).double())
        heights.append(likelihood + log_prior.double().sum() + 0.5 * log_pixels.sum())
    assert all(after > before for before, after in zip(heights, heights[1:], strict=False))
