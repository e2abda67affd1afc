from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData
from mmengine.visualization import Visualizer

from mmcrowd.engine import CrowdVisualizationHook
from mmcrowd.registry import HOOKS
from mmcrowd.structures import CrowdDataSample
from mmcrowd.visualization import CrowdVisualizer


def make_item(index, img_id=None):
    """Packed inputs: a blue image of 24 x 32 pixels, padded to 32 x 32."""
    inputs = torch.zeros(3, 32, 32, dtype=torch.uint8)
    inputs[0, :24] = 255
    sample = CrowdDataSample(
        metainfo=dict(img_id=img_id or f'IMG_{index}', img_shape=(24, 32), ori_shape=(48, 64))
    )
    sample.gt_count = index
    return dict(inputs=inputs, data_samples=sample)


class OnePerson(BaseModel):
    """Predicts one person per image."""

    def __init__(self):
        super().__init__(BaseDataPreprocessor())
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples, mode):
        if mode == 'loss':
            return dict(loss=self.weight)
        for sample in data_samples:
            sample.pred_density = PixelData(density=torch.full((1, 12, 16), 1 / 192))
            sample.pred_count = 1.0
            sample.set_metainfo(dict(density_stride=2))
        return data_samples


def make_runner(work_dir, **hook):
    loader = dict(
        dataset=[make_item(i) for i in range(5)],
        batch_size=2,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
    )
    return Runner(
        OnePerson(),
        str(work_dir),
        train_dataloader=loader,
        val_dataloader=loader,
        test_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=2),
        val_cfg=dict(),
        test_cfg=dict(),
        val_evaluator=dict(type='mmcrowd.CountMetric'),
        test_evaluator=dict(type='mmcrowd.CountMetric'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(logger=None, checkpoint=None),
        custom_hooks=[dict(type='mmcrowd.CrowdVisualizationHook', **hook)],
        visualizer=dict(
            type='mmcrowd.CrowdVisualizer', vis_backends=[dict(type='LocalVisBackend')]
        ),
        log_level='ERROR',
        experiment_name=work_dir.name,
    )


def names(folder):
    return sorted(path.name for path in folder.glob('**/*.png'))


def test_same_images_every_epoch_through_the_backends(tmp_path):
    runner = make_runner(tmp_path, enable=True, interval=3)
    runner.train()
    expected = [f'val_IMG_{i}_{epoch}.png' for i in (0, 3) for epoch in (1, 2)]
    assert names(tmp_path) == expected
    runner.test()
    assert names(tmp_path) == sorted([*expected, 'test_IMG_0_0.png', 'test_IMG_3_0.png'])


def test_out_dir_and_limit(tmp_path):
    out_dir = tmp_path / 'pictures'
    runner = make_runner(
        tmp_path / 'run', enable=True, interval=1, max_images=3, out_dir=str(out_dir)
    )
    runner.val()
    assert names(tmp_path) == names(out_dir) == [f'val_IMG_{i}_0.png' for i in range(3)]
    # Validation alone must not have built the training loop.
    assert isinstance(runner._train_loop, dict)


def test_disabled_by_default(tmp_path):
    make_runner(tmp_path).val()
    assert names(tmp_path) == []


def test_draws_what_the_network_saw(tmp_path):
    hook = HOOKS.build(dict(type='CrowdVisualizationHook', enable=True, out_dir=str(tmp_path)))
    runner = SimpleNamespace(visualizer=CrowdVisualizer())
    item = make_item(0, img_id='folder/IMG_0')
    batch = {key: [value] for key, value in item.items()}
    hook.after_test_iter(runner, 0, batch, [item['data_samples']])
    # BGR on disk; the padding of eight rows, which is black, is gone.
    picture = cv2.imread(str(tmp_path / 'test_folder_IMG_0_0.png'))
    assert np.all(picture[-480:] == (255, 0, 0))
    assert batch['inputs'][0][0, :24].min() == 255


def test_draws_points_without_density(tmp_path):
    hook = CrowdVisualizationHook(enable=True, out_dir=str(tmp_path))
    item = make_item(0)
    sample = item['data_samples']
    # In the original frame, which is twice as large.
    sample.set_metainfo(dict(scale_factor=(0.5, 0.5)))
    sample.pred_instances = InstanceData(points=torch.tensor([[32.0, 24.0]]), scores=torch.ones(1))
    sample.pred_count = 1.0
    batch = {key: [value] for key, value in item.items()}
    hook.after_test_iter(SimpleNamespace(visualizer=CrowdVisualizer()), 0, batch, [sample])
    picture = cv2.imread(str(tmp_path / 'test_IMG_0_0.png'))[-480:]
    assert picture.shape == (480, 640, 3)
    y, x = np.nonzero((picture != (255, 0, 0)).any(-1))
    assert (x.mean(), y.mean()) == pytest.approx((324.5, 244.5), abs=1)


def test_needs_its_visualizer():
    runner = SimpleNamespace(visualizer=Visualizer())
    CrowdVisualizationHook().before_run(runner)
    with pytest.raises(TypeError, match="visualizer=dict.type='CrowdVisualizer'., got Visualizer"):
        CrowdVisualizationHook(enable=True).before_run(runner)


def test_bad_interval():
    with pytest.raises(ValueError, match='interval is 0'):
        CrowdVisualizationHook(interval=0)
