"""Tests marked ``cuda`` run where there is an NVIDIA GPU.

``MMCROWD_TEST_DEVICE=cpu`` rehearses them on the CPU, so that a GPU meets no slip of the pen: what
compares devices then compares equals, and what only CUDA has is skipped.
"""

import os

import pytest
import torch
from mmengine.registry import init_default_scope

NAME = os.environ.get('MMCROWD_TEST_DEVICE', 'cuda')


def pytest_collection_modifyitems(items):
    if NAME == 'cuda' and not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker('cuda'):
                item.add_marker(pytest.mark.skip(reason='no CUDA device'))


@pytest.fixture
def device() -> torch.device:
    """The device under test."""
    return torch.device(NAME)


@pytest.fixture
def cuda(device) -> torch.device:
    """The device under test, for what no other kind of device has."""
    if device.type != 'cuda':
        pytest.skip('of CUDA only')
    return device


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Convolutions of float32 in float32, not in TF32 as cuDNN's default is, and our scope."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    init_default_scope('mmcrowd')
