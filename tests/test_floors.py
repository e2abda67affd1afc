"""Importing a part of the package loads no floor above it."""

import subprocess
import sys

import pytest

# What is loaded with any part: the package itself and its registries.
ALWAYS = {
    'mmcrowd',
    'mmcrowd.dependencies',
    'mmcrowd.registry',
    'mmcrowd.safe_loading',
    'mmcrowd.version',
}
ENGINE = ('mmengine.runner', 'mmengine.model', 'mmcv', 'mmpretrain')


def loaded_by(module: str) -> set[str]:
    """Names of the modules in a fresh process after ``import module``."""
    code = f'import sys, {module}; print(*sys.modules)'
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    'module, own, with_torch',
    [
        ('mmcrowd', (), False),
        ('mmcrowd.ops.cells', ('ops',), False),
        ('mmcrowd.ops.heads', ('ops',), False),
        ('mmcrowd.ops.neighbours', ('ops',), False),
        ('mmcrowd.ops.polygons', ('ops',), False),
        ('mmcrowd.ops.grid', ('ops',), True),
        ('mmcrowd.ops.partition', ('ops',), True),
        ('mmcrowd.fileio.files', ('fileio',), False),
        ('mmcrowd.fileio.images', ('fileio',), False),
        ('mmcrowd.fileio.jpeg', ('fileio',), False),
        ('mmcrowd.fileio.tables', ('fileio',), False),
        ('mmcrowd.evaluation.functional', ('evaluation', 'ops'), False),
    ],
)
def test_lower_floors_load_nothing_above(module, own, with_torch):
    modules = loaded_by(module)
    assert not [name for name in ENGINE if name in modules]
    assert ('torch' in modules) == with_torch
    ours = {name for name in modules if name.split('.')[0] == 'mmcrowd'} - ALWAYS
    assert {name.split('.')[1] for name in ours} == set(own)
