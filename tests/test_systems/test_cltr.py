"""CLTR against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmcrowd.models import CLTRLoss
from mmcrowd.models.converters.cltr import convert, convert_back
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.networks import make_sample
from ..testing.published import assert_equal

CONFIGS = Path(__file__).parents[2] / 'configs' / 'cltr'
TILE = 256


@pytest.fixture(scope='module')
def cltr(golden):
    return golden('cltr')


@pytest.fixture(scope='module')
def state_dict(cltr):
    return cltr.state_dict()


@pytest.fixture(scope='module')
def counter(state_dict):
    """The counter of the config as published with the published weights, in float64."""
    cfg = Config.fromfile(CONFIGS / 'cltr_r50_nwpu_published.py')
    init_default_scope(cfg.default_scope)
    cfg.model.head.num_queries = 500
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).double()
    model.load_state_dict(convert(state_dict))
    return model.eval()


def vectors(layer):
    """Row, column and spacing of proposals as shares of a tile."""
    return torch.cat((layer['points'].flip(-1) / TILE, layer['spacing'][..., None]), -1)


def test_number_of_parameters(cltr, counter):
    """Frozen normalisations are no parameters there."""
    frozen = sum(
        p.numel()
        for module in counter.backbone.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
        for p in module.parameters()
    )
    number = sum(p.numel() for p in counter.parameters())
    assert number - frozen == cltr['num_parameters'] == 43_446_471
    assert not any(
        p.requires_grad
        for module in counter.backbone.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
        for p in module.parameters()
    )


@torch.no_grad()
def test_network(cltr, counter):
    outputs = counter(cltr.image(cltr['input_shape'])[:1])
    for i, layer in enumerate([*outputs['auxiliary'], outputs]):
        # Their encodings are float32.
        assert_equal(layer['logits'], cltr[f'logits/{i}'][:1], rel=1e-6)
        assert_equal(vectors(layer), cltr[f'points_rowcol_knn/{i}'][:1], rel=1e-6)


@pytest.fixture(scope='module')
def tiled(cltr, counter):
    """Outputs and sample of an image in four tiles."""
    inputs = cltr.image(cltr['test/input_shape'], offset=1)[None]
    sample = make_sample([], tuple(inputs.shape[-2:]))
    with torch.no_grad():
        return counter.inference(counter.run_network, inputs, [sample]), sample


def test_tiles(cltr, tiled):
    outputs, _ = tiled
    tiles = cltr['test/logits']
    assert_equal(outputs['logits'].view(tiles.shape), tiles, rel=1e-6)
    expected = cltr['test/points_rowcol_knn']
    top, left = cltr['test/padding_left_top'][::-1]
    rows, columns = cltr['test/tiles_rows_cols']
    for tile in range(rows * columns):
        corner = np.array([tile % columns * TILE - left, tile // columns * TILE - top])
        theirs = expected[tile, :, 1::-1] * TILE + corner
        assert_equal(outputs['points'].view(*tiles.shape)[tile], theirs, rel=1e-6)


@pytest.mark.parametrize('threshold', [0.35, 0.6])
def test_points_and_counts(cltr, counter, tiled, threshold, monkeypatch):
    """At the lower threshold as many scores are taken as there are proposals."""
    monkeypatch.setattr(counter.localizer, 'score_threshold', threshold)
    outputs, sample = tiled
    image = dict(points=outputs['points'][0], logits=outputs['logits'][0])
    points, scores = counter.localizer(dict(image, img_shape=sample.img_shape), counter.stride)
    assert len(points) == cltr[f'test/count_{threshold}']
    assert_equal(points, cltr[f'test/final_points_xy_{threshold}'], rel=1e-6)
    assert (scores >= threshold).all()


@torch.no_grad()
def test_counts_by_default(counter, tiled):
    """One score of a proposal counts, inside of the image."""
    outputs, sample = tiled
    cfg = Config.fromfile(CONFIGS / 'cltr_r50_nwpu.py')
    assert cfg.model.localizer == dict(type='SigmoidThreshold', score_threshold=0.35)
    counter.localizer.every_logit = counter.localizer.keep_outside = False
    try:
        image = dict(points=outputs['points'][0], logits=outputs['logits'][0])
        points, _ = counter.localizer(dict(image, img_shape=sample.img_shape), counter.stride)
    finally:
        counter.localizer.every_logit = counter.localizer.keep_outside = True
    height, width = sample.img_shape
    x, y = image['points'].T
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    assert 0 < len(points) == (inside & (image['logits'][:, 1].sigmoid() >= 0.35)).sum() < 2000


def test_matches_and_loss(cltr):
    layers = []
    for i in range(6):
        values = torch.tensor(cltr[f'points_rowcol_knn/{i}'])
        layer = dict(
            points=values[..., :2].flip(-1) * TILE,
            spacing=values[..., 2].clone(),
            logits=torch.tensor(cltr[f'logits/{i}']),
        )
        layers.append({name: leaf.requires_grad_() for name, leaf in layer.items()})
    loss = CLTRLoss()
    truths = [loss._truth(cltr.points(i)) for i in range(2)]
    for i, truth in enumerate(truths):
        expected = cltr['targets_rowcol_knn'][cltr['points_image'] == i]
        assert_equal(truth[:, [1, 0, 2]], expected)

    stacked = [torch.stack([layer[name] for layer in layers]) for name in ('points', 'spacing')]
    proposals = torch.cat((stacked[0] / TILE, stacked[1][..., None]), -1)
    logits = torch.stack([layer['logits'] for layer in layers])
    matches = loss.match(proposals, logits, truths)
    for i, pairs in enumerate(matches):
        offset = len(truths[0])  # theirs numbers the points of the batch
        queries = np.concatenate([query for _, query in pairs])
        points = np.concatenate([pairs[0][0], pairs[1][0] + offset])
        found = sorted(zip(points.tolist(), queries.tolist(), strict=True))
        theirs = cltr[f'match/gt/{i}'], cltr[f'match/query/{i}']
        images = cltr['points_image']
        if theirs[0].max() < offset:  # or those of each image
            theirs = theirs[0] + np.where(images > 0, offset, 0), theirs[1]
        assert found == sorted(zip(theirs[0].tolist(), theirs[1].tolist(), strict=True))
    focal, distance = loss.terms(proposals, logits, truths, matches)
    assert_equal(focal, cltr['loss/ce'])
    assert_equal(distance, cltr['loss/point'])

    samples = [CrowdDataSample(gt_instances=InstanceData(points=cltr.points(i))) for i in range(2)]
    terms = loss.loss(dict(layers[-1], auxiliary=layers[:-1]), samples, 32)
    total = sum(terms.values())
    assert_equal(total, cltr['loss/total'])
    total.backward()
    for i, layer in enumerate(layers):  # the published gradients are float32
        assert_equal(layer['logits'].grad, cltr[f'grad/total/logits/{i}'], rel=1e-6)
        grad = torch.cat(
            (layer['points'].grad.flip(-1) * TILE, layer['spacing'].grad[..., None]), -1
        )
        assert_equal(grad, cltr[f'grad/total/points/{i}'], rel=1e-6)


def test_converter_there_and_back(state_dict):
    ours = convert(state_dict)
    back = convert_back(ours)
    assert set(back) == set(state_dict)
    assert all(back[name] is value for name, value in state_dict.items())


def test_converter_files(load_tool, state_dict, monkeypatch, tmp_path):
    tool = load_tool('model_converters/cltr_from_published.py')
    monkeypatch.chdir(tmp_path)
    theirs = {f'module.{name}': value.half() for name, value in state_dict.items()}
    torch.save(dict(epoch=3, state_dict=theirs), 'nwpu.pth')
    for arguments in (['nwpu.pth', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    written = torch.load('theirs.pth')['state_dict']
    assert set(written) == set(state_dict)
    name = 'transformer.decoder.layers.3.ca_qpos_sine_proj.weight'
    assert torch.equal(written[name], theirs[f'module.{name}'])
    torch.save(dict(state_dict={'class_embed.bias': torch.zeros(2)}), 'some.pth')
    monkeypatch.setattr(sys, 'argv', ['tool', 'some.pth', 'out.pth'])
    with pytest.raises(ValueError, match=r'some\.pth: not the parameters of CLTR on ResNet-50'):
        tool.main()
