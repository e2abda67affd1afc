import cv2
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope

from mmcrowd.datasets import transforms
from mmcrowd.models import BayesianLoss, DensityCounter
from mmcrowd.models.counters import base_counter
from mmcrowd.registry import MODELS

from ...testing.networks import BACKBONES, make_sample


@pytest.fixture(autouse=True)
def crowd_scope():
    init_default_scope('mmcrowd')


def build(name, **kwargs):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type='DensityCounter', loss=dict(type='PMLLoss'), **BACKBONES[name], **kwargs)
    )
    model.init_weights()
    return model


def mixed_batch(stride=None):
    """No point, one point, duplicates, points outside the frame."""
    points = ([], [[3, 4]], [[9, 9], [9, 9]], [[-40, 7], [31, 31], [100, 100]])
    samples = [make_sample(p, (32, 32), stride) for p in points]
    images = [torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8) for _ in points]
    return dict(inputs=images, data_samples=samples)


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
@pytest.mark.parametrize('name', BACKBONES)
def test_one_step_on_the_mixed_batch(name, precision):
    model = build(name, precision=precision).train()
    losses = {}
    for given in (False, True):
        torch.manual_seed(1)
        data = model.data_preprocessor(mixed_batch(model.stride if given else None), True)
        model.zero_grad()
        losses[given] = model(**data, mode='loss')
        assert all(key.startswith('loss_') for key in losses[given])
        sum(losses[given].values()).backward()
        for key, parameter in model.named_parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), key
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    for key, value in losses[True].items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, losses[False][key], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('name', BACKBONES)
def test_density_has_the_stride_of_the_head(name):
    model = build(name).eval()
    channels = 1 if name == 'mcnn' else 3
    with torch.no_grad():
        density = model(torch.rand(2, channels, 64, 96))['density']
    assert density.shape == (2, 1, 64 // model.stride, 96 // model.stride)
    assert (density >= 0).all()


@pytest.mark.parametrize('shape', [(40, 50), (1, 1), (33, 64)])
def test_predict_counts_the_unpadded_area_only(shape):
    model = build('vgg').eval()
    with torch.no_grad():
        model.head.predict.bias.fill_(1.0)  # people in the padding, too
    image = torch.randint(0, 256, (3, *shape), dtype=torch.uint8)
    data = model.data_preprocessor(
        dict(inputs=[image], data_samples=[make_sample([], shape)]), False
    )
    with torch.no_grad():
        density = model(data['inputs'])['density']
        (sample,) = model(**data, mode='predict')
    height, width = (-(-side // 2) for side in shape)
    assert sample.pad_shape == data['inputs'].shape[-2:]
    assert sample.pred_density.density.shape == (1, height, width)
    torch.testing.assert_close(sample.pred_density.density, density[0, :, :height, :width])
    assert sample.pred_count == pytest.approx(density[0, :, :height, :width].double().sum().item())
    assert sample.pred_count < density.sum().item()
    assert isinstance(sample.pred_count, float)


@pytest.mark.parametrize('name', ['mcnn', 'vgg'])
def test_padding_that_loses_the_edge_is_refused(name):
    """A network that halves twice or more drops the rows and columns that are left over."""
    preprocessor = dict(
        BACKBONES[name].get('data_preprocessor', dict(type='CrowdDataPreprocessor'))
    )
    model = build(name)
    model.data_preprocessor = MODELS.build(dict(preprocessor, pad_size_divisor=1))
    for shape in ((64, 62), (33, 64)):
        image = torch.zeros(3, *shape, dtype=torch.uint8)
        batch = dict(inputs=[image], data_samples=[make_sample([], shape)])
        data = model.data_preprocessor(batch, False)
        message = rf'of \({shape[0]}, {shape[1]}\) pixels .* cells of stride {model.stride}'
        with torch.no_grad(), pytest.raises(ValueError, match=f'{message}.*pad_size_divisor'):
            model(**data, mode='predict')


def test_predict_without_samples_takes_all():
    model = build('mcnn').eval()
    with torch.no_grad():
        samples = model(torch.rand(2, 1, 32, 32), mode='predict')
    assert [s.pred_density.density.shape for s in samples] == [(1, 8, 8)] * 2


def test_localizer_gives_points_in_the_original_frame(monkeypatch):
    """One person on one cell of an image that was halved, cropped and flipped on its way."""
    model = build('vgg', localizer=dict(type='LocalMaximum')).eval()
    density = torch.zeros(1, 1, 32, 32)
    density[0, 0, 5, 7] = 0.9
    density[0, 0, 5, 20] = 0.8  # in the padding
    monkeypatch.setattr(model.head, 'forward', lambda features: dict(density=density))
    sample = make_sample([], (40, 33))
    sample.set_metainfo(dict(scale_factor=(0.5, 0.5), crop_offset=(10.0, 4.0), flip=True))
    (sample,) = model.predict(torch.zeros(1, 3, 64, 64), [sample])
    # The centre of the cell is (14.5, 10.5); unflipped 17.5, in the halved image (27.5, 14.5).
    assert sample.pred_instances.points.tolist() == [[55.5, 29.5]]
    assert sample.pred_instances.scores.tolist() == pytest.approx([0.9])
    assert sample.pred_count == pytest.approx(0.9)
    assert sample.density_stride == 2


@pytest.mark.parametrize('localizer', ['LocalMaximum', 'OTMinimization'])
def test_points_lie_in_the_image(localizer, monkeypatch):
    """The last cell of an image of 33 x 33 px has its centre outside it."""
    model = build('vgg', localizer=dict(type=localizer)).eval()
    density = torch.zeros(1, 1, 32, 32)
    density[0, 0, 16, 16] = 1.0
    monkeypatch.setattr(model.head, 'forward', lambda features: dict(density=density))
    (sample,) = model.predict(torch.zeros(1, 3, 64, 64), [make_sample([], (33, 33))])
    assert sample.pred_instances.points.tolist() == [[32, 32]]


def test_images_of_different_size_in_a_training_batch():
    """They are padded to one size, for which the loss makes the partition; the loader cannot."""
    model = build('mcnn').train()
    for stride in (None, 4):
        samples = [make_sample([[5, 5]], shape, stride) for shape in ((32, 32), (48, 40))]
        images = [torch.zeros(3, *s.img_shape, dtype=torch.uint8) for s in samples]
        data = model.data_preprocessor(dict(inputs=images, data_samples=samples), True)
        if stride is None:
            losses = model(**data, mode='loss')
            assert all(torch.isfinite(value) for value in losses.values())
            continue
        with pytest.raises(ValueError, match='must have one size.*stride of the head, 4'):
            model(**data, mode='loss')


def test_wrong_stride_of_the_partition_is_told():
    model = build('mcnn').train()
    data = model.data_preprocessor(mixed_batch(stride=2), True)
    with pytest.raises(ValueError, match='stride of the head, 4'):
        model(**data, mode='loss')


class RecordingLoss(BayesianLoss):
    def forward(self, *args, image_sides=None, **kwargs):
        self.image_sides = image_sides
        return super().forward(*args, image_sides=image_sides, **kwargs)


def train_step(loss, samples):
    """The loss module of a counter, after a step on samples of a pipeline."""
    model = MODELS.build(dict(type='DensityCounter', loss=dict(type=loss), **BACKBONES['mcnn']))
    data = dict(
        inputs=[s['inputs'] for s in samples], data_samples=[s['data_samples'] for s in samples]
    )
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert all(value.isfinite() for value in losses.values())
    return model.loss_module


@pytest.mark.parametrize('lazy', [False, True])
@pytest.mark.parametrize('original', [(90, 120), (180, 240)])
def test_image_sides_of_a_pipeline_with_a_crop(tmp_path, original, lazy):
    """An image of 90 x 120, perhaps a copy of a larger one, is halved before it is cropped."""
    path = str(tmp_path / 'a.jpg')
    cv2.imwrite(path, np.zeros((90, 120, 3), np.uint8))

    def sample(*steps):
        results = dict(img_path=path, ori_shape=original, points=np.float32([[30, 30]]))
        for step in (
            transforms.LoadCrowdImage(lazy=lazy),
            transforms.ResizeToLimits(longest=60),
            *steps,
            transforms.Pad(16),
            transforms.RandomFlip(1.0),
            transforms.PackCrowdInputs(),
        ):
            results = step(results)
        return results

    crop = transforms.RandomScaleCrop
    samples = [
        sample(crop(32, (2, 2))),
        sample(crop(32, (1, 1))),
        sample(crop(32, (0.8, 0.8))),
        sample(crop(64, (0.5, 0.5))),  # the image is smaller than the window
        sample(),  # no crop, and padded to 48 x 64
    ]
    loss = train_step(RecordingLoss, samples)
    assert loss.image_sides == pytest.approx([90, 45, 36, 64, 45])


def test_image_sides_of_samples_that_do_not_know_their_image():
    """Without its original shape a crop counts as the image."""
    model = MODELS.build(
        dict(type='DensityCounter', loss=dict(type=RecordingLoss), **BACKBONES['mcnn'])
    )
    losses = model(**model.data_preprocessor(mixed_batch(4), True), mode='loss')
    assert model.loss_module.image_sides is None
    assert all(value.isfinite() for value in losses.values())


class FourArguments(torch.nn.Module):
    """A loss of somebody else, which knows the signature but no base class."""

    def forward(self, density, points, stride, partition=None):
        return dict(loss_count=(density.sum() - sum(len(p) for p in points)).abs())


def test_a_loss_that_needs_no_image_side_gets_none():
    results = dict(img=np.zeros((40, 60, 3), np.uint8), points=np.float32([[30, 30]]))
    for step in (
        transforms.LoadCrowdImage(),
        transforms.RandomScaleCrop(32),
        transforms.PackCrowdInputs(),
    ):
        results = step(results)
    loss = train_step(FourArguments, [results])
    assert isinstance(loss.module, FourArguments)


def test_unknown_loss_names_it():
    cfg = ConfigDict(type='DensityCounter', **{**BACKBONES['mcnn'], 'loss': dict(type='PLMLoss')})
    with pytest.raises(KeyError, match='PLMLoss is not in the mmcrowd::model registry'):
        MODELS.build(cfg)


def test_unknown_precision_and_mode():
    with pytest.raises(ValueError, match="precision='fp8'"):
        build('mcnn', precision='fp8')
    with pytest.raises(ValueError, match="mode='train'"):
        build('mcnn')(torch.rand(1, 1, 8, 8), mode='train')


def test_bf16_is_channels_last_and_close_to_fp32():
    exact, fast = build('vgg').eval(), build('vgg', precision='bf16').eval()
    fast.load_state_dict(exact.state_dict())
    weight = next(p for p in fast.parameters() if p.ndim == 4 and p.shape[1] > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        for model in (exact, fast):
            model.head.predict.bias.fill_(0.1)
        image = torch.randn(1, 3, 64, 64)
        a, b = exact(image)['density'], fast(image)['density']
    assert b.dtype == torch.float32
    torch.testing.assert_close(b, a, rtol=0.05, atol=0.01)


@pytest.mark.parametrize('multiplies', [True, False])
def test_auto_is_bf16_where_the_device_multiplies_it(multiplies, monkeypatch):
    monkeypatch.setattr(base_counter, 'multiplies_bfloat16', lambda device: multiplies)
    auto = build('vgg', precision='auto').eval()
    options = dict(precision='bf16') if multiplies else dict(channels_last=True)
    expected = build('vgg', **options).eval()
    expected.load_state_dict(auto.state_dict())
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for model in (auto, expected):
            model.head.predict.bias.fill_(0.1)
        assert torch.equal(auto(image)['density'], expected(image)['density'])
    weight = next(p for p in auto.parameters() if p.ndim == 4 and p.shape[1] > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_built_from_another_scope():
    init_default_scope('mmengine')
    from mmengine.registry import MODELS as ROOT

    assert ROOT.build(dict(type='mmcrowd.PMLLoss')).options['epsilon'] == 1.0
    assert ROOT.get('mmcrowd.DensityCounter') is DensityCounter
