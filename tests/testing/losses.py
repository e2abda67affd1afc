"""The density losses, a batch with every kind of difficult image, and what they must do with it."""

import torch
from mmengine.registry import init_default_scope
from torch import Tensor

from mmcrowd.ops.partition import partition_batch
from mmcrowd.registry import MODELS

SHAPE, STRIDE = (8, 8), 2

LOSSES = {
    'pml': dict(type='PMLLoss'),
    'pml_l2': dict(type='PMLL2Loss', cost='max_normalized', epsilon=2.0),
    'pml_kl': dict(type='PMLKLLoss'),
    'pml_entropic': dict(type='PMLEntropicLoss', tau=0.5, cost='euclidean'),
    'pml_bayesian': dict(type='PMLLoss', background='bayesian'),
    'pml_ma2019': dict(type='PMLLoss', background='ma2019'),
    'l2': dict(type='GaussianL2Loss'),
    'l2_adaptive': dict(type='GaussianL2Loss', sigma='adaptive', max_sigma=20.0),
    'gaussian_mse': dict(type='GaussianMSELoss'),
    'bayesian': dict(type='BayesianLoss', background_ratio=0.15),
    'bayesian_without_background': dict(type='BayesianLoss', background=False),
    'noise_cc': dict(type='NoiseCCLoss', noise_weight=0.1),
    'dm_count': dict(type='DMCountLoss', iterations=20, ot_weight=1.0),
    'gl_perspective': dict(type='GeneralizedLoss', cost='perspective', marginal_weight=0.5),
    'gl_exp': dict(type='GeneralizedLoss', cost='exp'),
    'uot': dict(type='UOTLoss', scale=16.0, rho=2.0, epsilon=0.1, iterations=20),
    'chf_moduli': dict(type='CHFLoss', form='moduli'),
    'chf_sparse': dict(type='CHFLoss', form='sparse', bandwidth=4.0),
    'chf_dense': dict(type='CHFLoss', form='dense'),
    'gcf': dict(type='GCFLoss', noise_bandwidth=10.0, steps=5),
    'kdmg': dict(type='KDMGLoss', cosine_weight=2.0),
    'fidtm': dict(type='FIDTMLoss', patch_size=20, reduction='sum'),
}
# Hyperparameters that are hard on the numbers.
EXTREME = {
    'pml_l2_euclidean': dict(type='PMLL2Loss', cost='euclidean'),
    'pml_kl_max_normalized': dict(type='PMLKLLoss', cost='max_normalized'),
    'pml_small_tau': dict(type='PMLEntropicLoss', tau=0.01),
    'pml_small_tau_euclidean': dict(type='PMLEntropicLoss', tau=0.01, cost='euclidean'),
    'pml_large_tau': dict(type='PMLEntropicLoss', tau=100.0),
    'l2_narrow': dict(type='GaussianL2Loss', sigma=0.01),
    'bayesian_narrow': dict(type='BayesianLoss', sigma=0.01),
    'bayesian_narrow_without_background': dict(type='BayesianLoss', sigma=0.01, background=False),
    'noise_cc_narrow': dict(type='NoiseCCLoss', noise_sigma=0.1, kernel_sigma=0.1),
    'noise_cc_unlike': dict(type='NoiseCCLoss', noise_sigma=1.0, kernel_sigma=30.0, rank=0),
}


def build_loss(name):
    torch.manual_seed(0)
    init_default_scope('mmcrowd')
    return MODELS.build((LOSSES | EXTREME)[name])


def value_and_grad(loss, density, points, stride=STRIDE, partition=None) -> tuple[dict, Tensor]:
    """All terms of the loss, and the gradient of their sum to the density."""
    density = density.detach().clone().requires_grad_()
    terms = loss(density, points, stride, partition)
    sum(terms.values()).backward()
    return {key: value.detach() for key, value in terms.items()}, density.grad


def random_density(total: float, shape=SHAPE, seed=0) -> Tensor:
    """One ``(1, h, w)`` map of that sum, float64."""
    a = torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return a * total / a.sum()


