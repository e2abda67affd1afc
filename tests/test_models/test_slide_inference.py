import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from torch import nn

from mmcrowd.models import CrowdDataPreprocessor, PointCounter, SlideInference
from mmcrowd.models.counters.base_counter import whole_images
from mmcrowd.models.slide_inference import split
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample


@pytest.fixture(autouse=True)
def crowd_scope():
    init_default_scope('mmcrowd')


def make_image(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)


def collated(*images):
    samples = [CrowdDataSample(metainfo=dict(img_shape=tuple(image.shape[1:]))) for image in images]
    return dict(inputs=list(images), data_samples=samples)


PREPROCESSORS = {
    'colour': dict(mean=[10, 20, 30], std=[50, 60, 70], bgr_to_rgb=True, pad_size_divisor=16),
    'grey': dict(mean=[0], std=[255], to_gray=True, pad_size_divisor=16),
}


class Convolutions(nn.Sequential):
    """Backbone at stride 4 that sees 2 + 1 + 2 * 2 + 2 + 4 * 1 = 13 pixels to each side."""

    def __init__(self, in_channels):
        super().__init__(
            *(nn.Conv2d(in_channels, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Conv2d(8, 8, 3, padding=1),
        )


def make_counter(inference, preprocessor='grey'):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='DensityCounter',
            data_preprocessor=dict(type='CrowdDataPreprocessor', **PREPROCESSORS[preprocessor]),
            backbone=dict(type=Convolutions, in_channels=1 if preprocessor == 'grey' else 3),
            head=dict(
                type='DensityHead',
                in_channels=8,
                mid_channels=(),
                in_stride=4,
                out_stride=2,
                activation='softplus',
            ),
            loss=dict(type='PMLLoss'),
            inference=inference,
        )
    )
    return model.eval()


@pytest.mark.parametrize('preprocessor', PREPROCESSORS)
def test_tiles_agree_with_the_whole_where_the_halo_covers_the_reach(preprocessor):
    tiles = dict(type='SlideInference', crop_size=(64, 80), halo=16, divisor=16, min_pixels=0)
    whole, slide = (make_counter(inference, preprocessor) for inference in (None, tiles))
    images = make_image(150, 330), make_image(131, 90, seed=1)
    expected, found = (model.test_step(collated(*images)) for model in (whole, slide))
    for a, b in zip(expected, found, strict=True):
        assert a.pred_density.shape == b.pred_density.shape
        spread = a.pred_density.density.std()
        assert spread > 1e-2  # so that a wrong cell would be seen
        torch.testing.assert_close(
            b.pred_density.density, a.pred_density.density, rtol=1e-5, atol=1e-5
        )
        assert b.pred_count == pytest.approx(a.pred_count, rel=1e-5)
        assert a.pad_shape == b.pad_shape == (160, 336)
    # With less context the cells at the borders of tiles differ.
    slide.inference = SlideInference(crop_size=64, halo=8, divisor=8, min_pixels=0)
    short = slide.test_step(collated(*images))[0]
    assert (short.pred_density.density - expected[0].pred_density.density).abs().max() > 1e-4


def test_a_small_batch_goes_through_as_a_whole():
    sizes = []

    def run(inputs, padding_mask=None):
        sizes.append(tuple(inputs.shape))
        return dict(density=F.avg_pool2d(inputs, 4))

    slide = SlideInference(crop_size=64, halo=0, min_pixels=2 * 64 * 96)
    inputs = torch.rand(2, 1, 64, 96)
    assert torch.equal(slide(run, inputs)['density'], F.avg_pool2d(inputs, 4))
    assert sizes == [(2, 1, 64, 96)]
    slide(run, torch.rand(1, 1, 96, 128))
    assert sizes[1:] == [(1, 1, 96, 128)]
    slide(run, torch.rand(1, 1, 128, 160))
    assert sizes[2:] == [(1, 1, 64, 32), (1, 1, 64, 64), (1, 1, 64, 64)] * 2


