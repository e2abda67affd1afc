"""FIDTM against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from scipy.ndimage import maximum_filter

from mmcrowd.models import FIDTMLoss, HRNetBilinear, LocalMaximum, MapHead
from mmcrowd.models.converters.fidtm import convert, convert_back
from mmcrowd.models.losses.fidtm_loss import fidt_map, head_pixels
from mmcrowd.ops.partition import partition_batch
from mmcrowd.registry import MODELS, TASK_UTILS

from ..testing.published import assert_equal
from ..testing.training import train_steps

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture(scope='module')
def fidtm(golden):
    return golden('fidtm')


@pytest.fixture(scope='module')
def state_dict(fidtm):
    return fidtm.state_dict()


@pytest.fixture(scope='module')
def counter(state_dict):
    """The counter of a config with the published weights, in float64."""
    cfg = Config.fromfile(CONFIGS / 'fidtm' / 'fidtm_hrnet_w48_sha.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        model = MODELS.build(cfg.model)
    model.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)
    model.load_state_dict(convert(state_dict), assign=True)
    return model.eval()


@pytest.fixture
def network(counter):
    """Its backbone, neck and head."""
    return counter.backbone, counter.neck, counter.head


@torch.no_grad()
def run(network, inputs):
    backbone, neck, head = network
    mask = torch.zeros(len(inputs), *inputs.shape[2:], dtype=torch.bool)
    return head(neck(backbone(inputs)), padding_mask=mask)['map']


@pytest.mark.parametrize('kind', ['', 'odd_'])
def test_network(fidtm, network, kind):
    actual = run(network, fidtm.image(fidtm[f'{kind}input_shape']))
    assert_equal(actual, fidtm[f'{kind}map'], rel=1e-12)


@torch.no_grad()
@pytest.mark.parametrize('kind', ['', 'odd_'])
def test_published_checkpoint_predicts_the_number_of_peaks(fidtm, counter, kind):
    """By their rule, from their map: the strict peaks of a 3 x 3 window above a share."""
    inputs = fidtm.image(fidtm[f'{kind}input_shape'])
    samples = counter(inputs, mode='predict')
    for sample, (expected,) in zip(samples, fidtm[f'{kind}map'], strict=True):
        largest = maximum_filter(expected, 3, mode='constant', cval=-np.inf)
        peaks = (expected == largest) & (expected >= 100 / 255 * expected.max())
        peaks &= expected > 0
        number = peaks.sum() if expected.max() >= 0.1 else 0
        assert sample.pred_count == len(sample.pred_instances) == number
        x, y = sample.pred_instances.points.long().T
        assert peaks[y, x].all()
        assert 'pred_density' not in sample


def test_trains_on_real_images(data_root):
    """Some steps of a small backbone; the count is the number of the peaks of its map."""
    cfg = Config.fromfile(CONFIGS / 'fidtm' / 'fidtm_hrnet_w48_sha.py')
    small = dict(backbone=dict(arch='w18', init_cfg=None), head=dict(in_channels=270))
    model, losses, batch = train_steps(cfg, small, crop_size=96, steps=10)
    assert np.isfinite(losses).all() and losses[-1] < losses[0] / 2
    with torch.no_grad():
        outputs = model(**model.data_preprocessor(batch))
        samples = model.test_step(batch)
    for sample, values in zip(samples, outputs['map'], strict=True):
        points, _ = model.localizer(values[0], 1)
        assert sample.pred_count == len(points)


def test_network_notices_other_upsampling(fidtm, network):
    backbone = network[0]
    modules = [m for m in backbone.modules() if hasattr(m, 'align_corners')]
    for module in modules:
        module.align_corners = True
    actual = run(network, fidtm.image(fidtm['input_shape'])).numpy()
    for module in modules:
        module.align_corners = False
    assert np.abs(actual - fidtm['map']).max() > 1e-3 * np.abs(fidtm['map']).max()


def test_converter_there_and_back(state_dict):
    back = convert_back(convert(state_dict))
    assert list(back) == [f'module.{name}' for name in state_dict]
    assert all(back[f'module.{name}'] is value for name, value in state_dict.items())


def test_converter_files(load_tool, monkeypatch, tmp_path):
    """The tool strips what several GPUs add, and reads what it writes."""
    tool = load_tool('model_converters/fidtm_from_published.py')
    with torch.device('meta'):
        parts = dict(backbone=HRNetBilinear('w48'), head=MapHead())
    ours = {
        f'{part}.{name}': torch.zeros(()).expand(value.shape)
        for part in parts
        for name, value in parts[part].state_dict().items()
    }
    theirs = convert_back(ours)
    torch.save(dict(epoch=3, state_dict=theirs, best_prec1=57.0), tmp_path / 'model_best.pth')
    monkeypatch.chdir(tmp_path)
    for arguments in (['model_best.pth', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    assert set(torch.load(tmp_path / 'ours.pth')['state_dict']) == set(ours)
    assert set(torch.load(tmp_path / 'theirs.pth')['state_dict']) == set(theirs)


def test_converter_names_what_is_wrong(load_tool, monkeypatch, tmp_path):
    tool = load_tool('model_converters/fidtm_from_published.py')
    with pytest.raises(ValueError, match=r'1 are unknown \[.classifier\.weight.\]'):
        convert({'classifier.weight': torch.zeros(1)})
    path = tmp_path / 'text.pth'
    path.write_text('no weights')
    monkeypatch.setattr(sys, 'argv', ['tool', str(path), str(tmp_path / 'out.pth')])
    with pytest.raises(ValueError, match=r'text\.pth: not a readable checkpoint'):
        tool.main()
    torch.save(dict(state_dict={'conv1.weight': torch.zeros(1)}), path)
    with pytest.raises(ValueError, match=r'text\.pth: .*1840 are missing'):
        tool.main()
    torch.save([1], path)
    with pytest.raises(ValueError, match=r'text\.pth: no parameters'):
        tool.main()


@pytest.mark.parametrize('case', ['', '_edge', '_dup', '_none'])
def test_target(fidtm, case):
    points = torch.zeros(0, 2)
    if case != '_none':
        points = torch.as_tensor(fidtm[f'{case[1:]}_points_xy' if case else 'points_xy'])
    size = tuple(map(int, fidtm['frame_hw']))
    pixels = head_pixels(points, size, first=1, drop_shared=True)
    actual = fidt_map(partition_batch([pixels], size, 1).distance[0], tail=0.01)
    expected = fidtm[f'target/fidt{case}']
    np.testing.assert_allclose(actual, expected, rtol=0, atol=3e-8)  # theirs is in float32
    np.testing.assert_array_equal(actual == 0, expected == 0)


def test_loss(fidtm):
    """The published loss adds up the batch, ours is the mean: the weight is the batch size."""
    pred = torch.as_tensor(fidtm['loss/pred'].astype(float)).requires_grad_()
    points = [torch.as_tensor(fidtm[f'{name}points_xy']) for name in ('', 'edge_')]
    loss = FIDTMLoss(
        reduction='sum',
        mse_weight=2,
        ssim_weight=0,
        tail=0.01,
        to_pixels=True,
        first_pixel=1,
        drop_shared=True,
    )
    terms = loss(pred, points, 1)
    assert list(terms) == ['loss_mse']
    terms['loss_mse'].backward()
    # The published target is in float32.
    assert_equal(terms['loss_mse'], fidtm['loss/value'], rel=1e-7)
    assert_equal(pred.grad, fidtm['loss/grad'], rel=1e-7)


@pytest.mark.parametrize('image', range(4))
@pytest.mark.parametrize(
    'rule, smooth', [('SHA_test', 1), ('UCF_QNRF_test', 1), ('UCF_QNRF_train', 3)]
)
def test_peaks(fidtm, image, rule, smooth):
    localizer = LocalMaximum(mode='adaptive', floor=0.1, join=False, smooth=smooth, source='map')
    outputs = dict(map=torch.as_tensor(fidtm[f'lmds/{image}/map']))
    points, _ = localizer(outputs, 1)
    assert len(points) == fidtm[f'lmds/{image}/{rule}/count']
    expected = fidtm[f'lmds/{image}/{rule}/points_xy']
    assert sorted(points.tolist()) == sorted(expected.tolist())


def test_peaks_of_the_target(fidtm):
    localizer = LocalMaximum(mode='adaptive', floor=0.1)
    points, _ = localizer(torch.as_tensor(fidtm['target/fidt']), 1)
    assert sorted(points.tolist()) == sorted(fidtm['lmds/target/points_xy'].tolist())


@pytest.mark.parametrize('dataset', ['sha', 'shb', 'qnrf', 'jhu', 'nwpu'])
def test_config(dataset):
    """The parts of a config fit each other."""
    cfg = Config.fromfile(CONFIGS / 'fidtm' / f'fidtm_hrnet_w48_{dataset}.py')
    init_default_scope(cfg.default_scope)
    backbone = dict(cfg.model.backbone, arch='w18', init_cfg=None)
    network = [
        MODELS.build(part)
        for part in (backbone, cfg.model.neck, dict(cfg.model.head, in_channels=270))
    ]
    loss, localizer = MODELS.build(cfg.model.loss), TASK_UTILS.build(cfg.model.localizer)
    maps = run(network, torch.zeros(2, 3, 64, 64))
    assert maps.shape == (2, 1, 64, 64) and network[2].out_stride == 1
    maps.requires_grad_()
    terms = loss(maps, [torch.tensor([[3.0, 4.0], [40.2, 50.7]]), torch.zeros(0, 2)], 1)
    sum(terms.values()).backward()
    assert maps.grad.isfinite().all() and maps.grad.any()
    points, scores = localizer(dict(map=maps[0, 0].detach()), 1)
    assert len(points) == len(scores)
