from .augmentation_seed_hook import AugmentationSeedHook
from .checkpoint_hook import CheckpointHook
from .crowd_visualization_hook import CrowdVisualizationHook
from .ema_hook import EMAHook
from .freeze_norm_hook import FreezeNormHook
from .iter_timer_hook import IterTimerHook
from .logger_hook import LoggerHook
from .non_finite_guard_hook import NonFiniteGuardHook
from .resume_epoch_hook import ResumeEpochHook
from .resume_validation_hook import ResumeValidationHook
from .step_seed_hook import StepSeedHook
from .strict_weights_hook import StrictWeightsHook
from .sync_norm_hook import SyncNormHook
from .time_limit_hook import TimeLimitHook
from .train_count_hook import TrainCountHook

__all__ = [
    'AugmentationSeedHook',
    'CheckpointHook',
    'CrowdVisualizationHook',
    'EMAHook',
    'FreezeNormHook',
    'IterTimerHook',
    'LoggerHook',
    'NonFiniteGuardHook',
    'ResumeEpochHook',
    'ResumeValidationHook',
    'StepSeedHook',
    'StrictWeightsHook',
    'SyncNormHook',
    'TimeLimitHook',
    'TrainCountHook',
]
