"""SFCN, CSRNet and MCNN against the outputs of the C-3-Framework."""

import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from torch.nn.functional import avg_pool2d

from mmcrowd.engine.config import read_config
from mmcrowd.models.converters.c3 import convert, convert_back
from mmcrowd.registry import MODELS

from ..testing.published import assert_equal

CONFIGS = Path(__file__).parents[2] / 'configs'
# Config and number of parameters.
NETWORKS = dict(
    sfcn_plus=('sfcn/sfcn_resnet101_shb.py', 38596801),
    csrnet=('c3/c3_csrnet_sha.py', 16263489),
    mcnn=('c3/c3_mcnn_sha.py', 133705),
)


def build(config, **head):
    """The counter of a config, in float64 and without its ImageNet weights."""
    cfg = read_config(CONFIGS / config)
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = None
    return MODELS.build(dict(cfg.model, head=dict(cfg.model.head, **head))).double().eval()


@pytest.fixture(scope='module', params=NETWORKS)
def name(request):
    return request.param


@pytest.fixture(scope='module')
def published(golden, name):
    return golden(name)


@pytest.fixture(scope='module')
def state_dict(published):
    return published.state_dict()


@pytest.fixture(scope='module')
def network(name, state_dict):
    network = build(NETWORKS[name][0])
    network.load_state_dict(convert(state_dict))
    return network


@torch.no_grad()
def test_network(name, published, network):
    number = sum(parameter.numel() for parameter in network.parameters())
    assert number == published['num_parameters'] == NETWORKS[name][1]
    density = network(published.image(published['input_shape']))['density']
    # Theirs is 100 times the persons per pixel.
    assert_equal(100 * density, published['density'], rel=1e-6)  # float32
    assert_equal(density.sum((1, 2, 3)), published['count'], rel=1e-12)
    stride = density.shape[-1] // published['density_before_upsampling'].shape[-1]
    assert_equal(
        100 * avg_pool2d(density, stride), published['density_before_upsampling'], rel=1e-12
    )
    # The loss of GaussianMSELoss, of another target than Gaussians.
    target = 0.1 * published.image(published['density'].shape, offset=3).abs() / 100
    error = (100 * (density - target)).square().mean()
    assert_equal(error, published['loss/mse'], rel=1e-12)


@torch.no_grad()
def test_network_on_another_image(published, network):
    """The program loses pixels that fill no cell; here the preprocessor pads before the network."""
    inputs = published.image(published['odd_input_shape'], offset=1)
    assert_equal(100 * network(inputs)['density'], published['odd_density'], rel=1e-6)


@pytest.mark.parametrize('name', ['sfcn_plus'], indirect=True)  # the others have none
@torch.no_grad()
def test_spatial_encoder(published, network):
    features = network.backbone(published.image(published['input_shape'])[:1])
    assert_equal(features[-1][:, ::4], published['features_resnet'], rel=1e-6)
    x = network.neck.convs(features[-1])
    assert_equal(x, published['backend'], rel=1e-6)
    x = network.neck.rows(x)
    assert_equal(x, published['convDU'], rel=1e-6)
    assert_equal(network.neck.columns(x), published['convLR'], rel=1e-6)


@torch.no_grad()
def test_published_checkpoint_predicts_the_published_count(published, network):
    samples = network(published.image(published['input_shape']), mode='predict')
    assert_equal([sample.pred_count for sample in samples], published['count'], rel=1e-12)


@torch.no_grad()
def test_density_of_cells_has_the_same_count(golden):
    """As PML trains it: one value for each cell of the network."""
    published = golden('mcnn')
    network = build(NETWORKS['mcnn'][0], out_stride=4)
    network.load_state_dict(convert(published.state_dict()))
    density = network(published.image(published['input_shape']))['density']
    assert density.shape[2:] == (24, 32)
    assert_equal(density.sum((1, 2, 3)), published['count'], rel=1e-12)


def test_converter_there_and_back(state_dict):
    back = convert_back(convert({f'CCN.module.{key}': v for key, v in state_dict.items()}))
    assert set(back) == {f'CCN.{key}' for key in state_dict}
    assert all(torch.equal(back[f'CCN.{key}'], value) for key, value in state_dict.items())


def test_converter_files(load_tool, golden, monkeypatch, tmp_path):
    tool = load_tool('model_converters/c3_from_published.py')
    state_dict = {f'CCN.{key}': value for key, value in golden('mcnn').state_dict().items()}
    monkeypatch.chdir(tmp_path)
    torch.save(dict(net=state_dict, epoch=3), 'latest_state.pth')
    for arguments in (['latest_state.pth', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    back = torch.load('theirs.pth')
    assert all(torch.equal(back[name], value) for name, value in state_dict.items())
    del state_dict['CCN.fuse.0.conv.bias']
    torch.save(state_dict, 'cut.pth')
    monkeypatch.setattr(sys, 'argv', ['tool', 'cut.pth', 'ours.pth'])
    with pytest.raises(ValueError, match=r'cut\.pth: .*compared with MCNN, 1 are missing'):
        tool.main()
