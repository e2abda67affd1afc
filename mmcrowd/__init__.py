"""mmcrowd: crowd counting and crowd localization on MMEngine."""

import warnings
from typing import TYPE_CHECKING, Any

from .dependencies import asks_what_is_missing, check_versions, installed_versions
from .safe_loading import keep_loading_safe
from .version import __version__

if TYPE_CHECKING:
    from .apis import CrowdInferencer, list_models

__all__ = ['CrowdInferencer', '__version__', 'list_models', 'registry']

# mmcv-lite says so whenever its layers are imported; mmcrowd has no use for this one.
warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')

# What load_from, resume and init_cfg name is read without running code in it, in any project.
keep_loading_safe()

# mmcrowd doctor says itself what is missing.
if not asks_what_is_missing():
    check_versions(installed_versions())

    from . import registry


def __getattr__(name: str) -> Any:
    # What loads the networks is loaded when it is asked for.
    if name in ('CrowdInferencer', 'list_models'):
        from . import apis

        return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return __all__
