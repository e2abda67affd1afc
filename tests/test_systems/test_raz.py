"""RAZ_loc against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmcrowd.models import DotCrossEntropyLoss, LocalMaximum, RAZHead
from mmcrowd.models.converters import raz as converter
from mmcrowd.models.losses.dot_cross_entropy_loss import plus_mask
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.published import assert_equal
from ..testing.training import train_steps

CONFIG = Path(__file__).parents[2] / 'configs' / 'raz' / 'raz_vgg16_nwpu.py'


@pytest.fixture(scope='module')
def raz(golden):
    return golden('raz_loc')


@pytest.fixture(scope='module')
def state_dict(raz):
    """Published weights, with the constants that they hold."""
    return {**raz.state_dict(), **converter.CONSTANTS}


@pytest.fixture(scope='module')
def counter(state_dict):
    cfg = Config.fromfile(CONFIG)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        model = MODELS.build(cfg.model)
    model.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)
    model.load_state_dict(converter.convert(state_dict), assign=True)
    return model.eval()


def sample(points):
    return CrowdDataSample(gt_instances=InstanceData(points=torch.as_tensor(points)))


@torch.no_grad()
def test_network(raz, counter):
    inputs = raz.image(raz['input_shape'])
    outputs = counter(inputs)
    assert_equal(outputs['logits'], raz['logits'], rel=1e-11)
    assert_equal(outputs['probability'], raz['prob'], rel=1e-11)
    stored, ours = (
        counter.localizer(dict(probability=torch.as_tensor(probability)[0, 0]), counter.stride)[0]
        for probability in (raz['prob'], outputs['probability'])
    )
    assert sorted(stored.tolist()) == sorted(raz['points_xy_from_net'].tolist())
    theirs, ours = ({(int(x), int(y)) for x, y in points.tolist()} for points in (stored, ours))
    # Equal neighbours are decided by the last bit of the map, the others must be equal.
    smooth = F.avg_pool2d(outputs['probability'], 3, 1, 1)
    around = F.unfold(F.pad(smooth, (1, 1, 1, 1)), 3).reshape(9, *smooth.shape[2:])
    around[4] = 0.5
    close = ((around - smooth[0, 0]).abs() < 1e-11).any(0)
    assert all(close[y, x] for x, y in ours ^ theirs)
    assert sum(not close[y, x] for x, y in theirs) > 100
    assert len(ours ^ theirs) < 10
    (predicted,) = counter(inputs, mode='predict')
    assert predicted.pred_count == len(predicted.pred_instances)


def test_number_of_parameters(raz, counter):
    kernel = converter.CONSTANTS['loc.loc.lkernel.weight'].numel()
    number = sum(parameter.numel() for parameter in counter.parameters())
    assert number == raz['n_parameters'] - kernel


def test_converter_there_and_back(state_dict):
    back = converter.convert_back(converter.convert(state_dict))
    assert set(back) == set(state_dict)
    assert all(back[name] is state_dict[name] for name in state_dict)
    with pytest.raises(ValueError, match=r'not the parameters of RAZ_loc.*1 are unknown'):
        converter.convert({**state_dict, 'CCN.de_pred.13.conv.bias': torch.zeros(2)})


def test_converter_files(load_tool, monkeypatch, tmp_path, state_dict):
    """The tool reads what the program writes, and back what it writes itself."""
    tool = load_tool('model_converters/raz_from_published.py')
    zero = torch.zeros(())
    theirs = {name: zero.expand(value.shape) for name, value in state_dict.items()}
    theirs |= converter.CONSTANTS
    torch.save(dict(state_dict=theirs), tmp_path / 'model.pth')
    monkeypatch.chdir(tmp_path)
    for arguments in (['model.pth', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    ours = torch.load(tmp_path / 'ours.pth')['state_dict']
    assert set(ours) == set(converter.convert(theirs))
    assert set(torch.load(tmp_path / 'theirs.pth')['state_dict']) == set(theirs)


@pytest.mark.parametrize('frame', range(2))
def test_target(raz, frame):
    dots, expected = raz['target/dots'][frame, 0], raz['target/plus'][frame, 0]
    points = torch.as_tensor(np.repeat(np.argwhere(dots)[:, ::-1], dots[dots > 0], 0).copy())
    mask = plus_mask(points.double(), dots.shape, 1)
    np.testing.assert_array_equal(mask, expected > 0)


def test_points_around_the_frame_mark_nothing():
    points = torch.tensor([[-1.0, 1.0], [3.0, 1.0], [1.0, -40.0], [1e9, 1e9]])
    assert not plus_mask(points, (3, 3), 1).any()


def test_loss(raz):
    assert raz['loss/class_weights'].tolist() == DotCrossEntropyLoss().weight.tolist()
    dots = raz['target/dots']
    samples = [sample(np.argwhere(frame[0])[:, ::-1].astype(float)) for frame in dots]
    logits = torch.as_tensor(raz['loss/logits'].astype(float)).requires_grad_()
    terms = DotCrossEntropyLoss().loss(dict(logits=logits), samples, 1)
    assert_equal(terms['loss_ce'], raz['loss/value'], rel=1e-9)
    terms['loss_ce'].backward()
    assert_equal(logits.grad, raz['loss/grad'], rel=1e-6)  # theirs is in float32


@pytest.mark.parametrize('image', range(2))
def test_peaks(raz, image):
    localizer = LocalMaximum(threshold=0.5, smooth=3, join=False, source='probability')
    points, _ = localizer(dict(probability=torch.as_tensor(raz[f'peaks/{image}/map'])), 1)
    assert sorted(points.tolist()) == sorted(raz[f'peaks/{image}/mask_points_xy'].tolist())
    scaled = (points.double().numpy() * raz[f'peaks/{image}/ratio_wh']).astype(np.int16)
    assert sorted(scaled.tolist()) == sorted(raz[f'peaks/{image}/points_xy'].tolist())


def test_bad_batch():
    """No point, one, more than cells, two alike and some outside, and logits that are all 0."""
    torch.manual_seed(0)
    head = RAZHead(8, mid_channels=(8, 4, 4)).train()
    features = torch.randn(5, 8, 2, 2)
    features[4] = 0
    outputs = head(features)
    samples = [
        sample(torch.zeros(0, 2)),
        sample([[3.0, 4.0]]),
        sample(16 * torch.rand(400, 2)),
        sample([[5.0, 5.0], [5.0, 5.0]]),
        sample([[-5.0, 3.0], [99.0, 3.0], [1.0, 1.0]]),
    ]
    terms = DotCrossEntropyLoss().loss(outputs, samples, head.out_stride)
    terms['loss_ce'].backward()
    assert terms['loss_ce'].isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match='enlarge by 8, expected a divisor of in_stride=4'):
        RAZHead(8, in_stride=4)
    with pytest.raises(ValueError, match='head_weight must be positive, but got 0'):
        DotCrossEntropyLoss(0)


def test_trains_on_real_images(data_root):
    cfg = Config.fromfile(CONFIG)
    other = Config.fromfile(CONFIG.parents[1] / 'pml_vgg16_sha.py').train_dataloader.dataset
    dataset = cfg.train_dataloader.dataset
    dataset.update(type=other.type, data_root=other.data_root)
    small = dict(
        backbone=dict(depth=11, out_stages=(1,), init_cfg=None),
        head=dict(in_channels=128, in_stride=2, mid_channels=(32,), positive_logits=False),
    )
    _, losses, _ = train_steps(cfg, small, crop_size=64, steps=5, lr=1e-3)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
