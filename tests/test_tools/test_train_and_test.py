"""From image files to metrics and pictures, through the command line."""

import numpy as np
import torch
from PIL import Image

from tests.testing.benchmarks import make_qnrf

from .cli import REPO, run_tool


def test_the_main_config_on_files_in_its_layout(tmp_path):
    folder = ('--data-root', make_qnrf(tmp_path / 'downloaded', num_images=10, size=(70, 90)))
    config = tmp_path / 'tiny.py'
    # The config as it is but for the amount of work.
    config.write_text(
        f"""_base_ = [{str(REPO / 'configs' / 'pml_hrnet_qnrf.py')!r}]
train_pipeline = _base_.train_pipeline
train_pipeline[1].longest = 80
train_pipeline[2].crop_size = 64
train_dataloader = dict(batch_size=2, num_workers=1, dataset=dict(pipeline=train_pipeline))
model = dict(backbone=dict(arch='w18', init_cfg=None), neck=dict(in_channels=[18, 36]))
param_scheduler = [dict(type='LinearLR', start_factor=0.5, end=1)]
train_cfg = dict(max_epochs=1, val_interval=1)
"""
    )
    work_dir = tmp_path / 'work'
    # Without a GPU in two processes: half of HRNet's last layers get no gradient, which data
    # parallelism has to be told.
    train = ('train.py', config) if torch.cuda.is_available() else ('dist_train.sh', config, 2)
    log = run_tool(*train, '--work-dir', work_dir, *folder, data_root=tmp_path)
    assert 'Epoch(train)' in log and 'count/MAE' in log

    log = run_tool(
        'test.py',
        config,
        work_dir / 'epoch_1.pth',
        '--work-dir',
        work_dir,
        '--show-dir',
        tmp_path / 'pictures',
        *folder,
        data_root=tmp_path,
    )
    assert 'count/RMSE' in log
    assert len(list((tmp_path / 'pictures').iterdir())) == 10


def test_real_images_interrupted_and_resumed(data_root, tmp_path):
    config = tmp_path / 'tiny.py'
    config.write_text(
        f"""_base_ = [{str(REPO / 'configs' / 'pml_mcnn_shb.py')!r}]
train_pipeline = _base_.train_pipeline
train_pipeline[1].crop_size = 128
train_dataloader = dict(
    batch_size=4, num_workers=1, dataset=dict(pipeline=train_pipeline, indices=8)
)
val_dataloader = dict(num_workers=1, dataset=dict(indices=2))
test_dataloader = dict(num_workers=1, dataset=dict(indices=2))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = []
train_cfg = dict(max_epochs=1, val_interval=1)
default_hooks = dict(
    logger=dict(interval=1), visualization=dict(enable=True, interval=1, max_images=1)
)
"""
    )
    work_dir = tmp_path / 'work'
    run_tool('train.py', config, '--work-dir', work_dir, data_root=data_root)
    first = torch.load(work_dir / 'epoch_1.pth', weights_only=False)
    # Validation has drawn its first image.
    (picture,) = work_dir.glob('*/vis_data/vis_image/val_IMG_10*.png')
    assert np.ptp(np.asarray(Image.open(picture))) > 100

    resume = ('--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    log = run_tool('train.py', config, '--work-dir', work_dir, *resume, data_root=data_root)
    assert 'resumed epoch: 1' in log
    second = torch.load(work_dir / 'epoch_2.pth', weights_only=False)
    assert (first['meta']['iter'], second['meta']['iter']) == (2, 4)
    assert second['optimizer']['state'][0]['step'] == 4
    # A run in one go has the same weights.
    options = ('--cfg-options', 'train_cfg.max_epochs=2')
    run_tool('train.py', config, '--work-dir', tmp_path / 'whole', *options, data_root=data_root)
    whole = torch.load(tmp_path / 'whole' / 'epoch_2.pth', weights_only=False)
    for name, value in whole['state_dict'].items():
        torch.testing.assert_close(second['state_dict'][name], value, rtol=1e-5, atol=1e-7)
        assert name.endswith('bias') or not torch.equal(first['state_dict'][name], value)

    log = run_tool(
        'test.py', config, work_dir / 'epoch_2.pth', '--work-dir', work_dir, data_root=data_root
    )
    assert 'count/MAE' in log
