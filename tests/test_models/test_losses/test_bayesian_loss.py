import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.models.losses.bayesian_loss import BayesianLoss
from mmcrowd.ops.partition import Partition, partition_batch
from tests.testing.losses import (
    hard_batch,
    random_density,
    random_points,
    value_and_grad,
)


def dense_posterior(points, size, stride, sigma, background, ratio):
    """``(n, m + 1)`` softmax over the points and, last, the background; and the distances."""
    h, w = size
    y, x = torch.meshgrid(*[torch.arange(side).double() for side in size], indexing='ij')
    cells = torch.stack((x, y), -1).view(-1, 1, 2) * stride + (stride - 1) / 2
    square = (cells - points.double()).square().sum(2)
    side = min(h, w) * stride * ratio if background else torch.inf
    other = side**2 / (square.amin(1, keepdim=True) + 1e-5)
    posterior = (torch.cat((square, other), 1) / (-2 * sigma**2)).softmax(1)
    return posterior, square.sqrt()


def dense_terms(density, points, *arguments):
    """Terms of one image straight from the formula."""
    a = density.flatten()
    if len(points) == 0:
        return a.new_zeros(()), a.sum().abs()
    expected = a @ dense_posterior(points, density.shape, *arguments)[0]
    return (1 - expected[:-1]).abs().sum(), expected[-1].abs()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('k', range(4))
def test_golden(golden_root, k, dtype):
    with np.load(golden_root / 'other_losses.npz') as golden:
        prefix = f'bayesian/{k}/'
        case = {key.removeprefix(prefix): golden[key] for key in golden if key.startswith(prefix)}
    stride = int(case['stride'])
    density = torch.from_numpy(case['density']).to(dtype).squeeze()[None, None]
    # their cell centres are (j + 0.5) * stride
    points = torch.from_numpy(case['points_xy']).to(dtype).view(-1, 2) - 0.5
    assert min(density.shape[2:]) * stride == int(case['crop_size'])
    loss = BayesianLoss(float(case['sigma']), background_ratio=float(case['background_ratio']))
    terms, grad = value_and_grad(loss, density, [points], stride)
    assert sum(terms.values()).item() == pytest.approx(float(case['loss']), rel=1e-4)
    atol = 1e-4 * np.abs(case['grad']).max()
    np.testing.assert_allclose(grad.squeeze(), case['grad'].squeeze(), rtol=1e-4, atol=atol)


def test_golden_crops_of_larger_images(golden_root):
    # Two crops of 128 pixels, of images whose short sides are 300 and 512.
    with np.load(golden_root / 'systems' / 'bl_vgg19.npz') as golden:
        case = dict(golden)
    density = torch.from_numpy(case['loss_density'])
    # their cell centres are (j + 0.5) * stride
    points = [torch.from_numpy(case['points_xy'][case['points_image'] == i]) - 0.5 for i in (0, 1)]
    sides = case['st_size'].tolist()
    density.requires_grad_()
    terms = BayesianLoss()(density, points, 8, image_sides=sides)
    # The rows are the points and, last, the background.
    posterior = [torch.from_numpy(case[f'posterior/{i}']) for i in (0, 1)]
    count = [p @ a.flatten() for p, a in zip(posterior, density.detach(), strict=True)]
    expected = sum((1 - c[:-1]).abs().sum() for c in count) / 2
    torch.testing.assert_close(terms['loss_point'].detach(), expected)
    torch.testing.assert_close(terms['loss_background'].detach(), (count[0][-1] + count[1][-1]) / 2)
    terms['loss_background'].backward()
    share = torch.stack([p[-1] for p in posterior])
    torch.testing.assert_close(density.grad.flatten(1), share / 2)


@pytest.mark.parametrize('sides', [[1536.0, 512.0], torch.tensor([1536, 512])])
def test_the_background_of_a_crop_is_as_far_as_that_of_its_image(sides):
    # A cell at 10 pixels from the point, of a crop of 512, with the ratio for UCF-QNRF. The
    # posterior of the background is 1 / (1 + exp(((r S)^2 / d^2 - d^2) / 128)).
    density = torch.zeros(2, 1, 512, 512)
    density[:, 0, 100, 110] = 1
    points = [torch.tensor([[100.0, 100.0]])] * 2
    density.requires_grad_()
    terms = BayesianLoss(background_ratio=0.15)(density, points, 1, image_sides=sides)
    terms['loss_background'].backward()
    share = 2 * density.grad[:, 0, 100, 110]
    assert share.tolist() == pytest.approx([0.033, 0.579], abs=5e-4)
    by_hand = [1 / (1 + np.exp(((0.15 * side) ** 2 / 100 - 100) / 128)) for side in (1536, 512)]
    assert share.tolist() == pytest.approx(by_hand, rel=1e-5)


