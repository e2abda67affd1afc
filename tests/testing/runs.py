"""Runs of MMEngine's runner that take no time."""

import uuid
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

# A training of two steps; VGG up to its second stage. It has no batch normalisation, so that the
# gradient of a batch is the mean of those of its images.
TINY_CONFIG = """
custom_imports = dict(imports=['mmcrowd'])
default_scope = 'mmcrowd'
model = dict(
    type='DensityCounter',
    backbone=dict(type='VGGFeatures', depth=11, out_stages=(1,)),
    head=dict(
        type='DensityHead', in_channels=128, mid_channels=(8,), in_stride=2,
        activation='softplus', norm_cfg=None,
    ),
    loss=dict(type='GaussianL2Loss'),
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SyntheticCrowdDataset', num_images=4, img_size=(32, 32), max_count=5,
        pipeline=[dict(type='LoadCrowdImage'), dict(type='PackCrowdInputs')],
    ),
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1.0))
train_cfg = dict(by_epoch=True, max_epochs=1)
default_hooks = dict(checkpoint=dict(type='CheckpointHook'))
visualizer = dict(type='CrowdVisualizer')
randomness = dict(seed=0)
env_cfg = dict(dist_cfg=dict(backend='gloo'))
"""


class Toy(BaseModel):
    """Its weight is the sum of the inputs that it was trained with."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm1d(1)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        if mode != 'loss':
            return [self.weight.detach().clone()]
        inputs = torch.stack(inputs).view(-1, 1) if isinstance(inputs, list) else inputs.view(-1, 1)
        return dict(loss=-(self.weight * inputs).sum() + 0 * self.norm(inputs).sum())


class Error(BaseMetric):
    """``error``: the distance of the weight from a number."""

    def __init__(self, best: float):
        super().__init__()
        self.best = best

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(data_samples[0].item())

    def compute_metrics(self, results: list) -> dict[str, float]:
        return dict(error=abs(results[0] - self.best))


def make_runner(
    work_dir: Path,
    dataset: Any,
    epochs: int = 3,
    batch_size: int = 2,
    hooks: dict | None = None,
    num_workers: int = 0,
    **kwargs: Any,
) -> Runner:
    """A runner of the scope ``mmcrowd`` that trains :class:`Toy` by steps of length 1.

    Args:
        work_dir: Its folder.
        dataset: Training samples, dicts of ``inputs`` and what the model takes besides.
        epochs: Their number. Defaults to 3.
        batch_size: Defaults to 2.
        hooks: Further ``default_hooks``. Defaults to None.
        num_workers: Of the loader. Defaults to 0.
        kwargs: Further arguments of the runner.
    """
    kwargs = dict(model=Toy()) | kwargs
    return Runner(
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=batch_size,
            num_workers=num_workers,
            dataset=dataset,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=kwargs.pop('optim_wrapper', dict(optimizer=dict(type='SGD', lr=1.0))),
        default_hooks=hooks or {},
        default_scope='mmcrowd',
        experiment_name=uuid.uuid4().hex,
        randomness=dict(seed=0),
        **kwargs,
    )


def validation(best: float) -> dict:
    """Arguments of :func:`make_runner` for a validation after each epoch, see :class:`Error`."""
    loader = dict(
        batch_size=1,
        dataset=[dict(inputs=torch.zeros(1))],
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    return dict(val_dataloader=loader, val_cfg=dict(), val_evaluator=[Error(best)])
