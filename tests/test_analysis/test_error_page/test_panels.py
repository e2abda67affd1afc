import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrowd.analysis.error_page.panels import (
    count_classes,
    curve_radii,
    graph_sections,
    interval_names,
    pixel_classes,
    scores_at_radii,
)
from mmcrowd.evaluation.functional import class_members
from tests.testing.results import make_errors


@given(st.lists(st.integers(0, 9000), min_size=1, max_size=60))
def test_each_image_is_in_one_class(counts):
    gt = np.array(counts, float)
    held = np.array([class_members(gt, *ends) for ends in count_classes(gt).values()])
    assert np.all(held.sum(axis=0) == 1)
    assert held.any(axis=1).all()


def test_classes_of_similar_images_are_quarters():
    classes = count_classes(np.r_[0, np.arange(101, 501, dtype=float)])
    assert list(classes) == ['0', '101–200', '201–300', '301–400', '401–500']
    spread = count_classes(np.array([0, 3, 100, 101, 600, 6000, 7000.0]))
    assert list(spread) == ['0', '1–100', '101–500', '501–5000', '> 5000']


def test_radii_end_with_the_spacing():
    assert curve_radii(np.full(9, 13.0), 8.0)[-1] == 24
    assert curve_radii(np.full(9, 1.0), None)[-1] == 16
    assert curve_radii(np.full(9, 1.0), 24.0)[-1] == 48
    assert curve_radii(np.full(1, np.inf), 8.0)[-1] == 100


def test_scores_at_radii():
    images = [
        make_errors([(10, 20), (50, 20)], [(13, 24), (50, 28), (90, 20)]),  # 5 and 8 px
        make_errors([(10, 20)], []),
    ]
    scores = scores_at_radii(images, [4, 5, 8])
    assert [score['P'] for score in scores] == pytest.approx([0, 1 / 3, 2 / 3])
    assert [score['R'] for score in scores] == pytest.approx([0, 1 / 3, 2 / 3])


def test_classes_of_pixels():
    values = np.array([0, 3.9, 4, 63, 64, np.inf])
    assert pixel_classes(values).tolist() == [0, 0, 1, 4, 5, 5]
    assert interval_names((4, 8)) == ['< 4', '4–8', '≥ 8']


def bars(images, title, radius=8.0):
    (panel,) = (
        panel for panel in graph_sections(images, radius)['Localization'] if panel.title == title
    )
    (bar,) = panel.figure.data
    return dict(zip(bar.x, bar.y, strict=True))


def test_recall_by_what_is_known_of_the_heads():
    gt, pred = [(0, 0), (100, 0), (200, 0)], [(0, 3), (100, 3)]
    title = 'Recall by size of the head'
    images = [make_errors(gt, pred, gt_levels=[0, 2, 2])]
    assert bars(images, title) == {'< 10': 1, '10²–10³': 0.5}
    images = [make_errors(gt, pred, gt_sigmas=[(2, 4), (2, 9), (2, 90)])]
    assert bars(images, title) == {'4–8': 1, '8–16': 1, '≥ 64': 0}
    images = [make_errors(gt, pred)]
    assert bars(images, 'Recall by distance to the nearest neighbour') == {'≥ 64': 2 / 3}
