"""PET against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmcrowd.models.converters.pet import BACKBONE, UNUSED, convert, convert_back
from mmcrowd.models.heads.pet_head import PETHead
from mmcrowd.models.losses.pet_loss import PETLoss, split_loss
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, padding_mask

from ..testing.networks import make_sample
from ..testing.published import assert_equal

CONFIGS = Path(__file__).parents[2] / 'configs' / 'pet'
SETS = dict(sparse=(32, 8), dense=(64, 4))  # queries on a side of a crop of 256 pixels, and stride


@pytest.fixture(scope='module')
def pet(golden):
    return golden('pet')


@pytest.fixture(scope='module')
def state_dict(pet):
    return pet.state_dict()


@pytest.fixture(scope='module')
def counter(state_dict):
    """The counter of the config as published with the published weights, in float64."""
    cfg = Config.fromfile(CONFIGS / 'pet_vgg16bn_sha_published.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        model = MODELS.build(cfg.model)
    model.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)
    model.load_state_dict(convert(state_dict), assign=True)
    return model.eval()


def test_number_of_parameters(pet, counter, state_dict):
    unused = [value for name, value in state_dict.items() if name.startswith(BACKBONE + UNUSED)]
    number = sum(p.numel() for p in counter.parameters()) + sum(v.numel() for v in unused)
    assert number == pet['num_parameters'] == 20_909_385


@torch.no_grad()
def test_network_in_training(pet, counter):
    """All queries of one image are decoded."""
    features = counter.neck(counter.backbone(pet.image(pet['input_shape'])[:1]))
    fine, coarse = (
        project(level) for project, level in zip(counter.head.projections, features, strict=True)
    )
    assert_equal(coarse[0, :, ::2, ::2], pet['features_8x'], rel=1e-6)  # float32
    assert_equal(fine[0, :, ::4, ::4], pet['features_4x'], rel=1e-6)
    counter.head.train()
    outputs = counter.head(features, torch.zeros(1, 256, 256, dtype=torch.bool))
    counter.head.eval()
    assert_equal(outputs['split_map'], pet['train/split_map'][:1, 0], rel=1e-7)
    for name in SETS:
        part = outputs[name]
        assert part['present'].all()
        assert_equal(part['logits'], pet[f'train/{name}/logits'][:1], rel=1e-7)
        points = pet[f'train/{name}/points_yx_normalised'][:1, :, ::-1]
        assert_equal(part['points'] / 256, points, rel=1e-12)


@pytest.fixture(scope='module')
def padded(pet, counter):
    """Features of the image of the published test run, padded, and where its padding is."""
    image = pet.image(pet['test/input_shape'], offset=1)
    height, width = image.shape[-2:]
    rows, columns = pet['test/padded_shape'][-2:]
    inputs = F.pad(image, (0, columns - width, 0, rows - height))[None]
    mask = padding_mask(inputs, [make_sample([], (height, width))])
    with torch.no_grad():
        return counter.neck(counter.backbone(inputs)), mask


@torch.no_grad()
def test_points_and_count_of_a_padded_image(pet, counter, padded):
    outputs = counter.head(*padded)
    split = outputs['split_map'].numpy()
    expected = pet['test/split_map'][0]
    np.testing.assert_array_equal(np.isnan(split), np.isnan(expected))
    assert_equal(np.nan_to_num(split), np.nan_to_num(expected), rel=1e-7)
    image = dict(points=outputs['points'][0], logits=outputs['logits'][0])
    points, scores = counter.localizer(dict(image, img_shape=(200, 300)), counter.stride)
    assert len(points) == pet['test/final_count']
    order, theirs = np.lexsort(points.numpy().T), pet['test/final_points_xy']
    their_order = np.lexsort(theirs.T)
    assert_equal(points[order], theirs[their_order], rel=1e-12)
    assert_equal(scores[order], pet['test/final_scores'][their_order], rel=1e-7)


@torch.no_grad()
def test_padding_by_default(counter, padded, monkeypatch):
    """What lies in the padding changes nothing, and nothing is counted there."""
    features, mask = padded
    monkeypatch.setattr(counter.head, 'keep_padding', False)
    outputs = counter.head(features, mask)
    disturbed = [torch.where(padding(level, mask), 7.0, level) for level in features]
    other = counter.head(disturbed, mask)
    for name, (_, stride) in SETS.items():
        part, changed = outputs[name], other[name]
        present = part['present']
        torch.testing.assert_close(changed['present'], present)
        torch.testing.assert_close(changed['logits'][present], part['logits'][present])
        torch.testing.assert_close(changed['points'][present], part['points'][present])
        cells = F.max_pool2d((~mask).double(), 1, stride)[0].bool().flatten()
        assert present[0].any() and not present[0, ~cells].any()
        assert part['logits'].softmax(-1)[~present][:, 1].eq(0).all()


@torch.no_grad()
@pytest.mark.parametrize('bias, decoded', [(99.0, 'dense'), (-99.0, 'sparse')])
def test_one_set_of_queries_only(bias, decoded):
    """In every region the splitter decides for the same one."""
    head = PETHead([2, 2], 8, num_heads=2, feedforward_channels=8, encoder_windows=[(8, 16)]).eval()
    head.predict_split.bias.fill_(bias)
    features = [torch.rand(1, 2, 64, 64), torch.rand(1, 2, 32, 32)]
    outputs = head(features, torch.zeros(1, 256, 256, dtype=torch.bool))
    for name in SETS:
        assert (
            outputs[name]['present'].all()
            if name == decoded
            else not outputs[name]['present'].any()
        )
        assert outputs[name]['points'].isfinite().all()


def padding(level, mask):
    stride = mask.shape[-1] // level.shape[-1]
    return mask[:, None, ::stride, ::stride]


@pytest.mark.parametrize('case, epoch', [('epoch0', 4), ('epoch5', 5)])
def test_matches_and_loss(pet, case, epoch):
    split_map = torch.tensor(pet['train/split_map'][:, 0]).requires_grad_()
    sets = {}
    for name, (side, _) in SETS.items():
        region = split_map.detach() if name == 'dense' else 1 - split_map.detach()
        region = region.repeat_interleave(side // 4, 1).repeat_interleave(side // 2, 2).flatten(1)
        points = torch.tensor(pet[f'train/{name}/points_yx_normalised']).flip(-1) * 256
        sets[name] = dict(
            points=points.requires_grad_(),
            logits=torch.tensor(pet[f'train/{name}/logits']).requires_grad_(),
            region=region,
            present=torch.ones_like(region, dtype=torch.bool),
        )
    truths = [pet.points(i) for i in range(4)]
    loss = PETLoss()
    for name, matches in zip(sets, loss.match(sets, truths), strict=True):
        for i, (point, proposal) in enumerate(matches):
            here = pet[f'match/{name}/image'] == i
            expected = (pet[f'match/{name}/{key}'][here].tolist() for key in ('gt', 'query'))
            found = set(zip(point.tolist(), proposal.tolist(), strict=True))
            assert found == set(zip(*expected, strict=True))

    MessageHub.get_current_instance().update_info('epoch', epoch)
    samples = [CrowdDataSample(gt_instances=InstanceData(points=points)) for points in truths]
    terms = loss.loss(dict(sets, split_map=split_map), samples, 4)
    MessageHub._instance_dict.clear()
    for name, theirs in zip(SETS, ('sp', 'ds'), strict=True):
        assert_equal(terms[f'loss_classification_{name}'], pet[f'loss/{case}/loss_ce_{theirs}'])
        points_loss = 5 * pet[f'loss/{case}/loss_points_{theirs}']
        assert_equal(terms[f'loss_point_{name}'], points_loss, rel=1e-6)
    weight = 0.1 if case == 'epoch5' else 0
    assert_equal(terms['loss_split'], weight * pet[f'loss/{case}/loss_split'])
    total = sum(terms.values())
    assert_equal(total, pet[f'loss/{case}/total'])
    total.backward()
    for name, part in sets.items():  # the published gradients are float32
        grads = (pet[f'grad/{case}/{name}/pred_{key}'] for key in ('logits', 'points'))
        assert_equal(part['logits'].grad, next(grads), rel=1e-6)
        assert_equal(part['points'].grad.flip(-1) * 256, next(grads), rel=1e-6)
    assert_equal(split_map.grad, pet[f'grad/{case}/split_map'][:, 0], rel=1e-6)


def test_loss_of_the_splitter(pet):
    """With a crowded image."""
    split_map = torch.tensor(pet['train/split_map'][:, 0]).requires_grad_()
    loss = split_loss(split_map, torch.as_tensor(pet['forced_density']) < 16)
    assert_equal(loss, pet['loss/epoch5_forced_density/loss_split'])
    (0.1 * loss).backward()
    assert_equal(split_map.grad, pet['grad/epoch5_forced_density/split_map'][:, 0])


def test_converter_there_and_back(state_dict):
    ours = convert(state_dict)
    unused = {
        name.removeprefix(BACKBONE + UNUSED): value
        for name, value in state_dict.items()
        if name.startswith(BACKBONE + UNUSED)
    }
    back = convert_back(ours, unused)
    assert {name: value.shape for name, value in back.items()} == {
        name: value.shape for name, value in state_dict.items()
    }
    again = convert(back)
    assert all(again[name] is value for name, value in ours.items())
    # Released files have equal copies; of others the last one counts.
    last = [name for name in state_dict if name.startswith('quadtree_dense.backbone')]
    assert last and all(back[name] is state_dict[name] for name in last)
    assert back['backbone.0.fpn.P4_1.bias'] is state_dict[f'{BACKBONE}fpn.P4_1.bias']


def test_converter_files(load_tool, state_dict, monkeypatch, tmp_path):
    tool = load_tool('model_converters/pet_from_published.py')
    monkeypatch.chdir(tmp_path)
    theirs = {name: value.half() for name, value in state_dict.items()}
    torch.save(dict(model=theirs), 'SHA_model.pth')
    for arguments in (['SHA_model.pth', 'ours.pth'], ['ours.pth', 'theirs.pth', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    written = torch.load('theirs.pth')['model']
    assert set(written) == set(theirs)
    name = 'quadtree_dense.coord_embed.layers.2.weight'
    assert torch.equal(written[name], theirs[name])
    torch.save(dict(model={'class_embed.bias': torch.zeros(2)}), 'some.pth')
    monkeypatch.setattr(sys, 'argv', ['tool', 'some.pth', 'out.pth'])
    with pytest.raises(ValueError, match=r'some\.pth: not the parameters of PET on VGG16-bn'):
        tool.main()


def test_windows_of_the_encoder_must_fit():
    with pytest.raises(ValueError, match=r'encoder_windows=\[\(16, 24\)\], expected sides'):
        PETHead(encoder_windows=[(16, 24)])
