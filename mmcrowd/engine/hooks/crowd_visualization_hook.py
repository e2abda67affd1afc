import math
from collections.abc import Sequence

import numpy as np
from mmengine.dist import get_dist_info
from mmengine.fileio import join_path
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from mmcrowd.fileio.files import file_name
from mmcrowd.registry import HOOKS
from mmcrowd.structures import CrowdDataSample
from mmcrowd.visualization import CrowdVisualizer


@HOOKS.register_module()
class CrowdVisualizationHook(Hook):
    """Draw some images with points, density and counts while validating and testing.

    Validation draws the same images every time, filed under the epoch (or iteration), so that one
    can watch the density sharpen. The picture shown is the network's own input, ``data_batch
    ['inputs']`` without its padding: it is there for every dataset, rendered ones too, is not
    decoded a second time, and truth and density lie in its frame. A picture of a validation that
    cannot be written, since the disk is full for example, is one error in the log, and the training
    goes on; that of a test is an error.

    Args:
        enable: Whether to draw at all. Defaults to False.
        interval: Draw every ``interval``-th image of the data set, beginning with the first.
            Defaults to 10.
        max_images: Draw no more than this many per validation or test; None for no limit.
            Defaults to 8.
        out_dir: Folder for the pictures, named ``{val|test}_{img_id}_{step}.png``, the id as
            :func:`~mmcrowd.fileio.files.file_name` writes it. In distributed runs each rank draws
            those of its images, and all of them together draw what one process would. Defaults to
            None: the pictures go to the backends of the runner's visualizer under that name; these
            are of the first rank, which counts its own images.
        show: Show each picture in a window. Defaults to False.
        wait_time: Seconds to show it for, 0 for until a key is pressed.

    Raises:
        TypeError: On the first run, if enabled while the runner's visualizer is no
            :class:`~mmcrowd.visualization.CrowdVisualizer`.

    Examples:
        In a config:

        .. code:: python

            visualizer = dict(type='CrowdVisualizer', vis_backends=[dict(type='LocalVisBackend')])
            custom_hooks = [dict(type='CrowdVisualizationHook', enable=True)]
    """

    def __init__(
        self,
        enable: bool = False,
        interval: int = 10,
        max_images: int | None = 8,
        out_dir: str | None = None,
        show: bool = False,
        wait_time: float = 0,
    ):
        if interval < 1:
            raise ValueError(f'interval is {interval}, expected at least 1')
        self.enable = enable
        self.interval = interval
        self.max_images = max_images
        self.out_dir = out_dir
        self.show = show
        self.wait_time = wait_time
        self._num_seen = 0
        self._is_told = False

    def before_run(self, runner: Runner) -> None:
        if self.enable and not isinstance(runner.visualizer, CrowdVisualizer):
            raise TypeError(
                "CrowdVisualizationHook needs visualizer=dict(type='CrowdVisualizer'), got "
                f'{type(runner.visualizer).__name__}'
            )

    def before_val_epoch(self, runner: Runner) -> None:
        self._num_seen = 0

    def before_test_epoch(self, runner: Runner) -> None:
        self._num_seen = 0

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[CrowdDataSample]
    ) -> None:
        # Not runner.train_loop, which would build the training dataset where there is no training.
        loop = runner._train_loop
        step = getattr(loop, 'iter' if isinstance(loop, IterBasedTrainLoop) else 'epoch', 0)
        try:
            self._draw_batch(runner, data_batch, outputs, 'val', step)
        except OSError as error:
            if not self._is_told:
                runner.logger.error(
                    f'pictures could not be written ({error}); the training goes on'
                )
            self._is_told = True

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[CrowdDataSample]
    ) -> None:
        self._draw_batch(runner, data_batch, outputs, 'test', 0)

    def _draw_batch(
        self,
        runner: Runner,
        data_batch: dict,
        samples: Sequence[CrowdDataSample],
        mode: str,
        step: int,
    ) -> None:
        if not self.enable:
            return
        rank, world_size = get_dist_info() if self.out_dir else (0, 1)
        end = math.inf
        if world_size > 1:
            end = len(getattr(runner, f'{mode}_dataloader').dataset)
        for image, sample in zip(data_batch['inputs'], samples, strict=True):
            # MMEngine's sampler deals the images out in turns, and begins anew where the last turn
            # is not full.
            index = self._num_seen * world_size + rank
            self._num_seen += 1
            turn, off_turn = divmod(index, self.interval)
            if off_turn or index >= end:
                continue
            if self.max_images is not None and turn >= self.max_images:
                continue
            name = f'{mode}_{file_name(str(sample.get("img_id", index)))}'
            out_file = self.out_dir and join_path(self.out_dir, f'{name}_{step}.png')
            height, width = sample.get('img_shape', image.shape[1:])
            runner.visualizer.add_datasample(
                name,
                # BGR (3, H, W) to RGB (H, W, 3).
                np.ascontiguousarray(image[:, :height, :width].flip(0).permute(1, 2, 0).cpu()),
                sample,
                frame='input',
                show=self.show,
                wait_time=self.wait_time,
                out_file=out_file,
                step=step,
            )
