"""How the exercises of lab 05, the β-VAE and its measures of disentanglement, are questioned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lvmlib.exercises import exercise
from lvmlib.exercises.coded_factors import (
    TableEncoder,
    full_grid,
    mirrored_pairs,
    noisy_codes,
    pairs,
    uneven_factors,
)
from lvmlib.exercises.moved_codes import moved
from lvmlib.exercises.plain_values import blame, kind_of, number, several
from lvmlib.exercises.principal_axes import ask_components, cloud
from lvmlib.probe import Ask, Draw


@exercise("beta-vae-loss", "beta_vae_loss")
def beta_vae_loss(ask: Ask) -> None:
    draw, wrt = ask.draw, ("nll", "mean", "log_var")
    batch, latent = draw.distinct(2, 3, 5)

    def posteriors(
        batch: int, latent: int, beta: float, *, reach: float = 2, dtype: torch.dtype = torch.float32
    ) -> dict[str, Any]:
        return {
            "nll": draw.uniform(batch, low=-4, high=20, dtype=dtype),
            "mean": draw.uniform(batch, latent, low=-reach, high=reach, dtype=dtype),
            "log_var": draw.uniform(batch, latent, low=-3, high=2, dtype=dtype),
            "beta": beta,
        }

    some = draw.integer(5, 40) / 2
    ask(f"{batch} observations, {latent} latents, β = {some:g}", posteriors(batch, latent, some), wrt=wrt)
    ask(f"{latent} observations, {batch} latents, β = 0.5", posteriors(latent, batch, 0.5), wrt=wrt)
    ask("β = 0", posteriors(batch, latent, 0.0), wrt=wrt, edge=True)
    ask("β = 1", posteriors(batch, latent, 1.0), wrt=wrt, edge=True)
    ask("β = 250", posteriors(batch, latent, 250.0), wrt=wrt, edge=True)
    ask("as many observations as latents", posteriors(batch, batch, some), wrt=wrt, edge=True)
    ask("many latents", posteriors(batch, 9 + latent, some), wrt=wrt, edge=True)
    ask("means of up to ±50", posteriors(batch, latent, some, reach=50), wrt=wrt, edge=True)
    ask("one observation", posteriors(1, latent, some), wrt=wrt, edge=True)
    ask("one latent", posteriors(batch, 1, some), wrt=wrt, edge=True)
    ask("float64 inputs", posteriors(batch, latent, some, dtype=torch.float64), wrt=wrt, edge=True)
    prior = posteriors(batch, latent, some) | {name: torch.zeros(batch, latent) for name in wrt[1:]}
    ask("q equal to the prior", prior, wrt=wrt, edge=True)
    for value in (-60.0, 20.0):
        extreme = posteriors(batch, latent, some) | {"log_var": torch.full((batch, latent), value)}
        ask(f"log_var of {value:.0f}", extreme, wrt=wrt, edge=True)


def _ladder(draw: Draw, count: int) -> Tensor:
    """One number from each of `count` equal parts of [0, 1]: small ones and large ones are always among them."""
    return (torch.arange(count) + draw.uniform(count, low=0, high=1, dtype=torch.float64)) / max(count, 1)


@exercise("linear-rates", "linear_rates", praise="values right")
def linear_rates(ask: Ask) -> None:
    draw = ask.draw

    def ask_rates(
        question: str,
        above: int,
        below: int,
        latent: int,
        beta: float,
        *,
        variance: float | None = None,
        dtype: torch.dtype = torch.float32,
        atol: float | None = None,
        edge: bool = True,
    ) -> None:
        """Eigenvalues in no order: so many above the threshold, by a fifth at least, and so many below."""
        variance = draw.integer(4, 40) / 32 if variance is None else variance
        over, under = 1.2 + 20 * _ladder(draw, above) ** 2, 0.05 + 0.75 * _ladder(draw, below)
        order = torch.randperm(above + below, generator=draw.generator)
        eigenvalues = (beta * variance * torch.cat([over, under])[order]).to(dtype)
        arguments = {"eigenvalues": eigenvalues, "latent": latent, "variance": variance, "beta": beta}
        ask(question, arguments, atol=atol, edge=edge)

    few, many = sorted(draw.distinct(2, 3, 7))
    strong, weak = draw.integer(8, 16) / 4, draw.integer(4, 14) / 16
    both = few + many
    ask_rates(f"{both + 1} eigenvalues, {both} latents, β = {strong:g}", few, many + 1, both, strong, edge=False)
    ask_rates(f"{both} eigenvalues, {many - 1} latents, β = {weak:g}", many, few, many - 1, weak, edge=False)
    ask_rates("as many latents as eigenvalues", many, few, both, strong)
    ask_rates("β = 150", many, few, both, 150.0)
    ask_rates("more latents than eigenvalues", few, 2, few + 5, strong)
    ask_rates("more latents than eigenvalues, all of them active", few, 0, few + 1, weak)
    ask_rates("β = 1", few, many, few + 1, 1.0)
    ask_rates("no active unit", 0, many, few, strong)
    ask_rates("sixteen latents, all of them active", 18, 0, 16, strong)
    ask_rates("one latent", many, few, 1, strong)
    ask_rates("one eigenvalue", 1, 0, 1, weak)
    ask_rates("float64 inputs", many, few, many + 1, strong, dtype=torch.float64)
    # A small number in a denominator is no mistake.
    ask_rates("a variance of 0.0001", many, few, many + 1, strong, variance=1e-4, atol=2e-4)
    ask_rates("a variance of 5000", many, few, many + 1, weak, variance=5e3)
    twice = draw.uniform(few, low=0.5, high=9).repeat(2)
    ask(
        "every eigenvalue twice",
        {"eigenvalues": twice, "latent": 2 * few, "variance": 0.25, "beta": strong},
        edge=True,
    )
    # Here βσ² is 1.
    for question, two in (
        ("two eigenvalues near 0", [1e-9, 1e-9]),
        ("two huge eigenvalues", [4e5, 9e7]),
        ("one eigenvalue just below the threshold, one just above it", [0.98, 1.02]),
    ):
        mixed = torch.cat([torch.tensor(two), draw.uniform(few, low=6, high=9)])
        ask(question, {"eigenvalues": mixed, "latent": few + 2, "variance": 0.5, "beta": 2.0}, edge=True)


@exercise("traverse", "traverse", praise="values right")
def traverse(ask: Ask) -> None:
    draw = ask.draw
    latent, steps = draw.distinct(2, 5, 7)
    height, width = draw.distinct(2, 2, 3)
    # Neither the first nor the last dimension, nor beside one of them.
    image, some = (1, height, width), draw.integer(2, latent - 3)

    def ask_row(question: str, dim: int, latent: int, steps: int, *shape: int, edge: bool = True, **how: Any) -> None:
        ask(question, moved(ask, dim, latent, steps, shape, **how), edge=edge)

    ask_row(
        f"a linear decoder of images, dim {some} of {latent}, {steps} values", some, latent, steps, *image, edge=False
    )
    ask_row(f"a curved decoder of vectors, dim {some} of {latent}", some, latent, steps, 2, curved=True, edge=False)
    ask_row("dim 0", 0, latent, steps, *image, curved=True)
    ask_row("the last dim", latent - 1, latent, steps, *image)
    ask_row("as many values as latents", some, latent, latent, 2, curved=True)
    ask_row("one value", some, latent, 1, 2, curved=True)
    ask_row("many values", some, latent, 25, 1)
    ask_row("many latents", 9, 16, steps, 2)
    ask_row("one latent", 0, 1, steps, 3)
    ask_row("colour images", some, latent, steps, 3, 2, 4)
    ask_row("a decoder with one number for each code, shape (n,)", some, latent, steps)
    ask_row("as many values as pixels", some, latent, steps, steps, curved=True)
    ask_row("float64 inputs", some, latent, steps, 3, curved=True, dtype=torch.float64)
    even = moved(ask, some, latent, 5, (4,), curved=True) | {"values": torch.linspace(-3, 3, 5)}
    ask("even steps from −3 to 3", even, edge=True)
    zero = moved(ask, some, latent, steps, (4,), curved=True) | {"z": torch.zeros(latent)}
    ask("a base of zeros", zero, edge=True)
    same = moved(ask, some, latent, steps, (4,), curved=True)
    ask("the base's own value, twice", same | {"values": same["z"][[some, some]]}, edge=True)


@exercise("traversal-grid", "traversal_grid", praise="values right")
def traversal_grid(ask: Ask) -> None:
    draw = ask.draw
    steps, latent = sorted(draw.distinct(2, 5, 7))
    height, width = draw.distinct(2, 2, 3)

    def some(count: int) -> list[int]:
        return torch.randperm(latent, generator=draw.generator)[:count].tolist()

    def ask_grid(question: str, dims: list[int], steps: int, *shape: int, edge: bool = True, **how: Any) -> None:
        ask(question, moved(ask, dims, latent, steps, shape, **how), edge=edge)

    for dims, shape in ((some(3), (1, height, width)), (some(4), (2,))):
        kind = "linear decoder of images" if len(shape) > 1 else "curved decoder of vectors"
        ask_grid(
            f"a {kind}, dims {dims} of {latent}, {steps} values",
            dims,
            steps,
            *shape,
            curved="curved" in kind,
            edge=False,
        )
    ask_grid("all dims in order", list(range(latent)), steps, 3, curved=True)
    ask_grid("all dims, the last one first", list(reversed(range(latent))), steps, 2, curved=True)
    ask_grid("one dim", some(1), steps, 1, height, width)
    one, other = some(2)
    ask_grid("a dim that comes twice", [one, other, one], steps, 3, curved=True)
    ask_grid("as many values as dims", some(4), 4, 3, curved=True)
    ask_grid("as many dims and values as latents", some(latent), latent, 2)
    ask_grid("one value", some(3), 1, 2, curved=True)
    ask_grid("many values", some(2), 25, 1)
    ask_grid("colour images", some(2), steps, 3, 2, 4)
    ask_grid("a decoder with one number for each code, shape (n,)", some(3), steps, curved=True)
    ask_grid("float64 inputs", some(3), steps, 3, curved=True, dtype=torch.float64)


@exercise("mutual-information-gap", "mutual_information_gap", praise="values right")
def mutual_information_gap(ask: Ask) -> None:
    draw = ask.draw

    def ask_gap(question: str, codes: Tensor, factors: Tensor, *, edge: bool = True, atol: float = 5e-4) -> None:
        # A small number within a logarithm is no mistake.
        ask(question, {"codes": codes, "factors": factors}, returns=float, edge=edge, rtol=1e-4, atol=atol)

    def sizes(count: int) -> list[int]:
        return draw.distinct(count, 2, 3 + count)

    for codes, width in ((5, 3), (3, 5), (6, 2)):
        factors = uneven_factors(draw, 40 * draw.integer(3, 5), sizes(width))
        ask_gap(f"{codes} codes that know of {width} factors", noisy_codes(draw, factors, codes), factors, edge=False)
    factors = uneven_factors(draw, 90, sizes(3))
    ask_gap("as many codes as factors", noisy_codes(draw, factors, 3), factors)
    ask_gap("one factor", noisy_codes(draw, factors[:, :1], 3), factors[:, :1])
    ask_gap("two codes", noisy_codes(draw, factors, 2), factors)
    many = torch.cat([noisy_codes(draw, factors[:, :2], 10), factors[:, :2]], 1)
    ask_gap("many codes, the best of them last", many, factors[:, :2])
    dozen = full_grid([3, 2]).repeat(2, 1)
    ask_gap("a dozen observations", noisy_codes(draw, dozen, 5), dozen)
    grid = full_grid(sizes(3))
    idle = torch.full((len(grid), 2), 3)
    ask_gap("the factors themselves as codes", grid, grid)
    padded = torch.cat([idle[:, :1], grid[:, [2, 0, 1]], idle[:, 1:]], 1)
    ask_gap("the factors in another order and two constant codes", padded, grid)
    ask_gap("every factor in two codes", torch.cat([grid, grid], 1), grid)
    ask_gap("constant codes", idle, grid)
    # Squares, so that bins of equal width cannot tell small ones apart.
    cells = torch.arange(24).square()
    ask_gap(
        "one code that carries every factor", torch.stack([cells, torch.zeros_like(cells)], 1), full_grid([4, 3, 2])
    )
    turned = full_grid([4, 4, 3])
    sums = [turned[:, 0] + turned[:, 1], turned[:, 0] - turned[:, 1] + 3, turned[:, 2]]
    ask_gap("two of three factors turned by 45°", torch.stack(sums, 1), turned)
    ask_gap("labels with gaps", 3 * noisy_codes(draw, factors, 4) + 4, factors.square() + 2)
    # Pairs must not share a number, however they are numbered: a code times 10, 20 or 100, or times a count of values.
    count = 160
    fine, coarse, bins = (torch.randint(size, (count,), generator=draw.generator) for size in (40, 5, 20))
    ask_gap("twenty bins and a factor of forty values", torch.stack([bins, fine // 2], 1), fine[:, None], atol=1e-3)
    falling = 19 - 4 * coarse - torch.randint(4, (count,), generator=draw.generator)
    ask_gap(
        "labels in the hundreds",
        torch.stack([bins, falling], 1),
        torch.stack([100 * coarse, coarse.square()], 1),
        atol=1e-3,
    )


@exercise("beta-vae-metric", "metric_feature", praise="values right")
def beta_vae_metric(ask: Ask) -> None:
    draw = ask.draw
    count, latent, width = draw.distinct(3, 3, 6)

    def ask_feature(
        question: str,
        factor: int,
        encoder: TableEncoder,
        halves: dict[str, Tensor],
        *,
        edge: bool = True,
    ) -> None:
        ask(question, {"encode": encoder, "factor": factor, **halves}, edge=edge)

    def sizes(width: int) -> list[int]:
        return [draw.integer(3, 5) for _ in range(width)]

    # Which half lends its value to the other is a matter of taste: pairs come in both orders, or codes are additive.
    for factor in (draw.integer(0, width - 2), width - 1):
        lattice = sizes(width)
        ask_feature(
            f"{2 * count} pairs, factor {factor} of {width}, {latent} latents",
            factor,
            TableEncoder(draw, lattice, latent),
            mirrored_pairs(draw, count, lattice),
            edge=False,
        )
    lattice, factor = sizes(width), draw.integer(0, width - 1)
    additive = TableEncoder(draw, lattice, latent, additive=True)
    ask_feature(f"{count} pairs under an additive encoder", factor, additive, pairs(draw, count, lattice), edge=False)
    ask_feature("factor 0", 0, additive, pairs(draw, count, lattice))
    ask_feature("one pair", factor, additive, pairs(draw, 1, lattice))
    ask_feature("as many pairs as factors", factor, additive, pairs(draw, width, lattice))
    ask_feature("as many pairs as latents", factor, additive, pairs(draw, latent, lattice))
    ask_feature("many pairs", factor, TableEncoder(draw, lattice, latent), mirrored_pairs(draw, 60, lattice))
    ask_feature("one latent", factor, TableEncoder(draw, lattice, 1), mirrored_pairs(draw, count, lattice))
    square = TableEncoder(draw, lattice, width)
    ask_feature("as many latents as factors", factor, square, mirrored_pairs(draw, count, lattice))
    even = mirrored_pairs(draw, 2, lattice)
    ask_feature("four pairs, four latents", factor, TableEncoder(draw, lattice, 4), even)
    blind = TableEncoder(draw, lattice, latent, additive=True, ignored=[f for f in range(width) if f != factor])
    ask_feature("codes that know nothing but the factor", factor, blind, pairs(draw, count, lattice))
    once = pairs(draw, count, lattice)
    agreed = once["v2"].clone()
    agreed[:, factor] = once["v1"][:, factor]
    ask_feature("halves that agree already", factor, TableEncoder(draw, lattice, latent), once | {"v2": agreed})
    agreed[::2] = once["v1"][::2]
    ask_feature("every second pair twice the same", factor, TableEncoder(draw, lattice, latent), once | {"v2": agreed})


@exercise("pca", "pca", praise="scores, directions and variances right")
def pca(ask: Ask) -> None:
    draw = ask.draw
    small, large = sorted(draw.distinct(2, 4, 6))
    count, more = 2 * small + draw.integer(0, 3), large + draw.integer(3, 5)

    ask_components(ask, f"{count} points, {small} dimensions, k = 2", cloud(draw, count, small), 2)
    ask_components(ask, f"{more} points, {large} dimensions, k = 3", cloud(draw, more, large), 3)
    ask_components(ask, "fewer points than dimensions", cloud(draw, small + 1, 3 * small), 2, edge=True)
    ask_components(ask, "as many points as dimensions", cloud(draw, large, large), 3, edge=True)
    ask_components(ask, "k = 1", cloud(draw, count, small), 1, edge=True)
    ask_components(ask, "as many directions as dimensions", cloud(draw, count, small), small, edge=True)
    ask_components(ask, "one direction less than points", cloud(draw, 4, small + 5), 3, edge=True)
    ask_components(ask, "two points", cloud(draw, 2, small), 1, edge=True)
    ask_components(ask, "mean 0", cloud(draw, count, small, centre=0), 2, edge=True)
    far = cloud(draw, count, small, centre=1000)
    # In float32 a mean of numbers near 1000 is off by a ten-thousandth, and so is every score.
    ask_components(ask, "means of 1000 and more", far, 2, edge=True, rtol=2e-3, atol=2e-3)
    ask_components(ask, "a coordinate that never changes", cloud(draw, more, large, idle=1), 3, edge=True)
    ask_components(ask, "points in the thousands", cloud(draw, count, small, size=1e3), 2, size=1e3, edge=True)
    ask_components(
        ask,
        "points that differ by thousandths",
        cloud(draw, count, small, centre=0, size=1e-3),
        2,
        size=1e-3,
        edge=True,
    )
    double = cloud(draw, count, small, centre=1000, dtype=torch.float64)
    ask_components(ask, "float64 inputs", double, 2, edge=True)


@exercise("dci", "dci", praise="values right")
def dci(ask: Ask) -> None:
    draw = ask.draw

    def importance(codes: int, factors: int, *, sharp: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
        """Columns of one sum, under which both published weights of completeness agree."""
        shares = draw.uniform(codes, factors, low=0.1, high=1, dtype=torch.float64) ** sharp
        return _of_one_sum(draw, shares).to(dtype)

    def ask_scores(question: str, importance: Tensor, *, edge: bool = True) -> None:
        if edge:
            ask.answers.edges.append(question)
        names = ("disentanglement", "completeness")
        parts = several(ask, question, ask.call(question, {"importance": importance}, returns=None), names)
        for name, part in zip(names, parts or (), strict=False):
            value = number(part)
            if value is None:
                blame(ask, question, f"returned {kind_of(part)} as {name}; one number is wanted")
                return
            # A small number within a logarithm is no mistake.
            ask.record(question, name, torch.tensor(value, dtype=torch.float64), 1e-4, 1e-4)

    few, some, many = sorted(draw.distinct(3, 2, 8))
    ask_scores(f"{many} codes, {few} factors", importance(many, few), edge=False)
    ask_scores(f"{few} codes, {many} factors", importance(few, many), edge=False)
    ask_scores(f"{many} codes, {some} factors, most importances small", importance(many, some, sharp=8), edge=False)
    ask_scores("as many codes as factors", importance(some, some))
    ask_scores("float64 inputs", importance(many, some, dtype=torch.float64))
    sparse = importance(many, some) * draw.bits(many, some)
    sparse[:some] += torch.eye(some)
    ask_scores("many importances of 0", _of_one_sum(draw, sparse.double()).float())
    idle = importance(many, few)
    idle[draw.integer(0, many - 1)] = 0
    ask_scores("a code that matters to no factor", _of_one_sum(draw, idle.double()).float())
    ask_scores("one factor for each code", torch.eye(some))
    ask_scores("every factor in two codes", torch.eye(few + 2).repeat(2, 1))
    ask_scores("the same importance everywhere", torch.full((many, few), 0.25))
    alone = torch.zeros(some, few)
    alone[draw.integer(0, some - 1)] = 2.0
    ask_scores("one code that carries every factor", alone)
    ask_scores("importances in the thousands", 5000 * importance(many, some))


def _of_one_sum(draw: Draw, columns: Tensor) -> Tensor:
    return draw.integer(3, 30) / 8 * columns / columns.sum(0)


@exercise("capacity-loss", "capacity_loss")
def capacity_loss(ask: Ask) -> None:
    draw, wrt = ask.draw, ("nll", "kl")

    def losses(
        batch: int, gamma: float, place: float, *, scale: float = 1.0, dtype: torch.dtype = torch.float32
    ) -> dict[str, Any]:
        """KLs well apart, and a capacity on the way from their mean to the largest (place > 0) or to the least one."""
        steps = 1 + 2 * torch.randperm(batch, generator=draw.generator) + draw.uniform(batch, low=0, high=1).double()
        kl = (scale * steps).to(dtype)
        mean = float(kl.double().mean())
        end = float(kl.max() if place > 0 else kl.min())
        return {
            "nll": draw.uniform(batch, low=-4, high=20, dtype=dtype),
            "kl": kl,
            "capacity": round(mean + abs(place) * (end - mean), 2),
            "gamma": gamma,
        }

    few, many = sorted(draw.distinct(2, 3, 8))
    gamma = draw.integer(5, 40) / 2
    ask(f"a capacity below the mean KL of {many} observations", losses(many, gamma, -0.5), wrt=wrt)
    ask(f"a capacity above the mean KL of {few} observations", losses(few, gamma / 64, 0.5), wrt=wrt)
    for batch, capacity in ((1, 0.25), (1, 7.5), (many, 0.0), (many, 25.0)):
        arguments = losses(batch, gamma, 1) | {"capacity": capacity}
        ask(f"a capacity of {capacity:g}, batch of {batch}", arguments, wrt=wrt, edge=True)
    ask("γ = 1000", losses(few, 1000.0, -0.3), wrt=wrt, edge=True)
    ask("γ = 1", losses(few, 1.0, 0.6), wrt=wrt, edge=True)
    ask("γ = 0", losses(few, 0.0, 0.6), wrt=wrt, edge=True)
    ask("float64 inputs", losses(many, gamma, 0.4, dtype=torch.float64), wrt=wrt, edge=True)
    ask("KLs in the hundreds", losses(many, gamma, -0.4, scale=60), wrt=wrt, edge=True, atol=1e-2)
