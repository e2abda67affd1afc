"""A batch with every kind of difficult image, and what any density loss must do with it."""

import torch
from torch import Tensor

from mmcrowd.ops.partition import partition_batch

SHAPE, STRIDE = (8, 8), 2


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
