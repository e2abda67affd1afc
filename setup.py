"""Packaging of mmcrowd. What each requirement is for is written in requirements/."""

import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


def read_requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def read_module(name: str) -> dict:
    """The names of a module of mmcrowd, without the package, which may not be importable yet."""
    return runpy.run_path(str(ROOT / 'mmcrowd' / f'{name}.py'))


class BuildWithConfigs(build_py):
    """Put configs, tools and the index of the models into the package.

    MMEngine's ``get_config`` and ``mmcrowd::NAME`` look for them there. A wheel has copies, an
    editable installation has links.
    """

    def run(self) -> None:
        super().run()
        target = (ROOT if self.editable_mode else Path(self.build_lib)) / 'mmcrowd' / '.mim'
        target.mkdir(parents=True, exist_ok=True)
        for name in ('configs', 'tools', 'model-index.yml'):
            source, path = ROOT / name, target / name
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)
            if self.editable_mode:
                path.symlink_to(Path('..', '..', name))
            elif source.is_dir():
                shutil.copytree(source, path, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy(source, path)


setup(
    name='mmcrowd',
    version=read_module('version')['__version__'],
    description='Crowd counting and localization toolbox on MMEngine',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='The mmcrowd developers',
    license='Apache-2.0',
    license_files=['LICENSE', 'NOTICE'],
    keywords=['crowd counting', 'crowd localization', 'density map', 'OpenMMLab'],
    classifiers=[
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    packages=find_packages(include=['mmcrowd', 'mmcrowd.*']),
    package_data={
        'mmcrowd': ['py.typed', 'zoo/*.safetensors'],
        'mmcrowd.analysis.error_page': ['page.html.j2'],
        'mmcrowd.apis.app': ['static/*'],
    },
    entry_points=dict(console_scripts=['mmcrowd = mmcrowd.cli:main']),
    cmdclass=dict(build_py=BuildWithConfigs),
    python_requires='>=3.10',
    install_requires=read_requirements('runtime'),
    extras_require=read_module('dependencies')['extras']()
    | {
        name: read_requirements(name)
        for name in (
            'report',
            'quality',
            'timm',
            'tests',
            'convert',
            'heic',
            'export',
            'app',
            'large',
            'video',
            'parquet',
        )
    },
)
