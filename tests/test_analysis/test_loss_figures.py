import numpy as np
import pytest
import torch

from mmcrowd.analysis import loss_figures
from mmcrowd.analysis.loss_figures import (
    crop_around,
    draw_backgrounds,
    draw_partition,
    draw_targets,
    draw_transport,
    transport_plan,
)
from mmcrowd.models.losses.generalized_loss import GeneralizedLoss
from mmcrowd.ops.partition import partition_batch

IMAGE = np.full((40, 60, 3), 128, np.uint8)
POINTS = np.float32([[10, 20], [45, 12], [45, 30]])


@pytest.fixture
def shown(monkeypatch):
    """Records the arrays that are laid over the image, by panel."""
    recorded = []
    render = loss_figures.render

    def record(figure):
        for axes in figure.axes:
            arrays = [np.ma.filled(image.get_array(), np.nan) for image in axes.get_images()]
            if arrays:
                recorded.append(arrays[-1])
        return render(figure)

    monkeypatch.setattr(loss_figures, 'render', record)
    return recorded


def test_partition_has_a_colour_per_point(shown):
    picture = draw_partition(IMAGE, POINTS, stride=2)
    (cells,) = shown
    assert picture.dtype == np.uint8 and picture.ndim == 3 and min(picture.shape[:2]) > 200
    assert cells.shape == (20, 30, 3)
    x, y = (POINTS / 2).astype(int).T
    colours = np.unique(cells.reshape(-1, 3), axis=0)
    assert len(colours) == 3
    np.testing.assert_array_equal(np.unique(cells[y, x], axis=0), colours)
    assert np.ptp(picture.astype(int), axis=2).max() > 50  # it is in colour


def test_backgrounds_side_by_side(shown):
    draw_backgrounds(IMAGE, POINTS, stride=2)
    bayesian, cost, centered = (panel for panel in shown if panel.shape == (20, 30))
    x, y = (POINTS / 2).astype(int).T
    # The farthest cell of each case has the largest posterior of the background.
    _, distance = partition_batch([torch.from_numpy(POINTS).double()], (20, 30), 2)
    peak = 1 / (1 + np.sqrt(2 * np.pi) * 8)
    assert bayesian.max() == bayesian.flat[distance.argmax()] == pytest.approx(peak)
    assert (bayesian[y, x] < 0.1 * peak).all()
    assert cost.min() >= 0 and (cost[y, x] < 0.06).all()
    # PML rewards mass near a point and is neutral on average over its case.
    assert (centered[y, x] < 0).all() and abs(centered.sum()) < 1e-9


@pytest.mark.parametrize('draw', [draw_partition, draw_backgrounds])
def test_cells_keep_their_size_where_the_stride_does_not_divide_the_image(draw, monkeypatch):
    figures = []
    render = loss_figures.render
    monkeypatch.setattr(loss_figures, 'render', lambda f: (figures.append(f), render(f))[1])
    draw(IMAGE[:, :59], POINTS, stride=16)
    overlays = [axes.get_images()[1] for axes in figures[0].axes if len(axes.get_images()) == 2]
    assert overlays
    for overlay in overlays:
        # 3 x 4 cells of 16 px, of which the image shows 40 x 59 px.
        assert overlay.get_array().shape[:2] == (3, 4)
        assert overlay.get_extent() == [-0.5, 63.5, 47.5, -0.5]
        assert overlay.axes.get_xlim() == (-0.5, 58.5)
        assert overlay.axes.get_ylim() == (39.5, -0.5)


def test_transport_beside_the_nearest_points(shown):
    draw_partition(IMAGE, POINTS)
    draw_transport(IMAGE, POINTS, sigma=4.0)
    partition, density, nearest, mixed, elsewhere = (p for p in shown if p.shape[:2] == (20, 30))
    assert density.sum() == pytest.approx(3)
    np.testing.assert_array_equal(nearest, partition)
    x, y = (POINTS / 2).astype(int).T
    np.testing.assert_allclose(mixed[y, x], nearest[y, x], atol=1e-3)
    # A mean of the colours of all points, equal to that of the nearest where all goes there.
    bounds = nearest.min((0, 1)) - 1e-9, nearest.max((0, 1)) + 1e-9
    assert (mixed > bounds[0]).all() and (mixed < bounds[1]).all()
    assert elsewhere.min() > -1e-9 and (elsewhere[y, x] < 1e-3).all()
    # The points are at y = 12 and 30: where the mass is divided is about half way.
    assert abs(elsewhere[6:15, 22].argmax() + 6 - 21 / 2) < 2 and elsewhere[6:15, 22].max() > 0.01
    different = np.abs(mixed - nearest).max(2) > 1e-3
    assert (elsewhere[different] > 1e-4).all() and different.sum() > 10


def test_plan_is_the_one_in_the_loss():
    rng = np.random.default_rng(0)
    density = torch.from_numpy(rng.uniform(0.001, 0.02, (20, 30)))
    plan = transport_plan(density, torch.from_numpy(POINTS).double(), 2)
    weight = GeneralizedLoss().marginal_weight
    terms = GeneralizedLoss()(density[None, None].float(), [torch.from_numpy(POINTS)], 2)
    point = weight * (plan.sum(0) - 1).abs().sum()
    pixel = weight * (plan.sum(1) - density.flatten()).square().sum()
    assert float(terms['loss_point']) == pytest.approx(float(point), rel=1e-3)
    assert float(terms['loss_pixel']) == pytest.approx(float(pixel), rel=1e-3)


@pytest.mark.parametrize(
    'side, index, shape, wanted',
    [(20, 1, (20, 20), [[10, 10]]), (20, 2, (20, 20), [[10, 10]]), (99, 2, (40, 60), POINTS)],
)
def test_crop_around_a_point(side, index, shape, wanted):
    image = np.arange(40 * 60).reshape(40, 60, 1)
    crop, points, kept = crop_around(image, POINTS, side, index)
    assert crop.shape[:2] == shape
    np.testing.assert_array_equal(points, wanted)
    x, y = points[kept].astype(int)
    assert crop[y, x, 0] == 60 * POINTS[index, 1] + POINTS[index, 0]


def test_crop_around_the_most_central_point():
    _, points, kept = crop_around(IMAGE, POINTS, 30)
    assert kept == 0 and points.tolist() == [[10, 15]]


def test_targets_have_the_mass_of_one_person(shown):
    draw_targets(IMAGE, POINTS, index=1, stride=2)
    panels = np.array(shown).reshape(3, 5, *shown[0].shape)
    sums = np.nansum(panels, axis=(2, 3))
    np.testing.assert_allclose(sums[:, 0], [0.3, 1, 2])
    np.testing.assert_allclose(sums[:, 1:], 1)
    assert (np.nanmax(panels[:, 4], axis=(1, 2)) == 1).all()


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match='image with points, but got 0'):
        draw_partition(IMAGE, POINTS[:0])
    with pytest.raises(ValueError, match='image with points, but got 0'):
        crop_around(IMAGE, POINTS[:0], 8)
    with pytest.raises(ValueError, match='side of the crop must be positive, but got 0'):
        crop_around(IMAGE, POINTS, 0)
    with pytest.raises(ValueError, match='one of 3 points, but got 3'):
        draw_targets(IMAGE, POINTS, index=3)
    with pytest.raises(ValueError, match='point 1 is nearest to no cell'):
        draw_targets(IMAGE, POINTS[[0, 0]], index=1)
    with pytest.raises(ValueError, match="cost must be .*'exp'"):
        draw_backgrounds(IMAGE, POINTS, cost='exp')
