"""MUD-ikNN against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData

from mmcrowd.datasets.transforms import InverseNeighbourMap, NeighbourDensity
from mmcrowd.models import IKNNHead, IKNNLoss, PatchInference, TargetMapLoss
from mmcrowd.models.converters import iknn as converter
from mmcrowd.ops.neighbours import mean_cell_distances
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.published import assert_equal
from ..testing.training import train_steps

CONFIGS = Path(__file__).parents[2] / 'configs' / 'iknn'


@pytest.fixture(scope='module')
def published(golden):
    return golden('iknn')


@pytest.fixture(scope='module')
def state_dict(published):
    return published.state_dict()


@pytest.fixture(scope='module')
def counter(state_dict):
    cfg = Config.fromfile(CONFIGS / 'iknn_densenet201_sha.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        model = MODELS.build(cfg.model)
    model.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)
    model.load_state_dict(converter.convert(state_dict), assign=True)
    return model.eval()


def sample(values, count=0):
    return CrowdDataSample(gt_count=count, gt_maps=PixelData(iknn=torch.as_tensor(values)))


@torch.no_grad()
def test_network(published, counter):
    inputs = float(published['input_scale']) * published.image(published['input_shape'])
    levels = counter.backbone(inputs)
    outputs = counter.head(levels)
    assert_equal(outputs['maps'], published['maps'], rel=1e-6)  # in float32
    assert_equal(outputs['maps'].sum((2, 3)), published['maps_sum'], rel=1e-10)
    assert_equal(outputs['maps'][..., :16, :16], published['maps_corner'], rel=1e-10)
    assert_equal(outputs['density'].sum(), published['count'].sum(), rel=1e-10)
    taps = [tap(x)[1].item() for tap, x in zip(counter.head.taps, levels[:-1], strict=True)]
    assert_equal(np.array(taps), published['counts_of_4_taps'][:3], rel=1e-10)
    number = sum(parameter.numel() for parameter in counter.parameters())
    assert number == published['n_parameters']


def test_converter_there_and_back(state_dict):
    back = converter.convert_back(converter.convert(state_dict))
    assert set(back) == set(state_dict)
    assert all(back[name] is state_dict[name] for name in state_dict)
    with pytest.raises(ValueError, match=r'not the parameters of MUD-ikNN.*1 are missing'):
        converter.convert({k: v for k, v in state_dict.items() if k != 'count_layer.bias'})


def test_converter_files(load_tool, monkeypatch, tmp_path, state_dict):
    """The tool reads what the program writes, and back what it writes itself."""
    tool = load_tool('model_converters/iknn_from_published.py')
    zero = torch.zeros(())
    theirs = {name: zero.expand(value.shape) for name, value in state_dict.items()}
    torch.save(dict(DNN=theirs, D={}, step=7), tmp_path / 'model.pth')
    monkeypatch.chdir(tmp_path)
    for arguments in (['model.pth', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    ours = torch.load(tmp_path / 'ours.pth')['state_dict']
    assert set(ours) == set(converter.convert(theirs))
    assert set(torch.load(tmp_path / 'theirs.pth')['DNN']) == set(theirs)


@pytest.mark.parametrize(
    'k, points, name',
    [(1, '', 'i1nn'), (2, '', 'i2nn'), (3, '', 'i3nn'), (3, 'few_', 'i3nn_of_few')],
)
def test_target(published, k, points, name):
    results = dict(
        img=np.zeros((*published['frame_hw'], 3), np.uint8), points=published[f'{points}points_xy']
    )
    values = InverseNeighbourMap(k)(results)['gt_maps']['iknn'][0]
    # Both are rounded to float32, theirs of the few heads only.
    assert_equal(values, published[f'target/{name}'], rel=1e-7)
    if not points:
        theirs = published[f'target/{name}_float16']
        np.testing.assert_allclose(values.astype(np.float16), theirs, rtol=1e-3)


@pytest.mark.parametrize('k', [1, 2, 3])
def test_distances(published, k):
    shape = tuple(map(int, published['frame_hw']))
    distance = mean_cell_distances(published['points_xy'], shape, 1, k)
    assert_equal(distance, published[f'target/knn_mean_distance_k{k}'], rel=1e-7)  # in float32


@pytest.mark.parametrize('beta', ['0.1', '0.3'])
def test_density_that_the_paper_compares_with(published, beta):
    results = dict(
        img=np.zeros((*published['frame_hw'], 3), np.uint8), points=published['points_xy']
    )
    density = NeighbourDensity(float(beta))(results)['gt_maps']['density'][0]
    assert_equal(density, published[f'target/density_beta{beta}'], rel=1e-6)  # theirs is float32


@pytest.mark.parametrize('weight', ['1e-6', '1e-3'])
def test_loss(published, weight):
    counts = torch.as_tensor(published['loss/count_pred']).requires_grad_()
    maps = torch.as_tensor(published['loss/maps_pred']).double().requires_grad_()
    density = (counts / 64**2).view(-1, 1, 1, 1).expand(-1, 1, 64, 64)
    targets, dots = published['loss/maps_target'].astype(float), published['loss/dots']
    samples = [
        sample(target[None], int(dot.sum())) for target, dot in zip(targets, dots, strict=True)
    ]
    terms = IKNNLoss(float(weight)).loss(dict(maps=maps, density=density), samples, 1)
    assert_equal(sum(terms.values()), published[f'loss/{weight}/value'], rel=1e-9)
    sum(terms.values()).backward()
    assert_equal(counts.grad, published[f'loss/{weight}/grad_count'], rel=1e-9)
    assert_equal(maps.grad, published[f'loss/{weight}/grad_maps'], rel=1e-6)


@pytest.mark.parametrize('case', range(4))
def test_windows(golden, case):
    """A window answers ten times the mean of its values."""
    stored = golden('tiles')
    height, width = (int(side) for side in stored[f'iknn/{case}/size_hw'])
    y, x, c = np.ogrid[:height, :width, :3]
    pixels = torch.as_tensor((3 * y + 2 * x + 40 * c) % 256 / 127.5 - 1).permute(2, 0, 1)
    seen = []

    def run(inputs, padding_mask=None):
        assert inputs.shape == (1, 3, 224, 224)
        seen.append(inputs)
        count = 10 * inputs.mean((1, 2, 3), keepdim=True)
        return dict(density=(count / 224**2).expand(-1, -1, 224, 224))

    # The padding of the batch is not looked at.
    batch = torch.full((1, 3, height + 5, width + 7), 99.0, dtype=pixels.dtype)
    batch[0, :, :height, :width] = pixels
    data_samples = [CrowdDataSample(metainfo=dict(img_shape=(height, width)))]
    outputs = PatchInference(224, 128)(run, batch, data_samples)
    windows = stored[f'iknn/{case}/centres_y'].size * stored[f'iknn/{case}/centres_x'].size
    assert len(seen) == windows
    assert outputs['density'].shape == (1, 1, height + 5, width + 7)
    # Theirs adds up in float32.
    assert_equal(outputs['density'].sum(), stored[f'iknn/{case}/count'], rel=1e-4)


def test_images_of_a_batch_do_not_meet():
    """Each image of a batch has the outputs that it has alone."""

    def run(inputs, padding_mask=None):
        return dict(maps=inputs.cumsum(2), density=inputs.mean(1, keepdim=True))

    inference = PatchInference(8, 4)
    batch = torch.randn(2, 3, 12, 14)
    shapes = [(6, 14), (12, 9)]
    data_samples = [CrowdDataSample(metainfo=dict(img_shape=shape)) for shape in shapes]
    together = inference(run, batch, data_samples)
    for i, (height, width) in enumerate(shapes):
        alone = inference(run, batch[i : i + 1, :, :height, :width])
        for name in alone:
            assert torch.equal(together[name][i : i + 1, :, :height, :width], alone[name])
            assert together[name][i, :, height:].abs().sum() == 0
            assert together[name][i, :, :, width:].abs().sum() == 0


def test_bad_batch():
    """No head, one, two at one place, many outside, and features that are all 0."""
    torch.manual_seed(0)
    lists = [
        np.empty((0, 2)),
        [[3.0, 4.0]],
        [[5.0, 5.0], [5.0, 5.0]],
        [[-5.0, 3.0], [99.0, 3.0], [1e7, -1e7]],
        32 * np.random.default_rng(0).random((3000, 2)),
    ]
    samples = []
    for points in lists:
        results = dict(img=np.zeros((32, 32, 3), np.uint8), points=np.float32(points))
        samples.append(sample(InverseNeighbourMap(3)(results)['gt_maps']['iknn'], len(points)))
    assert samples[0].gt_maps.iknn.max() == 0
    head = IKNNHead((2, 3, 4, 5), strides=(8, 16, 32, 32), patch_size=32)
    levels = [1e3 * torch.randn(5, c, 32 // s, 32 // s) for c, s in ((2, 8), (3, 16), (4, 32))]
    levels.append(torch.zeros(5, 5, 1, 1))
    outputs = head(levels)
    terms = IKNNLoss().loss(outputs, samples, 1)
    terms |= TargetMapLoss('iknn', source='first').loss(
        dict(first=outputs['maps'][:, :1]), samples, 1
    )
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match='patch_size=100, expected a multiple of 8'):
        IKNNHead(patch_size=100)
    head = IKNNHead((1, 1), strides=(8, 8), patch_size=16)
    with pytest.raises(ValueError, match=r'patches of \(24, 16\).*PatchInference'):
        head([torch.zeros(1, 1, 3, 2)] * 2)
    with pytest.raises(KeyError, match="no map 'iknn'.*InverseNeighbourMap"):
        outputs = head([torch.zeros(1, 1, 2, 2)] * 2)
        IKNNLoss().loss(outputs, [CrowdDataSample(gt_count=0)], 1)


def test_the_map_trains_an_ordinary_counter(data_root):
    cfg = Config.fromfile(CONFIGS / 'i1nn_vgg16_sha.py')
    small = dict(
        backbone=dict(depth=11, out_stages=(1,), init_cfg=None),
        head=dict(in_channels=128, mid_channels=(), in_stride=2),
    )
    model, losses, batch = train_steps(cfg, small, crop_size=64, steps=4, lr=1e-4)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    with torch.no_grad():
        samples = model.test_step(batch)
    assert all(sample.pred_count == len(sample.pred_instances) for sample in samples)
