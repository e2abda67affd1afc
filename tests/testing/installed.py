"""Environments with nothing but what a requirement brings, made of what is installed here."""

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from mmcrowd.dependencies import REQUIREMENTS

# Distributions that stand for each other: they own the same module.
_OPENCV = ('opencv-python', 'opencv-python-headless')
ALIKE = (*(item.providers for item in REQUIREMENTS), _OPENCV)


def find_installed(name: str) -> Distribution | None:
    """The distribution of this name, or one that stands for it."""
    for each in (name, *(other for names in ALIKE if name in names for other in names)):
        try:
            return distribution(each)
        except PackageNotFoundError:
            continue
    return None


def closure(requirements: Iterable[str], extra: str = '') -> dict[str, Distribution]:
    """What pip would have installed for some requirements, by name, as far as it is here.

    Args:
        requirements: Such as those of a wheel; those whose markers do not hold are left out.
        extra: For which they are asked.
    """
    found: dict[str, Distribution] = {}
    waiting = [(Requirement(text), {extra}) for text in requirements]
    seen = set()
    while waiting:
        requirement, extras = waiting.pop()
        marker = requirement.marker
        if marker is not None and not any(marker.evaluate(dict(extra=each)) for each in extras):
            continue
        wanted = {'', *requirement.extras}
        key = (requirement.name.lower(), frozenset(wanted))
        installed = find_installed(requirement.name)
        if installed is None or key in seen:
            continue
        seen.add(key)
        found[installed.name] = installed
        waiting += [(Requirement(text), wanted) for text in installed.requires or ()]
    return found


def link_installed(distributions: Iterable[Distribution], folder: Path) -> Path:
    """Fill a folder with links to what is at the top of these distributions, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in distributions:
        tops = {file.parts[0] for file in each.files or ()} - {'..', '__pycache__'}
        for name in tops:
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(each.locate_file(name))
    return folder
