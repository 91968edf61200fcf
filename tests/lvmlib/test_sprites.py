from __future__ import annotations

import colorsys
import math
from itertools import permutations

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from lvmlib import sprites
from lvmlib.data import load
from lvmlib.sprites import Lattice

NAMES = list(sprites.FACTORS)


def row(**factors: int) -> list[int]:
    return [{"scale": 3, "orientation": 5, "x": 12, "y": 20, "shape": 0, **factors}[name] for name in NAMES]


def centres(images: Tensor) -> Tensor:
    """Centre of mass (x, y) in pixels from the upper left corner, shape (N, 2)."""
    mass = images[:, 0].double()
    total = mass.sum((1, 2))
    rows, columns = (torch.arange(extent) + 0.5 for extent in mass.shape[1:])
    return torch.stack([(mass.sum(1) @ columns.double()) / total, (mass.sum(2) @ rows.double()) / total], 1)


@pytest.mark.parametrize("shape", range(3))
@pytest.mark.parametrize(("name", "axis"), [("x", 0), ("y", 1)])
def test_sprite_moves_along_its_own_axis_by_equal_steps(shape: int, name: str, axis: int) -> None:
    images = sprites.render(torch.tensor([row(shape=shape, **{name: value}) for value in range(32)]))
    moved = centres(images).diff(dim=0)
    step = 64 * (1 - 2 * sprites.RADIUS) / 31
    torch.testing.assert_close(moved[:, axis], torch.full((31,), step).double(), atol=0.05, rtol=0)
    assert moved[:, 1 - axis].abs().max() < 0.03


@pytest.mark.parametrize("name", ["shape", "scale", "orientation"])
def test_sprite_stays_where_it_is_when_another_factor_changes(name: str) -> None:
    for shape in range(3):
        rows = [row(**{"shape": shape, name: value}) for value in range(sprites.FACTORS[name])]
        images = sprites.render(torch.tensor(rows))
        still = centres(images)
        assert (still - still[0]).abs().max() < 0.2  # of a pixel; a step is 1.2
        assert (images.diff(dim=0).abs().amax((1, 2, 3)) > 0.05).all()


def test_scale_sets_the_area() -> None:
    for shape in range(3):
        images = sprites.render(torch.tensor([row(shape=shape, scale=value) for value in range(6)]))
        areas = images.sum((1, 2, 3))
        torch.testing.assert_close(areas / areas[-1], torch.linspace(0.5, 1, 6) ** 2, atol=0.01, rtol=0)


def test_areas_are_those_of_the_shapes() -> None:
    images = sprites.render(torch.tensor([row(shape=shape, scale=5) for shape in range(3)]), size=128)
    radius = 128 * sprites.RADIUS
    tip = 0.6566494  # from a unit-square heart's tip to its centre of mass
    exact = torch.tensor([2, math.pi / 2, (0.5 + math.pi / 8) / tip**2]) * radius**2
    torch.testing.assert_close(images.sum((1, 2, 3)), exact, atol=0, rtol=0.005)


@pytest.mark.parametrize(("shape", "period"), [(0, 10), (1, 20), (2, 40)])
def test_orientation_repeats_only_with_the_symmetry_of_the_shape(shape: int, period: int) -> None:
    images = sprites.render(torch.tensor([row(shape=shape, orientation=value) for value in range(40)]))
    difference = (images - images[0]).abs().amax((1, 2, 3))
    assert [i for i in range(40) if difference[i] < 1e-3] == list(range(0, 40, period))


def test_orientation_turns_anticlockwise() -> None:
    flat, tilted = sprites.render(torch.tensor([row(shape=1, orientation=0), row(shape=1, orientation=5)]))[:, 0]
    x, y = centres(tilted[None, None])[0]
    right, below = torch.arange(64) + 0.5 - x, torch.arange(64)[:, None] + 0.5 - y
    assert (tilted * right * below).sum() < -100  # its right end is up
    assert abs((flat * right * below).sum()) < 10


