"""The PML counters of the configs against the outputs of the authors' program."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from mmcrowd.engine.config import read_config
from mmcrowd.models.converters.pml import convert, convert_back
from mmcrowd.registry import MODELS

from ..testing.published import assert_equal, load_rule

CONFIGS = Path(__file__).parents[2] / 'configs'
SEED = 2024
# Their name of a network, our config, gain of the rule, and millions of numbers as published.
NETWORKS = [
    ('vgg16_bn', 'pml_vgg16bn_sha.py', 1.0, 22.345),
    ('vgg19', 'pml_vgg19_sha.py', 1.0, 27.637),
    ('hrnet_w40', 'pml_hrnet_w40_sha.py', 0.3, 45.655),
    ('hrnet_w44', 'pml_hrnet_w44_sha.py', 0.3, 55.128),
    ('hrnet_w48', 'pml_hrnet_sha.py', 0.3, 65.500),
]


@pytest.fixture(scope='module')
def shapes(golden_root):
    """Shapes of the parameters and buffers of each published network, by name."""
    with open(golden_root / 'pml_counters.json', encoding='utf-8') as file:
        return json.load(file)


@pytest.fixture(scope='module')
def rule(golden_root):
    return load_rule(golden_root / 'systems')


def empty(shapes):
    """Parameters that need no memory."""
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


def build(name):
    """The counter of a config, on the meta device: nothing to initialise."""
    cfg = read_config(CONFIGS / name)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        return MODELS.build(cfg.model).eval()


@pytest.mark.parametrize('network, config, gain, millions', NETWORKS)
def test_density(golden_root, shapes, rule, network, config, gain, millions):
    published = {
        name: torch.as_tensor(rule.value(name, tuple(shape), SEED, gain))
        for name, shape in shapes[network].items()
    }
    assert sum(value.numel() for value in published.values()) / 1e6 == pytest.approx(
        millions, abs=6e-4
    )
    model = build(config)
    model.load_state_dict(convert(published), assign=True)
    with torch.no_grad():
        density = model(torch.as_tensor(rule.image(SEED, (1, 3, 96, 128))))['density']
    with np.load(golden_root / 'pml_counters.npz') as arrays:
        assert_equal(density, arrays[f'{network}/density'], rel=1e-9)

    back = convert_back(dict(model.state_dict()))
    assert set(back) == set(published)
    assert all(torch.equal(back[name], value) for name, value in published.items())


@pytest.mark.parametrize('network', ['vgg19', 'vgg16bn', 'hrnet'])
def test_every_data_set_and_loss_has_the_same_network(network):
    names = [f'pml_{network}_{part}.py' for part in ('sha', 'shb', 'qnrf', 'jhu', 'nwpu')]
    if network != 'vgg16bn':  # the paper compares the losses on the other counters
        names += [f'{loss}/{loss}_{network}_shb.py' for loss in ('bl', 'gl', 'dmc')]
    models = [read_config(CONFIGS / name).model for name in names]
    for model in models[1:]:
        for part in ('data_preprocessor', 'backbone', 'neck', 'head'):
            assert model[part] == models[0][part]


@pytest.mark.parametrize('config', ['pml_vgg19_sha.py', 'pml_hrnet_sha.py'])
def test_new_layers_start_as_published(config):
    cfg = read_config(CONFIGS / config)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    neck, head = MODELS.build(cfg.model.neck), MODELS.build(cfg.model.head)
    for part in (neck, head):
        part.init_weights()
    convolutions = {
        f'{place}.{name}': module
        for place, part in (('neck', neck), ('head', head))
        for name, module in part.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }
    for name, module in convolutions.items():
        assert module.bias is None or not module.bias.any()
        bound = module.weight[0].numel() ** -0.5  # PyTorch's default: uniform within it
        bound /= 100 if name == 'head.predict' else 1
        largest = module.weight.abs().max().item()
        assert 0.9 * bound < largest <= bound
        assert module.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
    assert {m.momentum for m in neck.modules() if isinstance(m, torch.nn.BatchNorm2d)} <= {0.1}


@pytest.fixture
def run(load_tool, monkeypatch, tmp_path):
    """Function that runs the converter in a folder of its own."""
    tool = load_tool('model_converters/pml_from_published.py')
    monkeypatch.chdir(tmp_path)

    def run(*args):
        monkeypatch.setattr(sys, 'argv', ['tool', *args])
        tool.main()

    return run


class CfgNode(dict):
    """As yacs has it: a dictionary with attributes of its own."""

    def __init__(self, content):
        super().__init__(content)
        self.__dict__.update(__immutable__=True, __deprecated_keys__=set())


def test_files_there_and_back(shapes, run, monkeypatch):
    """A file as their program writes it, with its options beside the weights."""
    yacs = ModuleType('yacs.config')
    yacs.CfgNode = CfgNode
    monkeypatch.setattr(CfgNode, '__module__', 'yacs.config')
    monkeypatch.setitem(sys.modules, 'yacs', ModuleType('yacs'))
    monkeypatch.setitem(sys.modules, 'yacs.config', yacs)
    config = CfgNode(dict(MODEL=CfgNode(dict(NAME='vgg19')), OUTPUT='exp'))
    theirs = empty(shapes['vgg19'])
    torch.save(dict(model=theirs, max_accuracy=(50.0, 80.0), config=config), 'best.pth')
    monkeypatch.delitem(sys.modules, 'yacs.config')  # it need not be installed

    run('best.pth', 'ours.pth')
    run('ours.pth', 'theirs.pth', '--back')
    assert set(torch.load('ours.pth')['state_dict']) == set(build('pml_vgg19_qnrf.py').state_dict())
    assert list(torch.load('theirs.pth')['model']) == list(theirs)


def test_another_network_is_named(shapes, run):
    other = empty(shapes['hrnet_w44'])
    other['decoders.2.weight'] = torch.zeros(()).expand(16, 44, 1, 1)
    other['classifier.weight'] = other.pop('decoders.0.0.bias')
    torch.save(dict(model=other), 'other.pth')
    message = (
        r'other\.pth: not the parameters of vgg16_bn or .*; compared with hrnet_w44, '
        r"1 are missing \['decoders\.0\.0\.bias'\], 1 are unknown \['classifier\.weight'\], "
        r"1 have another shape \['decoders\.2\.weight \(16, 44, 1, 1\) instead of \(4, 44, 1, 1\)'"
    )
    with pytest.raises(ValueError, match=message):
        run('other.pth', 'ours.pth')
    with pytest.raises(ValueError, match='not the parameters of vgg16_bn'):
        convert_back(convert(empty(shapes['vgg19'])) | {'head.extra': torch.zeros(1)})
    assert [path.name for path in Path().iterdir()] == ['other.pth']
