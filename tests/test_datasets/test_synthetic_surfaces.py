import numpy as np
import pytest
from mmengine.dataset import pseudo_collate

from mmcrowd.datasets import SyntheticSurfaceDataset
from mmcrowd.datasets.synthetic import draw_surface, surfaces


def test_image_k_is_the_same_in_every_instance_and_differs_from_others():
    one = SyntheticSurfaceDataset(num_images=4, img_size=(64, 48))
    other = SyntheticSurfaceDataset(num_images=3, img_size=(64, 48), cache=True)
    for _ in range(2):  # the second time from memory
        assert np.array_equal(other.get_data_info(2)['img'], one.get_data_info(2)['img'])
    different = [one.get_data_info(k)['img'] for k in range(4)]
    different += [
        SyntheticSurfaceDataset(**options, num_images=1, img_size=(64, 48)).get_data_info(0)['img']
        for options in (dict(seed=1), dict(split='val'), dict(split='test'))
    ]
    assert len({img.tobytes() for img in different}) == 7


def test_nobody_goes_through_a_pipeline():
    pipeline = [
        dict(type='mmcrowd.LoadCrowdImage'),
        dict(type='mmcrowd.RandomScaleCrop', crop_size=32, scale_range=(0.8, 1.25)),
        dict(type='mmcrowd.PackCrowdInputs'),
    ]
    dataset = SyntheticSurfaceDataset(
        num_images=2, img_size=(64, 48), pipeline=pipeline, partition_stride=4
    )
    batch = pseudo_collate([dataset[0], dataset[1]])
    assert [sample.gt_count for sample in batch['data_samples']] == [0, 0]
    assert batch['inputs'][0].shape == (3, 32, 32)


@pytest.mark.parametrize('surface', surfaces.SURFACES)
@pytest.mark.parametrize('size', surfaces.SIZES)
def test_every_surface_has_structure_at_every_size(surface, size):
    canvas = np.zeros((64, 96, 3), np.uint8)
    surface(canvas, size, np.random.default_rng(3))
    assert canvas.std() > 1


def test_all_surfaces_are_drawn(monkeypatch):
    drawn = set()
    spies = tuple(lambda *args, k=k: drawn.add(k) for k in range(len(surfaces.SURFACES)))
    monkeypatch.setattr(surfaces, 'SURFACES', spies)
    for k in range(100):
        draw_surface((0, 0, k), (32, 32))
    assert drawn == set(range(len(spies)))


@pytest.mark.parametrize(
    'options', [dict(num_images=0), dict(seed=-1), dict(img_size=(96, 31)), dict(split='trainval')]
)
def test_bad_options(options):
    (name, value), *_ = options.items()
    with pytest.raises(ValueError, match=f'SyntheticSurfaceDataset: {name}=') as error:
        SyntheticSurfaceDataset(**options)
    assert repr(value) in str(error.value)
