"""IIM against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from scipy.spatial import cKDTree

from mmcrowd.datasets.transforms import BoxMask, SeparateBoxes
from mmcrowd.models import ConnectedComponents, IIMHead, IIMLoss, OverlapInference
from mmcrowd.models.converters import iim as converter
from mmcrowd.models.heads.iim_head import compressed_sigmoid
from mmcrowd.models.losses.iim_loss import binarize
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.published import assert_equal
from ..testing.training import train_steps

CONFIGS = Path(__file__).parents[2] / 'configs'
# The rule of each data set, as the configs have it.
RULES = dict(
    SHHA=dict(least=1, rounds=51, narrow_gap=False, next_gap=None),
    SHHB=dict(least=1, next_gap=None),
    NWPU=dict(),
    QNRF=dict(limits=(3, 15)),
    JHU=dict(limits=(3, 15)),
)
COMPONENTS = dict(threshold='threshold', min_area=3, source='map')


@pytest.fixture(scope='module')
def hrnet(golden):
    return golden('iim_hrnet')


@pytest.fixture(scope='module')
def vgg(golden):
    return golden('iim_vgg16')


@pytest.fixture(scope='module')
def vgg_weights(vgg):
    return vgg.state_dict()


def build(config, published, weights):
    """The counter of a config with published weights, in float64."""
    cfg = Config.fromfile(CONFIGS / 'iim' / config)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        model = MODELS.build(cfg.model)
    model.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)
    model.load_state_dict(converter.convert(weights), assign=True)
    number = sum(parameter.numel() for parameter in model.parameters())
    assert number == published['n_parameters'] - len(converter.UNUSED)
    return model.eval()


def check_outputs(published, features, outputs):
    assert_equal(features[:, ::24], published['feature_slice'], rel=1e-6)  # in float32
    assert_equal(features.sum((2, 3)), published['feature_sum'])
    for name in ('map', 'threshold'):
        assert_equal(outputs[name], published[name], rel=1e-10)
    binary = binarize(outputs['map'], outputs['threshold'])
    np.testing.assert_array_equal(binary.detach(), published['binary'])
    localizer = ConnectedComponents(**COMPONENTS, to_cells=True)
    image = {name: values[0, 0].detach() for name, values in outputs.items()}
    points, _ = localizer(image, 1)
    assert len(points) == published['components/num']
    assert sorted(points.tolist()) == sorted(published['components/points_xy_int'].tolist())
    check_components(published, 'components', image)


def check_components(published, group, image):
    """Centres of the regions, and how many have at least so many cells."""
    points = ConnectedComponents(**COMPONENTS)(image, 1)[0].numpy()
    expected = published[f'{group}/centroids_xy']
    np.testing.assert_allclose(sorted(points.tolist()), sorted(expected.tolist()), rtol=1e-6)
    # Left, top, width, height and area.
    boxes = published[f'{group}/boxes_ltwh_area']
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:4] - 1
    nearest = cKDTree(points).query(expected)[1]
    assert ((points[nearest] >= low) & (points[nearest] <= high)).all()
    for area in np.unique(boxes[:, 4]).tolist():
        for least in (area, area + 1):
            some, _ = ConnectedComponents(**COMPONENTS | dict(min_area=least))(image, 1)
            wanted = sorted(expected[boxes[:, 4] >= least].tolist())
            np.testing.assert_allclose(
                np.reshape(sorted(some.tolist()), (-1, 2)), np.reshape(wanted, (-1, 2)), rtol=1e-6
            )


def check_gradients(published, outputs, model):
    """Gradients of the stored parameters, from the first layer of the backbone on."""
    sample = CrowdDataSample(gt_maps=PixelData(mask=torch.as_tensor(published['net_loss/mask'][0])))
    terms = IIMLoss().loss(outputs, [sample], 1)
    assert_equal(terms['loss_map'], published['net_loss/head'])
    assert_equal(terms['loss_binary'], published['net_loss/binary'])
    model.zero_grad()
    sum(terms.values()).backward()
    (table,) = (t for t in converter.tables().values() if len(t) == len(model.state_dict()))
    parameters, checked = dict(model.named_parameters()), 0
    for name, (ours, _) in table.items():
        if f'net_grad/{name}' in published:
            assert_equal(parameters[ours].grad, published[f'net_grad/{name}'])
            checked += 1
    assert checked == 6
    # Theirs has no gradient for the two parameters that are left out here.
    assert all(published[f'net_grad/{name}'].size == 0 for name in converter.UNUSED)


def test_vgg(vgg, vgg_weights):
    model = build('iim_vgg16bn_nwpu.py', vgg, vgg_weights)
    features = model.neck(model.backbone(vgg.image(vgg['input_shape'])))
    outputs = model.head(features)
    check_outputs(vgg, features.detach(), outputs)
    check_gradients(vgg, outputs, model)


def test_hrnet(hrnet):
    model = build('iim_hrnet_w48_nwpu.py', hrnet, hrnet.state_dict())
    inputs = hrnet.image(hrnet['input_shape'])
    features = model.neck(model.backbone(inputs))
    outputs = model.head(features)
    check_outputs(hrnet, features.detach(), outputs)
    check_gradients(hrnet, outputs, model)
    with torch.no_grad():
        (sample,) = model(inputs, mode='predict')
    assert sample.pred_count == len(sample.pred_instances) == hrnet['components/num']


def test_converter_there_and_back(vgg_weights):
    theirs = vgg_weights
    back = converter.convert_back(converter.convert(theirs))
    assert set(back) == set(theirs)
    used = set(theirs) - set(converter.UNUSED)
    assert all(back[name] is theirs[name] for name in used)
    # With several GPUs each part has a wrapper of its own.
    wrapped = {name.replace('.', '.module.', 1): value for name, value in theirs.items()}
    wrapped |= {name: wrapped.pop(name.replace('.', '.module.')) for name in converter.UNUSED}
    assert converter.convert(wrapped) == converter.convert(theirs)
    with pytest.raises(ValueError, match='1 are missing'):
        converter.convert({k: v for k, v in theirs.items() if not k.endswith('de_pred.5.bias')})


def test_converter_files(load_tool, monkeypatch, tmp_path, vgg_weights):
    """The tool reads what the program writes, and back what it writes itself."""
    tool = load_tool('model_converters/iim_from_published.py')
    zero = torch.zeros(())
    theirs = {name: zero.expand(value.shape) for name, value in vgg_weights.items()}
    theirs |= {name: torch.tensor([value]) for name, value in converter.UNUSED.items()}
    torch.save(dict(state_dict=theirs), tmp_path / 'model.pth')
    monkeypatch.chdir(tmp_path)
    for arguments in (['model.pth', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    ours = torch.load(tmp_path / 'ours.pth')['state_dict']
    assert set(ours) == set(converter.convert(theirs))
    assert set(torch.load(tmp_path / 'theirs.pth')['state_dict']) == set(theirs)


def test_compressed_sigmoid(hrnet):
    x = torch.as_tensor(hrnet['pbm/sigmoid_x'])
    assert_equal(compressed_sigmoid(x), hrnet['pbm/sigmoid_y'], rel=1e-12)
    x = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
    compressed_sigmoid(x).sum().backward()
    assert x.grad.isfinite().all()


def test_gradient_by_hand(hrnet):
    values, threshold = (
        torch.as_tensor(hrnet[f'pbm/{name}']).requires_grad_() for name in ('map', 'threshold')
    )
    result = binarize(values, threshold)
    np.testing.assert_array_equal(result.detach(), hrnet['pbm/binary'])
    assert result[0, 0, 0, :5].eq(1).all() and values[0, 0, 0, :5].eq(threshold[0, 0, 0, :5]).all()
    result.backward(torch.as_tensor(hrnet['pbm/grad_out']))
    assert_equal(values.grad, hrnet['pbm/grad_map'], rel=1e-12)
    assert_equal(threshold.grad, hrnet['pbm/grad_threshold'], rel=1e-12)


def test_loss(hrnet):
    outputs = {
        name: torch.as_tensor(hrnet[f'pbm/{name}']).requires_grad_()
        for name in ('map', 'threshold')
    }
    sample = CrowdDataSample(gt_maps=PixelData(mask=torch.as_tensor(hrnet['loss/mask'][0])))
    terms = IIMLoss().loss(outputs, [sample], 1)
    assert_equal(terms['loss_map'], hrnet['loss/head'], rel=1e-12)
    assert_equal(terms['loss_binary'], hrnet['loss/binary'], rel=1e-12)
    sum(terms.values()).backward()
    assert_equal(outputs['map'].grad, hrnet['loss/grad_map'], rel=1e-12)
    assert_equal(outputs['threshold'].grad, hrnet['loss/grad_threshold'], rel=1e-12)


@pytest.mark.parametrize('dataset', RULES)
def test_mask(hrnet, dataset):
    img = np.zeros((*hrnet['frame_hw'], 3), np.uint8)
    results = dict(img=img, boxes=hrnet['boxes_xyxy'].astype(np.float32))
    results = BoxMask()(SeparateBoxes(**RULES[dataset])(results))
    low, high = results['boxes'][:, :2], results['boxes'][:, 2:]
    np.testing.assert_array_equal((high - low) / 2, hrnet[f'target/half_wh_{dataset}'])
    np.testing.assert_array_equal((low + high + 1) / 2, hrnet[f'target/center_xy_{dataset}'])
    np.testing.assert_array_equal(
        255 * results['gt_maps']['mask'][0], hrnet[f'target/mask_{dataset}']
    )


@pytest.mark.parametrize('dataset', ['sha', 'shb', 'nwpu', 'qnrf', 'jhu'])
@pytest.mark.parametrize('network', ['hrnet_w48', 'vgg16bn'])
def test_configs_have_the_rules(dataset, network):
    cfg = Config.fromfile(CONFIGS / 'iim' / f'iim_{network}_{dataset}.py')
    (step,) = (s for s in cfg.train_dataloader.dataset.pipeline if s.type == 'SeparateBoxes')
    rule = {key: value for key, value in step.items() if key != 'type'}
    name = dict(sha='SHHA', shb='SHHB').get(dataset, dataset.upper())
    assert rule == {key: RULES[name][key] for key in RULES[name]}


def test_components(hrnet):
    outputs = {name: torch.as_tensor(hrnet[f'cc/{name}']) for name in ('map', 'threshold')}
    points, scores = ConnectedComponents(**COMPONENTS)(outputs, 1)
    assert len(points) == hrnet['cc/num']
    check_components(hrnet, 'cc', outputs)
    whole, _ = ConnectedComponents(**COMPONENTS, to_cells=True)(outputs, 1)
    assert sorted(whole.tolist()) == sorted(hrnet['cc/points_xy_int'].tolist())
    assert (scores.diff() <= 0).all()


@pytest.mark.parametrize('case', range(4))
def test_tiles(golden, case):
    """Tile number n answers n everywhere."""
    stored = golden('tiles')
    size = stored[f'iim/{case}/size_hw']
    padded = [-(-int(side) // 16) * 16 for side in size]
    calls = []

    def run(inputs, padding_mask):
        calls.append(padding_mask)
        return dict(map=torch.full_like(inputs, float(len(calls))))

    sample = CrowdDataSample(metainfo=dict(img_shape=tuple(map(int, size))))
    inference = OverlapInference((512, 1024), whole_pixels=1024 * 2048)
    outputs = inference(run, torch.zeros(1, 1, *padded), [sample])
    assert len(calls) == stored[f'iim/{case}/n_tiles']
    np.testing.assert_allclose(outputs['map'][0, 0], stored[f'iim/{case}/map_of_tile_numbers'])


def test_bad_batch():
    """Masks that are empty, full and mixed, with maps at the ends of their range."""
    torch.manual_seed(0)
    head = IIMHead(8, mid_channels=(4,)).train()
    features = 1e3 * torch.randn(4, 8, 8, 8)
    features[0] = 0
    outputs = head(features)
    masks = [torch.zeros(1, 32, 32), torch.ones(1, 32, 32), *torch.rand(2, 1, 32, 32).round()]
    samples = [
        CrowdDataSample(gt_maps=PixelData(mask=mask), gt_instances=InstanceData()) for mask in masks
    ]
    terms = IIMLoss().loss(outputs, samples, 1)
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_nothing_of_the_threshold_reaches_the_features():
    head = IIMHead(8, mid_channels=(4,)).eval()
    features = torch.randn(1, 8, 8, 8, requires_grad=True)
    head(features)['threshold'].sum().backward()
    assert features.grad is None and head.predict.weight.grad is None
    assert all(layer.grad is not None for layer in head.threshold.parameters())


def test_sizes_of_the_threshold():
    """It has the value of one cell of 8 x 8 pixels, from the features and pixels at its corner."""
    torch.manual_seed(0)
    head = IIMHead(8, mid_channels=(4,)).eval()
    features = torch.randn(1, 8, 8, 12)
    outputs = head(features)
    corner = features[:, :, ::2, ::2] * outputs['map'][:, :, ::8, ::8]
    score = corner
    for layer in head.threshold.layers:
        score = layer(score)
    expected = 1 / (2 + (-10 * score).exp()) + 0.2
    torch.testing.assert_close(F.avg_pool2d(outputs['threshold'], 8), expected)
    assert outputs['threshold'].shape == outputs['map'].shape == (1, 1, 32, 48)


def test_what_is_wrong_is_named():
    outputs = dict(map=torch.zeros(1, 1, 4, 4), threshold=torch.ones(1, 1, 4, 4))
    with pytest.raises(KeyError, match="no map 'mask'.*BoxMask"):
        IIMLoss().loss(outputs, [CrowdDataSample()], 1)
    sample = CrowdDataSample(gt_maps=PixelData(mask=torch.zeros(1, 4, 5)))
    with pytest.raises(ValueError, match=r'shape \(1, 4, 5\), but the output needs \(1, 4, 4\)'):
        IIMLoss().loss(outputs, [sample], 1)
    with pytest.raises(ValueError, match='must not both be 0'):
        IIMLoss(0, 0)


def test_trains_on_real_images(data_root):
    """Some steps of a small backbone; the count is the number of components."""
    cfg = Config.fromfile(CONFIGS / 'iim' / 'iim_hrnet_w48_sha.py')
    small = dict(
        backbone=dict(_delete_=True, type='VGGFeatures', depth=11, out_stages=(2,)),
        neck=None,
        head=dict(in_channels=256),
    )
    model, losses, batch = train_steps(cfg, small, crop_size=64, steps=4, lr=1e-3)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    with torch.no_grad():
        samples = model.test_step(batch)
    assert all(sample.pred_count == len(sample.pred_instances) for sample in samples)
