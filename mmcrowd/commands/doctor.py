"""``mmcrowd doctor``: what is installed, what is missing, and whether the default model runs.

It runs where packages are missing, so nothing but Python's own and :mod:`mmcrowd.dependencies` is
imported at the top.
"""

import argparse
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from importlib import import_module, metadata

from mmcrowd.dependencies import (
    REQUIREMENTS,
    check_versions,
    installed_versions,
    missing_requirements,
)
from mmcrowd.version import __version__

HELP = 'say what is installed, what is missing and how to mend it, and run the default model'

# What is installed with mmcrowd itself: distribution and module.
RUNTIME = (
    ('numpy', 'numpy'),
    ('scipy', 'scipy'),
    ('packaging', 'packaging'),
    ('pillow', 'PIL'),
    ('safetensors', 'safetensors'),
)
# What some need: what to install, module, what for.
OPTIONAL = (
    ('onnx', 'onnx', 'mmcrowd export'),
    ('onnxscript', 'onnxscript', 'mmcrowd export'),
    ('onnxruntime', 'onnxruntime', 'exported models'),
    ('gradio', 'gradio', 'mmcrowd app'),
    ('pyvips[binary]', 'pyvips', 'reading very large JPEG and TIFF files by bands'),
    ('av', 'av', 'mmcrowd video'),
    ('pillow-heif', 'pillow_heif', 'photos of iPhones (HEIC)'),
    ('timm', 'timm', 'configs/zip'),
    ('h5py', 'h5py', 'converters of HDF5 weights'),
    ('plotly', 'plotly', 'the error page'),
    ('pyarrow', 'pyarrow', 'mmcrowd infer --to-parquet'),
)
_SIDES = (192, 256)  # of the picture that is counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--device', help='run the model there; default: an accelerator, if any')


def run(args: argparse.Namespace) -> None:
    print(f'mmcrowd {__version__}, Python {platform.python_version()}, {platform.platform()}')
    problems = list(missing_packages()) or list(broken_modules()) or list(failed_run(args.device))
    for requirement, module, use in OPTIONAL:
        print(f'  optional  {module}: {optional_state(requirement, module, use)}')
    if problems:
        sys.exit('\n'.join(['', 'What is to be mended:', *(f'- {each}' for each in problems)]))
    print('All is well.')


def optional_state(requirement: str, module: str, use: str) -> str:
    """Version of an optional package, or why it cannot be used and what brings it."""
    version = _version(requirement.partition('[')[0])
    if version is None:
        return f'not installed; for {use}: pip install "{requirement}"'
    if module != 'pyvips':  # the only one whose library may be that of the system, or absent
        return version
    try:
        import_module(module)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return f'{version} does not load ({reason}); for {use}: pip install "{requirement}"'
    return version


def missing_packages() -> Iterator[str]:
    """Print the distributions that provide each module, and yield what is missing or misfits."""
    installed = installed_versions()
    for requirement in REQUIREMENTS:
        found = [f'{name} {installed[name]}' for name in requirement.providers if name in installed]
        print(f'  {requirement.providers[0]}: {" and ".join(found) or "MISSING"}')
    lacking = missing_requirements(installed)
    for requirement in lacking:
        yield (
            f'{requirement.providers[0]}{requirement.versions} is not installed: '
            f'pip install {requirement.install}'
        )
    if not lacking:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            try:
                check_versions(installed)
            except ImportError as error:
                yield str(error)
        yield from (str(warning.message) for warning in caught)
    for distribution, module in RUNTIME:
        version = _version(distribution)
        print(f'  {module}: {version or "MISSING"}')
        if version is None:
            yield f'{distribution} is not installed: pip install {distribution}'


def broken_modules() -> Iterator[str]:
    """Import torch and cv2, print what they run on, and yield what does not load."""
    try:
        torch = import_module('torch')
    except Exception as error:  # a library that does not load may raise anything
        yield f'torch does not load ({error})'
    else:
        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else 'none'
        print(
            f'  torch runs on {torch.get_num_threads()} threads; CUDA {torch.version.cuda}: {gpu}'
        )
    try:
        cv2 = import_module('cv2')
    except Exception as error:
        yield (
            f'cv2 does not load ({error}): install the libraries it names, or '
            'pip install --force-reinstall --no-deps opencv-python-headless'
        )
    else:
        names = [
            f'{name} {version}'
            for name in (
                'opencv-python',
                'opencv-python-headless',
                'opencv-contrib-python',
                'opencv-contrib-python-headless',
            )
            if (version := _version(name))
        ]
        print(f'  cv2: {cv2.__version__} ({" and ".join(names) or "of the system"})')
        if len(names) > 1:
            yield (
                f'{" and ".join(names)} own the same module cv2: keep one, for example with '
                f'pip uninstall -y {" ".join(name.split()[0] for name in names)} && '
                'pip install opencv-python-headless'
            )


def failed_run(device: str | None) -> Iterator[str]:
    """Count one picture with the default model, print how long it took, and yield an error."""
    import numpy as np

    picture = np.random.default_rng(0).integers(0, 256, (*_SIDES, 3), np.uint8)
    try:
        apis = import_module('mmcrowd.apis')
        counter = apis.CrowdInferencer(device=device)
        start = time.perf_counter()
        count = counter(picture)['predictions'][0]['count']
        seconds = time.perf_counter() - start
    except Exception as error:
        yield f'the default model does not run ({type(error).__name__}: {error})'
        return
    where = next(counter.model.parameters()).device
    size = f'{_SIDES[1]} x {_SIDES[0]} pixels'
    print(f'  {counter.weights_entry.name} on {where}: {size} of noise in {seconds:.2f} s')
    if not np.isfinite(count):
        yield f'the default model counts {count} on noise'


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
