import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Make what the model draws in a training step a function of seed, step and process.

    Those are the draws of dropout, of stochastic depth and of losses with noise. A run that was
    interrupted and resumed then draws as one that was not, wherever it was interrupted; the states
    of the generators, one for each process, need not be in its checkpoints. The samples have seeds
    of their own, see :class:`AugmentationSeedHook`.
    """

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        words = np.random.SeedSequence([runner.seed, runner.iter, get_rank()]).generate_state(8)
        random.seed(words.tobytes())
        np.random.seed(words)
        torch.manual_seed(int.from_bytes(words.tobytes()[:8], 'little') >> 1)
