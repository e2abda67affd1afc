"""TopoCount against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from PIL import Image
from scipy.spatial import cKDTree

from mmcrowd.datasets.transforms import BoxMask, DotBoxes, dot_boxes
from mmcrowd.models import ConnectedComponents, LogitHead, TopoCountLoss, UNet
from mmcrowd.models.converters import topocount as converter
from mmcrowd.models.localizers.connected_components import grow
from mmcrowd.models.losses import critical_points, topo_count_loss
from mmcrowd.models.losses.topo_count_loss import halved
from mmcrowd.ops.persistence import Features, peak_persistence
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.introsort import introsort_order
from ..testing.published import assert_equal
from ..testing.training import train_steps

CONFIGS = Path(__file__).parents[2] / 'configs' / 'topocount'


@pytest.fixture(scope='module')
def topocount(golden):
    return golden('topocount')


@pytest.fixture(scope='module')
def state_dict(topocount):
    return topocount.state_dict()


def sample(mask):
    return CrowdDataSample(gt_maps=PixelData(mask=mask), gt_instances=InstanceData())


def mask_of(points, size, boxes=None):
    results = dict(img=np.zeros((*size, 3), np.uint8), points=points)
    if boxes is not None:
        results['boxes'] = boxes
    return BoxMask()(DotBoxes(by_box=boxes is not None)(results))['gt_maps']['mask'][0]


@torch.no_grad()
def test_network(topocount, state_dict):
    cfg = Config.fromfile(CONFIGS / 'topocount_vgg16_sha.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        counter = MODELS.build(cfg.model)
    counter.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)
    counter.load_state_dict(converter.convert(state_dict), assign=True)
    assert sum(p.numel() for p in counter.parameters()) == topocount['n_parameters']
    scale, offset = float(topocount['input_scale']), float(topocount['input_offset'])
    inputs = scale * topocount.image(topocount['input_shape']) + offset
    features = counter.eval().neck(counter.backbone(inputs))
    assert_equal(counter.head(features)['logit'], topocount['logit_uncropped'], rel=1e-12)
    no_padding = torch.zeros(1, *inputs.shape[2:], dtype=torch.bool)
    outputs = counter.head(features, no_padding)
    assert_equal(outputs['logit'], topocount['logit'], rel=1e-12)
    image = {name: values[0, 0] for name, values in outputs.items()}
    points, _ = counter.localizer(image, counter.stride)
    region = grow(*(image['probability'].numpy() >= limit for limit in (0.4, 0.5)))
    np.testing.assert_array_equal(region, topocount['net_infer/topology'] > 0)
    assert len(points) == topocount['net_infer/count']
    assert points.round().tolist() == topocount['net_infer/points_xy'].tolist()


def test_converter_there_and_back(state_dict):
    back = converter.convert_back(converter.convert(state_dict))
    assert set(back) == set(state_dict)
    assert all(back[name] is state_dict[name] for name in state_dict)
    with pytest.raises(ValueError, match='not the parameters of TopoCount.*1 are missing'):
        converter.convert({k: v for k, v in state_dict.items() if 'conv_final.bias' not in k})


def test_converter_files(load_tool, monkeypatch, tmp_path, state_dict):
    """The tool reads what the program writes, and back what it writes itself."""
    tool = load_tool('model_converters/topocount_from_published.py')
    zero = torch.zeros(())
    theirs = {name: zero.expand(value.shape) for name, value in state_dict.items()}
    torch.save(theirs, tmp_path / 'model.pth')
    monkeypatch.chdir(tmp_path)
    for arguments in (['model.pth', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    ours = torch.load(tmp_path / 'ours.pth')['state_dict']
    assert set(ours) == set(converter.convert(theirs))
    assert set(torch.load(tmp_path / 'theirs.pth')['state_dict']) == set(theirs)


def test_targets(topocount, monkeypatch):
    size, points = topocount['frame_hw'], topocount['points_xy']
    for name in ('sha', 'shb', 'qnrf'):
        mask = mask_of(points, size)
        np.testing.assert_array_equal(mask, topocount[f'target/mask_{name}'])
        np.testing.assert_array_equal(mask > 0, topocount[f'target/density16_{name}'] > 0)
    one = mask_of(topocount['one_point_xy'], size)
    np.testing.assert_array_equal(one, topocount['target/mask_one'])
    boxes = mask_of(points, size, topocount['nwpu_boxes_xyxy'])
    np.testing.assert_array_equal(boxes, topocount['target/mask_nwpu'])
    # For JHU-Crowd++ the program takes all six columns for coordinates of its neighbours.
    rows = topocount['jhu_rows'].astype(float)
    monkeypatch.setattr(
        dot_boxes, 'nearest_neighbour_distances', lambda _: cKDTree(rows).query(rows, 2)[0][:, 1]
    )
    centre, half = rows[:, :2], rows[:, 2:4] / 2
    boxes = mask_of(centre, size, np.concatenate([centre - half, centre + half], 1))
    np.testing.assert_array_equal(boxes, topocount['target/mask_jhu'])


def test_dots_stay_apart():
    """Those of neighbours at an angle touch only within ten pixels, where rounding counts."""
    points = 200 * np.random.default_rng(0).random((60, 2))
    boxes = DotBoxes()(dict(points=points))['boxes']
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    apart = ((low >= boxes[:, 2:]) | (high <= boxes[:, :2])).any(-1)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = np.linalg.norm(middles[:, None] - middles, axis=-1) < 10
    assert (apart | near).all() and near.sum() > 60
    with pytest.raises(KeyError, match='has no boxes, which by_box=True asks for'):
        DotBoxes(by_box=True)(dict(points=points))


def test_dice(topocount):
    logit = torch.as_tensor(topocount['loss/logit'].astype(float)).requires_grad_()
    mask = torch.as_tensor(topocount['target/mask_sha'])[None]
    terms = TopoCountLoss().loss(dict(logit=logit), [sample(mask)], 1)
    assert list(terms) == ['loss_dice']  # the epoch is 0
    assert_equal(terms['loss_dice'], topocount['loss/dice'], rel=1e-6)
    terms['loss_dice'].backward()
    assert_equal(logit.grad, topocount['loss/grad'], rel=1e-6)


FRAME = 3  # pixels of theirs around each patch


def program_peaks(maps):
    """Our peaks, but of equal cells that one is the higher which the program has for it.

    Its library sorts the cells of a patch and of its frame by ``std::sort``, by their values alone.
    Where a cell as high as the frame comes first, the frame ends in its place."""
    ranks, frames = [], []
    for values in maps:
        framed = np.pad(values, FRAME, constant_values=values.max())
        rank = np.empty(framed.size, np.int64)
        rank[introsort_order(-framed)] = np.arange(framed.size)[::-1]
        rank = rank.reshape(framed.shape)
        ranks.append(rank[FRAME:-FRAME, FRAME:-FRAME].copy())
        rank[FRAME:-FRAME, FRAME:-FRAME] = -1
        frames.append((rank.max(), np.array(np.unravel_index(rank.argmax(), rank.shape)) - FRAME))
    ranks = np.stack(ranks)
    features = peak_persistence(ranks)
    height, depth, rank = (
        values[features.map, cells[:, 0], cells[:, 1]]
        for values, cells in (
            (maps, features.birth),
            (maps, features.death),
            (ranks, features.birth),
        )
    )
    features = features._replace(persistence=height - depth)
    for number, (highest, place) in enumerate(frames):
        before = (features.map == number) & (rank > highest) & (features.persistence > 0)
        assert before.sum() <= 1  # else they would have to be paired anew
        features.birth[before] = place
    order = np.lexsort((-features.persistence, features.map))
    order = order[features.persistence[order] > 0]
    return Features(*(array[order] for array in features))


@pytest.mark.parametrize('case', ['a', 'b', 'c'])
@pytest.mark.parametrize('patch', [0, 1])
@pytest.mark.parametrize('kind', ['lh', 'gt'])
def test_persistence(topocount, case, patch, kind):
    size = int(topocount['topo/patch_size'])
    x, y = topocount[f'topo/{case}/start_xy'] + (patch * (size - 10), 0)
    values = topocount['target/mask_sha'].astype(float)
    if kind == 'lh':
        values = torch.as_tensor(topocount[f'topo/{case}/logit'][0, 0]).sigmoid().numpy()
    values = values[y : y + size, x : x + size]
    features = peak_persistence(values[None])
    stored = f'topo/{case}/patch{patch}/{kind}'
    births, deaths = topocount[f'{stored}/diagram'].T  # of the negative values
    np.testing.assert_allclose(np.sort(features.persistence), np.sort(deaths - births), atol=2e-7)

    births, deaths = (topocount[f'{stored}/{name}_rc'].astype(int) for name in ('birth', 'death'))
    expected = np.concatenate([births, deaths], 1).tolist()
    if kind == 'lh' and case != 'c':  # no cells are equal
        actual = np.concatenate([features.birth, features.death], 1).tolist()
        assert sorted(actual) == sorted(expected)
    features = program_peaks(values[None])
    actual = np.concatenate([features.birth, features.death], 1).tolist()
    assert sorted(actual) == sorted(expected)


def topology(topocount, case):
    """Logit, mask, start and our critical points of a case."""
    logit = torch.as_tensor(topocount[f'topo/{case}/logit']).requires_grad_()
    mask = torch.as_tensor(topocount['target/mask_sha']).float()
    start = tuple(topocount[f'topo/{case}/start_xy'].tolist())
    points = critical_points(logit.detach().sigmoid()[0, 0].numpy(), mask.numpy(), start)
    return logit, mask, start, points


@pytest.mark.parametrize('case', ['a', 'b', 'c'])
def test_numbers_of_changed_peaks(topocount, case):
    *_, points = topology(topocount, case)
    assert [points.num_fixed, points.num_removed] == topocount[f'topo/{case}/n_fix_remove'].tolist()


def critical_values(topocount, case):
    """References of the program, by the pixel."""
    stored = (topocount[f'topo/{case}/critical_{name}'] for name in ('xy', 'ref'))
    return {(x, y): r for (x, y), r in zip(*stored, strict=True)}


def check_topology_term(topocount, case):
    """Pixels, what is wanted of them, the term and its gradient."""
    logit, mask, start, points = topology(topocount, case)
    ours = {(x, y): r for y, x, r in zip(*points[:3], strict=True)}
    theirs = critical_values(topocount, case)
    assert ours.keys() == theirs.keys()
    assert all(ours[xy] == pytest.approx(theirs[xy], rel=1e-6) for xy in ours)
    term = TopoCountLoss().topology(logit.sigmoid()[0, 0], mask, start)
    # Near 1, of which it is the distance, float32 has steps of 2^-24.
    assert term.item() == pytest.approx(topocount[f'topo/{case}/loss'], rel=1e-6, abs=2**-24)
    term.backward()
    assert_equal(logit.grad, topocount[f'topo/{case}/grad'], rel=1e-6)


@pytest.mark.parametrize('case', ['a', 'b'])
def test_topology_term(topocount, case):
    check_topology_term(topocount, case)


@pytest.mark.parametrize('case', ['a', 'b', 'c'])
def test_topology_term_with_equal_cells_in_the_order_of_the_program(topocount, case, monkeypatch):
    monkeypatch.setattr(topo_count_loss, 'peak_persistence', program_peaks)
    check_topology_term(topocount, case)


def test_topology_term_of_plateaus(topocount):
    """In our own order of equal cells other pixels count: what configs/topocount/README.md says."""
    logit, mask, start, points = topology(topocount, 'c')
    ours = {(x, y): r for y, x, r in zip(*points[:3], strict=True)}
    theirs = critical_values(topocount, 'c')
    common = ours.keys() & theirs.keys()
    assert (len(ours), len(theirs), len(common)) == (27, 19, 13)
    assert all(ours[xy] == pytest.approx(theirs[xy], rel=1e-6) for xy in common)
    # The others are on the plateaus: the lowest value, but for one peak of the mask.
    likelihood = logit.detach().sigmoid()[0, 0]
    others = [likelihood[y, x] for x, y in ours.keys() ^ theirs.keys()]
    assert sum(value > likelihood.min() for value in others) == 1
    term = TopoCountLoss().topology(logit.sigmoid()[0, 0], mask, start)
    assert abs(term.item() - topocount['topo/c/loss']) < 0.048  # 0.0633 and 0.0157
    term.backward()
    assert_equal(logit.grad, topocount['topo/c/grad'], rel=1.03)


def test_halved_patches_are_those_of_images():
    patches = np.random.default_rng(0).random((2, 30, 30)) - 0.2
    for patch, actual in zip(patches, halved(patches), strict=True):
        steps = (255 * (patch - patch.min()) / np.ptp(patch) + 0.5).astype(np.uint8)
        small = Image.fromarray(steps).resize((15, 15), Image.Resampling.BILINEAR)
        expected = np.asarray(small, float)
        np.testing.assert_allclose(actual, expected / expected.max() * patch.max(), rtol=1e-12)
    assert not halved(np.ones((1, 4, 4))).any()  # as theirs


def test_critical_points_of_halved_patches():
    rng = np.random.default_rng(0)
    likelihood, mask = rng.random((64, 64)), np.zeros((64, 64))
    points = critical_points(likelihood, mask, (12, 11), patch_size=40, halve=True)
    assert points.num_removed > 20 and points.num_fixed == 0
    assert not ((points.column - 12) % 2).any() and not ((points.row - 11) % 2).any()
    for side, start in ((points.column, 12), (points.row, 11)):
        assert side.min() >= start + 5 and side.max() < start + 35
    assert np.isin(points.reference, [0, *likelihood.flat]).all()


def test_the_mask_is_wanted_where_peaks_are_missing():
    mask = np.zeros((80, 80))
    mask[30:35, 30:35] = 1
    points = critical_points(np.zeros((80, 80)), mask, (10, 10))
    reference = dict(
        zip(zip(points.row, points.column, strict=True), points.reference, strict=True)
    )
    assert points.num_fixed == points.num_removed == 0
    assert all(value == mask[cell] for cell, value in reference.items())
    assert sorted(reference.values()) == [0, 1]


def test_topology_begins_after_some_epochs():
    outputs = dict(logit=torch.randn(1, 1, 90, 90))
    truth = [sample(torch.zeros(1, 90, 90))]
    loss = TopoCountLoss(start_epoch=3)
    hub = MessageHub.get_current_instance()
    for epoch, number in ((2, 1), (3, 2)):
        hub.update_info('epoch', epoch)
        torch.manual_seed(0)
        terms = loss.loss(outputs, truth, 1)
        assert len(terms) == number
    torch.manual_seed(1)  # another place of the patches
    assert loss.loss(outputs, truth, 1)['loss_topology'] != terms['loss_topology']
    hub.update_info('epoch', 0)


@pytest.mark.parametrize('halve', [False, True])
def test_bad_batch(halve):
    """No point, one, many that coincide, and a frame that is full; logits far out and all equal."""
    torch.manual_seed(0)
    neck = UNet((4, 8), ((8, 4),))
    head = LogitHead(4)
    features = [torch.randn(5, 4, 96, 96), torch.randn(5, 8, 48, 48)]
    features[0][0] = features[1][0] = 0
    features[1][1] *= 1e3
    outputs = head(neck(features))
    points = [[], [[3, 4]], [[40, 40]] * 9 + [[-3, 5], [60, 50]], 96 * np.random.rand(4000, 2), []]
    masks = [mask_of(np.reshape(p, (-1, 2)), (96, 96)) for p in points]
    samples = [sample(torch.as_tensor(mask)[None]) for mask in masks]
    terms = TopoCountLoss(40, halve=halve, start_epoch=0).loss(outputs, samples, 1)
    assert len(terms) == 2
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in [*neck.parameters(), *head.parameters()])


def test_head():
    head = LogitHead(3)
    features = torch.randn(2, 3, 12, 11)
    logit = torch.einsum('nchw,oc->nohw', features, head.predict.weight[..., 0, 0])
    outputs = head(features, padding_mask=torch.zeros(2, 8, 8, dtype=torch.bool))
    torch.testing.assert_close(outputs['logit'], (logit + head.predict.bias)[..., 2:10, 1:9])
    torch.testing.assert_close(outputs['probability'], outputs['logit'].sigmoid())


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match='must not both be 0'):
        TopoCountLoss(dice_weight=0, topology_weight=0)
    with pytest.raises(ValueError, match='patch_size=51 cannot be halved'):
        TopoCountLoss(51, halve=True)
    with pytest.raises(ValueError, match='patch_size must be at least 11, but got 10'):
        TopoCountLoss(10)
    with pytest.raises(KeyError, match="no map 'mask'.*BoxMask"):
        TopoCountLoss().loss(dict(logit=torch.zeros(1, 1, 4, 4)), [CrowdDataSample()], 1)
    with pytest.raises(ValueError, match="centre='outline'.*connectivity=8, but got 4"):
        ConnectedComponents(centre='outline')


def test_trains_on_real_images(data_root):
    cfg = Config.fromfile(CONFIGS / 'topocount_vgg16_sha_cpu.py')
    small = dict(
        backbone=dict(depth=11, out_stages=(0, 1), frozen_stages=-1, init_cfg=None),
        neck=dict(in_channels=(64, 128), channels=((16, 16),)),
        head=dict(in_channels=16),
        loss=dict(patch_size=30, start_epoch=0),
    )
    model, losses, batch = train_steps(cfg, small, crop_size=64, steps=4, lr=1e-3)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    with torch.no_grad():
        samples = model.test_step(batch)
    assert all(sample.pred_count == len(sample.pred_instances) for sample in samples)
