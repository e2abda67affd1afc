"""What published systems need of a counter, each with small parts of its own and nothing else."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData
from torch import nn

from mmcrowd.models import MCNN, DensityHead, OutputLoss, ProposalThreshold
from mmcrowd.models.counters.outputs import image_outputs, map_stride
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, padding_mask


@pytest.fixture(autouse=True)
def crowd_scope():
    init_default_scope('mmcrowd')


REPO = Path(__file__).parents[3]
SHARED = (
    'counters/*.py',
    'losses/density_loss.py',
    'losses/output_loss.py',
    'losses/checks.py',
    'localizers/checks.py',
)


def test_shared_parts_know_no_system():
    """Names of the collections of configs that have a counter of their own."""
    names = {'CSRNet', 'APGCC'}
    for path in REPO.glob('configs/*/metafile.yml'):
        (collection,) = yaml.safe_load(path.read_text())['Collections']
        if 'Architecture' in collection.get('Metadata', {}):
            names.add(collection['Name'])
    assert {'SFCN', 'EBC', 'ZIP', 'MAN', 'STEERER', 'PET', 'CLTR', 'P2PNet', 'FIDTM'} <= names
    system = re.compile(rf'\b({"|".join(names)})')  # their classes, too: PETHead
    for pattern in SHARED:
        paths = list((REPO / 'mmcrowd' / 'models').glob(pattern))
        assert paths
        for path in paths:
            assert not system.findall(path.read_text()), path


class Levels(nn.Module):
    """Backbone: means of the image over squares of 4 and 8 pixels."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, inputs):
        return tuple(self.gain * F.avg_pool2d(inputs, side) for side in (4, 8))


def build(**parts):
    torch.manual_seed(0)
    cfg = dict(
        type='DensityCounter',
        data_preprocessor=dict(type='CrowdDataPreprocessor', pad_size_divisor=16),
        backbone=dict(type=Levels),
        loss=dict(type=CountLoss),
    )
    return MODELS.build({**cfg, **{key: _config(value) for key, value in parts.items()}})


def _config(value):
    return dict(type=value) if isinstance(value, type) else value


def make_batch(model, *shapes, points=None, training=False):
    """Images of value 1, of these shapes."""
    points = points or [[[5, 5]]]
    images = [torch.ones(3, *shape, dtype=torch.uint8) for shape in shapes]
    samples = []
    for i, shape in enumerate(shapes):
        sample = CrowdDataSample(metainfo=dict(img_id=i, img_shape=shape))
        sample.gt_instances = InstanceData(points=torch.tensor(points[i % len(points)]).float())
        sample.gt_count = len(sample.gt_instances.points)
        samples.append(sample)
    return model.data_preprocessor(dict(inputs=images, data_samples=samples), training)


def counts(data_samples, like):
    return like.new_tensor([sample.gt_count for sample in data_samples])


class CountLoss(OutputLoss):
    def loss(self, outputs, data_samples, stride):
        density = outputs['density'].sum((1, 2, 3))
        return dict(loss_count=(density - counts(data_samples, density)).abs().mean())


class PlainHead(nn.Module):
    """A head of somebody else: it knows of no names."""

    out_stride = 4

    def forward(self, features):
        return features[0].mean(1, keepdim=True)


# --- several density scales, each with its loss


class ScalesHead(nn.Module):
    out_stride = 4

    def forward(self, features):
        scales = [level.mean(1, keepdim=True) for level in features]
        return dict(density=scales[0], scales=scales)


class ScalesLoss(OutputLoss):
    def loss(self, outputs, data_samples, stride):
        terms = {}
        for k, density in enumerate(outputs['scales']):
            error = density.sum((1, 2, 3)) - counts(data_samples, density)
            terms[f'loss_scale{k}'] = error.abs().mean()
        return terms


class ScalesLocalizer:
    """One point at the middle of every cell of the coarsest scale."""

    def __call__(self, outputs, stride):
        coarse = outputs['scales'][-1]
        step = stride * 2
        points = coarse.nonzero().flip(1) * float(step) + (step - 1) / 2
        return points, coarse.flatten()


