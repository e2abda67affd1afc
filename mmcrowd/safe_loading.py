"""The readers of checkpoints that run no code, in place from ``import mmcrowd`` on.

MMEngine's table of readers is in a module that loads torch. So that ``import mmcrowd`` does not,
the readers go into the table when that module has been loaded, whoever loads it.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

TABLE = 'mmengine.runner.checkpoint'


class TableFinder(MetaPathFinder):
    """Finds the module of the table as Python does, and lets the readers follow when it has run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == TABLE else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_register(module: ModuleType) -> None:
            run(module)
            _register()

        spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
        return spec


def _register() -> None:
    from mmcrowd.fileio.checkpoint_schemes import register_safe_readers

    register_safe_readers()


def keep_loading_safe() -> None:
    """Register the safe readers: now if MMEngine's are loaded, otherwise when they will be."""
    if TABLE in sys.modules:
        _register()
    elif not any(isinstance(finder, TableFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, TableFinder())
