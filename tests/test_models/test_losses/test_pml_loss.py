import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.models.losses import PMLEntropicLoss, PMLKLLoss, PMLL2Loss, PMLLoss
from mmcrowd.models.losses.pml_costs import BACKGROUNDS, COSTS
from mmcrowd.models.losses.pml_loss import KL_FLOOR
from mmcrowd.models.losses.reference import dense_pml
from mmcrowd.ops.partition import Partition, partition_batch
from tests.testing.losses import random_batch, value_and_grad

GOLDEN_NAMES = dict(clamped='official', max_normalized='paper')
# norm and tau of every member of the family
MEMBERS = [('l1', None), ('l2', None), ('kl', None), ('kl', 0.5), ('kl', 0.01), ('kl', 100.0)]


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('cost', GOLDEN_NAMES)
@pytest.mark.parametrize('k', range(7))
def test_golden(golden_root, k, cost, dtype):
    with np.load(golden_root / 'pml.npz') as golden:
        case = {key[2:]: golden[key] for key in golden if key.startswith(f'{k}/')}
    density = torch.from_numpy(case['density']).to(dtype)[None, None]
    points = torch.from_numpy(case['points_xy']).to(dtype)
    stride = int(case['stride'])
    name = GOLDEN_NAMES[cost]
    rtol = 1e-6 if dtype == torch.float64 else 1e-4

    def check(actual, key):
        expected = torch.as_tensor(case[f'{name}/{key}']).to(dtype)
        atol = rtol * float(expected.abs().max())
        torch.testing.assert_close(actual.squeeze(), expected, rtol=rtol, atol=atol)

    partition = partition_batch([points], density.shape[2:], stride)
    np.testing.assert_array_equal(partition.index[0], case['nearest'])
    loss = PMLLoss(cost=cost)
    terms, grad = value_and_grad(loss, density, [points], stride)
    check(terms['loss_background'], 'background')
    check(terms['loss_count'], 'count')
    check(grad, 'grad')
    # the background term is linear in the density, with the weights as its gradient
    density.requires_grad_()
    loss(density, [points], stride)['loss_background'].backward()
    check(density.grad, 'weight')


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from([0.0, 0.9, 4.0, 30.0])),
        min_size=1,
        max_size=4,
    ),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    stride=st.sampled_from([1, 2, 4, 8]),
    cost=st.sampled_from(sorted(COSTS)),
    epsilon=st.sampled_from([1.0, 2.0]),
    member=st.sampled_from(MEMBERS),
    background=st.sampled_from((None, *BACKGROUNDS)),
    given_partition=st.booleans(),
)
def test_dense_formula(
    seed, images, shape, stride, cost, epsilon, member, background, given_partition
):
    density, points = random_batch(images, shape, stride, seed)
    partition = partition_batch(points, shape, stride) if given_partition else None
    norm, tau = member
    if tau is not None:
        epsilon = 1.0  # it has none
    if background in ('bayesian', 'ma2019'):
        cost = 'clamped'  # they have none
    options = (cost, epsilon, norm, background, tau)
    terms, grad = value_and_grad(PMLLoss(*options), density, points, stride, partition)

    density.requires_grad_()
    expected = torch.stack(
        [dense_pml(a[0], p, stride, *options) for a, p in zip(density, points, strict=True)]
    ).mean()
    expected.backward()
    torch.testing.assert_close(sum(terms.values()), expected.detach(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(grad, density.grad, rtol=1e-9, atol=1e-9)


def test_by_hand():
    # Two points, each on a cell of its pair; the pairs hold the masses 1.5 and 0.5.
    density = torch.tensor([[[[1.0, 0.5, 0.5, 0.0]]]], dtype=torch.float64)
    points = [torch.tensor([[0.0, 0.0], [3.0, 0.0]], dtype=torch.float64)]
    near, far = 0.0, np.exp(1 / 32) - 1  # distances 0 and 1
    mean = (near + far) / 2
    weight = np.array([near - mean, far - mean, far - mean, near - mean])
    terms, grad = value_and_grad(PMLLoss(epsilon=2), density, points, stride=1)
    assert terms['loss_background'].item() == pytest.approx(weight @ [1, 0.5, 0.5, 0])
    assert terms['loss_count'].item() == pytest.approx(2 * (0.5 + 0.5))
    np.testing.assert_allclose(grad.flatten(), weight + [2, 2, -2, -2])


def empty_partition(shape):
    return Partition(torch.full(shape, -1), torch.full(shape, torch.inf))


@pytest.mark.parametrize('epsilon', [1.0, 2.0])
@pytest.mark.parametrize('cost', COSTS)
@pytest.mark.parametrize('partition', [None, empty_partition((1, 2, 3))])
def test_image_without_points(partition, cost, epsilon):
    loss = PMLLoss(cost, epsilon)
    density = torch.arange(6.0).view(1, 1, 2, 3) / 8  # sums to 15/8
    for scale in (1.0, 0.1):  # a sum below 1 makes no difference
        terms, grad = value_and_grad(loss, density * scale, [torch.zeros(0, 2)], 2, partition)
        assert sum(terms.values()).item() == pytest.approx(2 * 15 / 8 * scale)
        assert (grad.flatten()[1:] == 2).all()
    terms, grad = value_and_grad(loss, density * 0, [torch.zeros(0, 2)], 2, partition)
    assert sum(terms.values()) == 0
    assert grad.isfinite().all()


@pytest.mark.parametrize('total', [0.0, 0.5, 1.0])
def test_dead_network(total):
    density = torch.full((1, 1, 2, 4), total / 8)
    points = [torch.tensor([[1.0, 1.0], [5.0, 2.0], [6.0, 3.0]])]
    terms, grad = value_and_grad(PMLLoss(epsilon=2), density, points)
    assert terms['loss_background'] == 0
    assert terms['loss_count'].item() == pytest.approx(3 - total)
    assert (grad == -1).all()


def test_point_without_cells_costs_one_and_moves_nothing():
    density, points = random_batch(((5, 6.0),))
    once, grad_once = value_and_grad(PMLLoss(), density, points)
    twice, grad_twice = value_and_grad(PMLLoss(), density, [torch.cat((points[0], points[0][:2]))])
    torch.testing.assert_close(twice['loss_count'], once['loss_count'] + 2)
    torch.testing.assert_close(twice['loss_background'], once['loss_background'])
    torch.testing.assert_close(grad_twice, grad_once)


@pytest.mark.parametrize('cost', COSTS)
def test_given_partition_changes_nothing(cost):
    density, points = random_batch()
    density, points = density.float(), [p.float() for p in points]
    computed = value_and_grad(PMLLoss(cost), density, points)
    partition = partition_batch(points, density.shape[2:], 2)
    given = value_and_grad(PMLLoss(cost), density, points, partition=partition)
    assert computed[0] == given[0]
    assert torch.equal(computed[1], given[1])


@pytest.mark.parametrize(
    ('named', 'short'),
    [
        (PMLL2Loss(), PMLLoss(norm='l2')),
        (
            PMLL2Loss(epsilon=2.0, background='bayesian', background_sigma=4.0),
            PMLLoss(epsilon=2.0, norm='l2', background='bayesian', background_sigma=4.0),
        ),
        (PMLKLLoss('euclidean', 0.5), PMLLoss('euclidean', 0.5, 'kl')),
        (PMLKLLoss(background='centered'), PMLLoss(norm='kl', background='centered')),
        (PMLEntropicLoss(0.5), PMLLoss(norm='kl', tau=0.5)),
        (
            PMLEntropicLoss(8.0, 'max_normalized', 'centered'),
            PMLLoss('max_normalized', norm='kl', background='centered', tau=8.0),
        ),
    ],
)
def test_named_forms_are_those_of_the_short_form(named, short):
    assert named.options == short.options
    density, points = random_batch()
    torch.testing.assert_close(
        value_and_grad(named, density, points), value_and_grad(short, density, points)
    )


def test_kl_by_hand():
    # One case of two cells, of mass 2 and at distances 0 and 1.
    density = torch.tensor([[[[1.5, 0.5]]]], dtype=torch.float64)
    points = [torch.tensor([[0.0, 0.0]], dtype=torch.float64)]
    far = np.exp(1 / 32) - 1
    terms, grad = value_and_grad(PMLLoss(epsilon=3, norm='kl'), density, points, stride=1)
    assert terms['loss_background'].item() == pytest.approx(0.5 * far / 2)
    assert terms['loss_count'].item() == pytest.approx(3 * (2 - np.log(2) - 1))
    # d/da_i of c'a / s is (c_i - c'a / s) / s; of the count term 1 - 1 / s
    expected = (np.array([0, far]) - 0.25 * far) / 2 + 3 * (1 - 1 / 2)
    np.testing.assert_allclose(grad.flatten(), expected)


def test_flat_density_is_best_at_the_mean_for_kl_and_below_it_for_l1():
    # A network that knows how many there are but not where: one density for all cells.
    points = [torch.rand(400, 2, generator=torch.Generator().manual_seed(0)).double() * 128]
    partition = partition_batch(points, (64, 64), 2)
    counts = torch.linspace(100, 800, 701, dtype=torch.float64)
    density = (counts / 64**2).view(-1, 1, 1, 1).expand(-1, 1, 64, 64)

    def best(norm):
        loss = PMLLoss(norm=norm)
        value = [sum(loss(a[None], points, 2, partition).values()) for a in density]
        return counts[torch.stack(value).argmin()].item()

    assert best('kl') == pytest.approx(400, abs=2)
    assert best('l1') < 360


def test_kl_with_a_large_tau_is_the_limit():
    # The transport of eq. 35 becomes that of eq. 23; all cases with cells have more than the floor.
    density, points = random_batch(((3, 5), (0, 4), (40, 100), (1, 2)))
    index = partition_batch(points, density.shape[2:], 2).index[2]
    mass = torch.bincount(index.flatten(), density[2].flatten(), 40)
    assert mass[mass > 0].min() > KL_FLOOR
    limit, _ = value_and_grad(PMLLoss(norm='kl'), density, points)
    for tau in (1e3, 1e5):
        terms, _ = value_and_grad(PMLLoss(norm='kl', tau=tau), density, points)
        error = (terms['loss_background'] - limit['loss_background']).abs()
        assert 0 < error < 40 / tau


def eq_35(a, d, tau):
    """tau (s - log eta - 1) of a case, and its gradient, in numpy."""
    eta = (a * np.exp(-d / tau)).sum()
    return tau * (a.sum() - np.log(eta) - 1), tau * (1 - np.exp(-d / tau) / eta)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('total', [2.0, 1.1])
@pytest.mark.parametrize('tau', [0.5, 1.0, 8.0])
def test_eq_35_where_eta_is_small(tau, total, dtype):
    # One case of 64 x 64 pixels: most of its mass is many tau away from the point, so that for
    # tau = 1 and a mass of 2 eta is 0.003, the loss 6.8 and the pull at the point 161.
    density = torch.full((1, 1, 64, 64), total / 64**2, dtype=torch.float64)
    points = [torch.tensor([[31.5, 31.5]], dtype=dtype)]
    y, x = np.mgrid[:64, :64] - 31.5
    value, gradient = eq_35(density[0, 0].numpy(), np.hypot(x, y), tau)
    if (tau, total) == (1, 2):
        assert (value, gradient.min()) == pytest.approx((6.797, -161.4), rel=1e-3)
    loss = PMLLoss('euclidean', norm='kl', tau=tau)
    terms, grad = value_and_grad(loss, density.to(dtype), points, 1)
    rtol = 1e-9 if dtype == torch.float64 else 1e-4
    assert sum(terms.values()).item() == pytest.approx(value, rel=rtol)
    np.testing.assert_allclose(grad[0, 0], gradient, rtol=rtol, atol=rtol)


@pytest.mark.parametrize('gap', [5, 30])
def test_eq_35_where_nothing_is_at_the_point(gap):
    # All mass in one cell so many pixels from the point: with tau = 1 its share is exp(-gap).
    density = torch.zeros(1, 1, 1, 40)
    density[..., gap] = 1.5
    terms, grad = value_and_grad(
        PMLLoss('euclidean', norm='kl', tau=1.0), density, [torch.zeros(1, 2)], 1
    )
    value, gradient = eq_35(density.double().flatten().numpy(), np.arange(40.0), 1.0)
    assert sum(terms.values()).item() == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(grad.flatten(), gradient, rtol=1e-5)
    # Farther away it stays finite, and the pull to the point the strongest.
    density = torch.zeros(1, 1, 1, 400)
    density[..., 300] = 1.5
    terms, grad = value_and_grad(
        PMLLoss('euclidean', norm='kl', tau=1.0), density, [torch.zeros(1, 2)], 1
    )
    assert all(term.isfinite() for term in terms.values()) and grad.square().isfinite().all()
    assert grad.argmin() == 0 and grad.flatten()[0] < -1e15


def test_eq_35_of_a_case_that_lacks_mass():
    # The second of two cases of ten cells has less than the floor, and is filled up evenly. The
    # value is continuous at the floor, and the gradient is that of the value.
    share = torch.linspace(0.05, 0.15, 10, dtype=torch.float64)  # sums to 1
    points = [torch.tensor([[0.0, 0.0], [19.0, 0.0]], dtype=torch.float64)]

    def value_and_pull(mass):
        density = torch.full((1, 1, 1, 20), 0.3, dtype=torch.float64)
        density[..., 10:] = mass * share
        loss = PMLLoss('euclidean', norm='kl', tau=1.0)
        terms, grad = value_and_grad(loss, density, points, 1)
        return sum(terms.values()).item(), grad.flatten()[10:]

    below, above = (value_and_pull(KL_FLOOR + step)[0] for step in (-1e-9, 1e-9))
    assert below == pytest.approx(above, abs=1e-6)
    for mass in (0.09, 0.02, 0.001):
        slope = (value_and_pull(mass + 1e-6)[0] - value_and_pull(mass - 1e-6)[0]) / 2e-6
        assert (value_and_pull(mass)[1] @ share).item() == pytest.approx(slope, rel=1e-6)
    # Without any mass the pull is that of an even case at the floor.
    _, gradient = eq_35(np.full(10, KL_FLOOR / 10), np.arange(9.0, -1, -1), 1.0)
    np.testing.assert_allclose(value_and_pull(0.0)[1], gradient, rtol=1e-9)


@pytest.mark.parametrize('background', BACKGROUNDS)
def test_background_of_table_7_by_hand(background):
    # One case of three cells at the distances 0, 1 and 2, of mass 2.
    density = torch.tensor([[[[1.0, 0.5, 0.5]]]], dtype=torch.float64)
    points = [torch.tensor([[0.0, 0.0]], dtype=torch.float64)]
    d = np.array([0.0, 1.0, 2.0])
    c = np.exp(d / 32) - 1
    near, far = np.exp(-(d**2) / 128), np.exp(-1 / (d**2 + 1e-5) / 128)  # the map has height 1
    N = np.exp(-((2 - d) ** 2) / 128) / np.sqrt(2 * np.pi * 64)
    weight = dict(cost=c, centered=c - c.mean(), bayesian=N / (N + 1), ma2019=far / (near + far))[
        background
    ]
    terms, grad = value_and_grad(PMLLoss(background=background), density, points, stride=1)
    assert terms['loss_background'].item() == pytest.approx(weight @ [1, 0.5, 0.5])
    np.testing.assert_allclose(grad.flatten(), weight + 1)


def test_posterior_of_eq_12():
    # One row of cells at the distances 0, 10, ..., 60 from the point.
    density = torch.full((1, 1, 1, 7), 0.5, dtype=torch.float64).requires_grad_()
    points = [torch.tensor([[4.5, 4.5]], dtype=torch.float64)]
    PMLLoss(background='bayesian')(density, points, 10)['loss_background'].backward()
    # 0.3989 / 8 * exp(-(60 - d)^2 / 128) = 0.04987, 0.02283, 0.00219, ... and N / (N + 1) of these
    expected = [0, 0, 0, 0, 0.0022, 0.0223, 0.0475]
    assert density.grad.flatten().tolist() == pytest.approx(expected, abs=6e-5)
    density.grad = None
    loss = PMLLoss(background='bayesian', background_sigma=1.0)
    loss(density, points, 10)['loss_background'].backward()
    assert density.grad.flatten().tolist() == pytest.approx([0] * 6 + [0.2852], abs=6e-5)


def test_ma2019_background_goes_by_the_whole_image():
    density, points = random_batch(((3, 5), (0, 4), (40, 7), (1, 2)))
    sides = [1536.0, 512.0, 300.0, 64.0]
    loss = PMLLoss(background='ma2019', epsilon=0)
    assert loss.needs_image_side and not PMLLoss().needs_image_side
    density.requires_grad_()
    loss(density, points, 2, image_sides=sides)['loss_background'].backward()
    _, distance = partition_batch(points, density.shape[2:], 2)
    dummy = torch.tensor(sides).view(-1, 1, 1) ** 2 / (distance**2 + 1e-5)
    expected = torch.stack((-(distance**2), -dummy)).div(128).softmax(0)[1]
    for i in (0, 2, 3):  # image 1 has no points
        torch.testing.assert_close(density.grad[i, 0] * 4, expected[i])
    # Without them each map, of 48 x 64 pixels, is a whole image.
    whole = loss(density, points, 2)
    assert whole == loss(density, points, 2, image_sides=torch.full((4,), 48.0))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(norm='tv'), "norm must be .*'l1', 'l2', 'kl'.*'tv'"),
        (dict(cost='exp'), "cost must be .*'clamped', 'max_normalized'.*'exp'"),
        (dict(background='none'), "background must be .*'centered', 'cost'.*'none'"),
        (dict(tau=1.0), "norm='l1' has no tau, which must be left at None, but got 1.0"),
        (dict(norm='kl', tau=1.0, epsilon=2.0), 'tau=1.0 has no epsilon, .* 1.0, but got 2.0'),
        (
            dict(background='bayesian', cost='euclidean'),
            "background='bayesian' has no cost, .* 'clamped', but got 'euclidean'",
        ),
        (dict(background_sigma=4.0), "'centered' has no background_sigma, .* 8.0, but got 4.0"),
        (dict(norm='kl', tau=0.0), 'tau must be positive'),
        (
            dict(background='bayesian', background_sigma=0),
            'background_sigma must be positive, but got 0',
        ),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=f'PMLLoss: .*{message}'):
        PMLLoss(**options)


@pytest.mark.parametrize('loss', [PMLL2Loss, PMLKLLoss, PMLEntropicLoss])
def test_named_forms_have_their_own_options_only(loss):
    for options in (dict(norm='l1'), dict(tau=1.0, epsilon=1.0)):
        with pytest.raises(TypeError, match='unexpected keyword argument'):
            loss(**options)
