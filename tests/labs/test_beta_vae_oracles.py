"""The oracles of lab 05 against identities that they do not use themselves, and what its questions rely on."""

from __future__ import annotations

import math

import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from lvmlib.exercises.coded_factors import TableEncoder, full_grid, mirrored_pairs
from lvmlib.exercises.moved_codes import KnownDecoder
from lvmlib.exercises.principal_axes import SPREAD, cloud
from lvmlib.grading.judges import find
from lvmlib.probe import Draw


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_the_kl_in_the_loss_is_an_integral_of_log_q_over_p() -> None:
    """Both are quadratic in z, so a quadrature of three points is exact."""
    nll, (mean, log_var) = torch.randn(4).double(), torch.randn(2, 4, 3).double()
    nodes, weights = map(torch.from_numpy, hermegauss(3))
    z = mean + (log_var / 2).exp() * nodes[:, None, None]
    log_ratio = z**2 / 2 - nodes[:, None, None] ** 2 / 2 - log_var / 2
    rate = torch.einsum("n,nbk->b", weights / weights.sum(), log_ratio)
    loss = find("beta-vae-loss").reference
    for beta in (0.0, 0.5, 4.0):
        wanted = (nll + beta * rate).mean().item()
        assert loss(nll, mean, log_var, beta).item() == pytest.approx(wanted, abs=1e-12)


def trained_rates(covariance: Tensor, latent: int, variance: float, beta: float) -> Tensor:
    """Rates, largest first, of a linear β-VAE trained on its expected loss: encoder V x ± s, decoder W z, noise σ²."""
    dimensions = len(covariance)
    encoder = (0.3 * torch.randn(latent, dimensions)).double().requires_grad_()
    decoder = (0.3 * torch.randn(dimensions, latent)).double().requires_grad_()
    log_var = torch.zeros(latent).double().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [encoder, decoder, log_var],
        max_iter=400,
        history_size=50,
        tolerance_grad=1e-9,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def rates() -> Tensor:
        second_moment = torch.einsum("kd,de,ke->k", encoder, covariance, encoder)
        return 0.5 * (second_moment + log_var.exp() - 1 - log_var)

    def loss() -> Tensor:
        optimizer.zero_grad()
        missed = torch.eye(dimensions).double() - decoder @ encoder
        error = (missed @ covariance @ missed.T).trace() + (decoder**2 * log_var.exp()).sum()
        value = error / (2 * variance) + beta * rates().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return rates().detach().sort(descending=True).values


@pytest.mark.parametrize(("latent", "beta"), [(2, 1.0), (3, 4.0), (4, 0.5), (6, 1.0)])
def test_a_trained_linear_model_has_the_rates_that_were_predicted(latent: int, beta: float) -> None:
    eigenvalues = torch.tensor([0.9, 7.0, 0.2, 2.6], dtype=torch.float64)
    axes = torch.linalg.qr(torch.randn(4, 4).double()).Q
    trained = trained_rates(axes * eigenvalues @ axes.T, latent, 0.3, beta)
    predicted = find("linear-rates").reference(eigenvalues, latent, 0.3, beta)
    assert predicted.shape == (latent,)
    assert trained.tolist() == pytest.approx(predicted.tolist(), abs=1e-6)


def test_beta_switches_units_off_one_by_one() -> None:
    eigenvalues = torch.tensor([1.0, 8.0, 3.0])
    rates = find("linear-rates").reference
    active = [int((rates(eigenvalues, 3, 0.5, beta) > 0).sum()) for beta in (1.0, 2.0, 5.9, 6.1, 15.9, 16.0)]
    assert active == [3, 2, 2, 1, 1, 0]


@pytest.mark.parametrize("dim", [0, 2, 3])
def test_a_linear_decoder_moves_along_one_of_its_columns(dim: int) -> None:
    decoder = KnownDecoder(Draw(1), 4, (1, 2, 3))
    z, values = torch.randn(4).double(), torch.tensor([2.0, -1.0, 0.5]).double()
    column = decoder.weight[dim].reshape(1, 2, 3)
    wanted = decoder(z[None]) + (values - z[dim])[:, None, None, None] * column
    assert torch.allclose(find("traverse").reference(decoder, z, dim, values), wanted, rtol=0, atol=1e-12)
    grid = find("traversal-grid").reference(decoder, z, [1, dim, 1], values)
    assert grid.shape == (3, 3, 1, 2, 3)
    assert torch.allclose(grid[1], wanted, rtol=0, atol=1e-12)


