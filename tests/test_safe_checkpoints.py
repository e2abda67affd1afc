"""No door lets a checkpoint run code, and what our own trainings write goes through them."""

import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import initialize
from mmengine.runner import CheckpointLoader, load_checkpoint

from mmcrowd.apis import CrowdInferencer
from mmcrowd.fileio.checkpoints import TRUST, read_checkpoint

# A training that takes a second an epoch.
TINY = """
default_scope = 'mmcrowd'
custom_imports = dict(imports=['mmcrowd'])
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(type='CrowdDataPreprocessor', to_gray=True, mean=[0], std=[255]),
    backbone=dict(type='MCNN'),
    head=dict(type='DensityHead', in_channels=30, mid_channels=(), in_stride=4, out_stride=4),
    loss=dict(type='PMLLoss'),
)
loader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='SyntheticCrowdDataset',
        num_images=4,
        img_size=(48, 32),
        pipeline=[dict(type='LoadCrowdImage'), dict(type='PackCrowdInputs')],
    ),
)
train_dataloader = loader
test_dataloader = loader
test_evaluator = dict(type='CountMetric')
train_cfg = dict(by_epoch=True, max_epochs=2)
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=4, by_epoch=False)]
custom_hooks = [dict(type='EMAHook')]
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', interval=1),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    augmentation_seed=dict(type='AugmentationSeedHook'),
)
randomness = dict(seed=0)
log_level = 'ERROR'
"""


class Code:
    """Runs when it is read from a pickle: makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, 'w'))


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text(TINY)
    return str(path)


@pytest.fixture
def trace(tmp_path):
    return tmp_path / 'it_ran'


@pytest.fixture
def malicious(tmp_path, trace):
    """A checkpoint with everything that a training expects of one, and code."""
    path = tmp_path / 'malicious.pth'
    meta = dict(epoch=0, iter=0, cfg='', code=Code(trace))
    torch.save(dict(state_dict={'backbone.x': torch.zeros(1)}, meta=meta, message_hub={}), path)
    return path


class Command:
    """The commonest of malicious checkpoints: runs a command of the shell."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f'touch {self.path}',))


REFUSED = r'malicious\.pth: refused, because it holds more than tensors and plain values.*' + TRUST


@pytest.mark.parametrize(
    'tool, arguments',
    [
        ('train.py', ['--resume', '{}']),
        ('train.py', ['--cfg-options', 'load_from={}']),
        (
            'train.py',
            ['--cfg-options', 'model.backbone.init_cfg.type=Pretrained']
            + ['model.backbone.init_cfg.checkpoint={}', 'model.backbone.init_cfg.prefix=backbone'],
        ),
        (
            'train.py',
            ['--cfg-options', 'model.init_cfg.type=Pretrained', 'model.init_cfg.checkpoint={}'],
        ),
        ('test.py', ['{}']),
        ('test.py', ['{}', '--no-strict']),
    ],
)
def test_tools(load_tool, config, malicious, trace, tmp_path, tool, arguments):
    arguments = [each.format(malicious) for each in arguments]
    with pytest.raises(ValueError, match=REFUSED):
        load_tool(tool).main([config, *arguments, '--work-dir', str(tmp_path / 'work')])
    assert not trace.exists()


@pytest.mark.parametrize(
    'converter',
    [
        'efficientnet_lite0_from_package',
        'fidtm_from_published',
        'zip_from_published',
        'publish_model',
    ],
)
def test_converters(load_tool, malicious, trace, tmp_path, monkeypatch, converter):
    options = ['--config', 'mmcrowd::pml_mcnn_sha'] if converter == 'publish_model' else []
    target = str(tmp_path / ('out.safetensors' if options else 'out.pth'))
    monkeypatch.setattr(sys, 'argv', [converter, str(malicious), target, *options])
    with pytest.raises(ValueError, match=REFUSED):
        load_tool(f'model_converters/{converter}.py').main()
    assert not trace.exists()


def test_inferencer(config, malicious, trace):
    with pytest.raises(ValueError, match=REFUSED):
        CrowdInferencer(config, malicious, device='cpu')
    with pytest.raises(ValueError, match=REFUSED):
        CrowdInferencer(weights=malicious, device='cpu')
    assert not trace.exists()


def save_zipped(content, path, protocol):
    torch.save(content, path, pickle_protocol=protocol)


def save_as_before_torch_1_6(content, path, protocol):
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)


def save_plain(content, path, protocol):
    path.write_bytes(pickle.dumps(content, protocol))


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
@pytest.mark.parametrize('inside', [False, True], ids=['alone', 'inside'])
@pytest.mark.parametrize(
    'save, protocol',
    [(save_zipped, n) for n in (2, 3, 4, 5)]
    + [(save_as_before_torch_1_6, n) for n in (2, 3, 4, 5)]
    + [(save_plain, n) for n in range(6)],
)
def test_a_command_of_the_shell(tmp_path, trace, save, protocol, inside):
    path = tmp_path / 'malicious.pth'
    command = Command(trace)
    save(dict(state_dict={}, x=command) if inside else command, path, protocol)
    with pytest.raises(ValueError, match=REFUSED) as error:
        read_checkpoint(path)
    with pytest.raises(ValueError, match='refused') as error_of_open_file, path.open('rb') as file:
        read_checkpoint(file)
    assert str(error.value) == str(error_of_open_file.value)
    assert '\n' not in str(error.value) and 'weights_only' not in str(error.value)
    if protocol in (2, 3):
        assert f'({os.system.__module__}.system)' in str(error.value)
    assert not trace.exists()


