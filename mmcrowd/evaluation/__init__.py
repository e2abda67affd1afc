"""Metrics of counting and localization.

``functional`` has the formulas on plain arrays, ``metrics`` what MMEngine's evaluator takes,
``formats`` the files of benchmarks. What is exported here is imported at its first use, so that the
formulas load neither the engine nor PyTorch.
"""

from importlib import import_module

_MODULES = dict(
    functional=(
        'ATTRIBUTE_CLASSES',
        'COUNT_CLASSES',
        'blurred_truth',
        'count_errors',
        'count_errors_by_attribute',
        'count_errors_by_class',
        'density_by_region',
        'density_quality',
        'game',
        'localization_scores',
        'match_heads',
        'match_points',
        'match_points_at_radii',
        'mean_over_classes',
        'points_by_region',
    ),
    image_result=('ImageResult', 'load_results', 'save_results'),
    metrics=(
        'LOCALIZATION_PROTOCOLS',
        'CountMetric',
        'DensityQualityMetric',
        'LocalizationMetric',
        'ResultsDump',
    ),
)
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULE_OF[name]}'), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
