"""How the command line of tools/train.py changes a config."""

import importlib.util

import pytest
import torch

from mmcrowd.engine import launch
from mmcrowd.registry import VISBACKENDS

from .cli import REPO, run_tool


@pytest.fixture
def load(load_tool, monkeypatch):
    """Function that gives the config with which training would begin."""
    train = load_tool('train.py')

    def load(*argv):
        given = []
        monkeypatch.setattr(launch, 'train', given.append)
        train.main(list(argv))
        return given[0]

    return load


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text(
        "model = dict(type='DensityCounter', backbone=dict(init_cfg=dict(a=1)))\n"
        "default_hooks = dict(checkpoint=dict(type='CheckpointHook'))\n"
        "visualizer = dict(type='CrowdVisualizer', vis_backends=[dict(type='LocalVisBackend')])\n"
    )
    return str(path)


def test_defaults(load, config):
    cfg = load(config)
    assert cfg.work_dir == 'work_dirs/tiny'
    assert cfg.launcher == 'none'
    assert not cfg.get('resume') and cfg.get('load_from') is None


def test_work_dir(load, config):
    assert load(config, '--cfg-options', 'work_dir=a').work_dir == 'a'
    assert load(config, '--cfg-options', 'work_dir=a', '--work-dir', 'b').work_dir == 'b'


def test_resume(load, config, tmp_path):
    cfg = load(config, '--resume', 'epoch_3.pth')
    assert cfg.resume is True and cfg.load_from == 'epoch_3.pth'
    save(tmp_path / 'elsewhere' / 'epoch_2.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'elsewhere' / 'epoch_2.pth'))
    always = (config, '--work-dir', str(tmp_path), '--resume')
    weights = ('--cfg-options', 'load_from=weights.pth')
    cfg = load(*always, *weights)
    assert cfg.resume is True and cfg.load_from == str(tmp_path / 'elsewhere' / 'epoch_2.pth')
    # The work dir was moved.
    save(tmp_path / 'epoch_2.pth')
    cfg = load(*always, *weights)
    assert cfg.resume is True and cfg.load_from == str(tmp_path / 'epoch_2.pth')


def save(*paths):
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        torch.save(dict(state_dict=dict(weight=torch.zeros(100))), path)


def damage(path, kind):
    content = path.read_bytes()
    if kind == 'cut off':
        path.write_bytes(content[: len(content) // 2])
    elif kind == 'empty':
        path.write_bytes(b'')
    elif kind == 'one bit':
        place = content.index(bytes(400)) + 200  # in the weights
        path.write_bytes(content[:place] + b'\x01' + content[place + 1 :])
    else:
        path.unlink()


@pytest.mark.parametrize('kind', ['cut off', 'empty', 'one bit', 'missing'])
def test_a_damaged_last_checkpoint(load, config, tmp_path, kind):
    """That before it is taken; never a later one, which is of a run before."""
    paths = [tmp_path / f'epoch_{epoch}.pth' for epoch in (5, 9, 10, 15)]
    save(*paths, tmp_path / 'best_epoch_9.pth')
    (tmp_path / 'last_checkpoint').write_text('elsewhere/epoch_10.pth')
    damage(paths[2], kind)
    argv = (config, '--work-dir', str(tmp_path), '--resume')
    with pytest.warns(UserWarning, match=r'not readable: .*epoch_10.pth \(.*epoch_9.pth') as told:
        assert load(*argv).load_from == str(paths[1])
    assert len(told) == 1
    damage(paths[1], kind)
    damage(paths[0], kind)
    those = 'epoch_10' if kind == 'missing' else 'epoch_10.*epoch_9.*epoch_5'
    with pytest.raises(ValueError, match=rf'no checkpoint .*{those}.* to begin anew'):
        load(*argv)


@pytest.mark.parametrize('text', ['', None])
def test_no_record_of_the_last_checkpoint(load, config, tmp_path, text):
    save(tmp_path / 'epoch_9.pth', tmp_path / 'epoch_10.pth', tmp_path / 'best_epoch_11.pth')
    if text is not None:
        (tmp_path / 'last_checkpoint').write_text(text)
    assert load(config, '--work-dir', str(tmp_path), '--resume').load_from == str(
        tmp_path / 'epoch_10.pth'
    )
    by_step = ('--cfg-options', 'default_hooks.checkpoint.by_epoch=False')
    save(tmp_path / 'iter_7.pth')
    assert load(config, '--work-dir', str(tmp_path), '--resume', *by_step).load_from == str(
        tmp_path / 'iter_7.pth'
    )


def test_nothing_to_resume_yet(load, config, tmp_path):
    """Training then starts from what the config says."""
    always = (config, '--work-dir', str(tmp_path), '--resume')
    cfg = load(*always)
    assert cfg.resume is False and cfg.load_from is None
    cfg = load(*always, '--cfg-options', 'load_from=weights.pth', 'resume=True')
    assert cfg.resume is False and cfg.load_from == 'weights.pth'


def test_cfg_options(load, config):
    cfg = load(config, '--cfg-options', 'model.backbone.init_cfg=None', 'model.x=1,2')
    assert cfg.model.backbone.init_cfg is None
    assert cfg.model.x == [1, 2]
    with pytest.raises(ValueError, match='--cfg-options x changes nothing'):
        load(config, '--cfg-options', 'x=1')


@pytest.mark.parametrize('argv', [['train.py'], ['test.py', 'a.pth']])
def test_many_open_files_are_allowed_first(load_tool, config, monkeypatch, argv):
    def stop(cfg):
        raise KeyboardInterrupt

    tool = load_tool(argv[0])
    monkeypatch.setattr(launch, 'allow_open_files', stop)
    with pytest.raises(KeyboardInterrupt):
        tool.main([config, *argv[1:]])


def test_amp(load, config):
    assert 'precision' not in load(config).model
    assert load(config, '--amp').model.precision == 'bf16'


@pytest.mark.parametrize('name', sorted(launch.VIS_BACKENDS))
def test_trackers(load, config, monkeypatch, name):
    argv = (config, '--work-dir', 'work_dirs/run_7', '--vis', name, name)
    # As where the package is.
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: name)
    backends = load(*argv).visualizer.vis_backends
    assert [each.type for each in backends] == ['LocalVisBackend', launch.VIS_BACKENDS[name]]
    # MMEngine knows it, and its arguments.
    backend = VISBACKENDS.build(dict(backends[1], save_dir='unused'))
    arguments = str(vars(backend))
    assert name == 'tensorboard' or ("'mmcrowd'" in arguments and "'run_7'" in arguments)


def test_a_tracker_that_is_not_installed(load, config, monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ModuleNotFoundError, match='--vis wandb: .* not installed; pip install w'):
        load(config, '--vis', 'wandb')


def test_images_that_fill_no_batch(tmp_path):
    with pytest.raises(
        AssertionError, match='train.py: error: .*batch_size=4 .* 3 training images'
    ):
        run_tool(
            'train.py',
            REPO / 'configs' / 'pml_resnet18_synthetic.py',
            '--work-dir',
            tmp_path,
            '--cfg-options',
            'train_dataloader.dataset.num_images=3',
            data_root=tmp_path,
        )
    assert not list(tmp_path.rglob('*.pth'))