@pytest.mark.filterwarnings('ignore:.*TorchScript archive', 'ignore:.*is deprecated')
def test_a_program_of_torchscript_is_refused(tmp_path):
    path = tmp_path / 'malicious.pth'
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 1), torch.zeros(1, 2)), path)
    with pytest.raises(ValueError, match=REFUSED) as error:
        read_checkpoint(path)
    assert 'weights_only' not in str(error.value)


def test_the_text_of_a_config_is_not_run(load_tool, config, trace, tmp_path):
    """MMEngine would run it as Python when a training resumes."""
    text = f'open({str(trace)!r}, "w")'
    content = dict(
        state_dict={'backbone.x': torch.zeros(1)},
        meta=dict(epoch=0, iter=0, cfg=text, config=text),
        message_hub=dict(log_scalars={}, runtime_info=dict(cfg=text), resumed_keys={}),
    )
    torch.save(content, tmp_path / 'a.pth')
    work = ('--work-dir', str(tmp_path / 'work'))
    load_tool('train.py').main([config, '--resume', str(tmp_path / 'a.pth'), *work])
    assert (tmp_path / 'work' / 'epoch_2.pth').exists() and not trace.exists()


@pytest.mark.parametrize(
    'scheme', ['{}', 'open-mmlab://evil', 'openmmlab://evil', 's3://a/malicious.pth']
)
def test_every_form_of_a_name(malicious, trace, monkeypatch, scheme):
    from mmengine import fileio
    from mmengine.runner import checkpoint

    monkeypatch.setenv('MMENGINE_HOME', str(malicious.parent))
    monkeypatch.setattr(checkpoint, 'get_external_models', lambda: {'evil': malicious.name})
    monkeypatch.setattr(checkpoint, 'get_deprecated_model_names', dict)
    monkeypatch.setattr(fileio, 'get', lambda *args, **kwargs: malicious.read_bytes())
    with pytest.raises(ValueError, match=REFUSED):
        CheckpointLoader.load_checkpoint(scheme.format(malicious))
    assert not trace.exists()


def test_no_reader_of_mmengine_is_left():
    readers = CheckpointLoader._schemes.values()
    assert {reader.__module__ for reader in readers} == {'mmcrowd.fileio.checkpoint_schemes'}
    with pytest.raises(ValueError, match='pavi:// is not read by mmcrowd'):
        CheckpointLoader.load_checkpoint('pavi://a.pth')
    with pytest.raises(ValueError, match="MMEngine knows no model 'none'"):
        CheckpointLoader.load_checkpoint('torchvision://none')


@pytest.mark.parametrize(
    'imports',
    [
        'import mmcrowd; from mmengine.runner import CheckpointLoader',
        'from mmengine.runner import CheckpointLoader; import mmcrowd',
        'import mmcrowd.datasets; from mmengine.runner.checkpoint import CheckpointLoader',
    ],
)
def test_wherever_mmcrowd_is_imported(malicious, trace, imports):
    """In a project that uses a part of it only, such as a data set."""
    code = f'{imports}; import sys; CheckpointLoader.load_checkpoint(sys.argv[1])'
    done = subprocess.run(
        [sys.executable, '-c', code, str(malicious)], capture_output=True, text=True, timeout=300
    )
    assert re.search(REFUSED, done.stderr), done.stderr
    assert done.returncode == 1 and not trace.exists()


def test_trusted(malicious, trace, monkeypatch):
    monkeypatch.setenv(TRUST, '1')
    with pytest.warns(UserWarning, match='malicious.pth: .*=1, so code in this file is run'):
        assert read_checkpoint(malicious)['meta']['epoch'] == 0
    assert trace.exists()


@pytest.mark.parametrize('owner, name', [(HistoryBuffer, '__init__'), (np.ndarray, 'tofile')])
def test_getattr_gives_statistics_only(tmp_path, owner, name):
    class Attribute:
        def __reduce__(self):
            return getattr, (owner, name)

    torch.save(dict(state_dict={}, x=Attribute()), tmp_path / 'malicious.pth')
    with pytest.raises(ValueError, match=REFUSED):
        read_checkpoint(tmp_path / 'malicious.pth')


def test_arrays_of_objects_are_refused(tmp_path, trace):
    array = np.array([Code(trace)], dtype=object)
    torch.save(dict(x=array), tmp_path / 'malicious.pth')
    with pytest.raises(ValueError, match=REFUSED):
        read_checkpoint(tmp_path / 'malicious.pth')
    assert not trace.exists()


# ------------------------------------------------------------------------------ our own checkpoints