@pytest.mark.parametrize('preprocessor', PREPROCESSORS)
def test_a_window_has_the_pixels_of_the_prepared_batch(preprocessor):
    module = CrowdDataPreprocessor(**PREPROCESSORS[preprocessor])
    images = make_image(40, 70), make_image(20, 50, seed=1)
    expected = module(collated(*images))['inputs']
    lazy = module.defer(collated(*images))
    assert lazy['inputs'].shape == tuple(expected.shape)
    assert [sample.pad_shape for sample in lazy['data_samples']] == [(48, 80)] * 2
    every = slice(None)
    for rows, columns in [(every, every), (slice(3, 30), slice(60, 80)), (slice(41, 48), every)]:
        for numbers in (every, slice(1, 2)):
            window = lazy['inputs'][numbers, :, rows, columns]
            assert torch.equal(window, expected[numbers, :, rows, columns])


def test_all_maps_and_the_padding_mask_are_those_of_the_whole():
    def run(inputs, padding_mask=None):
        inside = (~padding_mask[:, None]).to(inputs.dtype)
        levels = [F.avg_pool2d(inside * inputs, stride) for stride in (2, 8)]
        return dict(density=levels[0], more=dict(levels=levels, mask=inside))

    inputs = torch.rand(2, 3, 96, 128)
    samples = whole_images(inputs)
    samples[1].set_metainfo(dict(img_shape=(50, 70)))
    whole = SlideInference(min_pixels=10**6)(run, inputs, samples)
    tiled = SlideInference(crop_size=64, halo=16, divisor=16, min_pixels=0)(run, inputs, samples)
    torch.testing.assert_close(tiled, whole)
    assert tiled['more']['mask'][1].sum() == 50 * 70


def test_each_proposal_belongs_to_one_tile():
    torch.manual_seed(0)
    model = PointCounter(
        backbone=dict(type=Convolutions, in_channels=1),
        head=dict(
            type='mmcrowd.PointHead',
            in_channels=8,
            mid_channels=(4,),
            offset_scale=9.0,
            in_stride=4,
        ),
        loss=dict(type='mmcrowd.P2PLoss'),
        data_preprocessor=dict(type='mmcrowd.CrowdDataPreprocessor', to_gray=True),
    )
    inputs = torch.rand(1, 1, 128, 256)
    whole = model.run_network(inputs)
    assert whole['points'].shape == (1, 32 * 64 * 4, 2)
    moved = whole['points'][0] - model.head.reference_points((32, 64), whole['points'])
    assert 1 < moved.abs().max() < 16  # so that a tile of 32 pixels around its core holds them
    tiled = SlideInference(crop_size=128, halo=32, min_pixels=0)(model.run_network, inputs)
    order = [np.lexsort(out['points'][0].detach().numpy().round(2).T) for out in (whole, tiled)]
    for name in ('points', 'logits'):
        a, b = (out[name][0].detach()[i] for out, i in zip((whole, tiled), order, strict=True))
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-3)


class Scarce:
    """A network on a device that has memory for so many pixels."""

    def __init__(self, pixels, error=None):
        self.pixels = pixels
        self.error = error or torch.OutOfMemoryError('tried to allocate 2 GiB')
        self.sizes = []

    def __call__(self, inputs, padding_mask=None):
        self.sizes.append(tuple(inputs.shape[2:]))
        if inputs[0, 0].numel() > self.pixels:
            raise self.error
        return dict(density=F.avg_pool2d(inputs, 4))


@pytest.mark.parametrize('min_pixels', [0, 10**6])
def test_out_of_memory_halves_the_tiles(min_pixels):
    inputs = torch.rand(1, 1, 128, 128)
    slide = SlideInference(crop_size=128, halo=0, min_pixels=min_pixels)
    run = Scarce(64 * 64)
    with pytest.warns(UserWarning, match=r'tiles of \(64, 64\).*tried to allocate'):
        outputs = slide(run, inputs)
    assert torch.equal(outputs['density'], F.avg_pool2d(inputs, 4))
    assert run.sizes == [(128, 128)] + [(64, 64)] * 4
    slide(run, inputs)  # the next image does not try the large tiles again
    assert run.sizes[5:] == [(64, 64)] * 4


