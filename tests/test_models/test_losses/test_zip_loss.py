import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.structures import InstanceData

from mmcrowd.models import DMCountLoss, OutputLoss, ZIPLoss
from mmcrowd.models.losses.block_terms import block_counts
from mmcrowd.models.losses.zip_loss import multiscale_mae
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample
from tests.testing.losses import STRIDE, hard_batch, random_batch

BINS = [0, 1, 2, 4]
ALL = dict(ot_weight=0.1, tv_weight=0.01)


def as_samples(points):
    return [CrowdDataSample(gt_instances=InstanceData(points=p)) for p in points]


def make_outputs(density, spread=3.0, num_bins=3, seed=0):
    """Independent outputs around a density, leaves of a graph."""
    n, _, h, w = density.shape
    rng = torch.Generator().manual_seed(seed)
    outputs = dict(
        pi_logits=torch.randn(n, 2, h, w, generator=rng, dtype=torch.float64) * spread,
        bin_logits=torch.randn(n, num_bins, h, w, generator=rng, dtype=torch.float64) * spread,
        rate=torch.rand(n, 1, h, w, generator=rng, dtype=torch.float64) * 5,
        density=density.clone(),
    )
    return {key: value.to(density.dtype).requires_grad_() for key, value in outputs.items()}


def terms_and_grads(loss, outputs, points, stride=STRIDE):
    outputs = {key: value.detach().clone().requires_grad_() for key, value in outputs.items()}
    terms = loss.loss(outputs, as_samples(points), stride)
    sum(terms.values()).backward()
    return (
        {key: value.detach() for key, value in terms.items()},
        {key: value.grad for key, value in outputs.items()},
    )


def plain_image(pi, bins, rate, density, points, stride, table):
    """The four default terms of one image, block by block, as the formulas read."""
    _, h, w = density.shape
    counts = np.zeros((h, w))
    for x, y in points:
        row, col = (math.floor((v + 0.5) / stride) for v in (y, x))
        counts[min(max(row, 0), h - 1), min(max(col, 0), w - 1)] += 1
    nll = ce = 0.0
    for i, j in np.ndindex(h, w):
        empty, populated = np.exp(pi[:, i, j]) / np.exp(pi[:, i, j]).sum()
        y, lam = counts[i, j], rate[0, i, j]
        if y == 0:
            nll -= math.log(empty + populated * math.exp(-lam) + 1e-8)
            continue
        nll -= math.log(populated + 1e-8) + y * math.log(lam + 1e-8) - lam
        target = max(k for k, low in enumerate(table) if y >= low) - 1
        ce -= math.log(np.exp(bins[target, i, j]) / np.exp(bins[:, i, j]).sum())
    mae = 0.0
    for scale, weight in ((1, 0.25), (2, 0.5), (4, 1)):
        for i in range(0, h - scale + 1, scale):
            for j in range(0, w - scale + 1, scale):
                square = (slice(i, i + scale), slice(j, j + scale))
                mae += weight * abs(density[0][square].mean() - counts[square].mean())
    return nll, ce, mae, abs(density.sum() - len(points))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=3),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    stride=st.sampled_from([1, 4, 16]),
)
def test_dense_formula(seed, counts, shape, stride):
    density, points = random_batch([(m, m + 0.5) for m in counts], shape, stride, seed)
    outputs = make_outputs(density, seed=seed)
    terms = ZIPLoss(BINS).loss(outputs, as_samples(points), stride)
    arrays = [value.detach().numpy() for value in outputs.values()]
    images = zip(*arrays, [p.numpy() for p in points], strict=True)
    expected = np.mean([plain_image(*image, stride, BINS) for image in images], 0)
    assert list(terms) == ['loss_nll', 'loss_ce', 'loss_mae', 'loss_count']
    np.testing.assert_allclose([v.item() for v in terms.values()], expected, rtol=1e-9, atol=1e-9)


def test_terms_of_distribution_matching():
    density, points = random_batch(((5, 7.0), (0, 1.0)), (6, 8), 4)
    outputs = make_outputs(density)
    loss = ZIPLoss(BINS, nll_weight=0, ce_weight=0, mae_weight=0, **ALL)
    terms, grads = terms_and_grads(loss, outputs, points, 4)
    leaf = density.clone().requires_grad_()
    expected = DMCountLoss()(leaf, points, 4)
    sum(expected.values()).backward()
    assert set(terms) == {'loss_count', 'loss_ot', 'loss_tv'}
    torch.testing.assert_close(terms, {key: expected[key].detach() for key in terms})
    torch.testing.assert_close(grads['density'], leaf.grad)
    assert grads['pi_logits'] is grads['bin_logits'] is grads['rate'] is None


