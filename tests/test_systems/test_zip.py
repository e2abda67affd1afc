"""ZIP against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmcrowd.models import ZIPLoss
from mmcrowd.models.converters.zip import convert, convert_back
from mmcrowd.models.losses.block_terms import block_counts
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.published import assert_equal
from ..testing.training import train_steps

CONFIGS = Path(__file__).parents[2] / 'configs'
# Names of the outputs: ours, theirs.
OUTPUTS = dict(pi_logits='pi_logits', bin_logits='bin_logits', rate='lambda', density='density')

pytest.importorskip('timm')


@pytest.fixture(scope='module', params=['zip_p', 'zip_n'])
def zip_(golden, request):
    return golden(request.param)


@pytest.fixture(scope='module')
def state_dict(zip_):
    centres = torch.as_tensor(zip_['bin_centers']).view(1, -1, 1, 1)
    return dict(zip_.state_dict(), bin_centers=centres)


def build(cfg):
    """The counter of a config, in float64."""
    init_default_scope('mmcrowd')
    backbone = dict(cfg.model.backbone, pretrained=False)
    return MODELS.build(dict(cfg.model, backbone=backbone)).double()


@pytest.fixture(scope='module')
def network(zip_, state_dict):
    name = 'p' if str(zip_['backbone_name']).endswith('_050') else 'n'
    cfg = Config.fromfile(CONFIGS / 'zip' / f'zip_{name}_sha.py')
    network = build(cfg)
    network.load_state_dict(convert(state_dict))
    return network.eval()


def test_network(zip_, network):
    inputs = zip_.image(zip_['input_shape'])
    with torch.no_grad():
        levels = network.backbone(inputs)
        features = network.neck(levels)
        outputs = network.head(features)
    assert_equal(levels[-1][:1], zip_['encoder'], rel=1e-6)  # float32
    assert_equal(features[:1], zip_['backbone'], rel=1e-6)
    for ours, theirs in OUTPUTS.items():
        assert_equal(outputs[ours], zip_[theirs], rel=1e-12)
    assert_equal(outputs['density'].sum((1, 2, 3)), zip_['count'], rel=1e-12)


def test_network_on_a_rectangle(zip_, network):
    with torch.no_grad():
        density = network(zip_.image(zip_['rect_input_shape'], offset=1))['density']
    assert_equal(density, zip_['rect_density'], rel=1e-12)


@torch.no_grad()
def test_published_checkpoint_predicts_the_published_count(zip_, network):
    samples = network(zip_.image(zip_['input_shape']), mode='predict')
    assert_equal([sample.pred_count for sample in samples], zip_['count'].ravel(), rel=1e-12)
    density = torch.stack([sample.pred_density.density for sample in samples])
    assert_equal(density, zip_['density'], rel=1e-12)


def test_trains_on_real_images(data_root):
    """Some steps of ZIP-P."""
    cfg = Config.fromfile(CONFIGS / 'zip' / 'zip_p_sha.py')
    smaller = dict(backbone=dict(pretrained=False))
    model, losses, batch = train_steps(cfg, smaller, crop_size=128, steps=10)
    assert np.isfinite(losses).all() and losses[-1] < losses[0] / 2
    with torch.no_grad():
        samples = model.test_step(batch)
    for sample in samples:
        assert np.isfinite(sample.pred_count)
        assert sample.pred_density.density.shape == (1, 8, 8)


@pytest.fixture(scope='module')
def samples(zip_):
    """The published program puts the origin at the corner of the first pixel."""
    return [
        CrowdDataSample(gt_instances=InstanceData(points=zip_.points(i) - 0.5)) for i in range(2)
    ]


def test_targets(zip_, samples):
    points = [sample.gt_instances.points for sample in samples]
    counts = block_counts(points, (8, 8), 16, one_per_pixel=True)
    assert_equal(counts, zip_['block_counts'])


@pytest.mark.parametrize(
    'case, settings',
    [
        ('default', {}),
        ('nll_only', dict(ce_weight=0, mae_weight=0)),
        # The published transport term is a sum over the batch, of two images here.
        ('dm', dict(mae_weight=0, ot_weight=2 * 0.1, tv_weight=0.01)),
    ],
)
def test_loss(zip_, samples, case, settings):
    leaves = {ours: torch.tensor(zip_[theirs]) for ours, theirs in OUTPUTS.items()}
    leaves['density'] *= float(zip_['loss_density_factor'])
    for leaf in leaves.values():
        leaf.requires_grad_()
    loss = ZIPLoss(bins=zip_['bins'][:, 0].astype(int), one_per_pixel=True, **settings)
    terms = loss.loss(leaves, samples, 16)
    total = sum(terms.values())
    total.backward()

    published = {
        'loss_nll': 'reg_zipnll',
        'loss_ce': 'cls_zice',
        'loss_count': 'cnt_loss',
        'loss_tv': 'aux_tv_loss',
    }
    for ours, theirs in published.items():
        assert (ours in terms) == (f'loss/{case}/{theirs}' in zip_)
        if ours in terms:
            weight = 0.01 if ours == 'loss_tv' else 1
            assert_equal(terms[ours], weight * zip_[f'loss/{case}/{theirs}'])
    if 'loss_mae' in terms:
        scales = [zip_[f'loss/{case}/aux_mae_loss_{scale}'] for scale in (1, 2, 4)]
        assert_equal(terms['loss_mae'], scales[0] / 4 + scales[1] / 2 + scales[2])
    assert_equal(total, zip_[f'loss/{case}/total'])
    for ours, theirs in OUTPUTS.items():
        if f'grad/{case}/{theirs}' in zip_:
            assert_equal(leaves[ours].grad, zip_[f'grad/{case}/{theirs}'], rel=1e-8)
        else:
            assert leaves[ours].grad is None


def test_converter_there_and_back(state_dict):
    back = convert_back(convert(state_dict))
    assert set(back) == set(state_dict)
    for name, value in state_dict.items():
        torch.testing.assert_close(back[name], value, rtol=0, atol=0)


def test_converter_of_other_block_sizes():
    """Blocks of 32 pixels have no refiner, blocks of 8 two."""
    zero = torch.zeros(1)
    names = [
        'backbone.refiner.0.refine.conv1.weight',
        'backbone.refiner.1.refine.norm2.bias',
        'backbone.decoder.0.downsample.1.running_mean',
        'backbone.decoder.1.conv2.weight',
    ]
    theirs = dict(dict.fromkeys(names, zero), bin_centers=torch.zeros(1, 3, 1, 1))
    ours = convert(theirs)
    assert set(ours) == {
        'head.bin_centres',
        'neck.doublings.0.depthwise.conv.weight',
        'neck.doublings.1.pointwise.bn.bias',
        'neck.narrowings.0.shortcut.bn.running_mean',
        'neck.narrowings.1.pointwise.conv.weight',
    }
    assert set(convert_back(ours)) == set(theirs)


def test_converter_of_the_larger_network():
    """ZIP-T has other blocks. Its names are those of the program, its parameters as many."""
    cfg = Config.fromfile(CONFIGS / 'zip' / 'zip_t_sha.py')
    network = build(cfg)
    assert sum(parameter.numel() for parameter in network.parameters()) == 10534847
    ours = network.state_dict()
    theirs = convert_back(ours)
    names = {name for name in theirs if name.startswith(('backbone.refiner', 'backbone.decoder.1'))}
    blocks = ('backbone.refiner.refine.refine', 'backbone.decoder.1.refine')
    weights = ('conv1.depthwise', 'conv1.pointwise', 'conv2.depthwise', 'conv2.pointwise')
    norms = ('norm1', 'norm2')
    values = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
    expected = {f'{block}.{part}.weight' for block in blocks for part in weights}
    expected |= {f'{block}.{part}.{key}' for block in blocks for part in norms for key in values}
    expected |= {'backbone.decoder.1.refine.downsample.0.weight'}
    expected |= {f'backbone.decoder.1.refine.downsample.1.{key}' for key in values}
    assert names == expected
    back = convert(theirs)
    assert set(back) == set(ours)
    assert all(torch.equal(back[name], value) for name, value in ours.items())


def test_converter_files(load_tool, state_dict, monkeypatch, tmp_path):
    tool = load_tool('model_converters/zip_from_published.py')
    config = dict(model_name='mobilenetv4_conv_small', bins=[(0.0, 0.0), (1.0, float('inf'))])
    torch.save(dict(config=config, weights=state_dict), tmp_path / 'best_mae.pth')
    monkeypatch.chdir(tmp_path)
    for arguments in (['best_mae.pth', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    back = torch.load('theirs.pth')['state_dict']
    assert all(torch.equal(back[name], value) for name, value in state_dict.items())


def test_converter_names_what_is_wrong(load_tool, monkeypatch, tmp_path):
    tool = load_tool('model_converters/zip_from_published.py')
    with pytest.raises(ValueError, match='no buffer "bin_centers"'):
        convert({'pi_head.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match='no buffer "head.bin_centres"'):
        convert_back({'head.predict_pi.weight': torch.zeros(1)})
    path = tmp_path / 'clip.pth'
    weights = {'bin_centers': torch.zeros(1, 2, 1, 1), 'text_encoder.weight': torch.zeros(1)}
    torch.save(dict(weights=weights), path)
    monkeypatch.setattr(sys, 'argv', ['tool', str(path), str(tmp_path / 'out.pth')])
    with pytest.raises(ValueError, match=r'clip\.pth: no parameter .*"text_encoder\.weight"'):
        tool.main()


@pytest.mark.parametrize('dataset', ['sha', 'shb', 'qnrf', 'nwpu'])
@pytest.mark.parametrize('size', 'pnt')
def test_config(dataset, size):
    """The parts of a config fit each other, and the bin centres their bins."""
    cfg = Config.fromfile(CONFIGS / 'zip' / f'zip_{size}_{dataset}.py')
    network = build(cfg).eval()
    loss, stride = network.loss_module, network.stride
    with torch.no_grad():
        outputs = network(torch.zeros(1, 3, 64, 96, dtype=torch.float64))
    assert outputs['density'].shape == (1, 1, 64 // stride, 96 // stride)
    outputs = {key: value.requires_grad_() for key, value in outputs.items()}
    points = torch.tensor([[3.0, 4.0], [90.2, 50.7]])
    sample = CrowdDataSample(gt_instances=InstanceData(points=points))
    sum(loss.loss(outputs, [sample], stride).values()).backward()
    assert all(value.grad.isfinite().all() for value in outputs.values())
    lowest, centres = cfg.model.loss.bins[1:], cfg.model.head.bin_centres
    for low, centre, high in zip(lowest, centres, [*lowest[1:], float('inf')], strict=True):
        assert low <= centre < high
