"""mmcrowd: crowd counting and crowd localization on MMEngine."""

import warnings

from .version import __version__, check_versions, installed_versions

check_versions(installed_versions())

# mmcv-lite says so whenever its layers are imported; mmcrowd has no use for this one.
warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')

from . import registry  # noqa: E402

__all__ = ['__version__', 'registry']
