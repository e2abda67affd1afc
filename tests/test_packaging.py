"""The wheel in an environment of its own has the configs, the tools and their index."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import cv2
import pytest
import yaml

from mmcrowd.datasets import SyntheticCrowdDataset
from tests.testing.installed import closure, link_installed

REPO = Path(__file__).parents[1]
CONFIGS = REPO / 'configs'

USE = """
import sys
import mmcrowd
assert mmcrowd.__file__.startswith(sys.prefix), mmcrowd.__file__
from mmengine.config import Config
from mmengine.hub import get_config
from mmcrowd.engine.config import read_config
from mmcrowd.registry import DATA_SAMPLERS
top = read_config('mmcrowd::pml_hrnet_qnrf')
assert top.model.loss.type == 'PMLLoss' and sys.prefix in top.filename
assert read_config('mmcrowd::bl/bl_vgg19_sha.py').model.loss.type == 'BayesianLoss'
assert get_config('mmcrowd::bl/bl_vgg19_sha.py').model.loss.type == 'BayesianLoss'
open('mine.py', 'w').write("_base_ = 'mmcrowd::gl/gl_vgg19_sha.py'")
assert Config.fromfile('mine.py').model.loss.type == 'GeneralizedLoss'
DATA_SAMPLERS.get('DefaultSampler')
"""


def without_checkout() -> dict[str, str]:
    """Variables for a process that does not look for modules in this checkout."""
    return {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The package as a wheel, built from a copy of what the source distribution has."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    skipped = shutil.ignore_patterns('__pycache__', '.mim', '*.egg-info')
    for name in ('mmcrowd', 'configs', 'tools', 'requirements'):
        shutil.copytree(REPO / name, source / name, ignore=skipped)
    for name in ('setup.py', 'README.md', 'LICENSE', 'MANIFEST.in', 'model-index.yml'):
        shutil.copy(REPO / name, source)
    build = [sys.executable, 'setup.py', '-q', 'bdist_wheel', '--dist-dir', str(folder)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob('*.whl')
    return path


def test_the_wheel_has_what_it_needs(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {'mmcrowd/py.typed', 'mmcrowd/.mim/model-index.yml'} <= names
    assert {f'mmcrowd/apis/app/static/{name}' for name in ('page.css', 'result.js')} <= names
    weights = [name for name in names if name.startswith('mmcrowd/zoo/')]
    assert len(weights) == 1 and weights[0].endswith('.safetensors')
    for folder in ('configs', 'tools'):
        for path in (REPO / folder).rglob('*'):
            if path.suffix in ('.py', '.sh', '.md', '.yml'):
                assert f'mmcrowd/.mim/{path.relative_to(REPO).as_posix()}' in names


@pytest.fixture(scope='module')
def python(wheel, tmp_path_factory):
    """An environment with the wheel and what its extra ``lite`` brings, and with nothing else."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder, with_pip=False)
    variables = dict(base=str(folder), platbase=str(folder))
    python = Path(sysconfig.get_path('scripts', 'venv', variables)) / Path(sys.executable).name
    pip = [sys.executable, '-m', 'pip', '--python', str(python)]
    install = [*pip, 'install', '-q', '--no-deps', '--no-index', str(wheel)]
    subprocess.run(install, check=True, timeout=300, env=without_checkout())
    (about,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith('/METADATA'))
    metadata = message_from_bytes(zipfile.ZipFile(wheel).read(about))
    needed = closure(metadata.get_all('Requires-Dist'), extra='lite')
    links = link_installed(needed.values(), folder / 'links')
    path_file = Path(sysconfig.get_path('purelib', 'venv', variables), 'packages.pth')
    path_file.write_text(str(links), encoding='utf-8')
    return python


def test_the_environment_has_nothing_else(python):
    """What is installed here for tests, extras and tools is not lent to it."""
    links = {path.name for path in (python.parents[1] / 'links').iterdir()}
    assert {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain', 'cv2', 'scipy'} <= links
    assert not links & {'mmcrowd', 'pytest', 'hypothesis', 'onnx', 'av', 'gradio', 'ot'}


def test_an_installed_package_has_its_configs(python, tmp_path):
    work = tmp_path / 'work'
    work.mkdir()
    done = subprocess.run(
        [str(python), '-W', 'error::UserWarning', '-c', USE],
        cwd=work,
        env=without_checkout(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert 'WARNING' not in done.stdout + done.stderr


def test_an_installed_package_counts_a_photo(python, tmp_path):
    """With the command and the weights that come with it, in an empty folder, offline."""
    work = tmp_path / 'work'
    work.mkdir()
    dataset = SyntheticCrowdDataset(num_images=1, split='test', img_size=(96, 80))
    cv2.imwrite(str(work / 'photo.jpg'), dataset.get_data_info(0)['img'])
    command = [str(python.parent / 'mmcrowd'), 'count', 'photo.jpg', '--out-dir', 'out']
    offline = dict(TORCH_HOME=str(tmp_path / 'torch'), https_proxy='http://127.0.0.1:9')
    done = subprocess.run(
        command,
        cwd=work,
        env=without_checkout() | offline,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    prediction = json.loads((work / 'out' / 'photo.json').read_text(encoding='utf-8'))
    assert done.stdout.startswith(f'photo.jpg: count {prediction["count"]:.1f} (pml_efficientnet')
    assert (prediction['width'], prediction['height']) == (96, 80)
    assert len(prediction['points']) == int(prediction['count'] + 0.5)
    assert cv2.imread(str(work / 'out' / 'photo.png')) is not None
    assert sorted(path.name for path in work.rglob('*')) == [
        'out',
        'photo.jpg',
        'photo.json',
        'photo.png',
    ]
    assert not (tmp_path / 'torch').exists()


def test_every_config_is_in_the_index_of_models():
    index = yaml.safe_load((REPO / 'model-index.yml').read_text(encoding='utf-8'))
    listed = set()
    for path in index['Import']:
        content = yaml.safe_load((REPO / path).read_text(encoding='utf-8'))
        collections = {entry['Name'] for entry in content['Collections']}
        for entry in content['Collections']:
            assert (REPO / entry['README']).is_file()
        for model in content['Models']:
            assert model['In Collection'] in collections
            listed.add(model['Config'])
    configs = {
        path.relative_to(REPO).as_posix()
        for path in CONFIGS.rglob('*.py')
        if '_base_' not in path.parts
    }
    assert listed == configs