@pytest.mark.parametrize(
    'message',
    [
        'MPS backend out of memory (MPS allocated: 17.94 GB, max allowed: 18.13 GB).',
        "[enforce fail at alloc_cpu.cpp:113] DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_out_of_memory_of_other_devices(message):
    slide = SlideInference(crop_size=128, halo=0, min_pixels=0)
    run = Scarce(64 * 64, RuntimeError(message))
    with pytest.warns(UserWarning, match=r'tiles of \(64, 64\)'):
        slide(run, torch.rand(1, 1, 128, 128))
    assert run.sizes == [(128, 128)] + [(64, 64)] * 4
    slide = SlideInference(crop_size=128, halo=0, min_pixels=0)
    with pytest.raises(RuntimeError, match='sizes do not fit'):
        slide(Scarce(0, RuntimeError('sizes do not fit')), torch.rand(1, 1, 128, 128))


def test_the_cache_of_the_accelerator_is_emptied(monkeypatch):
    emptied = []
    module = SimpleNamespace(empty_cache=lambda: emptied.append('cache'))
    monkeypatch.setattr(torch.accelerator, 'is_available', lambda: True)
    monkeypatch.setattr(torch, 'get_device_module', lambda: module)
    slide = SlideInference(crop_size=128, halo=0, min_pixels=0)
    with pytest.warns(UserWarning, match='tiles'):
        slide(Scarce(64 * 64), torch.rand(1, 1, 128, 128))
    assert emptied == ['cache']


def test_out_of_memory_twice_is_an_error():
    slide = SlideInference(crop_size=128, halo=0, min_pixels=0)
    with pytest.warns(UserWarning, match='memory'), pytest.raises(torch.OutOfMemoryError):
        slide(Scarce(32 * 32), torch.rand(1, 1, 128, 128))
    # Tiles that are all halo but for a little cannot be halved.
    slide = SlideInference(crop_size=96, halo=32, min_pixels=0)
    run = Scarce(0)
    with pytest.raises(torch.OutOfMemoryError):
        slide(run, torch.rand(1, 1, 128, 128))
    assert len(run.sizes) == 1


@given(
    size=st.integers(1, 2000),
    core=st.integers(1, 10),
    halo=st.integers(0, 5),
    divisor=st.integers(1, 32),
)
@settings(max_examples=50, deadline=None)
def test_cores_cover_a_side_once(size, core, halo, divisor):
    core, halo = core * divisor, halo * divisor
    spans = split(size, core + 2 * halo, halo, divisor)
    assert spans[0].core_start == 0 and spans[-1].core_end == size
    for span, following in itertools.pairwise(spans):
        assert span.core_end == following.core_start
    for span in spans:
        assert span.core_start < span.core_end and span.start % divisor == 0
        assert span.end - span.start <= core + 2 * halo
        assert span.start == max(span.core_start - halo, 0)
        assert span.end == min(span.core_end + halo, size)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(crop_size=100), 'crop_size=100 .* multiples of divisor=32'),
        (dict(crop_size=(64, 96), halo=32), r'crop_size=\(64, 96\) with halo=32'),
        (dict(halo=-32), 'halo=-32'),
    ],
)
def test_bad_tiles(options, message):
    with pytest.raises(ValueError, match=message):
        SlideInference(**options)


def test_outputs_that_cannot_be_joined():
    slide = SlideInference(crop_size=64, halo=0, min_pixels=0)
    inputs = torch.rand(1, 1, 128, 64)
    with pytest.raises(ValueError, match=r"'attention' of \(1, 9, 9\)"):
        slide(lambda inputs, padding_mask: dict(attention=inputs.new_zeros(1, 9, 9)), inputs)
    with pytest.raises(ValueError, match="'density' has 64 pixels per cell"):
        slide(lambda inputs, padding_mask: dict(density=F.avg_pool2d(inputs, 64)), inputs)
    proposals = torch.rand(2, 5, 2) * torch.tensor([[[9.0]], [[99.0]]])
    with pytest.raises(ValueError, match="numbers of 'points'; expected batch_size=1"):
        numbers = iter((1, 2, 3, 4))
        slide(
            lambda inputs, padding_mask: dict(points=proposals[:1, : next(numbers)]),
            torch.rand(2, 1, 128, 64),
        )
