"""Fixtures shared by all tests."""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings
from mmengine.dataset import base_dataset
from mmengine.utils import ManagerMixin

TOOLS = Path(__file__).resolve().parents[1] / 'tools'
# Where the images lie when MMCROWD_DATA_ROOT does not say: beside the repository.
DEFAULT_DATA_ROOT = Path(__file__).resolve().parents[2] / 'shared' / 'data'


# Tests compute, they do not time: a busy machine is no failure.
settings.register_profile('mmcrowd', deadline=None)
settings.load_profile('mmcrowd')


def _existing(path: Path, what: str) -> Path:
    if path.is_dir():
        return path
    reason = f'{what} not found at {path}; set MMCROWD_DATA_ROOT to the folder of the datasets'
    # A run that is known to have the data must not pass by skipping.
    if os.environ.get('MMCROWD_REQUIRE_DATA'):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope='session')
def data_root() -> Path:
    """Folder with the real datasets, one subfolder each; that of the configs from here on."""
    folder = _existing(Path(os.environ.get('MMCROWD_DATA_ROOT', DEFAULT_DATA_ROOT)), 'datasets')
    os.environ.setdefault('MMCROWD_DATA_ROOT', str(folder))
    return folder


@pytest.fixture(scope='session')
def golden_root(data_root) -> Path:
    """Folder with the reference values of the losses, beside the datasets."""
    return _existing(data_root.parent / 'golden', 'reference values')


@pytest.fixture(scope='session', autouse=True)
def user_cache(tmp_path_factory) -> Path:
    """The datasets' cache folder for the time of the tests, not the user's own."""
    folder = tmp_path_factory.mktemp('cache')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(folder))
        yield folder / 'mmcrowd' / 'annotations'


@pytest.fixture(scope='session', autouse=True)
def no_garbage_collection():
    """MMEngine collects garbage for every dataset that is made, which takes long among all the
    modules of a test run; Python does it by itself when needed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_dataset, 'gc', SimpleNamespace(collect=lambda: 0))
        yield


@pytest.fixture(autouse=True)
def no_mmengine_state():
    """Drop MMEngine's global instances after each test: its runners leave a default scope, a
    logger, a message hub and a visualizer behind, which the next test would otherwise see."""
    yield
    managers = ManagerMixin.__subclasses__()
    for manager in managers:
        manager._instance_dict.clear()
        managers.extend(manager.__subclasses__())


@pytest.fixture
def load_tool(monkeypatch):
    """Function that imports a script of ``tools/`` by its path there."""
    # The tools set it for MMEngine; here it would outlive the test.
    monkeypatch.setenv('LOCAL_RANK', '0')

    def load(name: str):
        spec = spec_from_file_location(f'tools_{Path(name).stem}', TOOLS / name)
        module = module_from_spec(spec)
        # Worker processes find its functions by the name of the module.
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load
