"""Switch-CNN: network, routing, the three stages, weights of the published program."""

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmcrowd.models import (
    MCNN,
    DensityHead,
    DensityLoss,
    GaussianL2Loss,
    GridInference,
    SwitchCoupledLoss,
    SwitchDifferentialLoss,
    SwitchHead,
    SwitchMCNN,
    SwitchPretrainLoss,
)
from mmcrowd.models.converters.switch_cnn import convert
from mmcrowd.models.lazy_batch import LazyBatch
from mmcrowd.models.losses import best_columns
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ..testing.networks import make_sample
from ..testing.training import train_steps

CONFIGS = Path(__file__).parents[2] / 'configs' / 'switch_cnn'
STAGES = (SwitchPretrainLoss, SwitchDifferentialLoss, SwitchCoupledLoss)
# A switch that is small, of one VGG stage.
SMALL = dict(switch=dict(type='VGGFeatures', depth=11, out_stages=(0,)), switch_std=(1, 1, 1))


@pytest.fixture(scope='module')
def counter():
    """All three columns and a small switch, each of which is chosen for some patch."""
    init_default_scope('mmcrowd')
    torch.manual_seed(3)
    model = MODELS.build(
        dict(
            type='DensityCounter',
            data_preprocessor=dict(type='CrowdDataPreprocessor', pad_size_divisor=4),
            backbone=dict(type='SwitchMCNN', **SMALL),
            head=dict(type='SwitchHead', switch_channels=64, switch_units=8),
            loss=dict(type='SwitchCoupledLoss'),
            inference=dict(type='GridInference'),
        )
    )
    model.init_weights()
    with torch.no_grad():
        for number in (1, 2, 3):
            getattr(model.head, f'predict{number}').weight.abs_()
        # Each column has about as many votes as the others.
        logits = torch.cat([model(100 * torch.rand(1, 1, 40, 40))['logits'] for _ in range(9)])
        scale = logits.std(0, keepdim=True)
        layer = model.head.predict_switch
        layer.weight.div_(scale.T)
        layer.bias.copy_((layer.bias - logits.mean(0)) / scale[0])
    return model.double().eval()


def sample(points):
    points = torch.as_tensor(points, dtype=torch.float64).view(-1, 2)
    return CrowdDataSample(gt_instances=InstanceData(points=points))


def set_epoch(epoch):
    MessageHub.get_current_instance().update_info('epoch', epoch)


# --------------------------------------------------------------------------------------- network


@torch.no_grad()
def test_each_column_is_one_of_mcnn():
    """A head of MCNN that looks at one column only gives the density of this column."""
    torch.manual_seed(0)
    backbone, head = SwitchMCNN(), SwitchHead()
    mcnn, whole = MCNN(), DensityHead(30, mid_channels=(), in_stride=4, out_stride=4)
    mcnn.load_state_dict(backbone.state_dict())
    inputs = torch.rand(2, 1, 40, 52)
    densities = head(backbone(inputs))['densities']
    start = 0
    for number, width in ((1, 8), (2, 10), (3, 12)):
        alone = getattr(head, f'predict{number}')
        whole.predict.weight.zero_()
        whole.predict.weight[:, start : start + width] = alone.weight
        whole.predict.bias.copy_(alone.bias)
        expected = whole(mcnn(inputs))['density']
        torch.testing.assert_close(densities[number - 1], expected)
        start += width


@torch.no_grad()
def test_mean_of_the_columns_without_a_switch():
    outputs = SwitchHead()(SwitchMCNN()(torch.rand(2, 1, 12, 8)))
    assert set(outputs) == {'densities', 'density'}
    expected = torch.stack(outputs['densities']).mean(0)
    torch.testing.assert_close(outputs['density'], expected)


# --------------------------------------------------------------------------------------- routing


