from __future__ import annotations

import pytest
import torch
from particle_step import LATENT, PART, WAYS, Training, arithmetic, main

from lvmlib.residual import ResidualGenerator


def test_the_benchmark_runs_on_what_is_embedded(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    sizes = ["--images", "8", "--particles", "2", "--batch", "4", "--width", "8", "--clouds", "40", "50"]
    main([*sizes, "--sizes", "2x1", "3x2", "--repeats", "1", "--threads", "1"])
    title, *rows = capsys.readouterr().out.splitlines()
    assert title == "1 thread, 1 repeats, medians (least–most)"
    tables = [row.split(":")[0] for row in rows if not row.startswith(" ")]
    assert tables == ["images", "batch × particles", "passes", "epoch", "epoch"]
    assert [row.split()[0] for row in rows[2:4]] == ["40", "50"]
    assert [row.split()[:2] for row in rows[6:8]] == [["2", "1"], ["3", "2"]]
    assert [row[2:22].rstrip() for row in rows[10:13]] == list(WAYS)
    assert torch.get_num_threads() == threads


def test_all_ways_give_the_same_gradients() -> None:
    torch.manual_seed(0)
    network = ResidualGenerator(LATENT, width=8).double()
    x, z = torch.rand(PART + 2, 1, 32, 32).double(), torch.randn(PART + 2, 2, LATENT).double()
    results = []
    for gradients in WAYS.values():
        network.zero_grad()
        by_codes = gradients(network, x, z)
        results.append([by_codes, *(parameter.grad.clone() for parameter in network.parameters())])
        assert all(parameter.requires_grad for parameter in network.parameters())
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])


def test_arithmetic_is_that_of_the_convolutions_and_the_linear_layer() -> None:
    """Three products of each weight with each place it is used at, for the image, its code and the weight; two flops a
    product."""
    network = ResidualGenerator(LATENT, width=16)
    uses = {2: 1, 4: 16 * 16}
    products = sum(weight.numel() * uses[weight.ndim] for weight in network.parameters() if weight.ndim in uses)
    assert arithmetic(16, 3) == 3 * 2 * 3 * products


def test_a_step_moves_the_particles_of_its_rows_and_the_weights() -> None:
    training = Training(torch.rand(6, 1, 32, 32), 10, 2, 8)
    weights = [weight.clone() for weight in training.network.parameters()]
    before = training.cloud.pooled().reshape(10, -1)
    assert training.step(torch.tensor([1, 8])) > 0
    moved = (training.cloud.pooled().reshape(10, -1) != before).any(1)
    assert moved.nonzero().flatten().tolist() == [1, 8]
    assert all((old != new).any() for old, new in zip(weights, training.network.parameters(), strict=True))