def test_weights():
    density, points = random_batch(((5, 7.0), (0, 1.0)), (6, 8), 4)
    outputs = make_outputs(density)
    plain, _ = terms_and_grads(ZIPLoss(BINS, **ALL), outputs, points, 4)
    names = ('nll', 'ce', 'mae', 'count')
    doubled = ZIPLoss(BINS, **{f'{name}_weight': 2 for name in names})
    doubled, _ = terms_and_grads(doubled, outputs, points, 4)
    for name in names:
        torch.testing.assert_close(doubled[f'loss_{name}'], 2 * plain[f'loss_{name}'])
        alone = ZIPLoss(BINS, **{f'{other}_weight': float(other == name) for other in names})
        assert list(terms_and_grads(alone, outputs, points, 4)[0]) == [f'loss_{name}']


def test_points_on_one_pixel():
    points = torch.tensor([[2.0, 3.0], [2.4, 2.6], [2.6, 3.0], [-9.0, 0.0], [99.0, 99.0]])
    batch = [points, points[:0]]
    counts = block_counts(batch, (2, 2), 4)
    assert counts.tolist() == [[[[4, 0], [0, 1]]], [[[0, 0], [0, 0]]]]
    counts = block_counts(batch, (2, 2), 4, one_per_pixel=True)
    assert counts.tolist() == [[[[3, 0], [0, 1]]], [[[0, 0], [0, 0]]]]


def test_blocks_at_the_end_and_scales_beyond_the_map():
    difference = torch.arange(6.0).view(1, 1, 2, 3)
    zero = torch.zeros_like(difference)
    # 15 block by block, (0 + 1 + 3 + 4) / 4 in the one whole square, none of 4 x 4.
    assert multiscale_mae(difference, zero, (1, 2, 4)).tolist() == [15 / 4 + 2 / 2]
    assert multiscale_mae(difference, zero, (1,)).tolist() == [15]


def test_a_sure_mistake_is_bounded():
    """As published, by the number that guards the logarithm."""
    outputs = make_outputs(torch.zeros(1, 1, 1, 1))
    outputs['pi_logits'] = torch.tensor([200.0, -200.0]).view(1, 2, 1, 1).requires_grad_()
    outputs['rate'] = torch.ones(1, 1, 1, 1, requires_grad=True)
    loss = ZIPLoss(BINS, ce_weight=0, mae_weight=0, count_weight=0)
    terms, grads = terms_and_grads(loss, outputs, [torch.tensor([[0.0, 0.0]])])
    assert terms['loss_nll'].item() == pytest.approx(-math.log(1e-8) + 1, rel=1e-5)
    assert grads['pi_logits'].abs().max() < 1e-6


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('spread', [1.0, 300.0])
def test_hard_batch(dtype, spread):
    density, points = hard_batch(dtype)
    outputs = make_outputs(density, spread)
    loss = ZIPLoss(BINS, **ALL)
    terms, grads = terms_and_grads(loss, outputs, points)
    assert all(value.isfinite() and value.dtype == dtype for value in terms.values())
    assert all(grad.isfinite().all() for grad in grads.values())
    alone = [
        terms_and_grads(loss, {key: value[i : i + 1] for key, value in outputs.items()}, [p])[0]
        for i, p in enumerate(points)
    ]
    for key, value in terms.items():
        torch.testing.assert_close(value, torch.stack([one[key] for one in alone]).mean())


def test_autocast():
    density, points = random_batch(((5, 7.0), (0, 1.0)), (6, 8), 4)
    outputs = {k: v.detach().bfloat16() for k, v in make_outputs(density).items()}
    loss = ZIPLoss(BINS, **ALL)
    expected, _ = terms_and_grads(loss, {k: v.float() for k, v in outputs.items()}, points, 4)
    with torch.autocast('cpu', torch.bfloat16):
        terms, grads = terms_and_grads(loss, outputs, points, 4)
    torch.testing.assert_close(terms, expected)
    assert all(grad.isfinite().all() for grad in grads.values())


def test_built_from_a_config():
    loss = MODELS.build(dict(type='ZIPLoss', bins=BINS, ot_weight=0.8))
    assert isinstance(loss, OutputLoss) and loss.weights['ot'] == 0.8
    assert not loss.state_dict()


def test_an_output_loss_needs_its_method():
    with pytest.raises(TypeError, match='abstract'):
        OutputLoss()


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(bins=[1, 2]), r'bins must be 0, 1 .* \[1, 2\]'),
        (dict(bins=[0, 1, 3, 3]), r'bins must be .* ascend .* \[0, 1, 3, 3\]'),
        (dict(scales=()), r'scales must be positive numbers, but got \(\)'),
        (dict(scales=(0, 1)), r'scales must be positive numbers, but got \(0, 1\)'),
        (dict(ot_weight=-1), 'ot_weight must not be negative, but got -1'),
        (
            dict(nll_weight=0, ce_weight=0, mae_weight=0, count_weight=0),
            'all weights are 0, expected a positive one',
        ),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=f'ZIPLoss: {match}'):
        ZIPLoss(**dict(dict(bins=BINS), **kwargs))


def test_head_with_other_bins():
    outputs = make_outputs(torch.zeros(1, 1, 2, 2), num_bins=4)
    with pytest.raises(ValueError, match=r'3 bins from \[1, .* predicts 4'):
        ZIPLoss(BINS).loss(outputs, as_samples([torch.zeros(0, 2)]), 16)