@pytest.mark.parametrize("size", [16, (20, 48), (33, 31)])
def test_whole_sprite_is_inside_at_every_corner(size: int | tuple[int, int]) -> None:
    corners = [(0, 0), (31, 0), (0, 31), (31, 31)]
    rows = [
        row(shape=s, scale=5, orientation=o, x=x, y=y) for s in range(3) for o in range(0, 40, 3) for x, y in corners
    ]
    images = sprites.render(torch.tensor(rows), size)
    assert images.shape == (len(rows), 1, *((size, size) if isinstance(size, int) else size))
    in_the_middle = sprites.render(torch.tensor([[s, 5, o, 15, 15] for s, _, o, _, _ in rows]), size)
    torch.testing.assert_close(images.sum((1, 2, 3)), in_the_middle.sum((1, 2, 3)), atol=0, rtol=0.04)


def test_without_antialias_pixels_are_black_or_white() -> None:
    factors = torch.tensor([row(shape=shape) for shape in range(3)])
    smooth, sharp = sprites.render(factors), sprites.render(factors, antialias=False)
    assert set(sharp.unique().tolist()) == {0.0, 1.0}
    assert smooth.unique().numel() > 10
    assert ((smooth - sharp).abs() <= 0.5).all()


def test_rendering_does_not_depend_on_the_batch() -> None:
    factors = sprites.factors_of(torch.arange(0, sprites.TOTAL, 1009))
    together = sprites.render(factors, 16)
    torch.testing.assert_close(together, torch.cat([sprites.render(row[None], 16) for row in factors]))
    assert sprites.render(factors[:0], 16).shape == (0, 1, 16, 16)


