import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


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
