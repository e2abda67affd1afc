import numpy as np
import pytest

from mmcrowd.datasets import SyntheticDotsDataset


def test_picture_k_is_the_same_in_every_instance_and_differs_from_others():
    options = dict(img_size=(64, 32), weights=[0, 1, 1])
    one = SyntheticDotsDataset(num_images=3, **options)
    other = SyntheticDotsDataset(num_images=2, cache=True, **options)
    first, second = one.get_data_info(1), other.get_data_info(1)
    assert np.array_equal(first['img'], second['img'])
    assert np.array_equal(first['points'], second['points'])
    different = [one.get_data_info(k)['img'].tobytes() for k in range(3)]
    different.append(SyntheticDotsDataset(split='val', **options).get_data_info(0)['img'].tobytes())
    assert len(set(different)) == 4


@pytest.mark.parametrize('sigma', [None, 2.0])
def test_heads_are_white(sigma):
    dataset = SyntheticDotsDataset(num_images=1, img_size=(64, 64), weights=[0, 0, 1], sigma=sigma)
    info = dataset.get_data_info(0)
    white = np.argwhere(info['img'][..., 0] == 255)[:, ::-1].tolist()
    heads = info['points'].astype(int).tolist()
    assert len(heads) == 8 and all(head in white for head in heads)
    assert (info['img'] == info['img'][..., :1]).all() and info['img'].min() < 128


def test_sides_are_whole_cells():
    with pytest.raises(ValueError, match=r'img_size=\(64, 60\), expected multiples of 32'):
        SyntheticDotsDataset(img_size=(64, 60))


def test_weights_and_spacing_are_checked_at_once():
    with pytest.raises(ValueError, match=r'SyntheticDotsDataset: weights=\[0\], expected some'):
        SyntheticDotsDataset(weights=[0])
    with pytest.raises(ValueError, match='SyntheticDotsDataset: spacing=0, expected at least 1'):
        SyntheticDotsDataset(spacing=0)
