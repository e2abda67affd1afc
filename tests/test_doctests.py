"""The examples in the docstrings run."""

import doctest
import pkgutil
from importlib import import_module

import pytest

import mmcrowd
from mmcrowd.registry import DATASETS, METRICS, MODELS, TASK_UTILS, TRANSFORMS

MODULES = [module.name for module in pkgutil.walk_packages(mmcrowd.__path__, 'mmcrowd.')]


@pytest.mark.parametrize('name', MODULES)
def test_examples(name):
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.testmod(import_module(name), optionflags=options)
    assert not failed


@pytest.mark.parametrize('registry', [DATASETS, TRANSFORMS, METRICS, TASK_UTILS, MODELS])
def test_what_a_config_names_has_an_example(registry):
    registry.import_from_location()
    finder = doctest.DocTestFinder(exclude_empty=True)
    # Other tests may have registered classes of their own.
    classes = {c for c in registry.module_dict.values() if c.__module__.startswith('mmcrowd.')}
    if registry is MODELS:  # networks are shown in the configs
        classes = {cls for cls in classes if cls.__name__.endswith('Loss')}
    lacking = [c.__name__ for c in classes if not any(t.examples for t in finder.find(c))]
    assert classes and not lacking
