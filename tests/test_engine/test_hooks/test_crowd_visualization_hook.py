import errno
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
from mmcrowd.engine.hooks import crowd_visualization_hook as hook_module
from mmcrowd.registry import HOOKS
from mmcrowd.structures import CrowdDataSample
from mmcrowd.visualization import CrowdVisualizer
from mmcrowd.visualization import crowd_visualizer as visualizer_module


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


def test_pictures_that_cannot_be_written(tmp_path, monkeypatch):
    """As on a disk that is full, told once; but a test is there for its pictures."""

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(visualizer_module.mmcv, 'imwrite', full)
    runner = make_runner(tmp_path, enable=True, interval=2, out_dir=str(tmp_path / 'out'))
    told = []
    monkeypatch.setattr(runner.logger, 'error', told.append)
    runner.train()
    assert runner.epoch == 2
    (line,) = told
    assert 'No space left' in line and line.endswith('the training goes on')
    with pytest.raises(OSError, match='No space left'):
        runner.test()


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
    picture = cv2.imread(str(tmp_path / 'test_folder%2FIMG_0_0.png'))
    assert np.all(picture[-480:] == (255, 0, 0))
    assert batch['inputs'][0][0, :24].min() == 255


def test_ids_that_look_alike_have_pictures_of_their_own(tmp_path):
    hook = CrowdVisualizationHook(enable=True, interval=1, out_dir=str(tmp_path))
    ids = ['a_b/1', 'a/b/1', 'a/b_1', 'a_b_1', 'a\\b_1', 'a%2Fb_1']
    items = [make_item(i, img_id) for i, img_id in enumerate(ids)]
    batch = dict(inputs=[item['inputs'] for item in items])
    samples = [item['data_samples'] for item in items]
    hook.after_test_iter(SimpleNamespace(visualizer=CrowdVisualizer()), 0, batch, samples)
    assert len(names(tmp_path)) == len(ids) and all(path.is_file() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ('interval', 'max_images', 'expected'),
    [(1, None, range(7)), (2, None, (0, 2, 4, 6)), (5, None, (0, 5)), (2, 3, (0, 2, 4))],
)
def test_all_ranks_draw_what_one_process_would(
    tmp_path, monkeypatch, interval, max_images, expected
):
    images = [make_item(i) for i in range(7)]
    drawn = []
    for rank in range(3):
        for module in (hook_module, visualizer_module):
            monkeypatch.setattr(module, 'get_dist_info', lambda rank=rank: (rank, 3), raising=False)
            monkeypatch.setattr(
                module, 'is_main_process', lambda rank=rank: rank == 0, raising=False
            )
        out_dir = tmp_path / f'rank{rank}'
        out_dir.mkdir()
        hook = CrowdVisualizationHook(True, interval, max_images, str(out_dir))
        runner = SimpleNamespace(
            visualizer=CrowdVisualizer(), test_dataloader=SimpleNamespace(dataset=images)
        )
        # Nine turns of images, seven of them there, in batches of two.
        share = [images[i % 7] for i in range(rank, 9, 3)]
        hook.before_test_epoch(runner)
        for start in (0, 2):
            batch = share[start : start + 2]
            hook.after_test_iter(
                runner,
                start // 2,
                dict(inputs=[item['inputs'] for item in batch]),
                [item['data_samples'] for item in batch],
            )
        drawn += names(out_dir)
    assert sorted(drawn) == [f'test_IMG_{i}_0.png' for i in expected]


def test_the_backends_get_images_of_the_first_rank(tmp_path, monkeypatch):
    monkeypatch.setattr(visualizer_module, 'is_main_process', lambda: False)
    image = np.zeros((24, 32, 3), np.uint8)
    sample = make_item(0)['data_samples']
    assert CrowdVisualizer().add_datasample('x', image, sample, frame='input') is None
    path = tmp_path / 'x.png'
    drawn = CrowdVisualizer().add_datasample('x', image, sample, frame='input', out_file=path)
    assert np.array_equal(cv2.imread(str(path))[..., ::-1], drawn)


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
