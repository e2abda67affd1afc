"""D2CNet against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData

from mmcrowd.datasets.transforms import ProbabilityMap
from mmcrowd.models import D2CHead, D2CLoss, DensityCounter, TwoStageCounter
from mmcrowd.models.converters import d2cnet as converter
from mmcrowd.models.losses.d2c_loss import sum_over_cells
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.published import assert_equal
from ..testing.training import train_steps

CONFIGS = Path(__file__).parents[2] / 'configs' / 'd2cnet'
SMALL = dict(
    backbone=dict(depth=11, init_cfg=None),
    head=dict(regressor=dict(depth=11, mid_channels=16)),
)


@pytest.fixture(scope='module')
def published(golden):
    return golden('d2cnet')


@pytest.fixture(scope='module')
def state_dict(published):
    return published.state_dict()


@pytest.fixture(scope='module')
def counter(state_dict):
    cfg = Config.fromfile(CONFIGS / 'd2cnet_vgg16_sha.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        model = MODELS.build(cfg.model)
    model.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)
    model.load_state_dict(converter.convert(state_dict), assign=True)
    return model.eval()


@torch.no_grad()
def test_network(published, counter):
    outputs = counter(published.image(published['input_shape']))
    assert_equal(outputs['probability'], published['prob'], rel=1e-10)
    assert_equal(outputs['count'], published['count'], rel=1e-10)
    given = torch.as_tensor(published['given_prob']).double()[None, None]
    assert_equal(counter.head.regressor(given), published['count_of_given_prob'], rel=1e-10)


@torch.no_grad()
def test_count_is_the_sum_of_the_counts(published, counter):
    (sample,) = counter(published.image(published['input_shape']), mode='predict')
    assert sample.pred_count == pytest.approx(published['count'].sum(), rel=1e-9)
    assert sample.pred_instances.points.shape[1] == 2


def test_number_of_parameters(published, counter):
    regressor = sum(p.numel() for p in counter.head.regressor.parameters())
    assert regressor == published['n_parameters_cmr']
    number = sum(parameter.numel() for parameter in counter.parameters())
    assert number == regressor + published['n_parameters_pmr']


def test_converter_there_and_back(state_dict):
    back = converter.convert_back(converter.convert(state_dict))
    assert list(back) == list(state_dict)
    assert all(back[name] is state_dict[name] for name in state_dict)
    with pytest.raises(ValueError, match=r'not the parameters of D2CNet.*1 are missing'):
        converter.convert({k: v for k, v in state_dict.items() if k != 'backend_reg.2.bias'})


def test_converter_files(load_tool, monkeypatch, tmp_path, published, state_dict):
    """The tool reads the two networks that the program writes, and writes two for it."""
    tool = load_tool('model_converters/d2cnet_from_published.py')
    zero = torch.zeros(())
    theirs = {name: zero.expand(value.shape) for name, value in state_dict.items()}
    number = int(published['n_names_pmr'])
    first = dict(list(theirs.items())[:number])
    second = dict(list(theirs.items())[number:])
    torch.save(dict(state_dict1=first, state_dict2=second, epoch=3), tmp_path / 'model.pth.tar')
    monkeypatch.chdir(tmp_path)
    for arguments in (['model.pth.tar', 'ours.pth'], ['ours.pth', 'back.pth.tar', '--back']):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    ours = torch.load(tmp_path / 'ours.pth')['state_dict']
    assert set(ours) == set(converter.convert(theirs))
    back = torch.load(tmp_path / 'back.pth.tar')
    assert list(back['state_dict1']) == list(first) and list(back['state_dict2']) == list(second)
    assert back['epoch'] == 0
    torch.save(dict(state_dict1=first), tmp_path / 'half.pth')
    with pytest.raises(ValueError, match=r'half.pth: no parameters, neither under "state_dict2"'):
        converter.convert_files(tmp_path / 'half.pth', tmp_path / 'ours.pth')


@pytest.mark.parametrize(
    'rule, points, probability, density',
    [
        (dict(), 'points_xy', 'prob', 'density'),
        (dict(), 'one_point_xy', 'prob_one', 'density_one'),
        (
            dict(sigma=15.0, reflect=True),
            'points_xy',
            'prob_sigma15',
            'density_sigma15_shb',
        ),
    ],
)
def test_targets(published, rule, points, probability, density):
    # Its dots are on whole pixels.
    heads = np.floor(published[points]).astype(np.float32)
    results = dict(img=np.zeros((*published['frame_hw'], 3), np.uint8), points=heads)
    maps = ProbabilityMap(**rule)(results)['gt_maps']
    # Theirs adds up hundreds of numbers in float32.
    assert_equal(maps['probability'][0], published[f'target/{probability}'], rel=1e-5)
    assert_equal(maps['density'][0], published[f'target/{density}'], rel=1e-5)


@pytest.mark.parametrize('name', ['', '_sigma15_shb'])
def test_counts_of_cells(published, name):
    density = torch.as_tensor(published[f'target/density{name}']).double()[None, None]
    assert_equal(sum_over_cells(density, 32), published[f'target/count{name}'], rel=1e-6)


def test_loss(published):
    """Its second count, of the true probability, is the other half of its batch."""
    counts = torch.as_tensor(published['loss/count_pred']).requires_grad_()
    probability = torch.as_tensor(published['loss/prob_pred']).double()[None, None]
    outputs = dict(
        probability=probability.requires_grad_(), count=counts[:1], count_of_truth=counts[1:]
    )
    maps = PixelData(
        probability=torch.as_tensor(published['target/prob'])[None],
        density=torch.as_tensor(published['target/density'])[None],
    )
    terms = D2CLoss().loss(outputs, [CrowdDataSample(gt_maps=maps)], 1)
    # Its maps are stored in float32.
    assert_equal(terms['loss_probability'], published['loss/prob'], rel=1e-6)
    counted = terms['loss_count'] + terms['loss_count_of_truth']
    assert_equal(counted, published['loss/count'], rel=1e-5)
    sum(terms.values()).backward()
    assert_equal(probability.grad, published['loss/grad_prob'], rel=1e-5)
    assert_equal(counts.grad, published['loss/grad_count'], rel=1e-5)


def test_bad_batch():
    """No head, one, two at one place, many outside, and a probability that is all 0."""
    torch.manual_seed(0)
    lists = [
        np.empty((0, 2)),
        [[3.0, 4.0]],
        [[5.0, 5.0], [5.0, 5.0]],
        [[-50.0, 3.0], [99.0, 3.0], [1.0, 1.0], [1e4, -1e4]],
        64 * np.random.default_rng(0).random((5000, 2)),
    ]
    samples = []
    for points in lists:
        results = dict(img=np.zeros((64, 64, 3), np.uint8), points=np.float32(points))
        maps = ProbabilityMap()(results)['gt_maps']
        samples.append(
            CrowdDataSample(gt_maps=PixelData(**{k: torch.as_tensor(v) for k, v in maps.items()}))
        )
    assert samples[0].gt_maps.probability.max() == 0
    assert samples[4].gt_maps.density.sum() == pytest.approx(5000, rel=0.05)
    head = D2CHead(4, regressor=dict(depth=11, mid_channels=8))
    features = 1e3 * torch.randn(5, 4, 64, 64)
    features[0] = 0
    terms = D2CLoss().loss(head(features), samples, 1)
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


@pytest.fixture(scope='module')
def small():
    """A counter of a smaller VGG as it starts."""
    cfg = Config.fromfile(CONFIGS / 'd2cnet_vgg16_sha.py')
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(Config._merge_a_into_b(SMALL, cfg.model))
    model.init_weights()
    return model


def test_the_regressor_starts_as_the_backbone(small):
    theirs, ours = small.backbone.state_dict(), small.head.regressor.vgg.state_dict()
    first = 'features.0.conv.weight'
    assert_equal(ours[first][:, 0], theirs[first].mean(1))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs if name != first)
    # It sees a map as the backbone sees a picture with a third of it in each channel.
    maps = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        actual = small.head.regressor.vgg(maps)[-1]
        assert_equal(actual, small.backbone(maps.expand(-1, 3, -1, -1) / 3)[-1], rel=1e-5)


def test_the_regressor_learns_from_three_maps(small):
    """Predicted, true and drawn; only the first of them teaches the other layers."""
    maps = {
        name: torch.rand(1, 32, 32)
        for name in ('probability', 'density', 'drawn_probability', 'drawn_density')
    }
    inputs = torch.randn(1, 3, 32, 32)
    terms = small.loss(inputs, [CrowdDataSample(gt_maps=PixelData(**maps))])
    outputs = small(inputs)
    for name, given, density in (
        ('count', outputs['probability'], 'density'),
        ('count_of_truth', maps['probability'][None], 'density'),
        ('count_of_drawn', maps['drawn_probability'][None], 'drawn_density'),
    ):
        error = small.head.regressor(given).squeeze() - maps[density].sum()
        assert_equal(terms[f'loss_{name}'], error.item() ** 2, rel=1e-4)
    for name in ('count_of_truth', 'count_of_drawn'):
        small.zero_grad()
        terms[f'loss_{name}'].backward(retain_graph=True)
        assert all(p.grad is None for p in small.backbone.parameters())
        assert all(p.grad is not None for p in small.head.regressor.parameters())
    # The error of the count reaches the probability.
    terms['loss_count'].backward()
    assert small.head.predict.weight.grad is not None
    # Without a drawn map there is no such term, but the true one must be there.
    del maps['drawn_probability']
    terms = small.loss(inputs, [CrowdDataSample(gt_maps=PixelData(**maps))])
    assert 'loss_count_of_drawn' not in terms
    with pytest.raises(KeyError, match="no map 'probability'.*ProbabilityMap"):
        small.loss(inputs, [CrowdDataSample()])


def test_the_checkpoint_of_the_regressor_starts_the_network():
    cfg = Config.fromfile(CONFIGS / 'd2cnet_regressor_sha.py')
    whole = Config.fromfile(CONFIGS / 'd2cnet_vgg16_sha.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        first, second = MODELS.build(cfg.model), MODELS.build(whole.model)
    assert isinstance(first, DensityCounter) and isinstance(second, TwoStageCounter)
    ours = {name: value.shape for name, value in second.state_dict().items()}
    theirs = {name: value.shape for name, value in first.state_dict().items()}
    assert theirs.items() <= ours.items()
    assert set(theirs) == {name for name in ours if name.startswith('head.regressor.')}


def test_trains_on_real_images(data_root):
    cfg = Config.fromfile(CONFIGS / 'd2cnet_vgg16_sha.py')
    _, losses, _ = train_steps(cfg, SMALL, crop_size=32, steps=3, lr=1e-4)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


def test_the_regressor_trains_on_drawn_maps():
    cfg = Config.fromfile(CONFIGS / 'd2cnet_regressor_sha.py')
    dataset = cfg.train_dataloader.dataset
    dataset.update(num_images=2, img_size=(64, 64))
    small = dict(head=dict(regressor=SMALL['head']['regressor']))
    _, losses, _ = train_steps(cfg, small, crop_size=32, steps=3, lr=1e-4)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
