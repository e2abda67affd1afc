"""How long the steps of a training wait for data."""

import copy
import statistics
import uuid
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.config import Config

from mmcrowd.analysis.learning_curves import read_scalars
from mmcrowd.datasets.wrappers import unwrap
from mmcrowd.engine import launch
from mmcrowd.engine.config import without_pretraining


@dataclass(frozen=True)
class Steps:
    """Steps of a training, as MMEngine's log has them.

    Attributes:
        time: Seconds of each step, with the wait for its batch.
        data_time: Seconds of each from the end of the step before until its batch was there.
    """

    time: list[float]
    data_time: list[float]

    @property
    def share(self) -> float:
        """Part of the time of all steps that went by until their batches were there.

        Examples:
            >>> Steps(time=[1.0, 3.0], data_time=[0.25, 0.75]).share
            0.25
        """
        return sum(self.data_time) / sum(self.time)

    def __str__(self) -> str:
        wait = 1e3 * statistics.median(self.data_time)
        return (
            f'{len(self.time)} steps of {statistics.median(self.time):.2f} s, the median, of which '
            f'{wait:.1f} ms passed before the batch was there; of all their time '
            f'**{100 * self.share:.2f} %**'
        )


def measure_waiting(cfg: Config, steps: int, skip: int, num_workers: int = 2) -> Steps:
    """Train an epoch by MMEngine's runner, and read the times of its steps in the log.

    Args:
        cfg: Config of a training, trained as it is but for the pretrained weights, the number of
            steps and what comes after them: validation and checkpoints.
        steps: Of the epoch; the first images of the training set.
        skip: How many of the first are left away, in which the workers start.
        num_workers: Of the loader. Defaults to 2.

    Raises:
        ValueError: No step would be left, or there are too few images.
    """
    if not 0 <= skip < steps:
        raise ValueError(f'skip={skip} of steps={steps}: none is left')
    cfg = copy.deepcopy(cfg)
    cfg.model = without_pretraining(cfg.model)
    cfg.model.backbone.init_cfg = None
    cfg.train_dataloader.num_workers = num_workers
    images = steps * cfg.train_dataloader.batch_size
    (dataset, *_) = unwrap(cfg.train_dataloader.dataset)
    dataset.indices = images
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
    for split in ('val', 'test'):
        for key in ('dataloader', 'cfg', 'evaluator'):
            cfg[f'{split}_{key}'] = None
    cfg.default_hooks.update(checkpoint=None, logger=dict(type='LoggerHook', interval=1))
    cfg.log_processor = dict(window_size=1)  # each step by itself
    cfg.visualizer = dict(type='CrowdVisualizer', vis_backends=[dict(type='LocalVisBackend')])
    cfg.log_level = 'ERROR'
    cfg.launcher = 'none'
    # Runs in one process share what has the same name.
    cfg.experiment_name = uuid.uuid4().hex
    with TemporaryDirectory() as folder:
        cfg.work_dir = folder
        launch.train(cfg)
        entries = read_scalars(Path(folder))
    if len(entries) < steps:
        raise ValueError(f'{len(entries)} steps, expected {steps}: fewer than {images} images')
    entries = entries[skip:]
    return Steps([e['time'] for e in entries], [e['data_time'] for e in entries])
