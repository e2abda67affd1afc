import numpy as np
import pytest

from mmcrowd.analysis.dataset_figure import CLASSES, dataset_figure, draw_dataset


def drawn(counts, sizes, distances):
    """The four panels of the figure, after the picture was drawn."""
    arguments = [
        {name: np.array(values) for name, values in given.items()}
        for given in (counts, sizes, distances)
    ]
    picture = draw_dataset(*arguments, 'title')
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and min(picture.shape[:2]) > 800
    return dataset_figure(*arguments, 'title').axes


def shares(axes):
    """Heights of each outline, without the areas below them, and the edges of the bins."""
    steps = [patch for patch in axes.patches if not patch.get_fill()]
    return [step.get_data().values for step in steps], steps[0].get_data().edges


def medians(axes):
    return [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2]


def test_shares_are_of_each_split():
    counts, _, _, distances = drawn(
        dict(train=[1, 10, 10, 100], val=[1000]),
        dict(train=[(300, 400)] * 4, val=[(30, 40)]),
        dict(train=[2.0, 3.0, 80.0], val=[5.0]),
    )
    heights, edges = shares(counts)
    assert [h.sum() for h in heights] == [100, 100]
    assert heights[0][np.searchsorted(edges, 10) - 1] == 50
    assert edges[0] == 0.5 and edges[-1] == 1000.5
    assert medians(counts) == [10, 1000]
    assert [h.sum() for h in shares(distances)[0]] == pytest.approx([100, 100])
    assert medians(distances) == [3, 5]


def test_zeros_have_a_place_of_their_own():
    counts, _, _, distances = drawn(
        dict(train=[0, 0, 0, 50, 500]),
        dict(train=[(300, 400)] * 5),
        dict(train=[0.0, 0.1, 4.0, 40.0]),
    )
    for axes, share in ((counts, 60), (distances, 25)):
        (heights,), edges = shares(axes)
        assert heights[0] == share and heights.sum() == pytest.approx(100)
        zero = axes.get_xticks()[0]
        assert edges[0] < zero < edges[1] and axes.get_xticklabels()[0].get_text() == '0'
    assert medians(counts)[0] == counts.get_xticks()[0]


def test_bars_by_class():
    _, _, classes, _ = drawn(
        dict(train=[0, 50, 100, 501]), dict(train=[(3, 4)] * 4), dict(train=[1.0])
    )
    heights = [bar.get_height() for bar in classes.patches]
    assert list(CLASSES) == ['0', '1–100', '101–500', '501–5,000', '> 5,000']
    assert heights[:5] == [25, 50, 0, 25, 0]
    assert heights[5:] == pytest.approx([0, 100 * 150 / 651, 0, 100 * 501 / 651, 0])


def test_circles_by_number_of_images():
    _, sizes, _, _ = drawn(
        dict(train=[1] * 4), dict(train=[(300, 400)] * 3 + [(500, 200)]), dict(train=[1.0])
    )
    places = [tuple(circle.get_offsets()[0]) for circle in sizes.collections]
    areas = [circle.get_sizes()[0] for circle in sizes.collections]
    assert places == [(400, 300), (200, 500)] and areas[0] > areas[1]
    assert sizes.get_ylim()[1] > 500 and sizes.get_xlim()[1] > 400


@pytest.mark.parametrize('count', [[], [0], [1], [7] * 3])
def test_hardly_anything(count):
    drawn(
        dict(test=np.array(count, int), val=np.array([], int)),
        dict(test=[(1, 1)] * 3, val=[(4000, 6000)]),
        dict(test=[], val=[]),
    )
