"""The packages that mmcrowd stands on, and the check that they are there.

mmcrowd cannot list torch, mmengine, mmcv and mmpretrain as hard requirements: each comes in several
builds or forks that own the same module, and installing a second one damages the first. So they
are checked here, by their metadata alone, without importing any of them. The bounds of their
versions are written here and nowhere else; ``setup.py`` makes the extras ``lite`` and ``full`` of
them.

Run as a script, this file prints the arguments for ``pip install`` that add what is missing.
"""

import sys
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple


class Requirement(NamedTuple):
    """One module that mmcrowd needs.

    Attributes:
        providers: Distributions that provide the module, the recommended one first.
        versions: Accepted versions, as a PEP 440 specifier; pre-releases are accepted too.
        recommended: What to install where it is missing, as requirements of pip.
    """

    providers: tuple[str, ...]
    versions: str
    recommended: tuple[str, ...]

    @property
    def install(self) -> str:
        """Arguments of the ``pip install`` that adds the recommended distribution."""
        quoted = (f'"{each}"' if '>' in each else each for each in self.recommended)
        return ' '.join(quoted)


# They are installed as a pair: the release and the build of the second have to match the first.
TORCH = ('torch>=2.6', 'torchvision>=0.21')

REQUIREMENTS = (
    # Before 2.6 a checkpoint could run code even with weights_only=True (CVE-2025-32434).
    Requirement(('torch',), '>=2.6', TORCH),
    # mmpretrain imports it without declaring it.
    Requirement(('torchvision',), '>=0.21', TORCH),
    # 0.10.7 cannot read its own checkpoints on such a torch; the candidate of 0.11 can.
    Requirement(('mmengine', 'onedl-mmengine'), '>=0.10.7,<1', ('mmengine>=0.11.0rc3,<1',)),
    # Every model runs on mmcv-lite, which has no compiled operators. mmcv has them; both own the
    # module `mmcv`. Either brings opencv-python.
    Requirement(('mmcv-lite', 'mmcv', 'onedl-mmcv'), '>=2.0,<2.4', ('mmcv-lite>=2.0,<2.4',)),
    Requirement(('mmpretrain', 'onedl-mmpretrain'), '>=1.2,<2', ('mmpretrain>=1.2,<2',)),
)


def extras() -> dict[str, list[str]]:
    """The extras that bring OpenMMLab's packages, as requirements of pip.

    Returns:
        ``lite``, with the mmcv that has no compiled operators, and with torch and torchvision, so
        that it is all that counting needs; ``full``, with the mmcv that has the operators, for
        projects that need them besides. That one is compiled for one torch, which is left to you.
    """
    torch = [f'{item.providers[0]}{item.versions}' for item in REQUIREMENTS[:2]]
    others = [each for item in REQUIREMENTS[2:] for each in item.recommended]
    full = [each.replace('mmcv-lite', 'mmcv') for each in others]
    return dict(lite=[*torch, *others], full=full)


def installed_versions() -> dict[str, str]:
    """Return the versions of the installed distributions that :data:`REQUIREMENTS` names."""
    versions = {}
    for requirement in REQUIREMENTS:
        for name in requirement.providers:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
    return versions


def missing_requirements(installed: Mapping[str, str]) -> list[Requirement]:
    """Return the requirements that no distribution in ``installed`` provides."""
    return [item for item in REQUIREMENTS if not any(name in installed for name in item.providers)]


def asks_what_is_missing() -> bool:
    """Whether this process is ``mmcrowd doctor``, which runs where packages are missing, too."""
    return sys.argv[1:2] == ['doctor'] and Path(sys.argv[0]).stem == 'mmcrowd'


def check_versions(installed: Mapping[str, str]) -> None:
    """Check that the packages mmcrowd stands on are there and compatible.

    Args:
        installed: Version of each installed distribution, by name.

    Raises:
        ImportError: If a package is missing or has a version outside the accepted range. The
            message names the package, the version seen and wanted, and the command that mends it.

    Warns:
        UserWarning: If two distributions own the same module, if torch and torchvision are no pair,
            or if mmengine cannot read its own checkpoints. These are warnings,
            because much may work all the same.
    """
    # Here, so that what this file says can be read where nothing is installed yet.
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    for requirement in missing_requirements(installed):
        raise ImportError(
            f'mmcrowd needs {requirement.providers[0]}{requirement.versions}, but '
            f'{" or ".join(requirement.providers)} is not installed; run '
            f'`pip install {requirement.install}`.'
        )

    for requirement in REQUIREMENTS:
        found = [name for name in requirement.providers if name in installed]
        for name in found:
            if SpecifierSet(requirement.versions).contains(installed[name], prereleases=True):
                continue
            recommended = name == requirement.providers[0]
            install = requirement.install if recommended else f'"{name}{requirement.versions}"'
            raise ImportError(
                f'mmcrowd needs {name}{requirement.versions}, but {name} '
                f'{installed[name]} is installed; run `pip install {install}`.'
            )
        if len(found) > 1:
            warnings.warn(
                f'{" and ".join(found)} are installed side by side but own the same module, so '
                'which one is imported depends on which came last; keep one, for example with '
                f'`pip uninstall -y {" ".join(found)} && pip install {requirement.install}`.',
                stacklevel=2,
            )

    torch, torchvision = (Version(installed[name]).release for name in ('torch', 'torchvision'))
    # Their minor versions go together.
    if torch[0] == 2 and torchvision[:2] != (0, torch[1] + 15):
        warnings.warn(
            f'torch {installed["torch"]} and torchvision {installed["torchvision"]} are no pair '
            f'("operator torchvision::nms does not exist"): run `pip install '
            f'"torchvision==0.{torch[1] + 15}.*"`.',
            stacklevel=2,
        )
    # Only the original is concerned: the fork onedl-mmengine reads such checkpoints.
    mmengine = installed.get('mmengine')
    if mmengine and Version(mmengine).release < (0, 11):
        warnings.warn(
            f'mmengine {mmengine} cannot load or resume its own checkpoints with torch '
            f'{installed["torch"]} ("Weights only load failed"): training works, but run '
            '`pip install "mmengine>=0.11.0rc3,<1"` before you resume or test.',
            stacklevel=2,
        )


if __name__ == '__main__':
    print(*dict.fromkeys(item.install for item in missing_requirements(installed_versions())))
