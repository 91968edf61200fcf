from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lvmlib import masks

X = torch.rand(4, 3, 6, 8, generator=torch.Generator().manual_seed(0))
HALF = masks.right_half((6, 8))


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- shapes of masks


def test_the_published_mask_hides_rows_and_columns_10_to_21() -> None:
    observed = masks.centre(32, 12)
    assert (observed.dtype, observed.shape) == (torch.bool, (32, 32))
    hidden = (~observed).nonzero()
    assert hidden.amin(0).tolist() == [10, 10] and hidden.amax(0).tolist() == [21, 21]
    assert len(hidden) == 12 * 12


@pytest.mark.parametrize(
    "make",
    [
        lambda size: masks.centre(size, 4),
        masks.right_half,
        lambda size: masks.disc(size, 5),
        lambda size: masks.scattered(size, 0.3, generator=noise()),
        lambda size: masks.writing(size, "EM"),
    ],
)
def test_a_mask_is_bool_height_by_width_and_hides_some(make: Callable[[tuple[int, int]], Tensor]) -> None:
    for size in ((16, 24), (24, 16)):
        observed = make(size)
        assert (observed.dtype, tuple(observed.shape)) == (torch.bool, size)
        assert observed.any() and not observed.all()
        # each element has its own memory, so that a mask can be painted on
        observed[0, 0] = ~observed[0, 0]
        assert (observed != make(size)).sum() == 1


def test_the_right_half_is_hidden_and_the_middle_column_with_it() -> None:
    assert masks.right_half((2, 5)).tolist() == [[True, True, False, False, False]] * 2


def test_a_disc_is_round() -> None:
    hidden = ~masks.disc((40, 60), 30)
    assert hidden.sum().item() == pytest.approx(torch.pi * 15**2, rel=0.02)
    assert torch.equal(hidden, hidden.flip(0)) and torch.equal(hidden, hidden.flip(1))
    assert hidden.any(1).sum() == hidden.any(0).sum() == 30


def test_scattered_pixels_are_as_many_as_asked_for_and_those_of_the_generator() -> None:
    observed = masks.scattered(32, 0.25, generator=noise())
    assert (~observed).sum() == 256
    assert torch.equal(observed, masks.scattered(32, 0.25, generator=noise()))
    assert not torch.equal(observed, masks.scattered(32, 0.25, generator=noise(1)))


