"""Registries of mmcrowd, each a child of MMEngine's root registry of the same kind.

The modules behind a registry are imported on the first look-up (``locations``), so importing
``mmcrowd`` itself costs next to nothing. The kinds without a module of ours are here because
MMEngine looks for a child of every kind under the default scope.
"""

from mmengine import registry as root
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

# By this MMEngine finds configs of this package: 'mmcrowd::bl/bl_vgg19_sha.py'.
MODULE2PACKAGE['mmcrowd'] = 'mmcrowd'


def _child(parent: Registry, *locations: str) -> Registry:
    # Without a location MMEngine would look for a module mmcrowd.utils, and warn.
    locations = list(locations) or [__name__]
    return Registry(parent.name, parent=parent, scope='mmcrowd', locations=locations)


# Datasets and the transforms of their pipelines.
DATASETS = _child(root.DATASETS, 'mmcrowd.datasets')
TRANSFORMS = _child(root.TRANSFORMS, 'mmcrowd.datasets.transforms')
DATA_SAMPLERS = _child(root.DATA_SAMPLERS)

# Counters and everything they are made of: backbones, necks, heads, losses, preprocessors.
MODELS = _child(root.MODELS, 'mmcrowd.models')
MODEL_WRAPPERS = _child(root.MODEL_WRAPPERS)
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, 'mmcrowd.models')
# Helpers that hold no parameters, such as localizers.
TASK_UTILS = _child(root.TASK_UTILS, 'mmcrowd.models')

METRICS = _child(root.METRICS, 'mmcrowd.evaluation.metrics')
EVALUATOR = _child(root.EVALUATOR)

VISUALIZERS = _child(root.VISUALIZERS, 'mmcrowd.visualization')
VISBACKENDS = _child(root.VISBACKENDS, 'mmcrowd.visualization')

HOOKS = _child(root.HOOKS, 'mmcrowd.engine')
LOOPS = _child(root.LOOPS)
RUNNERS = _child(root.RUNNERS)
RUNNER_CONSTRUCTORS = _child(root.RUNNER_CONSTRUCTORS)
LOG_PROCESSORS = _child(root.LOG_PROCESSORS)

OPTIMIZERS = _child(root.OPTIMIZERS)
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'mmcrowd.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS)

INFERENCERS = _child(root.INFERENCERS, 'mmcrowd.apis')
FUNCTIONS = _child(root.FUNCTIONS)
STRATEGIES = _child(root.STRATEGIES, 'mmcrowd.engine')
