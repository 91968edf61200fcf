"""Lab 05's linear β-VAE, trained from random weights, ends at the rates that its students predict."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lvmlib import seed_all


@pytest.fixture
def lab(definitions) -> dict[str, Any]:
    """What the notebook defines up to the linear case."""
    return definitions("05-beta-vae", until="minimise")


@pytest.mark.parametrize("beta", [6.0, 40.0])
def test_training_ends_at_the_predicted_rates(lab: dict[str, Any], beta: float) -> None:
    seed_all(2)
    x = lab["exact_points"](lab["eigenvalues"])
    assert torch.allclose(torch.linalg.eigvalsh(x.T @ x / len(x)), lab["eigenvalues"].flip(0), rtol=0, atol=1e-12)
    model = lab["LinearVAE"](dimensions=6, latent=4)
    lab["minimise"](model, x, beta)
    with torch.no_grad():
        trained = lab["unit_rates"](*model(x)[1:]).sort(descending=True).values
    predicted = lab["linear_rates"](lab["eigenvalues"], 4, lab["VARIANCE"], beta)
    assert torch.allclose(trained, predicted, rtol=0, atol=5e-4)