def test_writing_fills_the_width_and_tells_words_apart() -> None:
    hidden = ~masks.writing(32, "EM")
    assert hidden.any(0).sum() > 20
    assert not torch.equal(hidden, ~masks.writing(32, "ME"))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: masks.centre(32, 0), "A square of side 0 cannot be hidden in 32×32 pixels"),
        (lambda: masks.centre(32, 32), "A square of side 32 cannot be hidden in 32×32 pixels"),
        (lambda: masks.centre((32, 16), 17), "A square of side 17 cannot be hidden in 32×16 pixels"),
        (lambda: masks.centre(0, 1), "The images are 0×0 pixels"),
        (lambda: masks.right_half((4, 1)), "An image 1 pixel wide has no halves"),
        (lambda: masks.disc(8, 0), "A disc of diameter 0 hides none of 8×8 pixels; choose another diameter"),
        (lambda: masks.disc(8, 99), "A disc of diameter 99 hides all of 8×8 pixels"),
        (lambda: masks.scattered(4, 0.01, generator=noise()), "A share of 0.01 hides 0 of 16 pixels"),
        (lambda: masks.scattered(4, 1.0, generator=noise()), "A share of 1 hides 16 of 16 pixels"),
        (lambda: masks.writing(32, " "), "The word ' ' hides none of 32×32 pixels; choose another word"),
        (lambda: masks.writing((8, 8), "expectation maximisation"), "The word 'expectation maximisation' hides none"),
    ],
)
def test_a_mask_that_hides_nothing_or_everything_is_refused(make: Callable[[], Tensor], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


# --- masks and images


@pytest.mark.parametrize(
    "shape", [(6, 8), (1, 6, 8), (3, 6, 8), (1, 1, 6, 8), (4, 1, 6, 8), (4, 3, 6, 8), (8,), (6, 1)]
)
def test_a_mask_of_any_shape_that_broadcasts_is_expanded_to_the_images(shape: tuple[int, ...]) -> None:
    observed = torch.rand(shape, generator=noise()) < 0.7
    mask = masks.expanded(X, observed)
    assert (mask.dtype, mask.shape) == (torch.bool, X.shape)
    assert torch.equal(mask, torch.broadcast_to(observed, X.shape))


def test_one_image_needs_no_batch_axis() -> None:
    assert masks.expanded(X[0], HALF).shape == (3, 6, 8)
    with pytest.raises(ValueError, match="^The image has no observed pixel"):
        masks.expanded(X[0], torch.zeros(6, 8, dtype=torch.bool))


def test_images_may_be_on_any_scale_and_of_any_precision() -> None:
    x = 1000 * X.double() - 500
    assert masks.completed(x, torch.zeros_like(x), HALF).dtype == torch.float64


@pytest.mark.parametrize("shape", [(8, 6), (4, 6, 8), (2, 1, 6, 8), (3, 3, 6, 8), (1, 4, 3, 6, 8), (0, 8)])
def test_a_mask_of_the_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^A mask \(.*\) does not fit images \(4, 3, 6, 8\); give \(height, width\)"):
        masks.expanded(X, torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_a_mask_that_is_not_bool_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=f"^The mask is {dtype}; give torch.bool, True where a pixel is observed"):
        masks.expanded(X, HALF.to(dtype))


def test_an_image_of_which_nothing_is_observed_is_refused_also_among_others() -> None:
    observed = HALF.expand(4, 1, 6, 8).clone()
    observed[2] = False
    with pytest.raises(ValueError, match="^Image 2 has no observed pixel; leave at least one"):
        masks.expanded(X, observed)
    observed[2, 0, 5, 7] = True
    assert masks.expanded(X, observed)[2].sum() == 3


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("column", [0, 7])
def test_an_image_that_is_not_finite_is_refused_where_observed_and_where_hidden(value: float, column: int) -> None:
    x = X.clone()
    x[3, 1, 2, column] = value
    with pytest.raises(ValueError, match="^Image 3 holds NaN or infinity; put any finite number there, and hide"):
        masks.completed(x, X, HALF)


@pytest.mark.parametrize("x", [torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(4, 4)])
def test_what_are_no_images_is_refused(x: Tensor) -> None:
    with pytest.raises(TypeError, match=r"^The images are torch\.\w+ of shape .*; give floating-point numbers"):
        masks.expanded(x, torch.ones(4, 4, dtype=torch.bool))


# --- completed images


@pytest.mark.parametrize("lead", [(), (5,), (2, 5)])
def test_observed_pixels_are_kept_bit_by_bit_and_the_others_drawn(lead: tuple[int, ...]) -> None:
    x = X.clone()
    x[0, 0, 0, 0] = -0.0
    drawn = torch.rand(*lead, *X.shape, generator=noise(1))
    full = masks.completed(x, drawn, HALF)
    assert full.shape == drawn.shape
    for each, own in zip(full.reshape(-1, *X.shape), drawn.reshape(-1, *X.shape), strict=True):
        assert torch.equal(each[..., :4].contiguous().view(torch.int32), x[..., :4].contiguous().view(torch.int32))
        assert torch.equal(each[..., 4:], own[..., 4:])


def test_no_arithmetic_is_done_with_what_is_drawn() -> None:
    drawn = torch.full_like(X, torch.nan)
    assert torch.equal(masks.completed(X, drawn, HALF)[..., :4], X[..., :4])
    assert masks.completed(X, drawn.double(), HALF).dtype == torch.float32


def test_gradients_reach_the_drawn_pixels_that_are_hidden_alone() -> None:
    drawn = torch.rand(2, *X.shape, generator=noise(1)).requires_grad_()
    masks.completed(X, drawn, HALF).sum().backward()
    assert torch.equal(drawn.grad, (~HALF).float().expand_as(drawn))


@pytest.mark.parametrize("shape", [(3, 6, 8), (1, 3, 6, 8), (4, 2, 3, 6, 8)])
def test_what_was_drawn_for_other_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^What was drawn is .* and the images are \(4, 3, 6, 8\); give"):
        masks.completed(X, torch.zeros(shape), HALF)


def test_hidden_pixels_are_painted_grey_and_the_images_left_alone() -> None:
    before = X.clone()
    shown = masks.greyed(X, HALF)
    assert torch.equal(shown[..., :4], X[..., :4]) and (shown[..., 4:] == 0.5).all()
    assert (masks.greyed(X, HALF, grey=0.25)[..., 4:] == 0.25).all()
    assert torch.equal(X, before)
