"""The check of the packages below mmcrowd, with injected versions."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mmcrowd
from mmcrowd import dependencies
from mmcrowd.dependencies import REQUIREMENTS, check_versions, extras, missing_requirements

REPO = Path(__file__).parents[1]
GOOD = {
    'torch': '2.14.1',
    'torchvision': '0.29.1',
    'mmengine': '0.11.0rc3',
    'mmcv-lite': '2.2.0',
    'mmpretrain': '1.2.0',
}


def without(*names):
    return {name: version for name, version in GOOD.items() if name not in names}


@pytest.mark.parametrize(
    'installed',
    [
        GOOD,
        {**GOOD, 'torch': '2.6.0+cu124', 'torchvision': '0.21.0+cu124'},
        {**without('mmcv-lite'), 'mmcv': '2.0.0'},
        {
            'torch': '2.14.1',
            'torchvision': '0.29.1',
            'onedl-mmengine': '0.10.12',
            'onedl-mmcv': '2.3.6',
            'onedl-mmpretrain': '1.3.6',
        },
    ],
    ids=['lite', 'older', 'full', 'forks'],
)
def test_accepts_compatible_sets_silently(installed):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        check_versions(installed)


@pytest.mark.parametrize(
    'name, command',
    [
        ('torch', 'pip install "torch>=2.6" "torchvision>=0.21"'),
        ('torchvision', 'pip install "torch>=2.6" "torchvision>=0.21"'),
        ('mmengine', 'pip install "mmengine>=0.11.0rc3,<1"'),
        ('mmcv-lite', 'pip install "mmcv-lite>=2.0,<2.4"'),
        ('mmpretrain', 'pip install "mmpretrain>=1.2,<2"'),
    ],
)
def test_missing_package_is_named_with_the_command(name, command):
    with pytest.raises(ImportError, match=f'{name}.* is not installed') as error:
        check_versions(without(name))
    assert command in str(error.value)


@pytest.mark.parametrize(
    'name, seen, wanted, command',
    [
        ('torch', '2.5.1+cu121', '>=2.6', 'pip install "torch>=2.6" "torchvision>=0.21"'),
        ('mmengine', '0.10.5', '>=0.10.7,<1', 'pip install "mmengine>=0.11.0rc3,<1"'),
        ('mmengine', '1.0.0', '>=0.10.7,<1', 'pip install "mmengine>=0.11.0rc3,<1"'),
        ('mmcv-lite', '2.4.0', '>=2.0,<2.4', 'pip install "mmcv-lite>=2.0,<2.4"'),
        ('mmcv-lite', '2.0.0rc4', '>=2.0,<2.4', 'pip install "mmcv-lite>=2.0,<2.4"'),
        ('mmpretrain', '1.0.0', '>=1.2,<2', 'pip install "mmpretrain>=1.2,<2"'),
    ],
)
def test_incompatible_version_is_named_with_the_command(name, seen, wanted, command):
    with pytest.raises(ImportError) as error:
        check_versions({**GOOD, name: seen})
    for part in (f'needs {name}{wanted}', f'{name} {seen} is installed', command):
        assert part in str(error.value)


def test_command_keeps_the_distribution_that_is_there():
    with pytest.raises(ImportError, match='pip install "mmcv>=2.0,<2.4"'):
        check_versions({**without('mmcv-lite'), 'mmcv': '1.7.2'})


def test_two_owners_of_one_module_warn():
    with pytest.warns(UserWarning, match='mmcv-lite and mmcv are installed side by side'):
        check_versions({**GOOD, 'mmcv': '2.1.0'})


def test_mmengine_that_cannot_read_checkpoints_warns():
    with pytest.warns(UserWarning, match='mmengine 0.10.7 cannot load or resume .* torch 2.6.0'):
        check_versions(
            {**GOOD, 'torch': '2.6.0+cu124', 'torchvision': '0.21.0', 'mmengine': '0.10.7'}
        )


def test_torch_and_torchvision_that_are_no_pair_warn():
    with pytest.warns(UserWarning, match=r'no pair .*torchvision==0\.28\.\*'):
        check_versions({**GOOD, 'torch': '2.13.0+cpu'})


def test_missing_requirements():
    assert missing_requirements(GOOD) == []
    missing = missing_requirements(without('mmcv-lite', 'torch'))
    assert [item.providers[0] for item in missing] == ['torch', 'mmcv-lite']


def test_pinned_versions_are_in_the_bounds():
    pinned = {}
    for line in (REPO / 'requirements' / 'pinned.txt').read_text(encoding='utf-8').splitlines():
        name, found, version = line.partition(';')[0].strip().partition('==')
        if found:
            pinned[name] = version
    recommended = [each for item in REQUIREMENTS for each in item.recommended]
    for requirement in map(Requirement, [*recommended, *extras()['lite']]):
        assert requirement.specifier.contains(pinned[requirement.name], prereleases=True)


def test_extras_have_one_mmcv_and_the_full_one_no_torch():
    names = {extra: [Requirement(each).name for each in given] for extra, given in extras().items()}
    assert names == {
        'lite': ['torch', 'torchvision', 'mmengine', 'mmcv-lite', 'mmpretrain'],
        'full': ['mmengine', 'mmcv', 'mmpretrain'],
    }


def test_as_a_script_it_prints_what_is_missing():
    """Without packaging, which a new environment may lack: `make` runs it there."""
    code = (
        'import runpy, sys\n'
        'sys.modules["packaging"] = None\n'
        f'runpy.run_path({dependencies.__file__!r}, run_name="__main__")\n'
    )
    printed = subprocess.check_output([sys.executable, '-c', code], text=True)
    assert printed == '\n'  # nothing: the tests need all of them


def test_what_the_package_shows():
    assert dir(mmcrowd) == ['CrowdInferencer', '__version__', 'list_models', 'registry']


def test_import_is_cheap():
    heavy = ('mmcv', 'mmpretrain', 'torchvision', 'mmcrowd.datasets', 'mmcrowd.apis')
    code = f'import sys, mmcrowd; print([name for name in {heavy} if name in sys.modules])'
    printed = subprocess.check_output([sys.executable, '-c', code], text=True)
    assert printed.strip() == '[]'


def test_importing_the_models_says_nothing():
    """mmcv-lite's warning of a layer that mmcrowd has no use for is silenced, and nothing else."""
    code = (
        'import warnings, mmcrowd.models\n'
        'warnings.warn("Fail to import ``Other``")\n'
        'warnings.warn("of ``MultiScaleDeformableAttention``")\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert [line.partition('UserWarning: ')[2] for line in lines] == [
        'Fail to import ``Other``',
        'of ``MultiScaleDeformableAttention``',
    ], done.stderr
