from __future__ import annotations

import pytest
import torch
from several_draws import LATENT, SHAPE, WAYS, main
from torch import Tensor, nn
from torch import distributions as td

from lvmlib import models


def test_the_benchmark_runs_on_what_is_embedded(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    main(["--draws", "2", "--batch", "3", "--repeats", "1", "--threads", "1"])
    title, *rows = capsys.readouterr().out.splitlines()
    assert title == "1 thread, batch 3, 2 draws, 1 repeats: images/s, times slower than one call"
    assert [row[2:20].rstrip() for row in rows] == list(WAYS)
    assert torch.get_num_threads() == threads


class Sure(nn.Module):
    """A posterior that always draws the same code, so that all ways draw alike."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.linspace(-1, 1, LATENT).sign() * 60)

    def forward(self, x: Tensor) -> td.Distribution:
        return models.Bernoulli().codes(self.logits.expand(*x.shape[:-3], LATENT))


def test_all_ways_estimate_the_same() -> None:
    torch.manual_seed(0)
    decoder = models.decoder(LATENT, SHAPE, models.Bernoulli())
    model = models.LatentVariableModel(models.BitsPrior(LATENT), Sure(), decoder)
    x = torch.rand(3, *SHAPE)
    results = []
    for surrogate in WAYS.values():
        model.zero_grad()
        surrogate(model, x, 2).backward()
        results.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-4, atol=1e-5)