@pytest.fixture
def trained(load_tool, config, tmp_path):
    """The folder of a training in one go."""
    load_tool('train.py').main([config, '--work-dir', str(tmp_path / 'whole')])
    return tmp_path / 'whole'


def flat(value, key=''):
    """The leaves of a checkpoint by their keys; histories as lists."""
    if isinstance(value, HistoryBuffer):
        value = vars(value)
    if isinstance(value, dict):
        for name, each in value.items():
            yield from flat(each, f'{key}.{name}')
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from flat(each, f'{key}.{number}')
    else:
        yield key, value.tolist() if isinstance(value, torch.Tensor | np.ndarray) else value


def test_a_training_state_is_read_and_resumed_to_the_bit(load_tool, config, trained, tmp_path):
    safe = dict(flat(read_checkpoint(trained / 'epoch_1.pth')))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        plain = dict(flat(torch.load(trained / 'epoch_1.pth', weights_only=False)))
    assert safe == plain
    for key in ('.optimizer.state.0.exp_avg', '.param_schedulers.0.last_step'):
        assert key in safe
    assert any(key.startswith('.ema_state_dict.') for key in safe)
    assert any(key.startswith('.message_hub.log_scalars.train/loss._log_history') for key in safe)

    resume = ('--resume', str(trained / 'epoch_1.pth'), '--work-dir', str(tmp_path / 'resumed'))
    load_tool('train.py').main([config, *resume])
    resumed = dict(flat(read_checkpoint(tmp_path / 'resumed' / 'epoch_2.pth')))
    whole = dict(flat(read_checkpoint(trained / 'epoch_2.pth')))
    for key, value in whole.items():
        if key.startswith(('.state_dict', '.ema_state_dict', '.optimizer', '.param_schedulers')):
            assert resumed[key] == value, key
    history = '.message_hub.log_scalars.train/loss._log_history'
    assert resumed[history] == whole[history] and len(whole[history]) == 4


def test_test_refuses_weights_of_another_model(load_tool, config, trained, tmp_path):
    work = ('--work-dir', str(tmp_path / 'work'))
    other = ('--cfg-options', "model.head.type='DensityHead'", 'model.head.mid_channels=(8,)')
    test = load_tool('test.py')
    with pytest.raises(ValueError, match='epoch_1.pth: weights of another model: .*head'):
        test.main([config, str(trained / 'epoch_1.pth'), *other, *work])
    test.main([config, str(trained / 'epoch_1.pth'), *other, '--no-strict', *work])
    test.main([config, str(trained / 'epoch_1.pth'), *work])


def test_safetensors_go_through_the_same_doors(load_tool, config, trained, tmp_path):
    """Published weights are for train.py, test.py, init_cfg and the inferencer."""
    path = tmp_path / 'small.safetensors'
    publish = load_tool('model_converters/publish_model.py')
    publish.main(
        [str(trained / 'epoch_2.pth'), str(path), '--config', 'mmcrowd::pml_mcnn_sha']
        + ['--sizes', '48', '48']
    )
    # The averaged weights, which are the state_dict of a checkpoint with EMA.
    averaged = read_checkpoint(trained / 'epoch_2.pth')['state_dict']
    published = read_checkpoint(path)
    assert published['meta'] == dict(config='mmcrowd::pml_mcnn_sha', sizes=[48, 48])
    for key, value in published['state_dict'].items():
        assert torch.equal(value, averaged[key].half() if value.ndim > 1 else averaged[key])
    assert path.stat().st_size < 0.6 * sum(4 * v.numel() for v in averaged.values())

    work = ('--work-dir', str(tmp_path / 'work'))
    load_tool('test.py').main([config, str(path), *work])
    counter = CrowdInferencer(config, path, device='cpu', show_progress=False)
    assert counter.training_sizes == (48, 48)
    backbone = counter.model.backbone
    for parameter in backbone.parameters():
        torch.nn.init.zeros_(parameter)
    initialize(backbone, dict(type='Pretrained', checkpoint=str(path), prefix='backbone'))
    loaded = dict(backbone.named_parameters())
    assert all(
        torch.equal(value.detach(), published['state_dict'][f'backbone.{key}'].float())
        for key, value in loaded.items()
    )
    load_checkpoint(counter.model, str(path), strict=True)


@pytest.mark.parametrize('content', [b'', b'text', b'\x08\0\0\0\0\0\0\0{"a": 1}'])
def test_no_safetensors(tmp_path, content):
    Path(tmp_path, 'a.safetensors').write_bytes(content)
    with pytest.raises(ValueError, match='a.safetensors: not a readable safetensors file'):
        read_checkpoint(tmp_path / 'a.safetensors')


def test_a_pickle_by_another_name(tmp_path, trace):
    """The ending says how a file is read, not its content."""
    (tmp_path / 'a.safetensors').write_bytes(pickle.dumps(Code(trace)))
    with pytest.raises(ValueError, match='not a readable safetensors file'):
        read_checkpoint(tmp_path / 'a.safetensors')
    assert not trace.exists()