def test_a_decoder_takes_batches_of_codes_alone() -> None:
    decoder = KnownDecoder(Draw(1), 4, (2,))
    for codes in (torch.zeros(4), torch.zeros(2, 3, 4), torch.zeros(4, 3)):
        with pytest.raises(ValueError, match=r"takes codes of shape \(n, 4\)"):
            decoder(codes)
    with pytest.raises(TypeError, match="codes of floats"):
        decoder(torch.zeros(2, 4, dtype=torch.long))


GRID = full_grid([3, 4, 2])
IDLE = torch.full_like(GRID[:, :1], 7)
CELL = torch.arange(len(GRID))[:, None]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        pytest.param(GRID, 1, id="identity"),
        pytest.param(GRID[:, [2, 0, 1]], 1, id="permuted"),
        pytest.param(5 - 2 * GRID, 1, id="renumbered"),
        pytest.param(torch.cat([IDLE, GRID, IDLE], 1), 1, id="padded"),
        pytest.param(torch.cat([CELL, IDLE], 1), 1, id="one code for everything"),
        pytest.param(GRID.repeat(1, 2), 0, id="duplicated"),
        pytest.param(IDLE.repeat(1, 3), 0, id="constant"),
        pytest.param(torch.cat([GRID, CELL], 1), 0, id="everything once more"),
        pytest.param(torch.cat([GRID[:, :2], IDLE], 1), 2 / 3, id="one factor unknown"),
        pytest.param(torch.cat([GRID[:, :1], GRID[:, 1:2] // 2, GRID[:, 2:]], 1), 2.5 / 3, id="half of a factor"),
        pytest.param(torch.cat([GRID, GRID[:, 1:2] // 2], 1), 2.5 / 3, id="half of a factor twice"),
    ],
)
def test_mig_on_a_full_grid(codes: Tensor, expected: float) -> None:
    assert find("mutual-information-gap").reference(codes, GRID) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_mig_of_two_factors_turned_by_45_degrees_is_a_third(size: int) -> None:
    factors = full_grid([size, size, 3])
    a, b, c = factors.T
    turned = torch.stack([a + b, a - b, c], 1)
    assert find("mutual-information-gap").reference(turned, factors) == pytest.approx(1 / 3, abs=1e-12)


def test_mig_of_a_noisy_copy_is_the_capacity_of_a_symmetric_channel() -> None:
    factor = torch.tensor([0, 1]).repeat_interleave(8)[:, None]
    flipped = (torch.arange(16) % 8 < 1).long()[:, None] ^ factor
    half = math.log(2) + (math.log(1 / 8) + 7 * math.log(7 / 8)) / 8
    codes = torch.cat([flipped, torch.zeros_like(factor)], 1)
    assert find("mutual-information-gap").reference(codes, factor) == pytest.approx(half / math.log(2), abs=1e-12)


def all_pairs(sizes: list[int]) -> tuple[Tensor, Tensor]:
    cells = full_grid(sizes)
    return cells.repeat_interleave(len(cells), 0), cells.repeat(len(cells), 1)


@pytest.mark.parametrize("factor", [0, 1, 2])
def test_the_feature_of_an_identity_is_0_for_the_factor_and_the_mean_distance_for_the_others(factor: int) -> None:
    """Two independent values of 0 … n − 1 are (n² − 1) / 3n apart on average."""
    sizes = [3, 5, 2]
    feature = find("beta-vae-metric").reference(lambda v: v.double(), factor, *all_pairs(sizes))
    wanted = [0 if f == factor else (n**2 - 1) / (3 * n) for f, n in enumerate(sizes)]
    assert feature.tolist() == pytest.approx(wanted, abs=1e-12)


def test_the_feature_of_a_turned_code_is_shared_by_both_units() -> None:
    turn = torch.tensor([[1, 1], [1, -1]]).double() / math.sqrt(2)
    feature = find("beta-vae-metric").reference(lambda v: v.double() @ turn, 0, *all_pairs([4, 4]))
    assert feature.tolist() == pytest.approx([15 / 12 / math.sqrt(2)] * 2, abs=1e-12)


def test_mirrored_pairs_do_not_tell_which_half_lends_its_value() -> None:
    draw, sizes = Draw(2), [3, 4, 5]
    encode, halves = TableEncoder(draw, sizes, 4), mirrored_pairs(draw, 6, sizes)
    feature = find("beta-vae-metric").reference
    one_way = feature(encode, 1, halves["v1"], halves["v2"])
    assert torch.allclose(one_way, feature(encode, 1, halves["v2"], halves["v1"]))


def test_an_encoder_takes_batches_of_integers_within_its_lattice() -> None:
    encode = TableEncoder(Draw(2), [3, 4], 2)
    assert encode(full_grid([3, 4])).unique(dim=0).shape == (12, 2)
    with pytest.raises(TypeError, match="factors that are integers"):
        encode(torch.zeros(5, 2))
    for factors in (torch.zeros(2).long(), torch.zeros(5, 3).long()):
        with pytest.raises(ValueError, match=r"factors of shape \(L, 2\)"):
            encode(factors)
    with pytest.raises(ValueError, match="does not have"):
        encode(torch.tensor([[0, 4]]))


def test_pca_finds_the_spikes_of_a_covariance() -> None:
    """Points whose sample covariance is 0.5 I + 9 u uᵀ + 4 w wᵀ, exactly, around a mean far from 0."""
    count, dimensions = 40, 6
    u, w = torch.linalg.qr(torch.randn(dimensions, 2).double()).Q.T
    root = math.sqrt(0.5) * torch.eye(dimensions).double()
    root += (math.sqrt(9.5) - math.sqrt(0.5)) * torch.outer(u, u) + (math.sqrt(4.5) - math.sqrt(0.5)) * torch.outer(
        w, w
    )
    white = torch.linalg.qr(torch.cat([torch.ones(count, 1), torch.randn(count, dimensions)], 1).double()).Q[:, 1:]
    x = 100 + math.sqrt(count - 1) * white @ root
    scores, directions, variances = find("pca").reference(x, 2)
    assert variances.tolist() == pytest.approx([9.5, 4.5], abs=1e-9)
    assert (directions @ torch.stack([u, w]).T).abs().flatten().tolist() == pytest.approx([1, 0, 0, 1], abs=1e-7)
    assert torch.allclose(torch.cov(scores.T), variances.diag(), atol=1e-9)
    assert scores.mean(0).tolist() == pytest.approx([0, 0], abs=1e-9)


def test_all_components_give_the_points_back() -> None:
    x = 3 + torch.randn(9, 4).double()
    scores, directions, variances = find("pca").reference(x, 4)
    assert torch.allclose(scores @ directions + x.mean(0), x)
    assert variances.sum().item() == pytest.approx(x.var(0).sum().item())


@pytest.mark.parametrize(("count", "dimensions"), [(20, 5), (5, 12), (6, 6), (2, 4)])
def test_components_that_are_asked_for_are_well_apart(count: int, dimensions: int) -> None:
    for seed in range(20):
        found = cloud(Draw(seed), count, dimensions, dtype=torch.float64)
        x, rank = found.points, min(count - 1, dimensions)
        _, directions, variances = find("pca").reference(x, rank)
        assert (variances[:-1] / variances[1:] >= SPREAD - 1e-9).all()
        assert (x.mean(0).abs() >= 1 - 1e-9).all()
        assert torch.allclose((directions @ found.lookout).abs(), torch.ones(rank).double())


def test_dci_of_tables_with_known_scores() -> None:
    dci = find("dci").reference
    eye, none = torch.eye(5), torch.zeros(2, 5)
    assert dci(eye) == pytest.approx((1, 1))
    assert dci(4 * eye[[3, 1, 0, 4, 2]]) == pytest.approx((1, 1))
    assert dci(eye.repeat(2, 1)) == pytest.approx((1, 1 - math.log(2) / math.log(10)))
    assert dci(eye.repeat(2, 1))[1] == pytest.approx(0.699, abs=1e-4)
    assert dci(torch.full((6, 3), 0.2)) == pytest.approx((0, 0))
    assert dci(torch.cat([torch.full((1, 5), 0.3), none])) == pytest.approx((0, 1))
    assert dci(torch.cat([eye, none])) == pytest.approx((1, 1))
    # One code for the first two factors, one for the third: the first has two thirds of all importance.
    shared = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert dci(shared) == pytest.approx((2 / 3 * (1 - math.log(2) / math.log(3)) + 1 / 3, 1))


def test_the_capacity_loss_is_least_where_the_mean_kl_is_the_capacity() -> None:
    loss, nll = find("capacity-loss").reference, torch.tensor([80.0, 100.0])
    values = [loss(nll, torch.tensor([kl - 1, kl + 1]), 5.0, 10.0).item() for kl in (2.0, 4.0, 5.0, 6.0, 8.0)]
    assert values == pytest.approx([120, 100, 90, 100, 120])
