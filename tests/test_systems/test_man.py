"""MAN against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmcrowd.models import RegionAttentionEncoder, TopBayesianLoss
from mmcrowd.models.converters.man import convert, convert_back
from mmcrowd.models.losses.local_attention_loss import region_inconsistency
from mmcrowd.models.necks.region_attention import region_mask
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.losses import hard_batch
from ..testing.networks import make_sample
from ..testing.published import assert_equal
from ..testing.training import train_steps

CONFIGS = Path(__file__).parents[2] / 'configs' / 'man'
SMALL = dict(
    backbone=dict(depth=11, init_cfg=None),
    neck=dict(num_layers=2, feedforward_channels=64),
    head=dict(mid_channels=(16,)),
)


@pytest.fixture(scope='module')
def man(golden):
    return golden('man')


@pytest.fixture(scope='module')
def state_dict(man):
    return man.state_dict()


@pytest.fixture(scope='module')
def counter(state_dict):
    """The counter of a config with the published weights, in float64."""
    cfg = Config.fromfile(CONFIGS / 'man_vgg19_qnrf.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        model = MODELS.build(cfg.model)
    model.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)
    model.load_state_dict(convert(state_dict), assign=True)
    return model.eval()


def build_small(**changes):
    cfg = Config.fromfile(CONFIGS / 'man_vgg19_qnrf.py')
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    return MODELS.build(Config._merge_a_into_b(dict(SMALL, **changes), cfg.model))


@pytest.fixture(scope='module')
def levels(man, counter):
    """What the backbone makes of the square image."""
    with torch.no_grad():
        return counter.backbone(man.image(man['input_shape']))


@torch.no_grad()
def test_network(man, counter, levels):
    outputs = counter.neck(levels)
    for i, layer in enumerate(outputs['region_features']):
        assert_equal(layer[0].flatten(1).T, man[f'features/{i}'], rel=1e-12)
    density = counter.head(outputs['features'])['density']
    assert_equal(density, man['density'], rel=1e-12)
    assert_equal(density.sum(), man['count'], rel=1e-12)


@torch.no_grad()
def test_first_attention(man, counter, levels):
    pooled = F.max_pool2d(levels[-1], 2)
    assert_equal(pooled, man['backbone'], rel=1e-12)
    attention = counter.neck.layers[0].attention
    attended, mask = attention(pooled.flatten(2).transpose(1, 2), (8, 8), None)
    assert_equal(attended[0], man['attention0/output'][:, 0], rel=1e-12)
    assert_equal(mask[0], man['attention0/region_mask_sum'], rel=1e-12)


@torch.no_grad()
def test_prediction_of_a_rectangle(man, counter):
    inputs = man.image(man['rect_input_shape'], offset=1)
    (sample,) = counter(inputs, mode='predict')
    assert_equal(sample.pred_density.density[None], man['rect_density'], rel=1e-12)
    assert_equal(sample.pred_count, man['rect_density'].sum(), rel=1e-12)


@torch.no_grad()
def test_sides_that_are_no_multiples(man, counter):
    """Rows and columns that lack to a cell are left out, as there."""
    outputs = counter(man.image(man['odd_input_shape'], offset=2))
    assert_equal(outputs['density'], man['odd_density'], rel=1e-12)


def test_parameters(man, counter):
    assert sum(p.numel() for p in counter.parameters()) == man['num_parameters'] == 40_412_737


def published_sample(man):
    """The published program puts the origin at the corner of the first pixel."""
    points = torch.as_tensor(man['points_xy']) - 0.5
    heads = InstanceData(points=points, visible=torch.as_tensor(man['points_target']))
    side = int(man['st_size'][0])
    return CrowdDataSample(gt_instances=heads, metainfo=dict(ori_shape=(side, side + 9)))


def test_loss(man, counter):
    density = torch.tensor(man['loss_density']).requires_grad_()
    regions = [
        torch.tensor(man[f'features/{i}'].T.reshape(1, 512, 8, 8)).requires_grad_()
        for i in range(4)
    ]
    outputs = dict(density=density, region_features=regions)
    terms = counter.loss_module.loss(outputs, [published_sample(man)], 16)
    assert_equal(terms['loss_point'] + terms['loss_background'], man['loss/bayesian90'])
    assert_equal(terms['loss_regions'], man['loss/regulariser'])
    total = sum(terms.values())
    assert_equal(total, man['loss/total'])
    total.backward()
    assert_equal(density.grad, man['grad/bayesian90/density'])
    for i, layer in enumerate(regions):
        assert_equal(region_inconsistency(layer), man['loss/regulariser_per_layer'][i : i + 1])
        expected = man[f'grad/regulariser/features/{i}']  # float32
        assert_equal(layer.grad[0].flatten(1).T, expected, rel=1e-6)


def test_loss_of_an_empty_image_and_of_a_batch(man):
    density = torch.tensor(man['loss_density'])
    loss, full, empty = TopBayesianLoss(), published_sample(man), make_sample([], (256, 256))
    terms = loss.loss(dict(density=density), [empty], 16)
    assert_equal(terms['loss_background'], man['loss/bayesian90_empty'])
    assert terms['loss_point'] == 0
    both = loss.loss(dict(density=density.repeat(2, 1, 1, 1)), [full, full], 16)
    assert_equal(sum(both.values()), man['loss/bayesian90'])


def test_region_mask_by_its_definition():
    """Corner by corner, token by token."""
    generator = torch.Generator().manual_seed(0)
    size = (3, 4)
    first, second = torch.rand(2, 12, generator=generator, dtype=torch.float64)
    place = [divmod(i, size[1]) for i in range(12)]
    expected = np.zeros(12)
    for a, (row_a, column_a) in enumerate(place):
        for b, (row_b, column_b) in enumerate(place):
            for i, (row, column) in enumerate(place):
                from_a = row_a <= row <= row_b and column_a <= column <= column_b
                from_b = row_b <= row <= row_a and column_b <= column <= column_a
                expected[i] += (from_a + from_b) * first[a] * second[b]
    assert_equal(region_mask(first, second, size), expected)


@torch.no_grad()
def test_padding_has_no_part_in_the_attention():
    torch.manual_seed(0)
    neck = RegionAttentionEncoder(8, num_layers=2, feedforward_channels=16).double().eval()
    features = torch.rand(1, 8, 4, 6, dtype=torch.float64)
    alone = neck(features)['region_features']
    padded = F.pad(features, (0, 4, 0, 2), value=3.0)
    mask = torch.ones(1, 96, 160, dtype=torch.bool)
    mask[:, :60, :90] = False
    together = neck(padded, padding_mask=mask)['region_features']
    for one, other in zip(alone, together, strict=True):
        assert_equal(other[:, :, :2, :3], one, rel=1e-12)
    unmasked = neck(padded)['region_features']
    assert (unmasked[0][:, :, :2, :3] - alone[0]).abs().max() > 1e-2


@torch.no_grad()
def test_large_images_go_through_in_tiles():
    tiles = dict(crop_size=64)
    model = build_small(inference=tiles).eval()
    inputs = torch.rand(1, 3, 64, 128)
    (sample,) = model(inputs, mode='predict')
    halves = [model(half)['density'] for half in inputs.split(64, 3)]
    torch.testing.assert_close(sample.pred_density.density[None], torch.cat(halves, 3))


def test_bad_batch():
    """Values and gradients of a step are finite, whatever points the images have."""
    cfg = Config.fromfile(CONFIGS / 'man_vgg19_qnrf.py')
    torch.manual_seed(0)
    neck = RegionAttentionEncoder(8, num_layers=2, feedforward_channels=16)
    loss = MODELS.build(cfg.model.loss)
    density, points = hard_batch(torch.float32)
    features = torch.rand(len(points), 8, 8, 8, requires_grad=True)
    samples = [make_sample(p, (128, 128)) for p in points]
    outputs = neck(features)
    terms = loss.loss(dict(outputs, density=density + 0 * outputs['features'][:, :1]), samples, 16)
    assert set(terms) == {'loss_point', 'loss_background', 'loss_regions'}
    sum(terms.values()).backward()
    assert features.grad.isfinite().all()


def test_trains_on_real_images(data_root):
    cfg = Config.fromfile(CONFIGS / 'man_vgg19_sha.py')
    _, losses, batch = train_steps(cfg, SMALL, crop_size=64, steps=6, lr=1e-3)
    assert np.isfinite(losses).all() and losses[-1] < 0.9 * losses[0]
    assert all('visible' in sample.gt_instances for sample in batch['data_samples'])


def test_converter_there_and_back(state_dict):
    back = convert_back(convert(state_dict))
    assert set(back) == set(state_dict)
    assert all(back[name] is value for name, value in state_dict.items())


def test_converter_files(load_tool, state_dict, monkeypatch, tmp_path):
    tool = load_tool('model_converters/man_from_published.py')
    monkeypatch.chdir(tmp_path)
    # Of the right shapes, and small as files.
    theirs = {name: torch.ones(()).expand(value.shape) for name, value in state_dict.items()}
    torch.save(dict(epoch=3, model_state_dict=theirs), 'best_ckpt.tar')
    for arguments in (['best_ckpt.tar', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    written = torch.load('theirs.pth')  # parameters alone, as their test program reads them
    assert {name: value.shape for name, value in written.items()} == {
        name: value.shape for name, value in theirs.items()
    }


def test_converter_names_what_is_wrong(load_tool, monkeypatch, tmp_path):
    tool = load_tool('model_converters/man_from_published.py')
    path = tmp_path / 'some.pth'
    torch.save({'features.0.bias': torch.zeros(63), 'head.bias': torch.zeros(1)}, path)
    monkeypatch.setattr(sys, 'argv', ['tool', str(path), str(tmp_path / 'out.pth')])
    with pytest.raises(
        ValueError, match=r"some\.pth: .*85 are missing .*unknown \['head\.bias'\].*\(63,\) instead"
    ):
        tool.main()


def test_bad_arguments():
    with pytest.raises(ValueError, match='share must be at most 1, but got 1.5'):
        TopBayesianLoss(share=1.5)
    with pytest.raises(ValueError, match='num_heads=3, expected a divisor of 8 channels'):
        RegionAttentionEncoder(8, num_heads=3)
