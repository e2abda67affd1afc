"""The main config, from files in the benchmark's own layout to its metrics."""

import os
import subprocess
import sys
from pathlib import Path

from tests.test_datasets.test_ucf_qnrf import make_qnrf

ROOT = Path(__file__).resolve().parents[2]


def test_one_epoch_of_the_main_config(tmp_path):
    make_qnrf(tmp_path / 'UCF-QNRF_ECCV18', num_images=10, size=(70, 90))
    environment = {**os.environ, 'MMCROWD_DATA_ROOT': str(tmp_path), 'PYTHONPATH': str(ROOT)}
    config = tmp_path / 'tiny.py'
    # The config as it is but for the amount of work; its images of up to 9999 px become tiny ones.
    config.write_text(
        f"""_base_ = [{str(ROOT / 'configs' / 'pml_hrnet_qnrf.py')!r}]
train_pipeline = _base_.train_pipeline
train_pipeline[1].longest = 80
train_pipeline[2].crop_size = 64
train_dataloader = dict(batch_size=3, num_workers=1, dataset=dict(pipeline=train_pipeline))
model = dict(backbone=dict(arch='w18', init_cfg=None), neck=dict(in_channels=[18, 36]))
param_scheduler = [dict(type='LinearLR', start_factor=0.5, end=1)]
train_cfg = dict(max_epochs=1, val_interval=1)
"""
    )

    def run(tool, *args):
        command = [sys.executable, str(ROOT / 'tools' / tool), str(config), *args]
        done = subprocess.run(
            [*command, '--work-dir', str(tmp_path / 'work')],
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    log = run('train.py')
    assert 'Epoch(train)' in log and 'count/MAE' in log
    checkpoint = tmp_path / 'work' / 'epoch_1.pth'
    assert checkpoint.is_file()
    log = run('test.py', str(checkpoint), '--show-dir', str(tmp_path / 'pictures'))
    assert 'Epoch(test) [10/10]' in log and 'count/RMSE' in log
    assert len(list((tmp_path / 'pictures').iterdir())) == 10
