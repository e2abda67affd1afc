from mmcrowd.fileio.checkpoint_schemes import register_safe_readers

from .hooks import (
    AugmentationSeedHook,
    CheckpointHook,
    CrowdVisualizationHook,
    EMAHook,
    FreezeNormHook,
    IterTimerHook,
    LoggerHook,
    NonFiniteGuardHook,
    ResumeEpochHook,
    ResumeValidationHook,
    StepSeedHook,
    StrictWeightsHook,
    SyncNormHook,
    TimeLimitHook,
    TrainCountHook,
)
from .optim_wrappers import AmpOptimWrapper, OptimWrapper
from .strategies import FSDPStrategy

__all__ = [
    'AmpOptimWrapper',
    'AugmentationSeedHook',
    'CheckpointHook',
    'CrowdVisualizationHook',
    'EMAHook',
    'FSDPStrategy',
    'FreezeNormHook',
    'IterTimerHook',
    'LoggerHook',
    'NonFiniteGuardHook',
    'OptimWrapper',
    'ResumeEpochHook',
    'ResumeValidationHook',
    'StepSeedHook',
    'StrictWeightsHook',
    'SyncNormHook',
    'TimeLimitHook',
    'TrainCountHook',
]

# What load_from and --resume name is read without running code in it.
register_safe_readers()
