import importlib
from pathlib import Path

import pytest

from ..testing.published import Golden

CONVERTERS = Path(__file__).resolve().parents[2] / 'tools' / 'model_converters'


@pytest.fixture(scope='session')
def golden(golden_root):
    """Function that loads the stored outputs of a published program."""
    return lambda name: Golden(golden_root / 'systems', name)


@pytest.fixture(scope='session')
def converter():
    """Function that imports a converter as Python finds it when it is run as a script."""

    def load(name: str):
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(CONVERTERS)
            return importlib.import_module(name)

    return load