def test_several_density_scales():
    model = build(head=ScalesHead, loss=ScalesLoss, localizer=ScalesLocalizer)
    losses = model(**make_batch(model, (16, 32)), mode='loss')
    # 4 x 8 and 2 x 4 cells of one person each, and one annotated point
    assert {key: value.item() for key, value in losses.items()} == dict(
        loss_scale0=31, loss_scale1=7
    )
    sum(losses.values()).backward()
    assert model.backbone.gain.grad.item() == 40
    sample, _ = model(**make_batch(model, (9, 16), (16, 32)), mode='predict')
    assert sample.pred_density.density.shape == (1, 3, 4)
    assert sample.pred_count == 2 * 4 + 4 / 4  # one row of the third cells is image
    # The coarse scale is cut to the image, too: 2 x 2 cells of 8 pixels, the lower ones with their
    # centres below it.
    assert sample.pred_instances.points.tolist() == [[3.5, 3.5], [11.5, 3.5], [3.5, 8], [11.5, 8]]


# --- tensors of a neck that a loss regularises


class AttentionNeck(nn.Module):
    def forward(self, features):
        tokens = features[1].flatten(2)
        attention = (tokens.mT @ tokens).softmax(-1)
        return dict(features=features, attention=attention)


class RegularisedLoss(CountLoss):
    def loss(self, outputs, data_samples, stride):
        terms = super().loss(outputs, data_samples, stride)
        return dict(terms, loss_attention=outputs['attention'].square().sum((1, 2)).mean())


def test_tensors_of_a_neck_that_a_loss_regularises():
    model = build(neck=AttentionNeck, head=PlainHead, loss=RegularisedLoss)
    batch = make_batch(model, (16, 32))
    losses = model(**batch, mode='loss')
    assert losses['loss_attention'].item() == pytest.approx(8 * 8 / 64)
    assert set(model(batch['inputs'])) == {'attention', 'density'}


class DictBackbone(Levels):
    def forward(self, inputs):
        return dict(features=super().forward(inputs), statistics=inputs.mean((1, 2, 3)))


def test_named_results_of_a_backbone():
    model = build(backbone=DictBackbone, head=PlainHead, count_from='statistics')
    sample, _ = model(**make_batch(model, (9, 16), (16, 16)), mode='predict')
    assert sample.pred_count == pytest.approx(9 / 16)
    assert sample.pred_density.density.shape == (1, 3, 4)


# --- two sets of proposals, of which a map says where either holds