def test_without_image_sides_a_map_is_a_whole_image():
    density, points = hard_batch()
    terms = BayesianLoss()(density, points, 2)
    assert terms == BayesianLoss()(density, points, 2, image_sides=[16] * 12)
    assert terms != BayesianLoss()(density, points, 2, image_sides=[17] * 12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(0, 30),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    stride=st.sampled_from([1, 2, 4, 8]),
    sigma=st.sampled_from([4.0, 8.0]),
    background=st.booleans(),
    ratio=st.sampled_from([1.0, 0.15]),
)
def test_dense_formula(seed, m, size, stride, sigma, background, ratio):
    density = random_density(1.2 * m + 0.5, size, seed)
    points = random_points(m, size, stride, margin=9, seed=seed)
    loss = BayesianLoss(sigma, background, ratio)
    terms, grad = value_and_grad(loss, density[None], [points], stride)

    density.requires_grad_()
    expected = dense_terms(density[0], points, stride, sigma, background, ratio)
    sum(expected).backward()
    torch.testing.assert_close(tuple(terms.values()), tuple(t.detach() for t in expected))
    torch.testing.assert_close(grad[0], density.grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(('background', 'ratio'), [(False, 1.0), (True, 1.0), (True, 0.15)])
@pytest.mark.parametrize('sigma', [0.25, 0.5, 2.0])
def test_cells_far_from_all_points(sigma, background, ratio):
    # For the smaller sigmas most cells are farther than 37 sigma from all points, and for 0.25 the
    # background takes over only there.
    size, stride = (64, 64), 2
    density = random_density(9.0, size)
    points = random_points(9, size, stride)
    terms, grad = value_and_grad(BayesianLoss(sigma, background, ratio), density[None], [points])

    posterior, distance = dense_posterior(points, size, stride, sigma, background, ratio)
    first, second = distance.topk(2, largest=False).values.T
    assert sigma == 2 or (first > 38 * sigma).double().mean() > 0.3
    sure = (first < 37 * sigma) | (37 * (second - first) / sigma > 25)
    assert sure.double().mean() > 0.9
    a = density.flatten()
    sign = torch.cat(((a @ posterior[:, :-1] - 1).sign(), a.new_ones(1)))
    torch.testing.assert_close(grad.flatten()[sure], (posterior @ sign)[sure], rtol=1e-9, atol=1e-9)
    expected = dense_terms(density[0], points, stride, sigma, background, ratio)
    unsure = 2 * a[~sure].sum().item()
    assert sum(terms.values()).item() == pytest.approx(sum(expected).item(), abs=unsure + 1e-9)


@pytest.mark.parametrize('background', [True, False])
def test_far_cell_is_its_nearest_points_or_background(background):
    # One row of 512 pixels, a point at the left, and mass at the right end.
    density = torch.zeros(1, 1, 1, 256)
    density[..., -1] = 3
    points = [torch.tensor([[0.0, 0.0], [-1.0, 0.0]])]
    terms, _ = value_and_grad(BayesianLoss(background=background), density, points)
    # beyond 297 pixels the second point, with exp(-8) of the share of the first, is left out
    expected = dict(loss_point=2, loss_background=3) if background else dict(loss_point=3)
    for key, value in expected.items():
        assert terms[key].item() == pytest.approx(value)


def test_by_hand():
    # One cell at distance 8 from one point: logits -1/2 and -(4 * 2)**2 / 64 / 128.
    density = torch.tensor([[[[2.0, 0, 0, 0], [0] * 4, [0] * 4, [0] * 4]]], dtype=torch.float64)
    points = [torch.tensor([[0.5, 8.5]]).double()]
    terms, grad = value_and_grad(BayesianLoss(), density, points)
    p = np.exp(-0.5) / (np.exp(-0.5) + np.exp(-64 / 64 / 128))
    assert terms['loss_point'].item() == pytest.approx(abs(1 - 2 * p))
    assert terms['loss_background'].item() == pytest.approx(2 * (1 - p))
    assert grad[0, 0, 0, 0].item() == pytest.approx(-p + (1 - p))


def test_without_background_a_lone_point_has_everything():
    density = random_density(3.5)[None]
    terms, _ = value_and_grad(BayesianLoss(background=False), density, [random_points(1)])
    assert terms['loss_point'].item() == pytest.approx(2.5)
    assert terms['loss_background'] == 0


@pytest.mark.parametrize('background', [True, False])
def test_no_points(background):
    density = random_density(3.5)[None]
    loss = BayesianLoss(background=background)
    terms, grad = value_and_grad(loss, density, [torch.zeros(0, 2)])
    assert terms['loss_point'] == 0
    assert terms['loss_background'].item() == pytest.approx(3.5)
    assert (grad == 1).all()


def test_identical_points_share_alike():
    density = random_density(4.0)[None]
    points = random_points(1)
    terms, _ = value_and_grad(BayesianLoss(background=False), density, [points.expand(8, 2)])
    assert terms['loss_point'].item() == pytest.approx(8 * 0.5)


def test_given_partition():
    density, points = hard_batch(torch.float32)
    partition = partition_batch(points, density.shape[2:], 2)
    assert partition.distance.dtype == torch.float32
    torch.testing.assert_close(
        value_and_grad(BayesianLoss(), density, points, partition=partition),
        value_and_grad(BayesianLoss(), density, points),
    )
    # one that calls all cells of the last image far from its first point gives everything to it
    far = Partition(torch.zeros_like(partition.index), torch.full_like(partition.distance, 1e4))
    far = Partition(*[t[-1:] for t in far])
    loss = BayesianLoss(background=False)
    terms, _ = value_and_grad(loss, density[-1:], points[-1:], 2, far)
    assert terms['loss_point'].item() == pytest.approx((5 - 1) + 1)


def test_bad_arguments():
    with pytest.raises(ValueError, match='BayesianLoss: sigma must be positive, but got -1'):
        BayesianLoss(sigma=-1)
    with pytest.raises(ValueError, match='background_ratio must be positive, but got 0'):
        BayesianLoss(background_ratio=0)
