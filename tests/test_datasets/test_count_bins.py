import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrowd.datasets.count_bins import bin_centres, dataset_histogram, window_count_histogram
from mmcrowd.datasets.transforms import ResizeToLimits
from mmcrowd.registry import DATASETS


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    side=st.integers(1, 6),
    m=st.integers(0, 30),
)
def test_every_window(seed, size, side, m):
    height, width = size
    points = np.random.default_rng(seed).uniform(-2, 14, (m, 2))
    image = np.zeros(size, int)
    for x, y in points:
        column, row = (int(np.floor(v + 0.5)) for v in (x, y))
        image[min(max(row, 0), height - 1), min(max(column, 0), width - 1)] = 1
    counts = [
        image[i : i + side, j : j + side].sum()
        for i in range(height - side + 1)
        for j in range(width - side + 1)
    ]
    expected = np.bincount(counts) if counts else [0]
    np.testing.assert_array_equal(window_count_histogram(points, size, side), expected)


def test_centres_by_hand():
    histogram = np.array([100, 20, 10, 6, 2, 0, 4])
    centres = bin_centres(histogram, [0, 1, 2, 4])
    assert centres == pytest.approx([0, 1, (20 + 18) / 16, (8 + 24) / 6])
    with pytest.raises(ValueError, match=r'bin 2 of \[0, 1, 7\] begins at 7 .* count is 6'):
        bin_centres(histogram, [0, 1, 7])


def test_wrong_side():
    with pytest.raises(ValueError, match='side must be a positive number of pixels, but got 0'):
        window_count_histogram(np.zeros((0, 2)), (4, 4), 0)


@pytest.fixture
def dataset():
    return DATASETS.build(
        dict(type='mmcrowd.SyntheticCrowdDataset', num_images=3, img_size=(96, 64), pipeline=[])
    )


def test_dataset(dataset):
    expected = np.zeros(200, int)
    for i in range(3):
        one = window_count_histogram(dataset.get_data_info(i)['points'], (64, 96), 16)
        expected[: len(one)] += one
    actual = dataset_histogram(dataset, 16)
    np.testing.assert_array_equal(actual, expected[: len(actual)])
    assert actual.sum() == expected.sum() == 3 * 49 * 81
    enlarged = dataset_histogram(dataset, 16, ResizeToLimits(shortest=128).size_for)
    assert enlarged.sum() == 3 * 113 * 177


def test_resized_points_move_with_the_pixels(dataset):
    """All of the doubled image is one window, which holds every point of its own pixel."""
    points = dataset.get_data_info(0)['points']
    pixels = np.floor((points + 0.5) * 2).astype(int).clip(0, (191, 127))
    histogram = window_count_histogram((points + 0.5) * 2 - 0.5, (128, 192), 128)
    counts = [
        len(np.unique(pixels[(pixels[:, 0] >= j) & (pixels[:, 0] < j + 128)], axis=0))
        for j in range(65)
    ]
    np.testing.assert_array_equal(histogram, np.bincount(counts))