def plain_routing(model, image, size):
    """Density of an image, patch by patch: rows and columns of cells divided by three."""
    height, width = (-(-side // 4) for side in size)
    image = F.pad(image, (0, 4 * width - size[1], 0, 4 * height - size[0]))
    density = torch.zeros(height, width, dtype=image.dtype)
    chosen = []
    for top, bottom in ((i * height // 3, (i + 1) * height // 3) for i in range(3)):
        for left, right in ((j * width // 3, (j + 1) * width // 3) for j in range(3)):
            if top == bottom or left == right:
                continue
            patch = image[None, :, 4 * top : 4 * bottom, 4 * left : 4 * right]
            maps = [getattr(model.backbone, f'column{k}')(patch) for k in (1, 2, 3)]
            colours = (patch - torch.tensor(model.backbone.switch_mean).view(1, 3, 1, 1)).double()
            h, w = patch.shape[2:]
            colours = F.pad(colours, (0, max(32 - w, 0), 0, max(32 - h, 0)))
            (features,) = model.backbone.switch(colours)
            hidden = model.head.switch[3](F.max_pool2d(features, 2).mean((2, 3))).relu()
            column = int(model.head.predict_switch(hidden).argmax())
            predict = getattr(model.head, f'predict{column + 1}')
            density[top:bottom, left:right] = predict(maps[column]).relu()[0, 0]
            chosen.append(column)
    return density, chosen


@pytest.mark.parametrize('size', [(48, 60), (49, 62), (41, 35), (130, 64), (7, 90), (1, 1)])
@torch.no_grad()
def test_routing_is_that_of_a_loop(counter, size):
    image = 100 * torch.rand(1, *size)
    batch = dict(inputs=[image], data_samples=[make_sample([], size)])
    data = counter.data_preprocessor(batch)
    # Beside a larger image the prediction is the same.
    inputs = F.pad(data['inputs'].double(), (0, 8, 0, 4))
    (predicted,) = counter.predict(inputs, data['data_samples'])
    expected, _ = plain_routing(counter, image.double(), size)
    torch.testing.assert_close(predicted.pred_density.density[0], expected)
    assert predicted.pred_count == pytest.approx(expected.sum().item(), rel=1e-12)


@torch.no_grad()
def test_all_columns_are_chosen(counter):
    torch.manual_seed(1)
    image = 100 * torch.rand(1, 120, 120, dtype=torch.float64)
    _, chosen = plain_routing(counter, image, (120, 120))
    assert set(chosen) == {0, 1, 2}


def test_grid_covers_every_cell_once():
    for height in range(1, 60):
        for width in (1, 5, 12, 49):
            cells = np.zeros((-(-height // 4), -(-width // 4)), int)
            patches = GridInference().patches((height, width))
            for rows, columns in patches:
                cells[rows, columns] += 1
            assert (cells == 1).all()
            sides = {(rows.stop - rows.start) for rows, _ in patches}
            assert max(sides) - min(sides) <= 1


def test_grid_of_windows_that_are_prepared_when_needed():
    images = [torch.rand(1, 22, 30), torch.rand(1, 17, 9)]
    samples = [make_sample([], image.shape[1:]) for image in images]
    padded = torch.stack([F.pad(i, (0, 32 - i.shape[2], 0, 24 - i.shape[1])) for i in images])
    lazy = LazyBatch(images, torch.stack, 1, (24, 32), 0)

    def run(inputs):
        cells = F.avg_pool2d(inputs, 4)
        return dict(density=cells - cells.mean(), levels=[cells], scores=torch.zeros(1, 3))

    one, other = (GridInference()(run, inputs, samples) for inputs in (padded, lazy))
    assert set(one) == {'density', 'levels'}
    torch.testing.assert_close(one['levels'][0][0], F.avg_pool2d(padded[0], 4))
    assert not one['levels'][0][1, :, 5:].any() and not one['levels'][0][1, :, :, 3:].any()
    torch.testing.assert_close(one, other)


# ----------------------------------------------------------------------------------------- losses

POINTS = (20.0 * torch.rand(7, 2), torch.zeros(0, 2), torch.rand(2, 2), torch.rand(30, 2) * 24)


def make_densities(seed=0):
    torch.manual_seed(seed)
    scale = torch.tensor([0.2, 0.05, 0.1, 1.0]).view(4, 1, 1, 1)
    return [
        (scale * torch.rand(4, 1, 6, 7, dtype=torch.float64) * factor).requires_grad_()
        for factor in (0.5, 1, 2)
    ]


def test_only_the_best_column_of_a_patch_learns():
    densities = make_densities()
    samples = [sample(points) for points in POINTS]
    loss = SwitchDifferentialLoss(dict(type='GaussianL2Loss', sigma=4.0))
    terms = loss.loss(dict(densities=densities), samples, 4)
    terms['loss_density'].backward()
    expected = 0.0
    for i, points in enumerate(POINTS):
        errors = [abs(density[i].sum().item() - len(points)) for density in densities]
        best = errors.index(min(errors))
        leaf = densities[best][i : i + 1].detach().requires_grad_()
        (value,) = GaussianL2Loss(sigma=4.0)(leaf, [points], 4).values()
        value.backward()
        expected += value.item() / 4
        for k, density in enumerate(densities):
            gradient = leaf.grad[0] / 4 if k == best else torch.zeros_like(density[i])
            got = torch.zeros_like(density[i]) if density.grad is None else density.grad[i]
            torch.testing.assert_close(got, gradient)
    assert terms['loss_density'].item() == pytest.approx(expected, rel=1e-12)


def test_a_column_that_is_never_best_has_no_gradient():
    """Not one of zeros, with which momentum would move it."""
    densities = [torch.full((1, 1, 2, 2), value, requires_grad=True) for value in (9.0, 1.0, 5.0)]
    loss = SwitchDifferentialLoss()
    loss.loss(dict(densities=densities), [sample([[1, 1], [5, 5]])], 4)['loss_density'].backward()
    assert [density.grad is None for density in densities] == [True, False, True]


def test_every_column_learns_at_first():
    densities = make_densities()
    samples = [sample(points) for points in POINTS]
    terms = SwitchPretrainLoss(dict(type='PMLLoss')).loss(dict(densities=densities), samples, 4)
    one = MODELS.build(dict(type='mmcrowd.PMLLoss'))
    alone = [one(density, list(POINTS), 4) for density in densities]
    assert set(terms) == set(alone[0])
    for key, value in terms.items():
        torch.testing.assert_close(value, sum(each[key] for each in alone))


def test_switch_and_columns_in_turn():
    densities, samples = make_densities(), [sample(points) for points in POINTS]
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    outputs = dict(densities=densities, logits=logits)
    loss = SwitchCoupledLoss(window=10)
    set_epoch(0)
    terms = loss.loss(outputs, samples, 4)
    assert set(terms) == {'loss_switch'}
    best = best_columns(densities, [len(points) for points in POINTS])
    seen = [0.9**4 + best.tolist().count(k) for k in range(3)]
    expected = -sum(
        logits.log_softmax(1)[i, k] * sum(seen) / (3 * seen[k]) for i, k in enumerate(best.tolist())
    )
    torch.testing.assert_close(terms['loss_switch'], expected / 4, rtol=1e-6, atol=0)
    terms['loss_switch'].backward()
    assert logits.grad.any() and all(density.grad is None for density in densities)

    logits.grad = None
    set_epoch(3)
    terms = loss.loss(outputs, samples, 4)
    sum(terms.values()).backward()
    assert logits.grad is None
    for k, density in enumerate(densities):
        learns = torch.zeros(4, dtype=torch.bool)
        if density.grad is not None:
            learns = density.grad.flatten(1).any(1)
        assert learns.tolist() == (logits.argmax(1) == k).tolist()


def test_weights_make_the_columns_equally_heavy():
    """As if the patches of each class were repeated until there are as many of each."""
    loss = SwitchCoupledLoss(window=10**9)
    best = torch.tensor([0] * 6000 + [1] * 1500 + [2] * 500)
    logits = torch.randn(3, 3, dtype=torch.float64)[best]
    one_by_one = F.cross_entropy(logits, best, reduction='none')
    expected = sum(one_by_one[best == k].mean() for k in range(3)) / 3
    torch.testing.assert_close(loss.switch_loss(logits, best), expected, rtol=2e-3, atol=0)


class RelativeCountLoss(DensityLoss):
    """Squared relative error of the count."""

    def batch_loss(self, density, points, stride, partition, sides):
        count = density.new_tensor([len(each) for each in points])
        return dict(loss_count=(density.sum((1, 2, 3)) / count - 1).square())


def test_columns_specialise():
    """Densities that are a rate times the number of visible heads: dense patches hide a half.

    One rate cannot fit all patches; in the second stage one column finds each kind.
    """
    people = torch.tensor([4, 5, 8, 11, 60, 75, 80, 99])
    visible = torch.where(people < 30, people, people / 2.0).double()
    frames = [sample(torch.zeros(n, 2)) for n in people.tolist()]

    def train(stage, steps=40):
        rates = torch.tensor([1.2, 1.5, 1.8], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([rates], lr=0.8)
        loss = stage(dict(type=RelativeCountLoss))
        for _ in range(steps):
            optimizer.zero_grad()
            densities = [(rate * visible).view(-1, 1, 1, 1) for rate in rates]
            sum(loss.loss(dict(densities=densities), frames, 4).values()).backward()
            optimizer.step()
        rates = rates.detach()
        return rates, (rates * visible[:, None] - people[:, None]).abs().min(1).values.mean()

    _, together = train(SwitchPretrainLoss)
    rates, apart = train(SwitchDifferentialLoss)
    assert apart < 0.01 * together
    assert rates.tolist() == pytest.approx([1, 1.5, 2], abs=0.01)


@pytest.mark.parametrize('epoch', [0, 1])
@pytest.mark.parametrize('stage', STAGES)
def test_bad_batch(stage, epoch):
    """No point, one, more than cells, two alike and some outside; nothing predicted, and much."""
    set_epoch(epoch)
    points = ([], [[3, 4]], 24 * torch.rand(90, 2), [[5, 5], [5, 5]], [[-5, 3], [1e4, 3], [1, 1]])
    fill = torch.tensor([0, 1e-8, 0, 1, 100]).view(5, 1, 1, 1)
    densities = [(fill * torch.rand(5, 1, 6, 6)).requires_grad_() for _ in range(3)]
    logits = (100 * torch.randn(5, 3)).requires_grad_()
    outputs = dict(densities=densities, logits=logits)
    with torch.autocast('cpu', torch.bfloat16):
        terms = stage().loss(outputs, [sample(each).to(torch.float32) for each in points], 4)
    assert all(key.startswith('loss_') and value.isfinite() for key, value in terms.items())
    sum(terms.values()).backward()
    gradients = [each.grad for each in (*densities, logits) if each.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)


# ---------------------------------------------------------------------------------------- weights

SHAPES = {
    'shallow_9x9': ((9, 1, 16), (7, 16, 32), (7, 32, 16), (7, 16, 8), (1, 8, 1)),
    'shallow_7x7': ((7, 1, 20), (5, 20, 40), (5, 40, 20), (5, 20, 10), (1, 10, 1)),
    'shallow_5x5': ((5, 1, 24), (3, 24, 48), (3, 48, 24), (3, 24, 12), (1, 12, 1)),
}


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """Pickles as the program writes them, and their arrays."""
    folder = tmp_path_factory.mktemp('coupled_train')
    rng = np.random.default_rng(0)
    arrays = {}
    for name, layers in SHAPES.items():
        arrays[name] = []
        for side, c_in, c_out in layers:
            weight = rng.normal(0, 1 / (side * c_in**0.5), (c_out, c_in, side, side))
            arrays[name] += [weight.astype('f4'), rng.normal(0, 0.1, c_out).astype('f4')]
    widths = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    switch = arrays['deep_patch_classifier'] = []
    for c_in, c_out in itertools.pairwise(widths):
        weight = rng.standard_normal((c_out, c_in, 3, 3), np.float32)
        switch += [weight * (2 / (9 * c_in)) ** 0.5, np.full(c_out, 0.01, 'f4')]
    for c_in, c_out in ((512, 512), (512, 3)):
        weight = rng.standard_normal((c_in, c_out), np.float32)
        switch += [weight * (2 / c_in) ** 0.5, np.full(c_out, 0.01, 'f4')]
    for name, values in arrays.items():
        (folder / f'{name}.pkl').write_bytes(pickle.dumps(values, protocol=2))
    return folder, {k: [torch.as_tensor(v) for v in values] for k, values in arrays.items()}


@torch.no_grad()
def test_published_weights_give_the_published_network(published):
    folder, arrays = published
    cfg = Config.fromfile(CONFIGS / 'switch_cnn_sha_coupled.py')
    init_default_scope('mmcrowd')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    model.load_state_dict({**convert(folder), 'loss_module.seen': torch.ones(3)}, assign=True)
    patch = torch.randint(0, 256, (2, 1, 40, 36)).float()
    outputs = model.eval()(patch)
    for ours, name in zip(outputs['densities'], SHAPES, strict=True):
        x = patch
        for i, (weight, bias) in enumerate(zip(*[iter(arrays[name])] * 2, strict=True)):
            x = F.conv2d(x, weight, bias, padding='same').relu()
            x = F.max_pool2d(x, 2) if i < 2 else x
        torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)
    *convolutions, fc, fc_bias, last, last_bias = arrays['deep_patch_classifier']
    x = patch.repeat(1, 3, 1, 1) - torch.tensor([104.008, 116.669, 122.675]).view(1, 3, 1, 1)
    for i, (weight, bias) in enumerate(zip(*[iter(convolutions)] * 2, strict=True)):
        x = F.conv2d(x, weight, bias, padding=1).relu()
        x = F.max_pool2d(x, 2) if i in (1, 3, 6, 9, 12) else x
    logits = (x.mean((2, 3)) @ fc + fc_bias).relu() @ last + last_bias
    torch.testing.assert_close(outputs['logits'], logits, rtol=1e-3, atol=1e-3)


def test_converter_files(published, load_tool, monkeypatch, tmp_path):
    """The tool writes what a stage loads: the columns of another one, without its switch."""
    folder, arrays = published
    for name in SHAPES:
        (tmp_path / f'{name}.pkl').write_bytes((folder / f'{name}.pkl').read_bytes())
    tool = load_tool('model_converters/switch_cnn_from_published.py')
    monkeypatch.setattr('sys.argv', ['tool', str(tmp_path), str(tmp_path / 'ours.pth')])
    tool.main()
    ours = torch.load(tmp_path / 'ours.pth')['state_dict']
    model = torch.nn.ModuleDict(dict(backbone=SwitchMCNN(), head=SwitchHead()))
    model.load_state_dict(ours)
    assert torch.equal(ours['backbone.column2.2.conv.weight'], arrays['shallow_7x7'][2])


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'one file \*9x9\*\.pkl, found \[\]'):
        convert(tmp_path)
    path = tmp_path / '9x9_net.pkl'
    path.write_bytes(pickle.dumps(Path('code')))
    with pytest.raises(ValueError, match=r'9x9_net\.pkl: .* expected arrays only'):
        convert(tmp_path)
    path.write_bytes(pickle.dumps([np.zeros((8, 1, 1, 1), 'f4')]))
    with pytest.raises(ValueError, match=r'arrays of \[\(8, 1, 1, 1\)\], expected \[\(16, 1, 9, 9'):
        convert(tmp_path)


# --------------------------------------------------------------------------------------- the rest


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match='in_channels=2, expected 1 or 3'):
        SwitchMCNN(2)
    with pytest.raises(ValueError, match=r'grid=\(3, 0\), stride=4, expected positive'):
        GridInference(grid=(3, 0))
    with pytest.raises(ValueError, match=r'padded to \(8, 30\) .* multiples of stride=4'):
        GridInference()(None, torch.zeros(1, 1, 8, 30))
    with pytest.raises(ValueError, match='window'):
        SwitchCoupledLoss(window=0)


def test_trains_on_real_images(data_root):
    cfg = Config.fromfile(CONFIGS / 'switch_cnn_sha_differential.py')
    cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.dataset
    start = dict(_delete_=True, type='Kaiming', layer='Conv2d', mode='fan_in')
    small = dict(data_preprocessor=dict(std=[255.0]), backbone=dict(init_cfg=start))
    _, losses, _ = train_steps(cfg, small, crop_size=64, steps=5, lr=1e-3)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
