"""Pictures of what a pipeline does with a sample."""

from typing import Any

import numpy as np

from mmcrowd.datasets import SeededSamples
from mmcrowd.datasets.wrappers import unwrap

from .pipeline_figure import draw_stage

# A panel after each transform, after the last one, or of the image as loaded.
MODES = ('pipeline', 'transformed', 'original')
ALONE_SIDE = 1280  # longer side of an image that has the picture for itself


class Recorder:
    """Stands for the pipeline of a dataset: runs its transforms, and draws after each.

    The dataset calls it as it calls its pipeline, and drawing takes no random numbers, so the
    transforms draw the same ones.

    Args:
        transforms: Those of the pipeline.
        mode: What to draw, one of :data:`MODES`.
    """

    def __init__(self, transforms: list, mode: str):
        self.transforms = transforms
        self.mode = mode
        self.img_id = ''
        self.panels: list[np.ndarray] = []

    def __call__(self, results: dict) -> dict:
        self.img_id, self.panels = str(results.get('img_id', '')), []
        for number, transform in enumerate(self.transforms, 1):
            name = type(transform).__name__
            results = transform(results)
            if results is None:
                raise ValueError(f'{name} gave nothing for image {self.img_id!r}')
            if self._is_wanted(results, last=number == len(self.transforms)):
                side = {} if self.mode == 'pipeline' else dict(side=ALONE_SIDE)
                self.panels.append(draw_stage(name, results, **side))
        return results

    def _is_wanted(self, results: dict, last: bool) -> bool:
        if self.mode == 'transformed':
            return last
        loaded = 'img' in results or 'inputs' in results
        return loaded and not (self.mode == 'original' and self.panels)


def record(samples: SeededSamples, index: int, mode: str) -> Recorder:
    """Prepare the sample at ``index``, recording what its pipeline does with it.

    Args:
        samples: Samples of a dataset, perhaps in wrappers. Its pipelines are replaced for good.
        index: Place in the dataset.
        mode: One of :data:`MODES`.

    Raises:
        ValueError: If there is no image to draw.
    """
    recorders = []
    leaf: Any  # a dataset of MMEngine, with its pipeline
    for leaf in unwrap(samples.dataset):
        if not isinstance(leaf.pipeline, Recorder):
            leaf.pipeline = Recorder(leaf.pipeline.transforms, mode)
        leaf.pipeline.panels = []
        recorders.append(leaf.pipeline)
    samples([index])
    for recorder in recorders:
        if recorder.panels:
            return recorder
    raise ValueError(f'image {index}: no transform of its pipeline gives an image')
