from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lvmlib import sprites
from lvmlib.data import load

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
        torch.testing.assert_close(areas / areas[-1], sprites.SCALES**2, atol=0.01, rtol=0)


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
