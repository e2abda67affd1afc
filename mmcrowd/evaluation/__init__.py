"""Metrics of counting and localization.

``functional`` has the formulas on plain arrays, ``metrics`` what MMEngine's evaluator takes,
``formats`` the files of benchmarks. What they export can be imported from here too; it is loaded at
its first use, so that the formulas load neither the engine nor PyTorch.
"""

from importlib import import_module
from importlib.util import find_spec

# From light to heavy.
_EXPORTING = ('functional', 'image_result', 'image_errors', 'metrics', 'result_metrics')


def __getattr__(name: str):
    # Private names and sub-modules are nobody's export; searching for them would load everything.
    if not name.startswith('_') and find_spec(f'{__name__}.{name}') is None:
        for module in (import_module(f'{__name__}.{part}') for part in _EXPORTING):
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    exported = (import_module(f'{__name__}.{part}').__all__ for part in _EXPORTING)
    return sorted({*globals()}.union(*exported))
