"""mmcrowd: crowd counting and crowd localization on MMEngine."""

from .version import __version__, check_versions, installed_versions

check_versions(installed_versions())

from . import registry  # noqa: E402

__all__ = ['__version__', 'registry']
