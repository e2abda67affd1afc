"""STEERER against the outputs of its published program."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmcrowd.models import BlockMaximum, HRNetBilinear, MSILoss, STEERERHead
from mmcrowd.models.converters.steerer import convert, convert_back, unused
from mmcrowd.models.losses.msi_loss import dot_map, patch_scores
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.losses import hard_batch
from ..testing.networks import make_sample
from ..testing.published import assert_equal
from ..testing.training import train_steps

CONFIGS = Path(__file__).parents[2] / 'configs' / 'steerer'
SMALL = dict(
    backbone=dict(arch='w18', init_cfg=None),
    head=dict(in_channels=(18, 36, 72, 144), channels=16, mid_channels=(8, 8, 8)),
)


@pytest.fixture(scope='module')
def steerer(golden):
    return golden('steerer')


@pytest.fixture(scope='module')
def state_dict(steerer):
    """The copy of the decoder has the numbers of the decoder; no rule makes the Gaussian."""
    weights = steerer.state_dict()
    named = zip(steerer['names'], steerer['value_names'], strict=True)
    weights = {str(name): weights[str(value)] for name, value in named if str(value) in weights}
    kernel = torch.as_tensor(steerer['gaussian_kernel'])[None, None]
    return {**weights, str(steerer['not_filled'][0]): kernel}


@pytest.fixture(scope='module')
def counter(state_dict):
    """The counter of a config with the published weights, in float64."""
    cfg = Config.fromfile(CONFIGS / 'steerer_hrnet_w48_shb.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # nothing to initialise
        model = MODELS.build(cfg.model)
    model.data_preprocessor = MODELS.build(cfg.model.data_preprocessor)
    model.load_state_dict(convert(state_dict), assign=True)
    return model.eval()


@torch.no_grad()
def test_network(steerer, counter):
    inputs = steerer.image(steerer['input_shape'])
    levels = counter.backbone(inputs)
    for i, level in enumerate(levels):
        assert_equal(level[:1], steerer[f'features/{i}'], rel=1e-6)  # float32
    outputs = counter.head(levels)
    for i, density in enumerate(outputs['densities']):
        assert_equal(100 * density, steerer[f'density/{i}'], rel=1e-12)
    assert outputs['density'] is outputs['densities'][0]
    counts = outputs['density'].sum((1, 2, 3))
    assert_equal(counts, steerer['count'], rel=1e-12)


def test_parameters(steerer, counter, state_dict):
    """All of theirs but those that no step uses."""
    ours = sum(p.numel() for p in counter.parameters())
    rest = unused(state_dict)
    buffers = ('running_mean', 'running_var', 'num_batches_tracked')
    left = sum(value.numel() for name, value in rest.items() if not name.endswith(buffers))
    assert (ours, ours + left) == (64_336_948, 64_644_615)
    assert ours + left == steerer['num_parameters']


@pytest.fixture(scope='module')
def densities(steerer):
    return [
        (torch.tensor(steerer[f'density/{i}']) * float(scale) / 100).requires_grad_()
        for i, scale in enumerate(steerer['loss_scale'])
    ]


def test_loss(steerer, densities):
    samples = [
        CrowdDataSample(gt_instances=InstanceData(points=steerer.points(i))) for i in range(2)
    ]
    loss = MSILoss(patch=64, published_cells=True)
    terms = loss.loss(dict(densities=densities), samples, 1)
    assert list(terms) == [f'loss_density_{stride}' for stride in (1, 2, 4, 8)]
    # Their Gaussian is in float32.
    expected = steerer['loss/per_scale'] * [1, 1 / 2, 1 / 4, 1 / 8]
    assert_equal([term.item() for term in terms.values()], expected, rel=1e-7)
    total = sum(terms.values())
    assert_equal(total, steerer['loss/total'][0], rel=1e-7)
    total.backward()
    for i, density in enumerate(densities):
        assert_equal(density.grad / 100, steerer[f'grad/total/{i}'], rel=1e-6)


def test_targets_and_best_scales(steerer, densities):
    points = [steerer.points(i) for i in range(2)]
    for i, density in enumerate(densities):
        dots = [dot_map(p, density.shape[2:], 2**i, published_cells=True) for p in points]
        np.testing.assert_array_equal(torch.stack(dots), steerer[f'dot_map/{i}'])
    loss = MSILoss(patch=64, published_cells=True)
    targets = loss.targets(points, [density.shape[2:] for density in densities], 1)
    scores = patch_scores([100 * density for density in densities], targets, 64)
    np.testing.assert_allclose(scores.detach(), steerer['score'], rtol=1e-6)
    np.testing.assert_array_equal(scores.argmin(1, keepdim=True), steerer['best_scale'])


@pytest.mark.parametrize('threshold', [0.2, 0.1])
def test_localization(golden, threshold):
    stored = golden('steerer_localisation')
    maps = [torch.tensor(stored[f'map/{i}']) if f'map/{i}' in stored else None for i in range(4)]
    localizer = BlockMaximum(threshold=threshold, published_cells=True)
    assert_equal(localizer.gaussian_maximum, stored['gaussian_maximum'], rel=1e-7)  # float32
    for level, block in zip(localizer.levels, localizer.blocks, strict=True):
        points, _ = localizer.peaks(maps[level], block, 2**level)
        np.testing.assert_array_equal(points, stored[f'peaks_xy_{threshold}/stride{2**level}'])
    points, scores = localizer(dict(densities=maps), 1)
    np.testing.assert_array_equal(points, stored[f'merged_xy_{threshold}'])
    assert len(scores) == len(points) and (scores > 0).all()


def test_localizer_without_a_peak_at_the_finest_scale():
    """Then every peak of the next one counts, at the centre of its cell."""
    coarse = torch.zeros(4, 4)
    coarse[1, 2] = coarse[1, 3] = 0.01
    localizer = BlockMaximum()
    points, _ = localizer([torch.zeros(16, 16), None, coarse, torch.zeros(2, 2)], 1)
    assert points.tolist() == [[9.5, 5.5], [13.5, 5.5]]
    empty, scores = localizer([torch.zeros(16, 16), None, 0 * coarse, torch.zeros(2, 2)], 1)
    assert empty.shape == (0, 2) and scores.shape == (0,)
    with pytest.raises(ValueError, match=r'levels=\(0, 2, 3\), but .densities. has 1 densities'):
        localizer(dict(densities=coarse), 1)
    with pytest.raises(ValueError, match='as many blocks as levels, and one distance less'):
        BlockMaximum(levels=(0, 1))


def small_head(**kwargs):
    torch.manual_seed(0)
    return STEERERHead(in_channels=(4, 6, 8), channels=8, mid_channels=(6, 5, 4), **kwargs)


def small_levels():
    sides, widths = (16, 8, 4), (4, 6, 8)
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, width, side, side, generator=generator).requires_grad_()
        for side, width in zip(sides, widths, strict=True)
    ]


def test_coarse_densities_do_not_train_the_decoder():
    head, levels = small_head().train(), small_levels()
    before = {name: value.clone() for name, value in head.decoder.named_buffers()}
    densities = head(levels)['densities']
    statistics = {name: value.clone() for name, value in head.decoder.named_buffers()}
    sum(density.sum() for density in densities[1:]).backward(retain_graph=True)
    assert all(p.grad is None for p in head.decoder.parameters())
    assert levels[0].grad is None
    assert all(level.grad.any() for level in levels[1:])
    densities[0].sum().backward()
    assert all(p.grad.any() for p in head.decoder.parameters())
    # The running statistics are those of the finest level alone.
    other = small_head(coarse=False).train()
    (finest,) = other(levels)['densities']
    torch.testing.assert_close(finest, densities[0], rtol=0, atol=0)
    for name, value in other.decoder.named_buffers():
        torch.testing.assert_close(statistics[name], value, rtol=0, atol=0)
    assert any(not torch.equal(statistics[name], value) for name, value in before.items())
    assert int(statistics['convs.1.1.num_batches_tracked']) == 1


@torch.no_grad()
def test_coarse_densities_can_be_traced():
    head, levels = small_head().eval().requires_grad_(False), small_levels()
    traced = torch.jit.trace(lambda *levels: head(levels)['densities'][2], tuple(levels))
    torch.testing.assert_close(traced(*levels), head(levels)['densities'][2])
    with torch.enable_grad():
        torch.testing.assert_close(traced(*levels), head(levels)['densities'][2].detach())


def test_bad_batch():
    """Values and gradients of a step are finite, whatever points the images have."""
    head = STEERERHead((4, 4, 4, 4), channels=8, mid_channels=(4, 4, 4)).train()
    _, points = hard_batch(torch.float32)
    samples = [make_sample(p, (64, 96)) for p in points]
    levels = [torch.randn(len(points), 4, 16 >> i, 24 >> i) for i in range(4)]
    terms = MSILoss(patch=32).loss(head(levels), samples, head.out_stride)
    sum(terms.values()).backward()
    grads = [p.grad for p in head.parameters() if p.grad is not None]
    assert len(grads) > 50 and all(grad.isfinite().all() for grad in grads)


def test_patches_at_the_edges():
    """A density of 3 x 5 cells in patches of 2: the last ones are cut off, and nothing is lost."""
    density = torch.arange(15.0).view(1, 1, 3, 5)
    target = torch.zeros(1, 1, 3, 5)
    target[0, 0, 2, 4] = 4.0
    scores = patch_scores([density], [target], 2)
    assert scores.shape == (1, 1, 2, 3)
    error = (14.0 - 4.0) ** 2
    torch.testing.assert_close(scores[0, 0, 1, 2], torch.tensor(error / 4 + error / 4.0))


def test_what_does_not_fit_is_named():
    densities = [torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 5, 4)]
    sample = make_sample([], (8, 8))
    with pytest.raises(ValueError, match=r'4 weights and patch=256, but the head has 2 densities'):
        MSILoss().loss(dict(densities=densities), [sample], 1)
    with pytest.raises(ValueError, match=r'density 1 has \(5, 4\) cells'):
        MSILoss(weights=(1, 1)).loss(dict(densities=densities), [sample], 1)
    with pytest.raises(ValueError, match='kernel_size must be odd, but got 4'):
        MSILoss(kernel_size=4)
    with pytest.raises(ValueError, match='channels=7'):
        STEERERHead(channels=7)


def test_trains_on_real_images(data_root):
    cfg = Config.fromfile(CONFIGS / 'steerer_hrnet_w48_sha.py')
    model, losses, batch = train_steps(cfg, SMALL, crop_size=64, steps=6)
    assert np.isfinite(losses).all() and losses[-1] < 0.9 * losses[0]
    with torch.no_grad():
        samples = model.test_step(batch)
    for sample in samples:
        assert sample.pred_density.density.shape == (1, 64, 64)
        assert sample.pred_instances.points.shape == (len(sample.pred_instances.scores), 2)


def test_converter_there_and_back(state_dict):
    ours = convert(state_dict)
    back = convert_back(ours, unused(state_dict))
    assert set(back) == set(state_dict)
    assert all(back[name] is value for name, value in state_dict.items())
    # Without a published file, what the program loads all the same.
    back = convert_back(ours)
    assert set(back) < set(state_dict)
    assert all(back[name] is state_dict[name] for name in back if 'copy' not in name)
    copies = [name for name in back if name.startswith('counter_copy')]
    assert len(copies) == 19
    assert all(torch.equal(back[name], state_dict[name]) for name in copies)


def test_converter_files(load_tool, monkeypatch, tmp_path):
    tool = load_tool('model_converters/steerer_from_published.py')
    with torch.device('meta'):
        parts = dict(backbone=HRNetBilinear('w48', last_exchange=False), head=STEERERHead())
    ours = {
        f'{part}.{name}': torch.zeros(()).expand(value.shape)
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }
    kernel = torch.ones(1, 1, 15, 15)
    theirs = {**convert_back(ours), 'gaussian.gaussian.gkernel.weight': kernel}
    monkeypatch.chdir(tmp_path)
    torch.save({f'module.{name}': value for name, value in theirs.items()}, 'SHHB.pth')
    back = ['ours.pth', 'theirs.pth', '--back', '--unused-from', 'SHHB.pth']
    for arguments in (['SHHB.pth', 'ours.pth'], back):
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
        tool.main()
    assert set(torch.load('ours.pth')['state_dict']) == set(ours)
    written = torch.load('theirs.pth')  # as their program reads it
    assert set(written) == set(theirs) and torch.equal(
        written['gaussian.gaussian.gkernel.weight'], kernel
    )
    torch.save({'backbone.conv1.weight': torch.zeros(1)}, 'other.pth')
    monkeypatch.setattr(sys, 'argv', ['tool', 'other.pth', 'out.pth'])
    with pytest.raises(ValueError, match=r'other\.pth: not the parameters of STEERER'):
        tool.main()
