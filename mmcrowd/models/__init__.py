from .backbones import *  # noqa: F403
from .counters import *  # noqa: F403
from .data_preprocessor import CrowdDataPreprocessor
from .heads import *  # noqa: F403
from .losses import *  # noqa: F403
from .necks import *  # noqa: F403
