from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from torch import distributions as td

from lvmlib.models.continuous_bernoulli import ContinuousBernoulli

SIZES = [0.0, 1e-30, 1e-8, 1e-4, 0.01, 0.0999, 0.1, 0.1001, 0.3, 0.5, 1.0, 3.0, 10.0, 20.0, 90.0, 400.0, 1000.0]
LOGITS = [sign * size for size in SIZES for sign in (1, -1)]
GREYS = [0.0, 1e-6, 0.1, 0.5, 0.75, 1 - 2**-20, 1.0]


def exact_log_density(logit: float, x: float) -> float:
    """l·x − log ∫ exp(l·t) dt with 100 digits."""
    with localcontext(prec=100):
        slope = Decimal(logit)
        log_integral = ((slope.exp() - 1) / slope).ln() if slope else Decimal(0)
        return float(slope * Decimal(x) - log_integral)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-7), (torch.float64, 2e-15)])
def test_every_digit_of_the_density_is_right(dtype: torch.dtype, tolerance: float) -> None:
    logits, x = torch.tensor(LOGITS, dtype=dtype), torch.tensor(GREYS, dtype=dtype)
    exact = [[exact_log_density(logit, grey) for grey in x.tolist()] for logit in logits.tolist()]
    found = ContinuousBernoulli(logits[:, None]).log_prob(x)
    torch.testing.assert_close(found.double(), torch.tensor(exact, dtype=torch.float64), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("logit", LOGITS)
def test_density_integrates_to_one_and_mean_is_its_mean(logit: float) -> None:
    # to the pointed end the density falls within 1 / |l|: nodes are dense there
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(200))
    edges = torch.cat([torch.zeros(1), torch.logspace(-6, 0, 25)]).double()
    edges = edges if logit < 0 else 1 - edges.flip(0)
    low, high = edges[:-1, None], edges[1:, None]
    x, weights = low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2
    grey = ContinuousBernoulli(torch.tensor(logit, dtype=torch.float64))
    density = grey.log_prob(x).exp()
    assert (weights * density).sum().item() == pytest.approx(1, abs=1e-12)
    assert grey.mean.item() == pytest.approx((weights * density * x).sum().item(), abs=1e-12)
    in_float32 = ContinuousBernoulli(torch.tensor(logit)).mean.item()
    assert in_float32 == pytest.approx(grey.mean.item(), rel=2e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_in_the_logits_is_x_minus_the_mean(dtype: torch.dtype) -> None:
    logits = torch.tensor(LOGITS, dtype=dtype)[:, None].expand(-1, len(GREYS)).clone().requires_grad_()
    x = torch.tensor(GREYS, dtype=dtype)
    ContinuousBernoulli(logits).log_prob(x).sum().backward()
    mean = ContinuousBernoulli(logits.detach().double()).mean
    assert logits.grad is not None
    tolerance = 2e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(logits.grad.double(), x.double() - mean, rtol=0, atol=tolerance)


def test_gradient_in_the_grey_value_is_the_logit() -> None:
    logits = torch.tensor(LOGITS)
    x = torch.full_like(logits, 0.3).requires_grad_()
    ContinuousBernoulli(logits).log_prob(x).sum().backward()
    torch.testing.assert_close(x.grad, logits)


def test_agrees_with_torch_where_that_keeps_its_digits() -> None:
    logits = torch.linspace(-8, 8, 33, dtype=torch.float64)[:, None]
    x = torch.linspace(0, 1, 9, dtype=torch.float64)
    theirs = td.ContinuousBernoulli(logits=logits, lims=(0.4999, 0.5001))
    torch.testing.assert_close(ContinuousBernoulli(logits).log_prob(x), theirs.log_prob(x), rtol=1e-7, atol=1e-7)


def test_a_draw_is_where_the_distribution_function_meets_a_uniform_number() -> None:
    logits = torch.tensor([-1000.0, -20, -1, -1e-4, 0, 1e-4, 1, 20, 1000], dtype=torch.float64)
    torch.manual_seed(0)
    x = ContinuousBernoulli(logits).sample((50,))
    torch.manual_seed(0)
    uniform = torch.rand(50, len(logits), dtype=torch.float64)
    size = logits.abs().clamp(min=1e-12)
    distance = torch.where(logits > 0, 1 - x, x)
    torch.testing.assert_close(torch.expm1(-size * distance) / torch.expm1(-size), uniform, rtol=0, atol=1e-6)


def test_draws_stay_in_the_unit_interval_and_carry_no_gradient() -> None:
    logits = torch.tensor(LOGITS, requires_grad=True)
    x = ContinuousBernoulli(logits).sample((1000,))
    assert x.shape == (1000, len(LOGITS)) and not x.requires_grad
    assert x.min() >= 0 and x.max() <= 1


def test_is_a_distribution_of_torch() -> None:
    grey = ContinuousBernoulli(torch.randn(4, 5))
    assert grey.batch_shape == (4, 5) and grey.event_shape == () and not grey.has_rsample
    wider = td.Independent(grey, 1).expand((3, 4))
    assert wider.sample((2,)).shape == (2, 3, 4, 5)
    assert wider.log_prob(torch.rand(4, 5)).shape == (3, 4)
    with pytest.raises(ValueError, match="support"):
        grey.log_prob(torch.tensor(1.5))
    with pytest.raises(ValueError, match="logits"):
        ContinuousBernoulli(torch.tensor(math.nan))
