"""What the options for large trainings do to a training."""

import argparse
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import RUNNERS, init_default_scope
from mmengine.runner import FlexibleRunner
from torch import nn
from torch._dynamo.utils import counters

from mmcrowd.engine import launch, training_options
from mmcrowd.engine.config import read_config
from mmcrowd.engine.optim_wrappers import AmpOptimWrapper

from ..testing.runs import TINY_CONFIG


def load(folder: Path, *argv: str, config: str = TINY_CONFIG) -> Config:
    """The config of a training with these options."""
    path = folder / 'tiny.py'
    path.write_text(config, encoding='utf-8')
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    launch.add_arguments(parser)
    training_options.add_arguments(parser)
    args = parser.parse_args([str(path), '--work-dir', str(folder / 'run'), *argv])
    cfg = launch.load_config(args)
    training_options.apply(cfg, args)
    return cfg


def train(folder: Path, *argv: str, config: str = TINY_CONFIG) -> dict:
    """The checkpoint of a training with these options."""
    launch.train(load(folder, *argv, config=config))
    return torch.load(folder / 'run' / 'epoch_1.pth', weights_only=False)


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """What training without options gives."""
    return train(tmp_path_factory.mktemp('plain'))['state_dict']


def test_accumulated_gradients_are_those_of_a_larger_batch(tmp_path, weights):
    one = ('--cfg-options', 'train_dataloader.batch_size=1')
    torch.testing.assert_close(train(tmp_path, '--accumulate', '2', *one)['state_dict'], weights)


def test_activation_checkpointing_changes_nothing(tmp_path, weights):
    assert load(tmp_path, '--activation-checkpointing').model.backbone.with_cp
    actual = train(tmp_path, '--activation-checkpointing')['state_dict']
    torch.testing.assert_close(actual, weights)


@pytest.mark.parametrize('name', ['MCNN', 'SwitchMCNN', 'Identity', 'mmpretrain.DenseNet'])
def test_backbones_without_activation_checkpointing(tmp_path, name):
    config = TINY_CONFIG.replace("type='VGGFeatures'", f'type={name!r}')
    class_ = name.split('.')[-1]
    with pytest.raises(ValueError, match=f'--activation-checkpointing: the backbone {class_} has'):
        load(tmp_path, '--activation-checkpointing', config=config)


@pytest.mark.parametrize(
    'name',
    ['CSRNet', 'VGGSideBranches', 'HRNetBilinear', 'EfficientNetLite0', 'mmpretrain.ResNet'],
)
def test_backbones_with_activation_checkpointing(tmp_path, name):
    config = TINY_CONFIG.replace("type='VGGFeatures'", f'type={name!r}')
    assert load(tmp_path, '--activation-checkpointing', config=config).model.backbone.with_cp


def test_options_that_do_not_disturb_each_other(tmp_path):
    torch.compiler.reset()
    counters.clear()
    options = ('--ema', '0.5', '--channels-last', '--auto-scale-lr', '--compile')
    cfg_options = (
        'train_dataloader.batch_size=1',
        'train_dataloader.dataset.num_images=2',
        'compile.backend=eager',
    )
    config = TINY_CONFIG.replace('norm_cfg=None', "norm_cfg=dict(type='BN')")
    checkpoint = train(tmp_path, *options, '--cfg-options', *cfg_options, config=config)
    # One image where the config has two.
    assert checkpoint['optimizer']['param_groups'][0]['lr'] == pytest.approx(0.5)
    # MMEngine keeps the averages as the weights, and the weights beside them.
    averaged, raw = checkpoint['state_dict'], checkpoint['ema_state_dict']
    for name in ('backbone.features.0.conv.weight', 'head.convs.0.bn.running_mean'):
        assert not torch.equal(averaged[name], raw[f'module.{name}'])
    weight = averaged['head.convs.0.conv.weight']
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    assert counters['frames']['ok'] > 0


def test_synchronised_normalisation_needs_gpus(tmp_path):
    cfg = load(tmp_path, '--sync-bn', '--launcher', 'pytorch')
    with pytest.raises(ValueError, match="sync_bn='torch' needs GPUs"):
        launch.train(cfg)


@pytest.mark.filterwarnings('ignore:.*GradScaler')
def test_float16_by_the_wrapper_with_a_loss_scale(tmp_path, monkeypatch):
    monkeypatch.setattr(training_options, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    cfg = load(tmp_path, '--fp16', '--accumulate', '2')
    chosen = {key: cfg.optim_wrapper[key] for key in ('type', 'dtype', 'loss_scale')}
    assert chosen == dict(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')
    init_default_scope('mmcrowd')
    wrapper = build_optim_wrapper(nn.Linear(1, 1), cfg.optim_wrapper)
    assert type(wrapper) is AmpOptimWrapper
    assert wrapper.cast_dtype is torch.float16
    # Otherwise a scale that stays.
    assert wrapper._scale_update_param is None
    # The rest of the config is as it was.
    assert wrapper.param_groups[0]['lr'] == 1.0 and wrapper._accumulative_counts == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason='asks for float16 without a GPU')
def test_float16_needs_a_gpu(tmp_path):
    with pytest.raises(ValueError, match='--fp16 needs a GPU; --bf16 runs everywhere'):
        load(tmp_path, '--fp16')


@pytest.mark.parametrize(
    'option, message', [(('--accumulate', '0'), 'at least 1'), (('--ema', '2'), 'between 0 and 1')]
)
def test_numbers_out_of_range(tmp_path, option, message):
    with pytest.raises(ValueError, match=' '.join(option) + f'.*: expected .*{message}'):
        load(tmp_path, *option)


@pytest.mark.parametrize('name', ['fsdp', 'deepspeed'])
def test_strategies_beside_a_config(tmp_path, name):
    strategies = Path(__file__).parents[2] / 'configs' / '_base_' / 'strategies'
    (tmp_path / 'tiny.py').write_text(TINY_CONFIG, encoding='utf-8')
    path = tmp_path / 'sharded.py'
    path.write_text(
        f"_base_ = ['tiny.py', {str(strategies / f'{name}.py')!r}]\n"
        "optim_wrapper = dict(type='DeepSpeedOptimWrapper')\n",
        encoding='utf-8',
    )
    cfg = read_config(path)
    assert RUNNERS.get(cfg.runner_type) is FlexibleRunner
    assert cfg.strategy.type.lower() == f'{name}strategy'
    assert cfg.optim_wrapper.optimizer.type == 'SGD'
