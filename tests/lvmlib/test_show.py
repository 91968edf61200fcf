"""Pictures: what is drawn where, what those who cannot see it are told, and what is left untouched."""

from __future__ import annotations

import base64
import io
import math
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from torch.distributions import Normal

from lvmlib import load, show
from lvmlib.show.figure import SHARPNESS
from lvmlib.show.pixels import default_columns, tile, to_bytes


def flat(*levels: float, channels: int = 1, height: int = 4, width: int = 6) -> torch.Tensor:
    """One image of a single level each, shape (len(levels), channels, height, width)."""
    return torch.tensor(levels, dtype=torch.float32)[:, None, None, None].expand(-1, channels, height, width)


def decoded(data: bytes) -> np.ndarray:
    """A picture's pixels, shape (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def drawn_images(figure: show.Figure, zoom: int) -> np.ndarray:
    """The area of a mosaic's images, one pixel for each of theirs, cut out of the PNG by where its axes are."""
    picture = decoded(figure.png())
    left, bottom, right, top = (figure.axes[0].get_position().extents.reshape(2, 2) * picture.shape[1::-1]).ravel()
    area = picture[round(len(picture) - top) : round(len(picture) - bottom), round(left) : round(right)]
    small = area[::zoom, ::zoom]
    assert np.array_equal(small.repeat(zoom, 0).repeat(zoom, 1), area), "an image pixel is not a square of one colour"
    return small


FIGURES = {
    "grid": lambda: show.grid(flat(0.1, 0.5, 0.9), titles=["a", "b", "c"]),
    "reconstructions": lambda: show.reconstructions(flat(0.1, 0.5), flat(0.2, 0.4)),
    "traversal": lambda: show.traversal(flat(*[0.1] * 6).view(2, 3, 1, 4, 6), xlabel="z"),
    "traversal from a base": lambda: show.traversal(flat(*[0.1] * 6).view(2, 3, 1, 4, 6), base=1),
    "manifold": lambda: show.manifold(lambda z: torch.sigmoid(z[:, :1, None, None]).expand(-1, 3, 5, 5), size=3),
    "curves": lambda: show.curves({"training": [3.0, 2.0], "test": [4.0, 3.0]}),
    "ranges": lambda: show.ranges({"MIG": [[0.1, 0.2], [0.3, 0.5]], "metric": [[0.6, 0.8], [0.9, 0.9]]}, x=[1, 4]),
    "measured ranges": lambda: show.ranges({"MIG": [[0.1, 0.2], [0.3, 0.5]]}, x=[[9, 8], [7, 6]], names=["a", "b"]),
    "rate and distortion": lambda: show.rate_distortion({"bits": (4.9, 191.4), "Gaussian": (17.1, 132.6)}),
    "bars": lambda: show.bars({"rate": [3.0, 2.0]}),
    "scatter": lambda: show.scatter(torch.eye(2), torch.tensor([0, 1])),
    "clouds": lambda: show.clouds({"data": torch.eye(2), "samples": torch.zeros(3, 2)}),
    "densities": lambda: show.densities({"data": torch.arange(9.0)}, {"D": torch.ones(2)}, torch.tensor([0.0, 8.0])),
    "histograms": lambda: show.histograms({"clipped": torch.arange(-4.0, 5), "free": [1.0, 2.0]}, marks=(-4, 4)),
    "landscape": lambda: show.landscape(
        {"plane": lambda x: x[:, 0]}, points={"data": torch.eye(2)}, samples={"plane": torch.eye(2)}, arrows=True
    ),
}


@pytest.fixture(params=FIGURES)
def draw(request):
    return FIGURES[request.param]


def test_every_picture_is_a_figure_that_pyplot_does_not_know(draw):
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    figure = draw()
    figure.png()
    assert isinstance(figure, matplotlib.figure.Figure)
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_every_picture_tells_what_it_shows(draw):
    figure = draw()
    data, metadata = figure._repr_mimebundle_()
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    described = metadata["image/png"]
    assert len(figure.alt) > 20 and figure.alt.endswith(".")
    assert described["alt"] == figure.alt
    assert data["text/plain"] == f"<figure: {figure.alt}>"
    assert image.size == (SHARPNESS * described["width"], SHARPNESS * described["height"])
    assert set(image.info) <= {"dpi"}


def test_every_picture_is_the_same_bytes_again_whatever_the_readers_look(draw):
    first = draw().png()
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 20, "axes.grid": True}):
        assert draw().png() == first


@pytest.mark.parametrize("name", ["grid", "curves"])
def test_a_title_and_an_alternative_text_can_be_given(name):
    argument = {"grid": flat(0.5), "curves": {"loss": [1.0, 2.0]}}[name]
    titled = getattr(show, name)(argument, title="Prior samples")
    assert titled.alt.startswith("Prior samples: ")
    assert getattr(show, name)(argument, alt="My own words.").alt == "My own words."