def random_points(m: int, shape=SHAPE, stride=STRIDE, margin=0.0, seed=0) -> Tensor:
    """``(m, 2)`` points in the frame and a margin around it, float64."""
    rng = torch.Generator().manual_seed(seed)
    frame = torch.tensor([shape[1], shape[0]]) * stride
    return torch.rand(m, 2, generator=rng, dtype=torch.float64) * (frame + 2 * margin) - margin


def random_batch(sizes=((3, 5), (0, 4), (40, 7), (1, 0.5)), shape=(24, 32), stride=2, seed=0):
    """Images of so many points, in the frame and 4 pixels around it, and such a total density."""
    rng = torch.Generator().manual_seed(seed)
    points, density = [], []
    for m, total in sizes:
        frame = torch.tensor([shape[1], shape[0]]) * stride
        points.append(torch.rand(m, 2, generator=rng, dtype=torch.float64) * (frame + 8) - 4)
        a = torch.rand(1, *shape, generator=rng, dtype=torch.float64)
        density.append(a * total / a.sum())
    return torch.stack(density), points


def hard_batch(dtype=torch.float64, far=1e7) -> tuple[Tensor, list[Tensor]]:
    """``(12, 1, 8, 8)`` density and the points of each image; one is so ``far`` away."""
    cases = [
        (0.0, random_points(0)),
        (3.0, random_points(0)),
        (4.0, random_points(1)),
        (30.0, random_points(500)),  # more points than cells
        (0.0, random_points(2)),  # all-zero density
        (1e-30, random_points(3)),  # dead network
        (6.0, torch.tensor([[3.0, 3.0]] * 4)),
        (4.0, torch.tensor([[-far / 25, far]])),
        (0.0, random_points(1)),
        (1e-3, random_points(2)),
        (1e-6, random_points(2)),
        (5.0, torch.tensor([[-far / 25, far], [-3.0, 4.0]])),
    ]
    density = torch.stack([random_density(total) for total, _ in cases])
    density[2, 0, 0] = 0  # some empty cells too
    return density.to(dtype), [points.to(dtype) for _, points in cases]


def check_hard_batch(loss, dtype, far=1e7) -> Tensor:
    """Values and gradients are finite, and those of the batch are means over its images.

    Returns the gradients of the images, each as if alone.
    """
    density, points = hard_batch(dtype, far)
    terms, grad = value_and_grad(loss, density, points)
    assert grad.dtype == dtype and grad.isfinite().all()
    single = [value_and_grad(loss, a[None], [p]) for a, p in zip(density, points, strict=True)]
    for key, value in terms.items():
        assert key.startswith('loss_') and value.dtype == dtype and value.isfinite()
        torch.testing.assert_close(value, torch.stack([s[0][key] for s in single]).mean())
    grads = torch.cat([s[1] for s in single])
    torch.testing.assert_close(grad, grads / len(points))
    return grads


def check_autocast(loss) -> None:
    """A bfloat16 density is computed in float32 under autocast."""
    density, points = hard_batch()
    density = density.bfloat16()
    points = [p.float() for p in points]
    expected, _ = value_and_grad(loss, density.float(), points)
    with torch.autocast('cpu', torch.bfloat16):
        terms, grad = value_and_grad(loss, density, points)
    assert grad.dtype == torch.bfloat16 and grad.isfinite().all()
    assert {value.dtype for value in terms.values()} == {torch.float32}
    torch.testing.assert_close(terms, expected)


def check_compiles(loss) -> None:
    """With the partition the loss is one graph, so the host looks at no value of the batch."""
    density, points = hard_batch()
    density, points = density[1:6:2], points[1:6:2]
    partition = partition_batch(points, SHAPE, STRIDE)
    torch.compiler.reset()  # what other tests have compiled counts towards a limit
    compiled = torch.compile(loss, fullgraph=True, backend='aot_eager')
    expected = value_and_grad(loss, density, points, partition=partition)
    actual = value_and_grad(compiled, density, points, partition=partition)
    torch.testing.assert_close(actual, expected)
