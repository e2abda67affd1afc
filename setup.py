"""Packaging of mmcrowd. What each requirement is for is written in requirements/."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def read_requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def read_version() -> str:
    text = (ROOT / 'mmcrowd' / 'version.py').read_text()
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


setup(
    name='mmcrowd',
    version=read_version(),
    description='Crowd counting and localization toolbox on MMEngine',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords=['crowd counting', 'crowd localization', 'density map', 'OpenMMLab'],
    classifiers=[
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    packages=find_packages(include=['mmcrowd', 'mmcrowd.*']),
    package_data={'mmcrowd.analysis.error_page': ['page.html.j2']},
    python_requires='>=3.10',
    install_requires=read_requirements('runtime'),
    extras_require={
        name: read_requirements(name)
        for name in ('lite', 'full', 'ot', 'report', 'quality', 'timm', 'tests', 'convert')
    },
)
