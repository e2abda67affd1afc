"""Exported counters beside the counters that they were made of."""

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmcrowd.datasets import SyntheticCrowdDataset
from mmcrowd.models import BaseCounter, LocalMaximum, OnnxInference
from mmcrowd.structures import CrowdDataSample

from .export import METADATA_FILE, output_names

# How far an exported network may be from its counter, as a share of the count (or of one person).
COUNT_TOLERANCE = 1e-4
# Height and width of the images of the comparison: multiples of the usual divisors, and not.
CHECKED_SIZES = ((64, 96), (192, 256), (250, 333), (301, 210))


class Agreement(NamedTuple):
    """How an exported network answers beside its counter.

    Attributes:
        images: Number of images.
        persons: Sum of the counts of the counter.
        count_error: Largest difference of a count, as a share of the count, or of one person where
            that is more.
        cell_error: Largest difference of a cell.
        points: Number of local maxima of the counter's densities.
        moved: How many points one of them has and the other has not.
    """

    images: int
    persons: float
    count_error: float
    cell_error: float
    points: int
    moved: int

    def __str__(self) -> str:
        return (
            f'{self.images} images with {self.persons:.1f} persons: counts differ by at most '
            f'{100 * self.count_error:.2g} %, cells by {self.cell_error:.2g}, {self.moved} of '
            f'{self.points} points'
        )


def compare(
    counter: BaseCounter, path: str | Path, images: Iterable[np.ndarray] | None = None
) -> Agreement:
    """Compare an exported file with its counter, which runs in float32 on the CPU.

    Points are the local maxima of the density, see :class:`~mmcrowd.models.LocalMaximum`, or the
    peaks of a file that has them.

    Args:
        counter: The counter.
        path: The ``.onnx`` or ``.pt2`` file.
        images: uint8 ``(H, W, 3)`` BGR. Defaults to None, drawn crowds of several sizes.
    """
    reference = copy.deepcopy(counter).cpu().float().eval()
    reference.precision, reference.localizer, reference.inference = 'fp32', None, None
    exported = copy.copy(reference)
    exported.inference = open_inference(path)
    threshold = exported.inference.metadata.get('peak_threshold')
    differences, cells, persons, points, moved = [0.0], [0.0], 0.0, 0, 0
    images = drawn_crowds() if images is None else images
    number = 0
    for image in images:
        number += 1
        batch = reference.data_preprocessor(as_batch(image))
        samples = batch['data_samples']
        with torch.no_grad():
            expected = reference.predict(batch['inputs'], copy.deepcopy(samples))[0]
            found = exported.predict(batch['inputs'], copy.deepcopy(samples))[0]
            outputs = exported.inference(reference.run_network, batch['inputs'], samples)
        persons += expected.pred_count
        difference = abs(found.pred_count - expected.pred_count)
        differences.append(difference / max(expected.pred_count, 1.0))
        seen, wanted = (each.pred_density.density[0] for each in (found, expected))
        cells.append((seen - wanted).abs().max().item())
        if threshold is None:
            here, there = (_point_set(LocalMaximum(), each, counter) for each in (seen, wanted))
        else:
            here = {(y, x) for y, x in outputs['peaks'][0, 0].nonzero().tolist()}
            there = _peak_set(wanted, float(threshold))
        points += len(there)
        moved += len(here ^ there)
    return Agreement(number, persons, max(differences), max(cells), points, moved)


def _point_set(localizer: LocalMaximum, density: Tensor, counter: BaseCounter) -> set[tuple]:
    points, _ = localizer(density, counter.stride)
    return {(x, y) for x, y in points.tolist()}


def _peak_set(density: Tensor, threshold: float) -> set[tuple]:
    """Rows and columns of the cells that are local maxima, by the localizer."""
    points, _ = LocalMaximum(threshold, join=False)(density, stride=1)
    return {(int(y), int(x)) for x, y in points.tolist()}


def require_agreement(agreement: Agreement, path: str | Path) -> None:
    """See that an exported file answers as its counter.

    Raises:
        ValueError: A count differs by more than 0.01 %, or a point.
    """
    if not (agreement.count_error <= COUNT_TOLERANCE and agreement.moved == 0):
        raise ValueError(
            f'{path}: not the answers of the counter ({agreement}); expected counts within '
            f'{100 * COUNT_TOLERANCE:g} % and the same points'
        )


def drawn_crowds() -> Iterable[np.ndarray]:
    """Pictures ``(H, W, 3)`` of drawn people, of :data:`CHECKED_SIZES`."""
    for seed, (height, width) in enumerate(CHECKED_SIZES):
        dataset = SyntheticCrowdDataset(
            num_images=1, split='test', seed=seed, img_size=(width, height)
        )
        yield dataset.get_data_info(0)['img']


def as_batch(image: np.ndarray) -> dict[str, list]:
    """An image ``(H, W, 3)`` BGR as what a loader gives to the data preprocessor."""
    shape = image.shape[:2]
    sample = CrowdDataSample(metainfo=dict(img_shape=shape, ori_shape=shape))
    inputs = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return dict(inputs=[inputs], data_samples=[sample])


class ProgramInference:
    """Run a program of ``torch.export`` as ``inference`` of a counter.

    Args:
        path: The ``.pt2`` file.
    """

    def __init__(self, path: str | Path):
        extra = {METADATA_FILE: ''}
        self.module = torch.export.load(str(path), extra_files=extra).module()
        self.metadata: dict[str, str] = json.loads(extra[METADATA_FILE])

    def __call__(self, run: Any, inputs: Tensor, data_samples: list[CrowdDataSample]) -> dict:
        threshold = self.metadata.get('peak_threshold')
        args: tuple[Tensor, ...] = (inputs,)
        if threshold is not None:
            args = inputs, torch.tensor([sample.img_shape for sample in data_samples])
        names = output_names(None if threshold is None else float(threshold))
        return dict(zip(names, self.module(*args), strict=True))


def open_inference(path: str | Path) -> OnnxInference | ProgramInference:
    """The runtime of an exported file, by its ending."""
    return ProgramInference(path) if Path(path).suffix == '.pt2' else OnnxInference(path)
