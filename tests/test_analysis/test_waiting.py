import time

import pytest

from mmcrowd.analysis.benchmarks.waiting import Steps, measure_waiting
from mmcrowd.engine.config import read_config, set_data_root
from mmcrowd.registry import TRANSFORMS
from tests.testing.benchmarks import make_part


@TRANSFORMS.register_module()
class Delay:
    """A worker that needs so many seconds for an image."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, results):
        time.sleep(self.seconds)
        return results


@pytest.fixture
def cfg(tmp_path):
    """Training of a small counter; 18 of 20 images are for training."""
    cfg = read_config('mmcrowd::pml_mcnn_shb_cpu')
    # Weights that need not be there.
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='GONE')
    cfg.train_dataloader.batch_size = 2
    for step in cfg.train_dataloader.dataset.pipeline:
        if 'crop_size' in step:
            step.crop_size = 64
    set_data_root(cfg, str(make_part(tmp_path / 'part_B')))
    return cfg


def test_a_slow_loader_is_waited_for(cfg):
    before = cfg.to_dict()
    found = measure_waiting(cfg, steps=6, skip=3, num_workers=1)
    assert cfg.to_dict() == before
    assert len(found.time) == len(found.data_time) == 3
    assert all(0 <= wait <= whole for wait, whole in zip(found.data_time, found.time, strict=True))
    assert f'**{100 * found.share:.2f} %**' in str(found) and str(found).startswith('3 steps of ')

    # Two images a step from one worker, which needs several steps of this machine for each.
    seconds = max(0.1, 3 * max(found.time))
    cfg.train_dataloader.dataset.pipeline.insert(1, dict(type='Delay', seconds=seconds))
    delayed = measure_waiting(cfg, steps=6, skip=3, num_workers=1)
    assert max(delayed.time) > seconds and delayed.share > max(0.5, found.share)


def test_share_is_of_the_sums():
    """A step that waits long counts by its length."""
    assert Steps(time=[1.0, 9.0], data_time=[0.0, 5.0]).share == 0.5


def test_no_steps_to_measure(cfg):
    with pytest.raises(ValueError, match='skip=4 of steps=4'):
        measure_waiting(cfg, steps=4, skip=4)
    with pytest.raises(ValueError, match='9 steps, expected 10: fewer than 20 images'):
        measure_waiting(cfg, steps=10, skip=4, num_workers=0)
