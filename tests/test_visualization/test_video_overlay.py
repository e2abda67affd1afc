"""What is drawn over the frames of a video."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmcrowd.structures import CrowdDataSample
from mmcrowd.visualization.palette import GROUND_COLOR
from mmcrowd.visualization.video_overlay import VideoOverlay

# The frame is enlarged by 10, below a headline of 36 pixels and above a strip of 60.
HEIGHT, WIDTH, SCALE, TOP = 32, 64, 10, 36


def sample_of(density=None, points=()):
    sample = CrowdDataSample(
        metainfo=dict(ori_shape=(HEIGHT, WIDTH), img_shape=(HEIGHT, WIDTH), density_stride=4),
        pred_count=1.0,
    )
    if density is not None:
        sample.pred_density = PixelData(density=torch.from_numpy(density)[None])
    sample.pred_instances = InstanceData(points=torch.tensor(points).reshape(-1, 2))
    return sample


def drawn(sample, **kwargs):
    """The part of the picture that shows the frame, which is black."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture = VideoOverlay().draw(frame, sample, 0.0, **kwargs)
    assert picture.shape == (SCALE * HEIGHT + TOP + 60, SCALE * WIDTH, 3)
    return picture[TOP : TOP + SCALE * HEIGHT]


def centre(weights):
    """(x, y) of the mean of weights, in pixels of the picture."""
    rows, columns = np.nonzero(weights)
    values = weights[rows, columns].astype(float)
    return (columns @ values / values.sum(), rows @ values / values.sum())


def on_screen(x, y):
    return ((x + 0.5) * SCALE - 0.5, (y + 0.5) * SCALE - 0.5)


def test_density_lies_where_it_was_predicted():
    density = np.zeros((8, 16), np.float32)
    density[2, 3] = 1
    found = centre(drawn(sample_of(density)).sum(-1, dtype=np.int64))
    # The centre of the cell, pixels 12 to 15 and 8 to 11.
    assert found == pytest.approx(on_screen(13.5, 9.5), abs=0.2)


def test_rings_lie_around_the_points():
    picture = drawn(sample_of(points=[[20.0, 11.0]]))
    is_marked = picture.any(-1)
    assert centre(is_marked) == pytest.approx(on_screen(20, 11), abs=0.6)
    x, y = np.rint(on_screen(20, 11)).astype(int)
    assert 40 < is_marked.sum() < 400 and not is_marked[y, x]


def test_zones_are_outlined_and_named():
    square = np.array([[8.0, 8.0], [48.0, 8.0], [48.0, 24.0], [8.0, 24.0]])
    zones = dict(zones=[dict(name='gate', count=1.0)], polygons=[[[square]]])
    picture = drawn(sample_of(), **zones)
    changed = (picture != drawn(sample_of())).any(-1)
    rows, columns = np.nonzero(changed)
    edges = [columns.min(), rows.min(), columns.max(), rows.max()]
    # The outline and its dark edge are some pixels wide.
    assert edges == pytest.approx([*on_screen(8, 8), *on_screen(48, 24)], abs=4)
    middle = np.rint(on_screen(28, 16)).astype(int)
    label = changed[middle[1] - 5 : middle[1] + 5, middle[0] - 20 : middle[0] + 20]
    assert label.mean() > 0.5


def test_frames_of_another_size_are_fitted_into_the_first():
    overlay = VideoOverlay()
    sample = sample_of()
    first = overlay.draw(np.zeros((HEIGHT, WIDTH, 3), np.uint8), sample, 0.0)
    sample.set_metainfo(dict(ori_shape=(48, 48), img_shape=(48, 48)))
    second = overlay.draw(np.full((48, 48, 3), 200, np.uint8), sample, 1.0)
    assert second.shape == first.shape
    assert (second[TOP + 5, 5] == 200).all() and (second[2, 2] == GROUND_COLOR).all()
