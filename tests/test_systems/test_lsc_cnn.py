"""LSC-CNN against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData

from mmcrowd.datasets.box_histogram import class_weights
from mmcrowd.datasets.transforms import BoxKinds
from mmcrowd.models import CoreInference, GridWTALoss, LSCHead, ScaleBoxNMS, TopDownModulation
from mmcrowd.models.converters import lsc_cnn as converter
from mmcrowd.models.heads.lsc_head import place_cells
from mmcrowd.ops.box_kinds import BOX_SIZES, box_kinds, scale_classes
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.published import assert_equal
from ..testing.training import train_steps

CONFIG = Path(__file__).parents[2] / 'configs' / 'lsc_cnn' / 'lsc_cnn_vgg16_sha_published.py'
# They list scales from the coarsest on, and boxes from the smallest on.
SCALES = (3, 2, 1, 0)


@pytest.fixture(scope='module')
def lsc(golden):
    return golden('lsc_cnn')


@pytest.fixture(scope='module')
def state_dict(lsc):
    return lsc.state_dict()


@pytest.fixture(scope='module')
def kinds(lsc):
    """Kinds of the boxes of their three frames."""
    size = [int(side) // 2 for side in lsc['frame_hw']]
    frames = [lsc[f'points{number}_xy'] for number in ('', '2', '3')]
    # Their pixel 0 reaches from 0 to 1.
    return torch.as_tensor(np.stack([box_kinds(xy - 0.5, size, 2) for xy in frames]))


def sample(kinds):
    return CrowdDataSample(gt_maps=PixelData(box_kind=kinds[None]))


@torch.no_grad()
def test_network(lsc, state_dict):
    cfg = Config.fromfile(CONFIG)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        model = MODELS.build(cfg.model)
    model.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)
    model.load_state_dict(converter.convert(state_dict), assign=True)
    model.eval()
    assert sum(p.numel() for p in model.parameters()) == lsc['n_parameters']

    image = float(lsc['input_scale']) * lsc.image(lsc['input_shape']) + float(lsc['input_offset'])
    inputs = image - model.data_preprocessor.mean  # in single precision, as theirs
    outputs = model(inputs)
    for theirs, ours in enumerate(SCALES):
        assert_equal(outputs['logits'][ours], lsc[f'logits/{theirs}'], rel=1e-11)
    (predicted,) = model(inputs, mode='predict')
    points = predicted.pred_instances.points
    assert predicted.pred_count == len(points) == len(lsc['net_nms/boxes'])
    check_points(points, lsc['net_nms/points_xy_half'])
    x, y = ((points - 0.5) / 2).long().T
    sides = model.localizer.best_boxes(outputs['boxes'][0])[1][y, x]
    ours, theirs = np.lexsort((x, y)), np.lexsort(lsc['net_nms/points_xy_half'].T)
    assert sides[ours].tolist() == lsc['net_nms/boxes'][theirs].tolist()


def check_points(points, expected_half):
    """Ours are in the middle of a cell of two pixels."""
    actual = ((points.double() - 0.5) / 2).tolist()
    assert sorted(actual) == sorted(expected_half.astype(float).tolist())


def test_converter_there_and_back(state_dict):
    back = converter.convert_back(converter.convert(state_dict))
    assert set(back) == set(state_dict)
    assert all(back[name] is state_dict[name] for name in state_dict)
    with pytest.raises(ValueError, match=r'not the parameters of LSC-CNN.*1 are missing'):
        converter.convert({k: v for k, v in state_dict.items() if k != 'transpose_3.bias'})


def test_converter_files(load_tool, monkeypatch, tmp_path, state_dict):
    """The tool reads what the program writes, and back what it writes itself."""
    tool = load_tool('model_converters/lsc_cnn_from_published.py')
    zero = torch.zeros(())
    theirs = {name: zero.expand(value.shape) for name, value in state_dict.items()}
    torch.save(dict(state_dict=theirs, epoch=13), tmp_path / 'model.pth')
    monkeypatch.chdir(tmp_path)
    for arguments in (['model.pth', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    ours = torch.load(tmp_path / 'ours.pth')['state_dict']
    assert set(ours) == set(converter.convert(theirs))
    assert set(torch.load(tmp_path / 'theirs.pth')['state_dict']) == set(theirs)


def test_targets(lsc, kinds):
    np.testing.assert_array_equal(kinds > 0, lsc['target/dots_half'][:, 0] > 0)
    assert lsc['box_sizes'].tolist() == list(BOX_SIZES)
    sides = torch.tensor(BOX_SIZES).reshape(4, 3)
    for theirs, ours in enumerate(SCALES):
        classes = scale_classes(kinds, ours)
        np.testing.assert_array_equal(classes, lsc[f'target/classes/{theirs}'])
        box = torch.where(classes < 3, sides[ours][classes.clamp(max=2)], 0)
        np.testing.assert_array_equal(box, lsc[f'target/box_size/{theirs}'])


def test_class_weights(lsc, kinds):
    assert_equal(class_weights(lsc['weights/hist']), lsc['weights/alpha'], rel=1e-6)
    counted = [torch.bincount(scale_classes(kinds, s).flatten(), minlength=4) for s in range(4)]
    np.testing.assert_array_equal(torch.cat(counted), lsc['loss/hist_gt'])


@pytest.mark.parametrize('tag', ['ones', 'alpha'])
def test_loss(lsc, kinds, tag):
    weights = None if tag == 'ones' else lsc['weights/alpha'].tolist()
    logits = [
        torch.as_tensor(lsc[f'loss/logits/{theirs}']).double().requires_grad_() for theirs in SCALES
    ]
    terms = GridWTALoss(weights).loss(dict(logits=logits), [sample(k) for k in kinds], 2)
    per_scale = [terms[f'loss_stride_{stride}'].item() for stride in (16, 8, 4, 2)]
    assert_equal(per_scale, lsc[f'loss/{tag}/per_scale'], rel=1e-6)  # weights in float32
    assert_equal(sum(terms.values()), lsc[f'loss/{tag}/total'], rel=1e-6)
    sum(terms.values()).backward()
    for theirs, ours in enumerate(SCALES):
        assert_equal(logits[ours].grad, lsc[f'loss/{tag}/grad/{theirs}'], rel=1e-5)


@pytest.mark.parametrize('threshold', ['0.2', '0.25', '0.5'])
def test_points(lsc, threshold):
    logits = [torch.as_tensor(lsc[f'nms/logits/{theirs}']) for theirs in SCALES]
    placed = [place_cells(values.softmax(1), 2**i) for i, values in enumerate(logits)]
    for theirs, ours in enumerate(SCALES):
        assert_equal(placed[ours][0], lsc[f'nms/unpooled/{theirs}'], rel=1e-6)
    boxes = torch.as_tensor(np.concatenate([lsc[f'nms/unpooled/{s}'] for s in SCALES]))
    localizer = ScaleBoxNMS(float(threshold))
    points, scores = localizer(dict(boxes=boxes), 2)
    check_points(points, lsc[f'nms/{threshold}/points_xy_half'])
    assert (scores.diff() <= 0).all()
    x, y = ((points - 0.5) / 2).long().T
    sides = localizer.best_boxes(boxes)[1][y, x]
    assert sorted(sides.tolist()) == sorted(lsc[f'nms/{threshold}/boxes'].tolist())


@pytest.mark.parametrize('case', range(3))
def test_tiles(golden, case):
    """Places of the tiles, and what of each is used where."""
    stored = golden('tiles')
    height, width = map(int, stored[f'lsc/{case}/size_hw'])
    # The number of its pixel, at every pixel.
    image = torch.arange(height * width, dtype=torch.float64).reshape(1, 1, height, width)
    tiles, used = [], []

    def run(inputs, padding_mask=None):
        tiles.append(inputs[0, 0])
        used.append(torch.zeros(112, 112, dtype=torch.float64, requires_grad=True))
        return dict(boxes=used[-1][None, None])

    outputs = CoreInference()(
        run, image, [CrowdDataSample(metainfo=dict(img_shape=(height, width)))]
    )
    origins = [divmod(int(tile[0, 0]), width)[::-1] for tile in tiles]
    assert origins == list(map(tuple, stored[f'lsc/{case}/crop_origin_xy'].tolist()))
    assert {tuple(tile.shape) for tile in tiles} == {(224, 224)}
    cover = stored[f'lsc/{case}/cover_half']
    assert outputs['boxes'].shape[2:] == cover.shape
    outputs['boxes'].sum().backward()
    regions = zip(
        stored[f'lsc/{case}/roi_half_y0y1x0x1'],
        stored[f'lsc/{case}/roi_in_crop_half_y0y1x0x1'],
        strict=True,
    )
    for tile, ((top, bottom, left, right), (y0, y1, x0, x1)) in zip(used, regions, strict=True):
        expected = np.zeros((112, 112))
        expected[y0:y1, x0:x1] = 1 / cover[top:bottom, left:right]
        np.testing.assert_allclose(tile.grad, expected)


def test_bad_batch():
    """No head, one, one in every cell, and classes that are certain and wrong."""
    torch.manual_seed(0)
    head = LSCHead((8, 8, 8, 8), mid_channels=(8,)).train()
    features = [1e3 * torch.randn(4, 8, 2**i, 2**i) for i in (4, 3, 2, 1)]
    for level in features:
        level[0] = 0
    one = torch.zeros(16, 16, dtype=torch.uint8)
    one[3, 3] = 12
    cases = [torch.zeros_like(one), one, torch.ones_like(one), torch.full_like(one, 12)]
    outputs = head(features)
    terms = GridWTALoss().loss(outputs, [sample(kinds) for kinds in cases], 2)
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())
    assert outputs['boxes'].isfinite().all() and not outputs['boxes'].requires_grad


def test_of_equal_parts_the_first_is_trained():
    logits = torch.zeros(1, 4, 4, 4, requires_grad=True)
    coarse = torch.zeros(1, 4, 2, 2)
    kinds = torch.zeros(4, 4, dtype=torch.uint8)
    terms = GridWTALoss().loss(dict(logits=[logits, coarse]), [sample(kinds)], 2)
    terms['loss_stride_2'].backward()
    assert logits.grad[0, :, :2, :2].all() and not logits.grad[..., 2:].any()
    assert not logits.grad[:, :, 2:].any()


def test_what_is_wrong_is_named():
    outputs = dict(logits=[torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 2, 2)])
    kinds = torch.zeros(4, 4, dtype=torch.uint8)
    with pytest.raises(KeyError, match="no map 'box_kind'.*BoxKinds"):
        GridWTALoss().loss(outputs, [CrowdDataSample()], 2)
    with pytest.raises(ValueError, match=r'class_weights of \(4, 4\).*the network has \(2, 4\)'):
        GridWTALoss([[1, 1, 1, 1]] * 4).loss(outputs, [sample(kinds)], 2)
    with pytest.raises(ValueError, match='expected rows of one length, all positive'):
        GridWTALoss([[1, 1, 0, 1]])
    with pytest.raises(ValueError, match='3x4 cells cannot be cut into 2x2 parts'):
        odd = dict(logits=[torch.zeros(1, 4, 3, 4), torch.zeros(1, 4, 1, 2)])
        GridWTALoss().loss(odd, [sample(kinds[:3])], 2)
    with pytest.raises(ValueError, match='expected one number for each of 4 levels'):
        TopDownModulation((8, 8))
    with pytest.raises(ValueError, match='no multiple of stride 2; put Pad before it'):
        BoxKinds()(dict(img=np.zeros((3, 4, 3), np.uint8), points=np.zeros((0, 2))))
    with pytest.raises(ValueError, match=r'sizes=\(2, 1\), expected'):
        BoxKinds(sizes=(2, 1))


def test_certain_classes_give_the_points_back():
    """From points over targets and outputs to points, each as close as the cell of its scale."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(10, 250, 24), np.arange(10, 500, 40)), -1).reshape(-1, 2)
    near = grid[::5] + rng.uniform(8, 10, (len(grid[::5]), 2))  # smaller boxes
    points = np.concatenate([grid + rng.uniform(-4, 4, grid.shape), near])
    kinds = torch.from_numpy(box_kinds(points, (256, 128), 2))
    logits = [
        60.0 * torch.nn.functional.one_hot(scale_classes(kinds, scale), 4).permute(2, 0, 1)[None]
        for scale in range(4)
    ]
    boxes = torch.cat([place_cells(x.softmax(1), 2**i, True) for i, x in enumerate(logits)], 1)
    found, scores = ScaleBoxNMS()(dict(boxes=boxes[0]), 2)
    assert len(found) == len(points) and (scores > 0.99).all()
    x, y = np.floor((points + 0.5) / 2).astype(int).T
    stride = 2.0 * 2 ** ((kinds.numpy()[y, x] - 1) // 3)
    assert len(set(stride.tolist())) > 1
    away = np.abs(points[:, None] - found.numpy()[None]).max(2)
    assert (away.min(1) <= 0.5 * stride + 1).all()


def test_trains_on_real_images(data_root):
    """Some steps of VGG11; the count is the number of boxes."""
    cfg = Config.fromfile(CONFIG.with_name('lsc_cnn_vgg16_sha.py'))
    cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.dataset
    small = dict(backbone=dict(depth=11, init_cfg=None), head=dict(mid_channels=(16,)))
    model, losses, batch = train_steps(cfg, small, crop_size=32, steps=3, lr=1e-3)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    with torch.no_grad():
        samples = model.test_step(batch)
    assert all(sample.pred_count == len(sample.pred_instances) for sample in samples)
