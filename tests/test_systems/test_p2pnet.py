"""P2PNet against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmcrowd.models import P2PLoss
from mmcrowd.models.converters.p2pnet import convert, convert_back, unused
from mmcrowd.registry import MODELS

from ..testing.networks import make_sample
from ..testing.published import assert_equal
from ..testing.training import train_steps

CONFIGS = Path(__file__).parents[2] / 'configs' / 'p2pnet'


@pytest.fixture(scope='module')
def p2pnet(golden):
    return golden('p2pnet')


@pytest.fixture(scope='module')
def state_dict(p2pnet):
    return p2pnet.state_dict()


@pytest.fixture(scope='module')
def counter(state_dict):
    """The counter of the config as published with the published weights, in float64."""
    cfg = Config.fromfile(CONFIGS / 'p2pnet_vgg16bn_sha_published.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        model = MODELS.build(cfg.model)
    model.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)
    model.load_state_dict(convert(state_dict), assign=True)
    return model.eval()


@pytest.fixture(scope='module')
def outputs(p2pnet, counter):
    with torch.no_grad():
        return counter(p2pnet.image(p2pnet['input_shape']))


def row_by_row(values):
    """Proposals ``(N, R, ...)`` of a 16 x 24 grid in our order; theirs goes cell by cell."""
    cells = values.reshape(len(values), 16, 24, 2, 2, -1)
    return cells.swapaxes(2, 3).reshape(values.shape)


def test_network(p2pnet, counter, outputs):
    for name in ('logits', 'points'):
        assert_equal(outputs[name], row_by_row(p2pnet[name]), rel=1e-12)
    scores = outputs['logits'].softmax(-1)[..., 1]
    assert_equal(scores, row_by_row(p2pnet['scores']), rel=1e-12)
    reference = counter.head.reference_points((16, 24), outputs['points'])
    np.testing.assert_array_equal(reference, row_by_row(p2pnet['anchor_points'][None])[0])


def test_network_notices_other_features(p2pnet, counter):
    with torch.no_grad():
        features = counter.backbone(p2pnet.image(p2pnet['input_shape'])[:1])
        fused = counter.neck(features)[0]
        counter.neck.upsample = 'bilinear'
        other = counter.neck(features)[0]
        counter.neck.upsample = 'nearest'
    assert_equal(fused, p2pnet['p4'][0], rel=1e-6)  # float32
    assert (other - fused).abs().max() > 1e-2 * fused.abs().max()


def test_points_and_counts(p2pnet, counter, outputs):
    """Whatever the size of the images, their padding is searched too."""
    for i in range(2):
        image = {name: values[i] for name, values in outputs.items()}
        points, scores = counter.localizer(dict(image, img_shape=(100, 130)), counter.stride)
        expected = p2pnet[f'final_points/{i}']
        assert_equal(sorted(points.tolist()), sorted(expected.tolist()), rel=1e-12)
        assert (scores > 0.5).all()
    with torch.no_grad():
        image = p2pnet.image(p2pnet['input_shape'])[1:]
        (sample,) = counter(image, [make_sample([], (100, 130))], mode='predict')
    assert sample.pred_count == p2pnet['final_count'][1]


@pytest.mark.parametrize('case', ['', '_second_empty'])
def test_matches_and_loss(p2pnet, case):
    points = [p2pnet.points(0), p2pnet.points(1)]
    if case:
        points[1] = points[1][:0]
    leaves = [torch.tensor(p2pnet[name]).requires_grad_() for name in ('points', 'logits')]
    loss = P2PLoss(reduction='batch')
    for i in range(2):
        point, proposal = loss.matcher(*(leaf[i].detach() for leaf in leaves), points[i])
        here = p2pnet[f'match{case}/image'] == i
        expected = (p2pnet[f'match{case}/{name}'][here].tolist() for name in ('gt', 'proposal'))
        found = set(zip(point.tolist(), proposal.tolist(), strict=True))
        assert found == set(zip(*expected, strict=True))

    terms = loss(*leaves, points)
    assert_equal(terms['loss_classification'], p2pnet[f'loss{case}/ce'])
    assert_equal(terms['loss_point'], 2e-4 * p2pnet[f'loss{case}/point'])
    total = sum(terms.values())
    assert_equal(total, p2pnet[f'loss{case}/total_with_point'])
    total.backward()
    for leaf, name in zip(leaves, ('points', 'logits'), strict=True):
        assert_equal(leaf.grad, p2pnet[f'grad{case}/total_with_point/{name}'])


def test_loss_as_the_program_trains(p2pnet, counter):
    """It drops the point term, so nothing moves the proposals."""
    leaves = {name: torch.tensor(p2pnet[name]).requires_grad_() for name in ('points', 'logits')}
    samples = [make_sample(p2pnet.points(i), (128, 192)) for i in range(2)]
    total = sum(counter.loss_module.loss(leaves, samples, counter.stride).values())
    assert_equal(total, p2pnet['loss/total_as_published'])
    total.backward()
    assert_equal(leaves['logits'].grad, p2pnet['grad/total_with_point/logits'])
    assert not leaves['points'].grad.any()


def test_trains_on_real_images(data_root):
    cfg = Config.fromfile(CONFIGS / 'p2pnet_vgg16bn_sha.py')
    assert cfg.train_dataloader.batch_size == 8 * cfg.train_dataloader.dataset.times
    cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.dataset
    small = dict(
        backbone=dict(depth=11, init_cfg=None),
        neck=dict(out_channels=32),
        head=dict(in_channels=32, mid_channels=(32,)),
    )
    model, losses, batch = train_steps(cfg, small, crop_size=32, steps=6, lr=1e-3)
    assert np.isfinite(losses).all() and losses[-1] < 0.8 * losses[0]
    with torch.no_grad():
        samples = model.test_step(batch)
    for sample in samples:
        assert sample.pred_count == len(sample.pred_instances.points)


def test_optimizer_has_no_weight_decay():
    cfg = Config.fromfile(CONFIGS / 'p2pnet_vgg16bn_sha.py')
    assert not cfg.optim_wrapper.optimizer.get('weight_decay')


def test_converter_there_and_back(state_dict):
    ours = convert(state_dict)
    back = convert_back(ours, unused(state_dict))
    assert set(back) == set(state_dict)
    assert all(back[name] is value for name, value in state_dict.items())
    # What the published network never uses is 0 where it is not known.
    back = convert_back(ours)
    assert {name: value.shape for name, value in back.items()} == {
        name: value.shape for name, value in state_dict.items()
    }
    assert sum(value.numel() for value in unused(back).values()) == 3_606_272
    assert not any(value.any() for value in unused(back).values())
    again = convert(back)
    assert set(again) == set(ours) and all(again[name] is ours[name] for name in ours)


def test_converter_files(load_tool, state_dict, monkeypatch, tmp_path):
    tool = load_tool('model_converters/p2pnet_from_published.py')
    monkeypatch.chdir(tmp_path)
    theirs = {name: value.float() for name, value in state_dict.items()}
    torch.save(dict(model=theirs), 'SHTechA.pth')
    back = ['ours.pth', 'theirs.pth', '--back', '--unused-from', 'SHTechA.pth']
    for arguments in (['SHTechA.pth', 'ours.pth'], back):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    written = torch.load('theirs.pth')['model']  # where their program looks
    assert set(written) == set(theirs)
    assert all(torch.equal(written[name], value) for name, value in theirs.items())


def test_converter_names_what_is_wrong(load_tool, state_dict, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=r"1 are unknown \['transformer\.weight'\]"):
        convert(dict(state_dict, **{'transformer.weight': torch.zeros(1)}))
    nine = dict(state_dict, **{'regression.output.bias': torch.zeros(18)})
    with pytest.raises(
        ValueError, match=r'1 have another shape .*regression\.output\.bias \(18,\) instead of \(8'
    ):
        convert(nine)
    tool = load_tool('model_converters/p2pnet_from_published.py')
    path = tmp_path / 'some.pth'
    torch.save(dict(model={'fpn.P4_1.bias': torch.zeros(256)}), path)
    monkeypatch.setattr(sys, 'argv', ['tool', str(path), str(tmp_path / 'out.pth')])
    with pytest.raises(ValueError, match=r'some\.pth: .*108 are missing'):
        tool.main()