def test_numbered_combinations_cover_every_factor_once() -> None:
    factors = sprites.factors_of(torch.arange(sprites.TOTAL))
    for column, count in zip(factors.T, sprites.FACTORS.values(), strict=True):
        assert (column.bincount() == sprites.TOTAL // count).all()
    assert factors[1].tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (torch.zeros(2, 4, dtype=torch.long), r"shape \(N, 5\): shape, scale, .*; these are int64 of shape \(2, 4\)"),
        (torch.zeros(2, 5), "these are float32"),
        (torch.tensor([row(scale=6)]), "scale runs from 0 to 5"),
        (torch.tensor([row(x=-1)]), "x runs from 0 to 31; these go from -1"),
    ],
)
def test_wrong_factors_are_named(factors: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sprites.render(factors)


def test_load_gives_the_factors_of_each_image() -> None:
    train, test = load("sprites", size=24, count=300, test_count=50)
    assert train.factor_names == ("shape", "scale", "orientation", "x", "y")
    assert train.factors is not None and test.factors is not None
    torch.testing.assert_close(train.images, sprites.render(train.factors, 24))
    assert torch.equal(train.labels, train.factors[:, 0])
    assert train.classes == ("square", "ellipse", "heart")
    assert not {tuple(f) for f in train.factors.tolist()} & {tuple(f) for f in test.factors.tolist()}
    assert torch.equal(load("sprites", size=24, count=100)[0].images, train.images[:100])


def test_loaded_sprites_take_channels_and_threshold() -> None:
    coloured, _ = load("sprites", size=(16, 20), count=8, test_count=1, channels=3, binarised=True)
    assert coloured.images.shape == (8, 3, 16, 20)
    assert set(coloured.images.unique().tolist()) == {0.0, 1.0}


SMALL = Lattice(scale=3, orientation=8, x=4, y=4, colour=2)
SYMMETRY = torch.tensor([4, 2, 1])  # a square looks the same after a quarter turn, an ellipse after half a turn
TIP = 0.6566494  # from a unit-square heart's tip to its centre of mass
AREAS = torch.tensor([2, math.pi / 2, (0.5 + math.pi / 8) / TIP**2])  # of the three shapes at radius 1


def column(lattice: Lattice, name: str) -> Tensor:
    return lattice.factors[:, lattice.factor_names.index(name)]


def seen(factors: Tensor, orientations: int) -> Tensor:
    """The factors with orientations that a shape's symmetry makes equal counted as one."""
    seen = factors.clone()
    seen[:, 2] %= orientations // SYMMETRY[factors[:, 0]]
    return seen


def test_two_sprites_differ_when_and_only_when_a_factor_does() -> None:
    factors = SMALL.factors
    images = SMALL.render(factors, 24).flatten(1)
    distance = torch.cdist(images, images)
    cells = SMALL.cells_of(seen(factors, 8))
    same = cells[:, None] == cells
    assert distance[same].max() < 0.02 and distance[~same].min() > 0.5
    assert len(factors) == 2304 and same.sum() > 2 * len(factors)


@pytest.mark.parametrize("name", NAMES)
def test_neighbours_among_all_combinations_differ_unless_a_symmetry_makes_them_equal(name: str) -> None:
    index = NAMES.index(name)
    here = Lattice().sample(300, torch.Generator().manual_seed(0))
    there = here.clone()
    there[:, index] = (here[:, index] + 1) % sprites.FACTORS[name]
    difference = (sprites.render(here, 32) - sprites.render(there, 32)).abs().amax((1, 2, 3))
    assert difference.min() > 0.05
    period = 40 // SYMMETRY[here[:, 0]]
    turned = here.clone()
    turned[:, 2] = (here[:, 2] + period) % 40
    torch.testing.assert_close(sprites.render(here, 32), sprites.render(turned, 32), atol=1e-4, rtol=0)


def moments(lattice: Lattice, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Area, centre of mass x and y, and tilt of the main axis in radians of every sprite, shape (len(lattice),)."""
    images = lattice.render(lattice.factors, size)
    area, (x, y) = images.double().sum((1, 2, 3)), centres(images).T
    right = torch.arange(size) + 0.5 - x[:, None]
    up = y[:, None] - (torch.arange(size) + 0.5)
    spread_x, spread_y = (images[:, 0].sum(1) * right**2).sum(1), (images[:, 0].sum(2) * up**2).sum(1)
    tilt = torch.atan2(2 * torch.einsum("nhw,nw,nh->n", images[:, 0].double(), right, up), spread_x - spread_y) / 2
    return area, x, y, tilt


def test_each_factor_moves_what_it_should_and_nothing_else() -> None:
    size, lattice = 32, Lattice(scale=3, orientation=8, x=4, y=4)
    area, x, y, tilt = moments(lattice, size)
    shape, scale, orientation, right, down = lattice.factors.T
    radius = size * sprites.RADIUS
    for place, value in ((x, right), (y, down)):
        assert (place - (radius + (size - 2 * radius) * value / 3)).abs().max() < 0.1  # of a pixel; a step is 6
    expected = AREAS[shape] * (radius * (0.5 + scale / 4)) ** 2
    assert (area / expected - 1).abs().max() < 0.05  # a step of scale changes it by more than half
    ellipse = shape == 1
    turned = (tilt - orientation * 2 * math.pi / 8)[ellipse].remainder(math.pi)
    assert torch.minimum(turned, math.pi - turned).max() < 0.01


def test_colour_changes_only_the_hue() -> None:
    lattice = Lattice(scale=2, orientation=5, x=3, y=3, colour=7)
    images = lattice.render(lattice.factors, 24)
    white = Lattice(scale=2, orientation=5, x=3, y=3)
    covered = white.render(lattice.factors[:, :-1], 24)
    assert images.shape == (len(lattice), 3, 24, 24)
    torch.testing.assert_close(images.amax(1, keepdim=True), covered, atol=1e-6, rtol=0)
    rgb = images.amax((2, 3)) / covered.amax((2, 3))
    torch.testing.assert_close(images, covered * rgb[:, :, None, None], atol=1e-6, rtol=0)
    hues, saturations, values = torch.tensor([colorsys.rgb_to_hsv(*colour) for colour in rgb.tolist()]).T
    torch.testing.assert_close(hues, column(lattice, "colour") / 7, atol=1e-5, rtol=0)
    assert saturations.min() > 0.5 and saturations.max() - saturations.min() < 1e-5
    torch.testing.assert_close(values, torch.ones(len(lattice)), atol=1e-5, rtol=0)


def test_binary_sprites_are_of_one_colour() -> None:
    images = SMALL.render(SMALL.factors, 16, antialias=False)
    colours = SMALL.render(SMALL.factors, 16).amax((2, 3))
    inside = (images > 0).any(1, keepdim=True)
    assert torch.equal(images, inside * images.amax((2, 3), keepdim=True))
    torch.testing.assert_close(images.amax((2, 3)), colours, atol=1e-6, rtol=0)


def test_a_lattice_spreads_its_values_over_the_whole_range() -> None:
    coarse = Lattice(scale=2, orientation=4, x=2, y=2)
    corners = torch.tensor([0, 31])
    _, scale, orientation, x, y = coarse.factors.T
    same = torch.stack([coarse.factors[:, 0], 5 * scale, 10 * orientation, corners[x], corners[y]], 1)
    torch.testing.assert_close(coarse.render(coarse.factors, 32), sprites.render(same, 32), atol=1e-4, rtol=0)
    assert torch.equal(Lattice().render(same, 32), sprites.render(same, 32))


def test_a_factor_of_one_value_has_no_column_and_a_middling_value() -> None:
    lattice = Lattice(shape=1, scale=1, x=1, colour=2)
    assert lattice.sizes == {"orientation": 40, "y": 32, "colour": 2} and lattice.factors.shape == (2560, 3)
    middle = Lattice(shape=1, scale=3, orientation=40, x=3, colour=2)
    rows = torch.tensor([[1, turn, 1, y, colour] for turn, y, colour in lattice.factors[::97].tolist()])
    torch.testing.assert_close(lattice.render(lattice.factors[::97], 24), middle.render(rows, 24))
    alone = Lattice(1, 1, 1, 1, 1)
    assert len(alone) == 1 and alone.factors.shape == (1, 0) and alone.sample(3).shape == (3, 0)
    assert alone.grid(16).images.shape == (1, 1, 16, 16)


def test_a_grid_holds_every_combination_once_with_its_image() -> None:
    grid = SMALL.grid(size=(16, 20))
    assert grid.images.shape == (len(SMALL), 3, 16, 20) and grid.images.dtype == torch.float32
    assert grid.factors is not None and grid.factors.dtype == torch.int64
    assert grid.factor_names == SMALL.factor_names == ("shape", "scale", "orientation", "x", "y", "colour")
    assert torch.equal(grid.factors.unique(dim=0), grid.factors), "in order, the last factor fastest"
    assert torch.equal(grid.factors.amax(0), torch.tensor(list(SMALL.sizes.values())) - 1)
    assert torch.equal(grid.labels, grid.factors[:, 0]) and grid.classes == sprites.SHAPES
    some = torch.randperm(len(SMALL), generator=torch.Generator().manual_seed(0))[:50]
    assert torch.equal(SMALL.cells_of(SMALL.factors_of(some)), some)
    torch.testing.assert_close(SMALL.render(SMALL.factors_of(some), (16, 20)), grid.images[some])


def test_one_factor_goes_through_all_its_values() -> None:
    base = SMALL.factors_of(torch.tensor([1234]))[0]
    before = base.clone()
    for index, (name, count) in enumerate(SMALL.sizes.items()):
        rows = SMALL.varying(name, base)
        assert torch.equal(rows[:, index], torch.arange(count))
        assert torch.equal(rows[base[index]], base)
        assert (rows.unique(dim=0) != base).any(0).sum() == 1
    assert torch.equal(base, before)


FALSE_ALARM = 1e-6
DRAWS = 20_000


def surprise(table: Tensor) -> float:
    """How unlikely counts as uneven as these are if all cells are equally probable."""
    expected = table.sum() / table.numel()
    return float(chi2.sf(float(((table - expected) ** 2 / expected).sum()), table.numel() - 1))


def counts(first: Tensor, second: Tensor, sizes: tuple[int, int]) -> Tensor:
    return torch.bincount(first * sizes[1] + second, minlength=sizes[0] * sizes[1]).double()


def test_samples_are_uniform_and_their_factors_independent() -> None:
    lattice = Lattice(scale=3, orientation=8, x=8, y=8, colour=4)
    drawn = lattice.sample(DRAWS, torch.Generator().manual_seed(0))
    sizes = list(lattice.sizes.values())
    chances = [
        surprise(counts(drawn[:, i], drawn[:, j], (sizes[i], sizes[j]))) for i, j in permutations(range(len(sizes)), 2)
    ]
    assert min(chances) > FALSE_ALARM / len(chances)
    assert torch.equal(drawn, lattice.sample(DRAWS, torch.Generator().manual_seed(0)))
    assert not torch.equal(drawn, lattice.sample(DRAWS, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("name", SMALL.factor_names)
def test_pairs_agree_in_one_factor_and_in_nothing_else(name: str) -> None:
    v1, v2 = SMALL.pairs(name, DRAWS, torch.Generator().manual_seed(0))
    fixed, sizes = SMALL.factor_names.index(name), list(SMALL.sizes.values())
    assert v1.shape == v2.shape == (DRAWS, len(sizes)) and v1.dtype == v2.dtype == torch.int64
    assert torch.equal(v1[:, fixed], v2[:, fixed])
    chances = [
        surprise(counts(a[:, i], b[:, j], (sizes[i], sizes[j])))
        for i in range(len(sizes))
        for j in range(len(sizes))
        for a, b in ((v1, v2), (v1, v1), (v2, v2))
        if i != j or (a is v1 and b is v2 and i != fixed)
    ]
    assert min(chances) > FALSE_ALARM / len(chances)
    again = SMALL.pairs(name, DRAWS, torch.Generator().manual_seed(0))
    assert torch.equal(torch.stack(again), torch.stack([v1, v2]))


def test_drawing_without_a_generator_follows_the_global_seed() -> None:
    torch.manual_seed(3)
    one = SMALL.pairs("scale", 5)
    torch.manual_seed(3)
    assert torch.equal(torch.stack(SMALL.pairs("scale", 5)), torch.stack(one))


LATTICE_FAILURES = {
    "no values": (lambda: Lattice(scale=0), "scale is 0; pass how many of its values there are, 1 or more"),
    "half a value": (lambda: Lattice(x=2.5), "x is 2.5; pass how many"),  # type: ignore[arg-type]
    "a fourth shape": (lambda: Lattice(shape=4), "shape is 4; there are 3: square, ellipse, heart"),
    "no such factor": (
        lambda: SMALL.pairs("size", 3),
        "No factor 'size' varies .* shape, scale, orientation, x, y, col",
    ),
    "a factor that does not vary": (lambda: Lattice().pairs("colour", 3), "No factor 'colour' varies"),
    "too few columns": (lambda: SMALL.render(Lattice().sample(2)), r"\(N, 6\): .*int64 of shape \(2, 5\)"),
    "out of range": (lambda: SMALL.cells_of(torch.tensor([[0, 3, 0, 0, 0, 0]])), "scale runs from 0 to 2"),
    "a base out of range": (
        lambda: SMALL.varying("x", torch.tensor([0, 0, 8, 0, 0, 0])),
        "orientation runs from 0 to 7",
    ),
}


@pytest.mark.parametrize("failure", LATTICE_FAILURES)
def test_what_a_lattice_does_not_hold_is_named_in_one_sentence(failure: str) -> None:
    attempt, sentence = LATTICE_FAILURES[failure]
    with pytest.raises(ValueError, match=sentence) as caught:
        attempt()
    assert "\n" not in str(caught.value)
