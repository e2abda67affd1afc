import numpy as np
import pytest

from mmcrowd.datasets.count_bins import bin_centres, dataset_histogram
from mmcrowd.datasets.transforms import ResizeToLimits
from mmcrowd.registry import DATASETS

CONFIG = """
default_scope = 'mmcrowd'
pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', shortest=128),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(
    dataset=dict(
        type='SyntheticCrowdDataset',
        num_images=4,
        split='train',
        img_size=(96, 64),
        pipeline=pipeline,
    )
)
model = dict(head=dict(out_stride=16), loss=dict(bins=[0, 1, 2]))
"""


@pytest.mark.parametrize(
    'arguments, side, bins, splits',
    [
        ([], 16, [0, 1, 2], ['train']),
        (['--side', '32', '--bins', '0', '1', '3'], 32, [0, 1, 3], ['train']),
        (['--splits', 'train', 'val'], 16, [0, 1, 2], ['train', 'val']),
    ],
)
def test_prints_the_centres(load_tool, tmp_path, capsys, arguments, side, bins, splits):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    load_tool('misc/count_bins.py').main([str(path), *arguments])
    total = np.zeros(100, int)
    for split in splits:
        common = dict(num_images=4, img_size=(96, 64), pipeline=[])
        dataset = DATASETS.build(dict(type='SyntheticCrowdDataset', split=split, **common))
        one = dataset_histogram(dataset, side, ResizeToLimits(shortest=128).size_for)
        total[: len(one)] += one
    out = capsys.readouterr().out
    assert f'{total.sum():,} windows of {side} x {side} pixels' in out
    assert f'bins        = {bins}\n' in out
    assert str([round(value, 5) for value in bin_centres(total, bins)[1:]]) in out
