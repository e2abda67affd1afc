"""How the command line of tools/train.py changes a config."""

import pytest

from mmcrowd.engine import launch

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
    path.write_text("model = dict(type='DensityCounter', backbone=dict(init_cfg=dict(a=1)))\n")
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
    (tmp_path / 'last_checkpoint').write_text('elsewhere/epoch_2.pth')
    always = (config, '--work-dir', str(tmp_path), '--resume')
    weights = ('--cfg-options', 'load_from=weights.pth')
    cfg = load(*always, *weights)
    assert cfg.resume is True and cfg.load_from == 'elsewhere/epoch_2.pth'
    # The work dir was moved.
    (tmp_path / 'epoch_2.pth').touch()
    cfg = load(*always, *weights)
    assert cfg.resume is True and cfg.load_from == str(tmp_path / 'epoch_2.pth')


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
