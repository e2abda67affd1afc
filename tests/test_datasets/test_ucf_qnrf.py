import numpy as np
import pytest
from scipy.io import savemat

from mmcrowd.datasets import UCFQNRFDataset
from mmcrowd.datasets.annotation_checks import clip_points
from mmcrowd.datasets.benchmark_files import load_mat

from ..testing.benchmarks import make_qnrf


def test_layout(tmp_path):
    root = make_qnrf(tmp_path)
    train = UCFQNRFDataset(data_root=str(root), split='train')
    assert [len(train.get_data_info(i)['points']) for i in range(9)] == list(range(1, 10))
    assert UCFQNRFDataset(data_root=str(root), split='val').get_data_info(0)['img_id'] == 'img_0010'
    assert len(UCFQNRFDataset(data_root=str(root), split='test')) == 10


def test_real_annotation(data_root):
    path = data_root / 'UCF-QNRF_ECCV18' / 'Test' / 'img_0001_ann.mat'
    points = load_mat(path, 'annPoints').astype(np.float32)
    assert points.shape == (977, 2)
    # One point lies above the pixel centres of the first row, but inside the image.
    assert points[:, 1].min() == pytest.approx(-0.17, abs=0.01)
    np.testing.assert_array_equal(clip_points(points, (10000, 10000)), points)


def test_missing_key_is_named(tmp_path):
    root = make_qnrf(tmp_path, 2)
    savemat(root / 'Train' / 'img_0002_ann.mat', dict(points=np.ones((1, 2))))
    with pytest.raises(ValueError, match=r"img_0002_ann\.mat: no variable 'annPoints', found"):
        UCFQNRFDataset(data_root=str(root))


def test_wrong_root(tmp_path):
    with pytest.raises(FileNotFoundError, match='UCF-QNRF_ECCV18'):
        UCFQNRFDataset(data_root=str(tmp_path))
