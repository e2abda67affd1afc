import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mmcrowd.datasets.transforms import LoadCrowdImage, ResizeByFactor, VisibleCrop
from mmcrowd.structures import to_input_frame


def load(points, size=(120, 160), **values):
    img = np.zeros((*size, 3), np.uint8)
    return LoadCrowdImage()(dict(img=img, points=np.float32(points).reshape(-1, 2), **values))


@pytest.mark.parametrize('head_size', ['neighbours', 'boxes'])
@pytest.mark.parametrize('scale', [0.8, 1.25])
def test_shares_from_the_whole_image(head_size, scale):
    """Computed after the fact, from all points in the frame of the crop."""
    rng = np.random.default_rng(0)
    points = (rng.random((60, 2)) * (159, 119)).astype(np.float32)
    points[1] = points[0]
    points[2:6] = points[2] + rng.random((4, 2)) / 10  # closer than the smallest head
    half = rng.random((60, 1)) * 40
    boxes = np.concatenate([points - half, points + half], 1).astype(np.float32)
    np.random.seed(1)
    crop = VisibleCrop(64, (scale, scale), head_size=head_size)
    results = crop(load(points, boxes=boxes))

    everywhere = to_input_frame(points.astype(float), results)
    if head_size == 'neighbours':
        side = np.sort(cdist(everywhere, everywhere), 1)[:, 1:4].mean(1)
    else:
        side = 2 * half[:, 0] * scale
    side = side.clip(4, 128)[:, None]
    low, high = everywhere - side / 2, everywhere + side / 2
    shares = (np.minimum(high, 63.5) - np.maximum(low, -0.5)).clip(0).prod(1) / side[:, 0] ** 2
    kept = shares >= 0.3
    np.testing.assert_allclose(results['points'], everywhere[kept], atol=1e-3)
    np.testing.assert_allclose(results['visible'], shares[kept], atol=5e-3)
    assert results['visible'].dtype == np.float32
    assert 0 < kept.sum() < len(points) and (shares[kept] < 0.9).any()
    outside = (everywhere < -0.5) | (everywhere >= 63.5)
    assert outside.any(1)[kept].any()  # which the other crop drops
    assert len(results['gt_original']['points']) == kept.sum()


def test_lonely_points_and_images_without_any():
    crop = VisibleCrop(256, (1, 1))
    # A point that is alone has the largest square, of 128 pixels.
    for point, share in ([[100, 100], [1.0]], [[-0.5, 100], [0.5]], [[-0.5, -0.5], []]):
        assert crop(load([point], size=(256, 256)))['visible'].tolist() == share
    assert crop(load([]))['visible'].shape == (0,)
    assert 'visible' not in crop(LoadCrowdImage()(dict(img=np.zeros((99, 99, 3), np.uint8))))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="head_size='area'"):
        VisibleCrop(head_size='area')
    with pytest.raises(ValueError, match='min_visible=0'):
        VisibleCrop(min_visible=0)
    with pytest.raises(KeyError, match="head_size='boxes', but None has no boxes"):
        VisibleCrop(64, head_size='boxes')(load([[5, 5]]))
    with pytest.raises(ValueError, match='factor=0'):
        ResizeByFactor(0)
