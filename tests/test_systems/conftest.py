import pytest

from ..testing.published import Golden


@pytest.fixture(scope='session')
def golden(golden_root):
    """Function that loads the stored outputs of a published program."""
    return lambda name: Golden(golden_root / 'systems', name)