class SplitHead(nn.Module):
    """Proposals at the centres of cells of 4 and of 8 pixels; the left half is split."""

    out_stride = 4

    def forward(self, features):
        outputs = dict(split=torch.zeros_like(features[1][:, :1]))
        outputs['split'][..., : features[1].shape[-1] // 2] = 1
        for name, level, stride in zip(('dense', 'sparse'), features, (4, 8), strict=True):
            n, _, h, w = level.shape
            y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')
            points = torch.stack((x, y), -1).flatten(0, 1) * stride + (stride - 1) / 2
            scale = stride // 4
            part = F.interpolate(outputs['split'], scale_factor=2 // scale)
            mask = part if name == 'dense' else 1 - part
            outputs[name] = dict(
                points=points.expand(n, -1, -1),
                logits=torch.stack((0 * level.mean(1), level.mean(1)), -1).flatten(1, 2),
                mask=mask.flatten(1).bool(),
            )
        return outputs


class SplitLocalizer:
    def __call__(self, outputs, stride):
        chosen = []
        for part in ('dense', 'sparse'):
            rows = {key: value[outputs[part]['mask']] for key, value in outputs[part].items()}
            choose = ProposalThreshold(0.5)
            chosen.append(choose(dict(rows, img_shape=outputs['img_shape']), stride))
        points, scores = zip(*chosen, strict=True)
        return torch.cat(points), torch.cat(scores)


class SplitLoss(OutputLoss):
    def loss(self, outputs, data_samples, stride):
        terms = {}
        for part in ('dense', 'sparse'):
            share = outputs[part]['logits'].softmax(-1)[..., 1] * outputs[part]['mask']
            terms[f'loss_{part}'] = (share.sum(1) - counts(data_samples, share)).abs().mean()
        return terms


def test_two_sets_of_proposals_with_masks():
    model = build(type='PointCounter', head=SplitHead, loss=SplitLoss, localizer=SplitLocalizer)
    losses = model(**make_batch(model, (16, 32)), mode='loss')
    assert set(losses) == {'loss_dense', 'loss_sparse'}
    sum(losses.values()).backward()
    assert model.backbone.gain.grad.isfinite()
    sample, _ = model(**make_batch(model, (9, 26), (16, 32)), mode='predict')
    # 4 columns of 4 pixels and 2 of 8, of which the last has its centre at 27.5, in the padding;
    # rows at 1.5, 5.5, and at 3.5
    assert sample.pred_count == 4 * 2 + 1
    assert sample.pred_instances.points[-1].tolist() == [19.5, 3.5]
    assert 'pred_density' not in sample


# --- a map with a threshold map, the count being the number of components


class ThresholdHead(nn.Module):
    out_stride = 1

    def forward(self, features):
        n, _, h, w = features[0].shape
        score = torch.zeros(n, 1, 4 * h, 4 * w)
        score[:, :, 2:4, 2:5] = score[:, :, 6, 6] = score[:, :, 2, 14] = 0.6
        threshold = torch.full_like(features[1][:, :1], 0.5)
        threshold[..., 1] = 0.7  # from column 8
        return dict(map=score, threshold=F.interpolate(threshold, scale_factor=8))


class Components:
    source = 'map'

    def __call__(self, outputs, stride):
        from scipy.ndimage import center_of_mass, label

        score = outputs['map'].numpy()
        labels, number = label(score >= outputs['threshold'].numpy())
        centres = np.array(center_of_mass(score, labels, range(1, number + 1))).reshape(-1, 2)
        points = torch.from_numpy(centres[:, ::-1].copy()).float()
        return points * stride + (stride - 1) / 2, torch.ones(number)


def test_a_map_with_a_threshold_map_counts_components():
    model = build(head=ThresholdHead, localizer=Components, count_from='points')
    sample, small = model(**make_batch(model, (16, 16), (16, 5)), mode='predict')
    assert sample.pred_count == 2
    assert sample.pred_instances.points.tolist() == [[3, 2.5], [6, 6]]
    assert small.pred_count == 1
    assert 'pred_density' not in sample


def test_a_map_that_loses_the_edge_is_refused():
    model = build(head=ThresholdHead, localizer=Components, count_from='points')
    model.data_preprocessor = MODELS.build(dict(type='CrowdDataPreprocessor', pad_size_divisor=1))
    with pytest.raises(ValueError, match=r"\(16, 21\) pixels.*of stride 1, but the output 'map'"):
        model(**make_batch(model, (16, 21)), mode='predict')


# --- tiles at test time


class Tiles:
    """Disjoint tiles of 16 pixels, in one batch."""

    def __call__(self, run, inputs, data_samples):
        n, _, h, w = inputs.shape
        tiles = inputs.unfold(2, 16, 16).unfold(3, 16, 16).permute(2, 3, 0, 1, 4, 5).flatten(0, 2)
        mask = padding_mask(inputs, data_samples)
        mask = mask.unfold(1, 16, 16).unfold(2, 16, 16).permute(1, 2, 0, 3, 4).flatten(0, 2)
        density = run(tiles, padding_mask=mask)['density']
        density = density.unflatten(0, (h // 16, w // 16, n)).permute(2, 3, 0, 4, 1, 5)
        return dict(density=density.flatten(4, 5).flatten(2, 3))


class TileHead(nn.Module):
    """Each tile has one person in its first cell; nothing may be in the padding."""

    out_stride = 4
    needs_padding_mask = True

    def forward(self, features, padding_mask):
        density = torch.zeros_like(features[0][:, :1])
        density[:, 0, 0, 0] = 1 - padding_mask[:, 0, 0].float()
        return density


def test_tiles_at_test_time():
    model = build(head=TileHead, inference=Tiles)
    samples = model(**make_batch(model, (32, 48), (20, 10)), mode='predict')
    assert [sample.pred_count for sample in samples] == [6, 2]
    assert samples[1].pred_density.density.shape == (1, 5, 3)
    # A training batch goes through as a whole.
    assert model(**make_batch(model, (32, 48)), mode='loss')['loss_count'] == 0


# --- padding mask


class MaskedHead(PlainHead):
    needs_padding_mask = True

    def forward(self, features, padding_mask):
        inside = F.avg_pool2d((~padding_mask[:, None]).float(), 4)
        return dict(density=inside * super().forward(features))


def test_a_padding_mask_for_the_parts_that_need_it():
    model = build(head=MaskedHead)
    batch = make_batch(model, (16, 16), (9, 14))
    losses = model(**batch, mode='loss')
    # 16 cells, and 9 * 14 of 16 pixels each, with one point in each image; the padding is 0 anyway
    assert losses['loss_count'].item() == pytest.approx((15 + 9 * 14 / 16 - 1) / 2, rel=0.3)
    outputs = model(batch['inputs'], batch['data_samples'])['density']
    assert (outputs[1, 0, 3] == 0).all() and outputs[0].all()
    # All of a batch without samples is image.
    assert model(torch.ones(1, 3, 16, 16))['density'].eq(1).all()


# --- losses that change with the epoch, and targets of the loader, in a real training


class LateLoss(OutputLoss):
    """From the second epoch on, a loss for the cells that the loader has marked."""

    epochs = ()  # as seen

    def loss(self, outputs, data_samples, stride):
        epoch = MessageHub.get_current_instance().get_info('epoch', 0)
        LateLoss.epochs += (epoch,)
        mask = torch.stack([sample.gt_maps.mask for sample in data_samples])
        error = F.mse_loss(outputs['density'], mask.float(), reduction='sum')
        return dict(loss_late=error * float(epoch >= 1))


class Images(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, number):
        mask = torch.zeros(1, 4, 4, dtype=torch.bool)
        mask[0, number, number] = True
        sample = CrowdDataSample(
            metainfo=dict(img_shape=(16, 16)), gt_maps=PixelData(mask=mask), gt_count=1
        )
        return dict(inputs=torch.ones(3, 16, 16, dtype=torch.uint8), data_samples=sample)


def test_a_loss_of_the_epoch_and_targets_of_the_loader(tmp_path):
    model = build(head=PlainHead, loss=LateLoss)
    LateLoss.epochs = ()
    gains = []
    runner = Runner(
        model,
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=Images(),
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
        default_hooks=dict(checkpoint=None),
        default_scope='mmcrowd',
    )
    runner.train_loop  # noqa: B018 - built here, so that the epochs can be watched
    run_epoch = runner.train_loop.run_epoch

    def watched():
        gains.append(model.backbone.gain.item())
        run_epoch()

    runner.train_loop.run_epoch = watched
    runner.train()
    assert LateLoss.epochs == (0, 0, 1, 1, 2, 2)
    assert gains[0] == gains[1] == 1 and gains[2] < 1
    # Outside of a training it is as in the first epoch.
    MessageHub._instance_dict.clear()
    assert model(**make_maps_batch(model), mode='loss')['loss_late'] == 0


def make_maps_batch(model):
    items = [Images()[0]]
    return model.data_preprocessor(
        dict(
            inputs=[item['inputs'] for item in items],
            data_samples=[item['data_samples'] for item in items],
        )
    )


# --- two networks in a row: a map at stride 1, and a count map at another stride


class CascadeHead(nn.Module):
    out_stride = 1

    def forward(self, features):
        probability = F.interpolate(features[0].mean(1, keepdim=True), scale_factor=4)
        return dict(probability=probability, density=F.avg_pool2d(probability, 8) / 4)


def test_two_networks_in_a_row():
    model = build(
        head=CascadeHead,
        localizer=dict(type='LocalMaximum', source='probability'),
    )
    sample, _ = model(**make_batch(model, (9, 16), (16, 32)), mode='predict')
    assert sample.pred_density.density.shape == (1, 2, 2)
    assert sample.density_stride == 8
    # Two whole cells, and two of which one row of 8 is image.
    assert sample.pred_count == 2 / 4 + 2 / 4 / 8
    # One plateau of 8 x 16 pixels.
    assert sample.pred_instances.points.tolist() == [[7.5, 3.5]]


# --- what is wrong with a part is said


def test_a_plain_density_and_a_dict_are_alike():
    plain = build(head=PlainHead)
    named = build(head=dict(type=DensityHead, in_channels=3, mid_channels=(), in_stride=4))
    assert list(plain(torch.ones(1, 3, 16, 16))) == list(named(torch.ones(1, 3, 16, 16)))


@pytest.mark.parametrize(
    'parts, error, message',
    [
        (dict(count_from='points'), ValueError, "count_from='points' needs a localizer"),
        (dict(count_from='people'), KeyError, r"count_from='people' is none of .*\['density'\]"),
        (
            dict(localizer=dict(type='LocalMaximum', source='map')),
            KeyError,
            r"source='map' is none of the outputs \['density', 'img_shape'\]",
        ),
    ],
)
def test_names_that_are_not_there(parts, error, message):
    with pytest.raises(error, match=message):
        build(head=PlainHead, **parts).predict(torch.ones(1, 3, 16, 16))


class NamelessNeck(nn.Module):
    def forward(self, features):
        return dict(levels=features)


class DensityNeck(nn.Module):
    def forward(self, features):
        return dict(features=features, density=features[0])


class TupleHead(PlainHead):
    def forward(self, features):
        return features


@pytest.mark.parametrize(
    'parts, error, message',
    [
        (dict(neck=NamelessNeck), KeyError, r'NamelessNeck returned a dict without "features"'),
        (dict(neck=DensityNeck), ValueError, r"PlainHead returned \['density'\], which a part"),
        (dict(head=TupleHead), TypeError, 'TupleHead returned tuple, expected a dict'),
    ],
)
def test_parts_that_do_not_fit(parts, error, message):
    model = build(**{'head': PlainHead, **parts})
    with pytest.raises(error, match=message):
        model(torch.ones(1, 3, 16, 16))


@pytest.mark.parametrize('padded', [(64, 96), (35, 50), (64, 31)])
@pytest.mark.parametrize('stride', [1, 2, 4, 8])
@pytest.mark.parametrize('round_side', [np.floor, np.ceil])
def test_stride_of_a_map(padded, stride, round_side):
    size = tuple(int(round_side(side / stride)) for side in padded)
    assert map_stride(size, padded, stride) == stride
    assert map_stride(size, padded, 2) == stride


@pytest.mark.parametrize('size', [(700, 2), (2, 700), (96, 64), (0, 3)])
def test_what_is_no_map_has_no_stride(size):
    assert map_stride(size, (64, 96), 2) is None


def test_only_maps_are_cut():
    outputs = dict(
        map=torch.rand(2, 3, 16, 24),
        coarse=[torch.rand(2, 1, 8, 12)],
        layers=torch.rand(2, 6, 700, 2),
        points=torch.rand(2, 700, 2),
        count=torch.rand(2),
        name='a',
    )
    image = image_outputs(outputs, 1, (33, 50), (64, 96), out_stride=4)
    torch.testing.assert_close(image['map'], outputs['map'][1, :, :9, :13])
    torch.testing.assert_close(image['coarse'][0], outputs['coarse'][0][1, 0, :5, :7])
    for name in ('layers', 'points', 'count'):
        torch.testing.assert_close(image[name], outputs[name][1])
    assert image['name'] == 'a'


def test_copies_of_a_counter_have_their_own_parts():
    """As MMEngine's hooks copy it, with a loss of somebody else."""
    from copy import deepcopy

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, density, points, stride, partition=None):
            return dict(loss_count=self.scale * density.sum())

    model = build(backbone=MCNN, head=PlainHead, loss=Scaled)
    model.data_preprocessor = MODELS.build(dict(type='CrowdDataPreprocessor', to_gray=True))
    copy = deepcopy(model)
    with torch.no_grad():
        copy.loss_module.module.scale.zero_()
    batch = make_batch(model, (16, 16))
    assert copy(**batch, mode='loss')['loss_count'] == 0
    assert model(**batch, mode='loss')['loss_count'] != 0
