import numpy as np
from mmengine.runner import set_random_seed

from mmcrowd.datasets.box_histogram import box_histogram, class_weights
from mmcrowd.registry import DATASETS

CONFIG = """
default_scope = 'mmcrowd'
pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=64, scale_range=(1.0, 1.0)),
    dict(type='BoxKinds'),
    dict(type='PackCrowdInputs'),
]
dataset = dict(type='SyntheticCrowdDataset', num_images=3, img_size=(96, 96), pipeline=pipeline)
train_dataloader = dict(dataset=dict(type='RepeatDataset', times=50, dataset=dataset))
"""


def test_prints_the_weights(load_tool, tmp_path, capsys):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    load_tool('misc/box_class_weights.py').main([str(path), '--passes', '5', '--seed', '1'])
    namespace = {}
    exec(CONFIG, namespace)
    set_random_seed(1)
    histogram = box_histogram(DATASETS.build(namespace['dataset']), passes=5)
    out = capsys.readouterr().out
    assert str(class_weights(histogram).round(6).tolist()) in out
    assert str(histogram) in out and histogram[0].sum() == 3 * 5 * 32 * 32
    assert np.all(histogram[:, :-1].sum(1) > 0)