def test_grid_draws_every_pixel_where_it_belongs():
    images = torch.rand(5, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    picture = drawn_images(show.grid(images, columns=3, scale=2), zoom=2 * SHARPNESS)
    assert picture.shape == (2 * 4 + 1, 3 * 6 + 2, 3)
    for index, image in enumerate((255 * images).round().byte().permute(0, 2, 3, 1).numpy()):
        top, left = 5 * (index // 3), 7 * (index % 3)
        assert np.array_equal(picture[top : top + 4, left : left + 6], image)
    assert (picture[4] == 255).all() and (picture[5:, 14:] == 255).all(), "gaps and the empty place are white"


def test_grid_with_titles_keeps_them_apart():
    figure = show.grid(flat(0.1, 0.2, 0.3, 0.4), columns=2, titles=["a very long name indeed"] * 4, scale=2)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert [text.get_text() for text in figure.axes[0].texts] == ["a very long name indeed"] * 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)


@pytest.mark.parametrize(
    ("count", "columns"), [(1, 1), (7, 7), (12, 6), (13, 10), (16, 8), (64, 8), (100, 10), (225, 15)]
)
def test_rows_hold_about_ten_images_without_a_rest(count, columns):
    assert default_columns(count) == columns


def test_tile_counts_along_rows():
    numbered = np.broadcast_to(np.arange(6, dtype=np.uint8)[:, None, None, None], (6, 2, 3, 3))
    expected = np.array([[0, 1, 2], [3, 4, 5]]).repeat(2, 0).repeat(3, 1)
    assert np.array_equal(tile(numbered, 3, gap=(0, 0))[..., 0], expected)


def test_values_outside_are_clipped_and_gradients_and_precision_do_not_matter():
    assert to_bytes(flat(-1.0, 0.5, 2.0, float("inf")))[:, 0, 0, 0].tolist() == [0, 128, 255, 255]
    parameter = flat(0.2).clone().requires_grad_()
    assert to_bytes(parameter.bfloat16())[0, 0, 0, 0] == 51
    assert parameter.requires_grad and parameter.grad is None


def test_grey_pictures_are_stored_grey_and_a_latent_manifold_stays_small():
    assert Image.open(io.BytesIO(show.grid(flat(0.1, 0.4)).png())).mode == "L"
    digits = load("mnist")[1].images[:225]
    assert len(show.manifold(lambda z: digits).png()) < 150_000


def test_reconstructions_stand_under_their_originals():
    originals, one, two = flat(0.0, 0.2), flat(0.4, 0.6), flat(0.8, 1.0)
    figure = show.reconstructions(originals, one, two, labels=["original", "VAE", "β-VAE"], scale=1)
    picture = drawn_images(figure, zoom=SHARPNESS)
    assert picture[::5, ::7, 0].tolist() == [[0, 51], [102, 153], [204, 255]]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["original", "VAE", "β-VAE"]
    assert "original, VAE, β-VAE" in figure.alt


@pytest.mark.parametrize("height", range(2, 12))
def test_every_pixel_is_a_square_whatever_the_size(height: int):
    images = torch.linspace(0, 1, 3 * height * 5).view(3, 1, height, 5)
    drawn = drawn_images(show.grid(images, columns=3, scale=1), zoom=SHARPNESS)
    assert np.array_equal(drawn, tile(to_bytes(images), 3, (1, 1)))


def test_traversal_labels_rows_and_columns():
    strips = flat(0.0, 0.2, 0.4, 0.6, 0.8, 1.0).reshape(2, 3, 1, 4, 6)
    figure = show.traversal(strips, row_labels=["z 4", "z 7"], column_labels=[-1.5, 0.0, 1.5], xlabel="value", scale=1)
    axes = figure.axes[0]
    assert drawn_images(figure, zoom=SHARPNESS)[::5, ::7, 0].tolist() == [[0, 51, 102], [153, 204, 255]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["z 4", "z 7"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["−1.5", "0", "1.5"]
    assert axes.get_yticks().tolist() == [2, 7] and axes.get_xlabel() == "value"


def test_traversal_frames_the_base():
    strips = flat(*[0.5] * 15).reshape(3, 5, 1, 4, 6)
    labels = ["−3", "−1", "base", "1", "3"]
    figure = show.traversal(strips, base=2, row_labels=["z₁\n3 nats", "z₂", "z₃"], column_labels=labels, scale=2)
    (frame,) = figure.axes[0].patches
    assert frame.get_bbox().extents.tolist() == [2 * 7 - 0.5, -0.5, 3 * 7 - 0.5, 3 * 5 - 1 + 0.5]
    weights = {label.get_text(): label.get_weight() for label in figure.axes[0].get_xticklabels()}
    assert [label for label, weight in weights.items() if weight == "bold"] == ["base"]
    assert figure.alt.endswith("of 5 images, the base framed in column 3; from the top, z₁ 3 nats, z₂, z₃.")
    assert not show.traversal(strips, column_labels=labels).axes[0].patches


def test_manifold_puts_normal_quantiles_of_z1_to_the_right_and_of_z2_upwards():
    asked = []

    def decode(z: torch.Tensor) -> torch.Tensor:
        asked.append(z)
        red, green = Normal(0.0, 1.0).cdf(z).T
        return torch.stack([red, green, torch.zeros_like(red)], 1)[:, :, None, None]

    figure = show.manifold(decode, size=5, scale=4)
    levels = [26, 76, 128, 178, 230]  # 255 · (0.1, 0.3, 0.5, 0.7, 0.9)
    picture = drawn_images(figure, zoom=4 * SHARPNESS).astype(int)
    assert len(asked) == 1 and asked[0].shape == (25, 2) and asked[0].dtype == torch.float32
    assert abs(picture[..., 0] - np.array(levels)[None]).max() <= 1
    assert abs(picture[..., 1] - np.array(levels[::-1])[:, None]).max() <= 1
    labels = ["−1.28", "−0.52", "0", "0.52", "1.28"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == labels
    assert dict(zip(figure.axes[0].get_yticks(), labels, strict=True)) == {
        4.5: "−1.28", 3.5: "−0.52", 2.5: "0", 1.5: "0.52", 0.5: "1.28",
    }  # fmt: skip


def test_manifold_takes_no_gradient():
    layer = torch.nn.Linear(2, 4)
    seen = []
    show.manifold(lambda z: seen.append(layer(z)) or seen[0].sigmoid().view(-1, 1, 2, 2), size=2)
    assert not seen[0].requires_grad


def test_curves_are_told_apart_by_colour_and_dashes_and_named_from_the_top():
    figure = show.curves({"training": torch.tensor([9.0, 1.0]), "test": [9.5, 2.0, 3.0]}, ylabel="nats")
    lines = figure.axes[0].lines
    assert [line.get_xdata().tolist() for line in lines] == [[1, 2], [1, 2, 3]]
    assert [line.get_ydata().tolist() for line in lines] == [[9, 1], [9.5, 2, 3]]
    assert len({line.get_color() for line in lines}) == len({line.get_linestyle() for line in lines}) == 2
    assert [text.get_text() for text in figure.legends[0].texts] == ["test", "training"]
    assert figure.axes[0].get_xlabel() == "epoch" and figure.axes[0].get_ylabel() == "nats"
    assert "training from 9 to 1, test from 9.5 to 3" in figure.alt


def test_twenty_curves_are_all_different():
    lines = show.curves({f"{n}": [float(n), 1.0] for n in range(28)}).axes[0].lines
    assert len({(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines}) == 28


def test_curves_on_a_logarithmic_axis_at_given_places():
    axes = show.curves({"loss": [1.0, 100.0]}, x=[10, 30], xlabel="step", logarithmic=True).axes[0]
    assert axes.get_yscale() == "log"
    assert axes.lines[0].get_xdata().tolist() == [10, 30]


def test_ranges_show_every_run_its_mean_and_how_far_they_reach():
    series = {"MIG": [[0.1, 0.3, 0.2], [0.6, 0.4, 0.2]], "metric": torch.tensor([[0.7, 0.8], [0.9, 1.0]])}
    figure = show.ranges(series, x=[1, 4], ylabel="score", logarithmic_x=True, limits=(0, 1))
    axes = figure.axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == [
        pytest.approx([0.2, 0.4]),
        pytest.approx([0.75, 0.95]),
    ]
    bands, dots = axes.collections[::2], axes.collections[1::2]
    ends = [sorted({*map(tuple, band.get_paths()[0].vertices.round(6).tolist())}) for band in bands]
    assert ends[0] == [(1, 0.1), (1, 0.3), (4, 0.2), (4, 0.6)]
    assert ends[1] == [(1, 0.7), (1, 0.8), (4, 0.9), (4, 1)]
    assert dots[0].get_offsets().tolist() == [[1, 0.1], [1, 0.3], [1, 0.2], [4, 0.6], [4, 0.4], [4, 0.2]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "4"]
    assert axes.get_xscale() == "log" and axes.get_ylim() == (0, 1)
    assert [text.get_text() for text in figure.legends[0].texts] == ["MIG", "metric"]
    assert "means of MIG 0.2, 0.4, single runs at most 0.4 apart" in figure.alt and figure.alt.endswith("at 1, 4.")


def test_ranges_against_what_every_run_measured():
    measured = [[10.0, 12.0], [10.5, 12.5], [30.0, 50.0]]
    names = ["β = 0.5", "β = 1", "β = 4"]
    figure = show.ranges({"MIG": [[0.1, 0.2], [0.11, 0.22], [0.4, 0.5]]}, x=measured, names=names, xlabel="nats")
    axes = figure.axes[0]
    across, up = [[path.tolist() for path in lines.get_segments()] for lines in axes.collections[:2]]
    assert across[2] == [[30, pytest.approx(0.45)], [50, pytest.approx(0.45)]]
    assert up[0] == [[11, pytest.approx(0.1)], [11, pytest.approx(0.2)]]
    assert axes.collections[2].get_offsets()[:2].tolist() == [[10, 0.1], [12, 0.2]]
    texts = {text.get_text(): text for text in axes.texts}
    assert list(texts) == names and [text.xy[0] for text in texts.values()] == [11, 11.5, 40]
    figure.png()
    boxes = [text.get_window_extent() for text in texts.values()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert figure.alt.endswith("at β = 0.5, β = 1, β = 4.")


def test_rate_and_distortion_lie_on_lines_of_equal_elbo():
    figure = show.rate_distortion({"dear": (20.0, 130.0), "cheap": (2.0, 190.0)}, title="Two models")
    axes = figure.axes[0]
    models, lines = axes.lines[:2], axes.lines[2:]
    assert [line.get_xydata().tolist() for line in models] == [[[20, 130]], [[2, 190]]]
    sums = [{round(x + y, 9) for x, y in line.get_xydata().tolist()} for line in lines]
    assert all(len(total) == 1 and total.pop() % 10 == 0 for total in sums)
    low, high = axes.get_ylim()
    assert low < 130 and high > 190 and axes.get_xlim()[0] == 0
    assert figure.alt == "Two models: dear at 20.0 + 130.0; cheap at 2.0 + 190.0 nats."


def test_bars_stand_beside_each_other_sorted_or_not():
    series = {"warm-up": torch.tensor([1.0, 3.0, 2.0]), "none": [0.5, 0.1, 0.4]}
    plain, ranked = show.bars(series), show.bars(series, sort=True)
    heights = [[bar.get_height() for bar in group] for group in ranked.axes[0].containers]
    assert heights == [[3, 2, 1], [0.5, 0.4, 0.1]]
    assert [bar.get_height() for bar in plain.axes[0].containers[0]] == [1, 3, 2]
    first, second = (group[0] for group in plain.axes[0].containers)
    assert first.get_x() + first.get_width() == pytest.approx(second.get_x())
    named = show.bars({"FID": [3.0, 4.0]}, ticks=["GAN", "VAE"]).axes[0]
    assert [label.get_text() for label in named.get_xticklabels()] == ["GAN", "VAE"]


def test_scatter_groups_points_by_class():
    points, labels = torch.arange(12.0).view(6, 2), torch.tensor([0, 2, 0, 2, 2, 0])
    figure = show.scatter(points, labels, ["coat", "bag", "shirt"])
    groups = {group.get_label(): group.get_offsets().tolist() for group in figure.axes[0].collections}
    assert groups == {"coat": points[[0, 2, 5]].tolist(), "shirt": points[[1, 3, 4]].tolist()}
    assert [text.get_text() for text in figure.axes[0].texts] == ["coat", "shirt"]
    assert show.scatter(points).axes[0].collections[0].get_offsets().tolist() == points.tolist()


def test_clouds_share_axes_that_hold_every_point():
    sets = {"data": torch.tensor([[0.0, 0.0], [4.0, 1.0]]), "samples": torch.tensor([[-2.0, 3.0]])}
    panels = show.clouds(sets).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["data", "samples"]
    assert panels[0].get_xlim() == panels[1].get_xlim() and panels[0].get_ylim() == panels[1].get_ylim()
    low, high = np.array([panels[0].get_xlim(), panels[0].get_ylim()]).T
    points = torch.cat(list(sets.values())).numpy()
    assert (low < points).all() and (points < high).all()


def test_densities_have_an_area_of_one_and_curves_an_axis_of_their_own():
    x = torch.linspace(-4, 4, 50)
    samples = {"data": torch.randn(4000, generator=torch.Generator().manual_seed(0)), "samples": torch.rand(1000) + 1}
    figure = show.densities(samples, {"D": torch.sigmoid(x), "optimum": torch.full((50,), 0.5)}, x)
    left, right = figure.axes
    outlines = [patch.get_data() for patch in left.patches if not patch.get_fill()]
    areas = [float((outline.values * np.diff(outline.edges)).sum()) for outline in outlines]
    assert areas == pytest.approx([1, 1])
    assert [line.get_label() for line in right.lines] == ["D", "optimum"]
    np.testing.assert_allclose(right.lines[0].get_xydata(), torch.stack([x, torch.sigmoid(x)], 1), rtol=1e-6)
    assert right.get_ylim()[0] < 0 and right.get_ylim()[1] > 1
    colours = {line.get_color() for line in right.lines} | {patch.get_edgecolor() for patch in left.patches}
    assert len(colours) >= 4
    assert "data, 4000 values" in figure.alt and "the curve D between 0.018 and 0.982" in figure.alt


def test_densities_keep_given_ends_and_count_what_lies_outside():
    figure = show.densities({"data": torch.arange(10.0)}, limits=(0.0, 5.0), highest=0.7)
    (axes,) = figure.axes
    assert axes.get_xlim() == (0.0, 5.0) and axes.get_ylim() == (0.0, 0.7)
    outline = axes.patches[-1].get_data()
    assert (outline.values * np.diff(outline.edges)).sum() == pytest.approx(0.6)


def test_histograms_pile_up_at_the_marks():
    values = {"clipped": torch.linspace(-3, 3, 600).clamp(-1, 1), "free": torch.linspace(-3, 3, 600).view(20, 30)}
    figure = show.histograms(values, marks=(-1, 1), xlabel="weight")
    clipped, free = figure.axes
    heights = [axes.patches[0].get_data().values for axes in (clipped, free)]
    assert [height.sum() for height in heights] == pytest.approx([100, 100])
    assert heights[0][0] > 30 and heights[0][-1] > 30 and heights[1].max() < 3
    assert [line.get_xdata()[0] for line in clipped.lines] == [-1, 1]
    assert "clipped, 600 values between -1 and 1, 67 % of them at the marks -1, 1" in figure.alt
    shared = show.histograms(values, limits=(-3, 3)).axes
    assert shared[0].get_xlim() == shared[1].get_xlim()


def arrows_of(axes) -> tuple[np.ndarray, np.ndarray]:
    (quiver,) = [drawn for drawn in axes.collections if hasattr(drawn, "U")]
    return quiver.XY, np.stack([quiver.U, quiver.V], 1)


def test_landscape_draws_every_value_where_it_belongs():
    figure = show.landscape({"both": lambda x: x[:, 0] + 10 * x[:, 1]}, reach=1.0, limits=(-11, 11))
    panel, bar = figure.axes
    contours = panel.collections[0]
    for path, lower, upper in zip(contours.get_paths(), contours.levels[:-1], contours.levels[1:], strict=True):
        heights = path.vertices @ [1, 10]
        assert (heights > lower - 1e-3).all() and (heights < upper + 1e-3).all()
    assert panel.get_xlim() == panel.get_ylim() == (-1, 1)
    box = panel.get_window_extent()
    assert box.width == pytest.approx(box.height)
    assert bar.get_ylim() == (contours.levels[0], contours.levels[-1])


def test_landscape_points_along_the_gradient_at_one_scale_for_all_panels():
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    steep, gentle = lambda x: 3 * x[:, 0], lambda x: -x[:, 1]
    with torch.no_grad():
        figure = show.landscape({"steep": steep, "gentle": gentle}, samples={"steep": x, "gentle": x}, arrows=True)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    (places, right), (_, down) = arrows_of(panels["steep"]), arrows_of(panels["gentle"])
    assert 60 <= len(places) <= 120 and {*map(tuple, places)} <= {*map(tuple, x.detach().double().numpy())}
    assert np.ptp(right, 0).max() < 1e-6 and right[0, 0] > 0 and right[0, 1] == 0
    assert down[0, 0] == 0 and down[0, 1] == pytest.approx(-right[0, 0] / 3)
    assert "gradients of median norm 3" in figure.alt and "gradients of median norm 1" in figure.alt
    assert x.grad is None


def test_landscape_draws_no_arrow_where_there_is_no_gradient():
    x = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [2.0, 1.0]])
    (places, _) = arrows_of(
        show.landscape({"hinge": lambda x: x[:, 0].relu()}, samples={"hinge": x}, arrows=True).axes[0]
    )
    assert places.tolist() == [[1, 0], [2, 1]]


def test_landscape_shows_points_everywhere_and_samples_in_their_panel():
    sets = {"data": torch.zeros(3, 2), "support": torch.ones(2, 2)}
    functions = {name: lambda x: x[:, 0] for name in "abcd"}
    figure = show.landscape(functions, points=sets, samples={"c": torch.zeros(7, 2)})
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    counts = [[len(drawn.get_offsets()) for drawn in axes.collections[1:]] for axes in panels]
    assert counts == [[3, 2], [3, 2], [3, 2, 7], [3, 2]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["data", "support", "samples"]
    assert len({round(axes.get_position().y0, 6) for axes in panels}) == 2, "four panels stand in two rows"
    assert len(figure.axes) == 8, "each has its own bar"


def test_landscape_parts_its_colours_at_the_centre():
    def colours(centre: float | None) -> list[tuple[float, ...]]:
        contours = show.landscape({"": lambda x: 3 + x[:, 0]}, centre=centre).axes[0].collections[0]
        return [tuple(contours.cmap(contours.norm(value))) for value in (2.0, 3.0, 4.0)]

    low, middle, high = colours(3.0)
    assert min(middle[:3]) > 0.9 and low != high
    low, middle, high = colours(0.0)
    assert middle[0] > middle[2] and high[0] > high[2], "all above the centre has the upper colour"
    light = [sum(colour[:3]) for colour in colours(None)]
    assert light == sorted(light), "without a centre, lighter is more"


@pytest.mark.parametrize("level", [0.0, 5.0])
def test_landscape_of_a_constant_has_no_arrows(level):
    figure = show.landscape({"flat": lambda x: 0 * x[:, 0] + level}, samples={"flat": torch.eye(2)}, arrows=True)
    assert len(figure.png()) > 1000 and len(arrows_of(figure.axes[0])[0]) == 0


def frames_of(animation: show.Animation) -> list[np.ndarray]:
    return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(Image.open(io.BytesIO(animation.gif)))]


def test_gif_shows_every_frame_for_its_time_and_loops():
    animation = show.gif(flat(0.0, 0.3, 0.6, 1.0), seconds=2, scale=3)
    image = Image.open(io.BytesIO(animation.gif))
    assert image.n_frames == 4 and image.info["duration"] == 500 and image.info["loop"] == 0
    assert image.size == (18, 12)
    levels = [np.unique(frame) for frame in frames_of(animation)]
    assert all(len(level) == 1 for level in levels), "grey stays grey"
    assert np.abs(np.concatenate(levels).astype(int) - [0, 76, 153, 255]).max() <= 2
    assert levels[0] == 0 and levels[-1] == 255


def test_gif_lays_several_images_side_by_side_in_every_frame():
    frames = torch.stack([flat(*[shade + number / 10 for number in range(6)]) for shade in (0.1, 0.4)])
    shown = show.gif(frames, columns=3, scale=1).gif
    drawn = [np.asarray(f.convert("L")) for f in ImageSequence.Iterator(Image.open(io.BytesIO(shown)))]
    assert [frame.shape for frame in drawn] == [(2 * 4 + 1, 3 * 6 + 2)] * 2
    assert all(frame[:, 6].min() == 255 and frame[4].min() == 255 for frame in drawn)
    corners = [[int(frame[5 * row, 7 * column]) for row in range(2) for column in range(3)] for frame in drawn]
    for shade, levels in zip((0.1, 0.4), corners, strict=True):
        assert levels == pytest.approx([255 * (shade + number / 10) for number in range(6)], abs=3)


@pytest.mark.parametrize(("columns", "size"), [(3, (3 * 7 * 8, 20 + 4 * 8)), (2, (2 * 7 * 8, 2 * (20 + 4 * 8)))])
def test_gif_titles_the_images_and_the_frames(columns, size):
    frames = torch.stack([flat(shade, shade + 0.1, shade + 0.2) for shade in (0.1, 0.5)])
    titles = ["a", "b", "c"]
    told = show.gif(frames, titles=titles, frame_titles=["z = −1", "z = 1"], columns=columns, scale=8)
    drawn = frames_of(told)
    assert [frame.shape for frame in drawn] == [(20 + size[1], size[0], 3)] * 2
    for frame, shade in zip(drawn, (0.1, 0.5), strict=True):
        for index in range(3):
            row, column = divmod(index, columns)
            top, left = 20 + (20 + 32) * row, 56 * column
            assert (frame[top : top + 20, left : left + 56] < 128).any(), "a title stands above each image"
            image = frame[top + 20 : top + 52, left : left + 48]
            assert np.ptp(image) == 0 and abs(int(image[0, 0, 0]) - 255 * (shade + index / 10)) <= 3
    above = [frame[:20] for frame in drawn]
    assert (above[0] < 128).any() and not np.array_equal(*above), "each frame has its own title"
    assert told.alt == "Animation of 2 images, side by side a, b, c."
    one = frames_of(show.gif(flat(0.1, 0.5), frame_titles=["z = −1", "z = 1"], scale=8))
    assert one[0].shape == (20 + 32, 48, 3) and not np.array_equal(one[0][:20], one[1][:20])


def test_gif_titles_get_the_room_they_need():
    frames = flat(*[0.0] * 4, *[0.5] * 4).reshape(2, 4, 1, 4, 6)
    frame = frames_of(show.gif(frames, titles=["averylongname"] * 4, columns=4, scale=2))[0][..., 0] < 128
    ink, images = (np.flatnonzero(np.diff(row, prepend=False, append=False)) for row in (frame[:20].any(0), frame[24]))
    assert (np.diff(images) == 12).sum() == 4 and len(images) == 8, "images keep their size"
    blanks = ink[2::2] - ink[1:-1:2]
    assert (blanks >= 7).sum() == 3 and ink[0] > 0 and ink[-1] < frame.shape[1], "titles keep apart"


def test_gif_keeps_colours():
    colours = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]])[:, :, None, None].expand(-1, -1, 4, 4)
    for frame, colour in zip(frames_of(show.gif(colours)), colours, strict=True):
        assert np.abs(frame.astype(int) - (255 * colour[:, 0, 0]).numpy()).max() <= 2


def test_gif_of_figures():
    figures = [show.grid(flat(level), title=f"step {level}") for level in (0.0, 0.5, 1.0)]
    animation = show.gif(figures)
    width, height = (figures[0].get_size_inches() * 100).round().astype(int)
    assert [frame.shape for frame in frames_of(animation)] == [(height, width, 3)] * 3
    assert "step 1.0" in animation.alt


def test_gif_is_shown_with_its_alternative_text():
    animation = show.gif(flat(0.0, 1.0), alt='A "grey" square & more.')
    shown = animation._repr_html_()
    assert base64.b64encode(animation.gif).decode() in shown
    assert 'alt="A &quot;grey&quot; square &amp; more."' in shown
    assert repr(animation) == '<animation: A "grey" square & more.>'


def test_saving_writes_what_is_shown(tmp_path):
    figure, animation = show.grid(flat(0.5)), show.gif(flat(0.5, 1.0))
    figure.save(tmp_path / "grid.png")
    animation.save(tmp_path / "moves.gif")
    assert (tmp_path / "grid.png").read_bytes() == figure.png()
    assert (tmp_path / "moves.gif").read_bytes() == animation.gif
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grid.png", "moves.gif"]
    with pytest.raises(ValueError, match=r"grid\.pdf does not end in \.png"):
        figure.save(tmp_path / "grid.pdf")
    with pytest.raises(ValueError, match=r"moves\.png does not end in \.gif"):
        animation.save(tmp_path / "moves.png")


NAN = float("nan")


def nan_in_one_of_three() -> torch.Tensor:
    images = flat(0.1, 0.2, 0.3).clone()
    images[1, 0, 0, 0] = float("nan")
    return images


FAILURES = {
    "one image without a batch": (
        lambda: show.grid(torch.rand(1, 28, 28)),
        r"The images have shape \(1, 28, 28\); pass \(count, channels, height, width\) with 1 or 3 channels\.",
    ),
    "two channels": (lambda: show.grid(torch.rand(4, 2, 8, 8)), r"shape \(4, 2, 8, 8\)"),
    "no images": (lambda: show.grid(torch.rand(0, 1, 8, 8)), "pass at least one image"),
    "bytes": (lambda: show.grid(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)), r"torch.uint8; .* images / 255"),
    "nan": (lambda: show.grid(nan_in_one_of_three()), "NaN in 1 of 3 images; find the step"),
    "too few titles": (lambda: show.grid(flat(0, 1), titles=["a"]), "2 images and 1 titles"),
    "no columns": (lambda: show.grid(flat(0, 1), columns=0), "columns is 0"),
    "only originals": (lambda: show.reconstructions(flat(0, 1)), "only originals"),
    "other reconstructions": (lambda: show.reconstructions(flat(0, 1), flat(1)), r"\(2, 1, 4, 6\).*\(1, 1, 4, 6\)"),
    "too few labels": (lambda: show.reconstructions(flat(0), flat(1), labels=["a"]), "2 rows and 1 labels"),
    "flat strips": (lambda: show.traversal(flat(0, 1)), r"strips have shape \(2, 1, 4, 6\); pass \(rows, columns"),
    "too few row labels": (
        lambda: show.traversal(flat(0, 1)[None], row_labels=["a", "b"]),
        "1 rows and 2 row labels",
    ),
    "a base outside": (lambda: show.traversal(flat(0, 1)[None], base=2), "base is 2 and there are 2 columns"),
    "decoder of one": (lambda: show.manifold(lambda z: flat(0.5), size=3), "returned 1 images for 9 codes"),
    "no manifold": (lambda: show.manifold(lambda z: z, size=0), "size is 0"),
    "no curves": (lambda: show.curves({}), "There is no series"),
    "empty curve": (lambda: show.curves({"loss": []}), "'loss' holds no values"),
    "places of another length": (lambda: show.curves({"loss": [1.0]}, x=[1, 2]), "'loss' holds 1 values and x 2"),
    "zero on a logarithmic axis": (lambda: show.curves({"kl": [1.0, 0.0]}, logarithmic=True), "'kl' holds values ≤ 0"),
    "no models": (lambda: show.rate_distortion({}), "There is no model to place; pass a name"),
    "a rate of nan": (lambda: show.rate_distortion({"bits": (NAN, 1.0)}), "'bits' has rate nan and distortion 1"),
    "no ranges": (lambda: show.ranges({}, x=[]), "There is no series to draw; pass a name and its runs"),
    "a setting without runs": (lambda: show.ranges({"MIG": [[0.1], []]}, x=[1, 4]), "'MIG' has a setting without runs"),
    "settings elsewhere": (lambda: show.ranges({"MIG": [[0.1]]}, x=[1, 4]), "'MIG' holds 1 settings and x 2"),
    "runs elsewhere": (lambda: show.ranges({"MIG": [[0.1]]}, x=[[1, 2]]), "'MIG' holds 1 runs of a setting and x 2"),
    "a run of nan": (lambda: show.ranges({"MIG": [[0.1, NAN]]}, x=[1]), "1 values of 'MIG' are NaN or infinite"),
    "a setting without a name": (lambda: show.ranges({"MIG": [[0.1]]}, x=[1], names=[]), "1 settings and 0 names"),
    "β of 0 on a logarithmic axis": (
        lambda: show.ranges({"MIG": [[1]]}, x=[0], logarithmic_x=True),
        "x holds values ≤ 0",
    ),
    "uneven bars": (lambda: show.bars({"a": [1.0], "b": [1.0, 2.0]}), "'b' holds 2 values and the first series 1"),
    "no bar": (lambda: show.bars({"a": [float("nan")]}), "'a' holds NaN"),
    "sorted ticks": (lambda: show.bars({"a": [1.0]}, ticks=["x"], sort=True), "either ticks or sort"),
    "too few ticks": (lambda: show.bars({"a": [1.0, 2.0]}, ticks=["x"]), "2 units and 1 ticks"),
    "points in space": (lambda: show.scatter(torch.zeros(4, 3)), r"points have shape \(4, 3\); pass \(count, 2\)"),
    "points at nan": (lambda: show.scatter(torch.full((2, 2), float("nan"))), "hold NaN"),
    "too few point labels": (lambda: show.scatter(torch.zeros(4, 2), torch.zeros(3)), "4 points and labels of shape"),
    "a class without a name": (lambda: show.scatter(torch.eye(2), torch.tensor([0, 5]), ["a"]), "from 0 to 5 and 1"),
    "no clouds": (lambda: show.clouds({}), "There is no cloud"),
    "a cloud in space": (lambda: show.clouds({"data": torch.zeros(4, 3)}), "points of 'data' have shape"),
    "no numbers": (lambda: show.densities({}), r"nothing to draw; pass a name and its numbers, such as \{'data': x\}"),
    "an empty density": (lambda: show.densities({"data": torch.zeros(0)}), "'data' holds no numbers"),
    "a density of nan": (lambda: show.densities({"a": torch.tensor([0.0, NAN])}), "1 of 2 numbers of 'a' are NaN"),
    "curves nowhere": (lambda: show.densities({"a": torch.ones(2)}, {"D": torch.ones(2)}), "curves and no x"),
    "a short curve": (
        lambda: show.densities({"a": torch.ones(2)}, {"D": torch.ones(2)}, torch.ones(3)),
        "The curve 'D' holds 2 values and x 3",
    ),
    "no weights": (lambda: show.histograms({}), r"such as \{'weights': w\}"),
    "infinite weights": (lambda: show.histograms({"w": [1.0, -math.inf]}), "1 of 2 numbers of 'w' are NaN or infinite"),
    "no function": (lambda: show.landscape({}), "There is no function to draw"),
    "samples of no panel": (
        lambda: show.landscape({"a": lambda x: x[:, 0]}, samples={"b": torch.eye(2)}),
        "samples for the panel 'b'; the panels are a",
    ),
    "two values a point": (lambda: show.landscape({"a": lambda x: x}), r"'a' returned shape \(10201, 2\) for points"),
    "a function of nan": (lambda: show.landscape({"a": lambda x: x[:, 0].log()}), "'a' is NaN or infinite somewhere"),
    "a function without gradient": (
        lambda: show.landscape({"a": lambda x: x[:, 0].detach()}, samples={"a": torch.eye(2)}, arrows=True),
        "'a' has no gradient in its points; leave out detach",
    ),
    "a gradient of nan": (
        lambda: show.landscape({"a": lambda x: x[:, 0].abs().sqrt()}, samples={"a": torch.zeros(1, 2)}, arrows=True),
        "The gradient of 'a' is NaN or infinite at some of its samples",
    ),
    "a landscape's points": (
        lambda: show.landscape({"a": lambda x: x[:, 0]}, points={"data": torch.zeros(4, 3)}),
        "points of 'data' have shape",
    ),
    "too few captions": (
        lambda: show.gif(flat(0, 1)[None], titles=["a"]),
        "A frame holds 2 images and there are 1 titles; pass one an image",
    ),
    "too few frame titles": (lambda: show.gif(flat(0, 1), frame_titles=["a"]), "2 frames and 1 frame titles"),
    "captions of figures": (lambda: show.gif([show.grid(flat(0))], titles=["a"]), "figures have their own titles"),
    "no frames": (lambda: show.gif([]), "There are no frames"),
    "figures of two sizes": (lambda: show.gif([show.grid(flat(0)), show.grid(flat(0, 1))]), "needs one size"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_cannot_be_drawn_is_said_in_one_sentence(failure):
    attempt, sentence = FAILURES[failure]
    with pytest.raises(ValueError, match=sentence) as caught:
        attempt()
    assert "\n" not in str(caught.value)


def test_importing_show_does_not_import_matplotlib():
    code = "import sys; from lvmlib import show; dir(show); print('matplotlib' in sys.modules, 'PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_show_lists_what_it_has_and_nothing_else():
    assert all(getattr(show, name) for name in dir(show))
    with pytest.raises(AttributeError, match="no attribute 'imshow'"):
        show.imshow  # noqa: B018


@pytest.mark.slow
def test_a_notebook_shows_a_figure_once_and_with_its_alternative_text():
    nbformat = pytest.importorskip("nbformat")
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    cells = [
        "%matplotlib inline\nimport matplotlib.pyplot, torch\nfrom lvmlib import show",
        "figure = show.grid(torch.rand(3, 1, 8, 8), title='Noise')",
        "figure",
        "show.gif(torch.rand(3, 1, 8, 8), alt='Moving noise.')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    assert [sorted(output.data) for output in outputs] == [["image/png", "text/plain"], ["text/html", "text/plain"]]
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(notebook)
    assert page.count('alt="Noise: 3 images in rows of 3."') == 1
    assert page.count('alt="Moving noise."') == 1
