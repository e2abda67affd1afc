import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.structures import InstanceData

from mmcrowd.models import DMCountLoss, EBCLoss
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample
from tests.testing.losses import STRIDE, hard_batch, random_batch

BINS = [0, 1, 2, 4]
ALL = dict(mae_weight=1.0, mse_weight=1.0)


def make_outputs(density, spread=3.0, num_bins=4, seed=0):
    """Independent outputs around a density."""
    n, _, h, w = density.shape
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, num_bins, h, w, generator=rng, dtype=torch.float64) * spread
    return dict(bin_logits=logits.to(density), density=density)


def terms_and_grads(loss, outputs, points, stride=STRIDE):
    outputs = {key: value.detach().clone().requires_grad_() for key, value in outputs.items()}
    samples = [CrowdDataSample(gt_instances=InstanceData(points=p)) for p in points]
    terms = loss.loss(outputs, samples, stride)
    sum(terms.values()).backward()
    return (
        {key: value.detach() for key, value in terms.items()},
        {key: value.grad for key, value in outputs.items()},
    )


def plain_image(logits, density, points, stride):
    """Cross-entropy, absolute and squared error of one image, block by block."""
    _, h, w = density.shape
    counts = np.zeros((h, w))
    for x, y in points:
        row, col = (math.floor((v + 0.5) / stride) for v in (y, x))
        counts[min(max(row, 0), h - 1), min(max(col, 0), w - 1)] += 1
    ce = 0.0
    for i, j in np.ndindex(h, w):
        target = max(k for k, low in enumerate(BINS) if counts[i, j] >= low)
        ce -= math.log(np.exp(logits[target, i, j]) / np.exp(logits[:, i, j]).sum())
    difference = density[0] - counts
    return ce, abs(difference).sum(), (difference**2).sum()


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=3),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    stride=st.sampled_from([1, 8]),
)
def test_dense_formula(seed, counts, shape, stride):
    density, points = random_batch([(m, m + 0.5) for m in counts], shape, stride, seed)
    outputs = make_outputs(density, seed=seed)
    loss = EBCLoss(BINS, count_weight=0, ot_weight=0, tv_weight=0, **ALL)
    terms, _ = terms_and_grads(loss, outputs, points, stride)
    images = zip(outputs['bin_logits'].numpy(), density.numpy(), points, strict=True)
    expected = np.mean([plain_image(*image, stride) for image in images], 0)
    assert list(terms) == ['loss_ce', 'loss_mae', 'loss_mse']
    np.testing.assert_allclose([v.item() for v in terms.values()], expected, rtol=1e-9, atol=1e-9)


def test_terms_of_distribution_matching():
    density, points = random_batch(((5, 7.0), (0, 1.0)), (6, 8), 4)
    loss = EBCLoss(BINS, ce_weight=0)
    terms, grads = terms_and_grads(loss, make_outputs(density), points, 4)
    leaf = density.clone().requires_grad_()
    expected = DMCountLoss()(leaf, points, 4)
    sum(expected.values()).backward()
    torch.testing.assert_close(terms, {key: value.detach() for key, value in expected.items()})
    torch.testing.assert_close(grads['density'], leaf.grad)
    assert grads['bin_logits'] is None


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('spread', [1.0, 300.0])
def test_hard_batch(dtype, spread):
    density, points = hard_batch(dtype)
    outputs = make_outputs(density, spread)
    loss = EBCLoss(BINS, **ALL)
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
    outputs = {key: value.bfloat16() for key, value in make_outputs(density).items()}
    loss = EBCLoss(BINS, **ALL)
    expected, _ = terms_and_grads(loss, {k: v.float() for k, v in outputs.items()}, points, 4)
    with torch.autocast('cpu', torch.bfloat16):
        terms, grads = terms_and_grads(loss, outputs, points, 4)
    torch.testing.assert_close(terms, expected)
    assert all(grad.isfinite().all() for grad in grads.values())


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(bins=[1, 2]), r'bins must be 0 and ascend from there, but got \[1, 2\]'),
        (dict(bins=[0, 3, 3]), r'bins must be .* \[0, 3, 3\]'),
        (dict(ot_weight=-1), 'ot_weight must not be negative, but got -1'),
        (
            dict(ce_weight=0, count_weight=0, ot_weight=0, tv_weight=0),
            'all weights are 0, expected a positive one',
        ),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=f'EBCLoss: {match}'):
        EBCLoss(**dict(dict(bins=BINS), **kwargs))


def test_head_with_other_bins():
    loss = MODELS.build(dict(type='EBCLoss', bins=BINS))
    outputs = make_outputs(torch.zeros(1, 1, 2, 2), num_bins=5)
    with pytest.raises(ValueError, match=r'4 bins from \[0, .* predicts 5'):
        terms_and_grads(loss, outputs, [torch.zeros(0, 2)])
