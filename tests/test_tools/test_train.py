"""How the command line of tools/train.py changes a config."""

import pytest

from .cli import REPO, run_tool


@pytest.fixture
def train(load_tool):
    return load_tool('train.py')


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text("model = dict(type='DensityCounter', backbone=dict(init_cfg=dict(a=1)))\n")
    return str(path)


def load(train, *argv):
    return train.load_config(train.parse_args(list(argv)))


def test_defaults(train, config):
    cfg = load(train, config)
    assert cfg.work_dir == 'work_dirs/tiny'
    assert cfg.launcher == 'none'
    assert not cfg.get('resume') and cfg.get('load_from') is None


def test_work_dir(train, config):
    assert load(train, config, '--cfg-options', 'work_dir=a').work_dir == 'a'
    assert load(train, config, '--cfg-options', 'work_dir=a', '--work-dir', 'b').work_dir == 'b'


def test_resume(train, config):
    cfg = load(train, config, '--resume')
    assert cfg.resume is True and cfg.load_from is None
    cfg = load(train, config, '--resume', 'epoch_3.pth')
    assert cfg.resume is True and cfg.load_from == 'epoch_3.pth'


def test_cfg_options(train, config):
    cfg = load(train, config, '--cfg-options', 'model.backbone.init_cfg=None', 'x=1,2')
    assert cfg.model.backbone.init_cfg is None
    assert cfg.x == [1, 2]


def test_amp(train, config):
    assert 'precision' not in load(train, config).model
    assert load(train, config, '--amp').model.precision == 'bf16'


def test_images_that_fill_no_batch(tmp_path):
    with pytest.raises(AssertionError, match='ValueError: .*batch_size=4 .* 3 training images'):
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
