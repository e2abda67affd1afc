"""A batch for every process; ``set_data_root`` is tested with all configs."""

import pytest
from mmengine.config import ConfigDict

from mmcrowd.engine.loaders import require_batch


def loader(**kwargs):
    sampler = dict(type='DefaultSampler', shuffle=True)
    return ConfigDict(dict(batch_size=4, drop_last=True, sampler=sampler) | kwargs)


@pytest.mark.parametrize('num_images, num_processes', [(3, 1), (6, 2), (1, 8)])
def test_images_of_a_process_fill_no_batch(num_images, num_processes):
    with pytest.raises(ValueError, match=r'batch_size=4 with drop_last .* expected at most \d'):
        require_batch(loader(), num_images, num_processes)


@pytest.mark.parametrize(
    'given, num_images, num_processes',
    [
        (loader(), 4, 1),
        # The sampler repeats images, so that all processes have equally many.
        (loader(), 7, 2),
        (loader(drop_last=False), 1, 1),
        (loader(sampler=dict(type='InfiniteSampler')), 1, 1),
        (loader(sampler=dict(type='MySampler')), 1, 1),
        (ConfigDict(drop_last=True, sampler=dict(type='DefaultSampler')), 1, 1),
    ],
)
def test_a_batch_for_all(given, num_images, num_processes):
    require_batch(given, num_images, num_processes)
