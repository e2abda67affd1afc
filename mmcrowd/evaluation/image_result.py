"""What an evaluation knows of one image, and its JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmcrowd.files import write_whole
from mmcrowd.structures import to_original_frame

# Of the JSON file; raised when a reader of the older form would misread the newer one.
FORMAT = 'mmcrowd-results-1'

# Decimals of coordinates and scores in the file.
_DECIMALS = 4


@dataclass(kw_only=True)
class ImageResult:
    """Truth and prediction of one image, all in pixels of the original frame.

    Attributes:
        img_id: Name of the image within its data set.
        pred_count: Predicted count.
        gt_count: True count; None for an image without annotation.
        pred_points: ``(k, 2)`` float64 predicted points ``(x, y)``; None if the model only counts.
        pred_scores: ``(k,)`` float64 scores of the predicted points, or None.
        gt_points: ``(m, 2)`` float64 true points, or None.
        gt_sigmas: ``(m, 2)`` float64 small and large radius of each head, or None.
        gt_boxes: ``(m, 4)`` float64 boxes of the heads, xyxy, or None.
        gt_levels: ``(m,)`` int levels of the head area, where a truth file states them, or None.
        img_path: File of the image, or None.
        ori_shape: ``(height, width)`` of the image, or None.
        attributes: The benchmark's labels of the image.
    """

    img_id: str
    pred_count: float
    gt_count: int | None = None
    pred_points: np.ndarray | None = None
    pred_scores: np.ndarray | None = None
    gt_points: np.ndarray | None = None
    gt_sigmas: np.ndarray | None = None
    gt_boxes: np.ndarray | None = None
    gt_levels: np.ndarray | None = None
    img_path: str | None = None
    ori_shape: tuple[int, int] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.img_id = str(self.img_id)
        columns = dict(pred_points=2, pred_scores=0, gt_points=2, gt_sigmas=2, gt_boxes=4)
        for name, width in columns.items():
            value = getattr(self, name)
            if value is not None:
                value = np.asarray(value, np.float64)
                setattr(self, name, value.reshape((-1, width) if width else -1))
        if self.gt_levels is not None:
            self.gt_levels = np.asarray(self.gt_levels, np.int64).reshape(-1)
        for given, of in (
            ('pred_scores', 'pred_points'),
            ('gt_sigmas', 'gt_points'),
            ('gt_boxes', 'gt_points'),
            ('gt_levels', 'gt_points'),
        ):
            values, points = getattr(self, given), getattr(self, of)
            if values is not None and (points is None or len(values) != len(points)):
                raise ValueError(
                    f'image {self.img_id!r}: {given} has {len(values)} rows, but {of} has '
                    f'{"none" if points is None else len(points)}'
                )

    @classmethod
    def from_sample(cls, sample: Mapping) -> 'ImageResult':
        """Of a :class:`~mmcrowd.structures.CrowdDataSample` as a metric gets it, a dict.

        The truth is brought back from the input frame; radii with the square root of the change
        in area.

        Raises:
            KeyError: The sample has no ``img_id`` or no ``pred_count``.
        """
        for key in ('img_id', 'pred_count'):
            if key not in sample:
                raise KeyError(f'image {sample.get("img_id")!r}: the sample has no {key}')
        pred = sample.get('pred_instances') or {}
        gt = sample.get('gt_instances') or {}
        points, boxes, sigmas = (_array(gt.get(key)) for key in ('points', 'boxes', 'sigmas'))
        if points is not None:
            points = to_original_frame(points.reshape(-1, 2), sample)
        if boxes is not None:
            boxes = to_original_frame(boxes.reshape(-1, 2), sample).reshape(-1, 4)
            if sample.get('flip', False):  # the corners have changed places
                boxes = boxes[:, [2, 1, 0, 3]]
        if sigmas is not None:
            sigmas = sigmas / np.sqrt(np.prod(sample.get('scale_factor', (1.0, 1.0))))
        return cls(
            img_id=sample['img_id'],
            pred_count=float(sample['pred_count']),
            gt_count=sample.get('gt_count'),
            pred_points=_array(pred.get('points')),
            pred_scores=_array(pred.get('scores')),
            gt_points=points,
            gt_sigmas=sigmas,
            gt_boxes=boxes,
            img_path=sample.get('img_path'),
            ori_shape=sample.get('ori_shape'),
            attributes=dict(sample.get('attributes') or {}),
        )


def save_results(results: Sequence[ImageResult], path: str | Path) -> None:
    """Write the results of a test run as JSON; the file appears whole or not at all."""
    images = [
        {key: _plain(value) for key, value in asdict(result).items() if value is not None}
        for result in results
    ]
    write_whole(path, json.dumps(dict(format=FORMAT, images=images)))


def load_results(path: str | Path) -> list[ImageResult]:
    """Read what :func:`save_results` wrote.

    Raises:
        ValueError: The file is no such JSON, naming it and what is wrong.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f'{path}: not a JSON file of results ({error})') from None
    seen = content.get('format') if isinstance(content, dict) else None
    if seen != FORMAT:
        raise ValueError(f'{path}: format is {seen!r}, expected {FORMAT!r}')
    if not isinstance(content.get('images'), list):
        raise ValueError(f'{path}: expected a list under the key "images"')
    results = []
    for number, image in enumerate(content['images']):
        try:
            results.append(ImageResult(**image))
        except (TypeError, ValueError) as error:
            raise ValueError(f'{path}: images[{number}]: {error}') from None
    return results


def _array(values: Any) -> np.ndarray | None:
    if values is None:
        return None
    if hasattr(values, 'detach'):
        values = values.detach().cpu().numpy()
    return np.asarray(values, np.float64)


def _plain(value: Any) -> Any:
    """The value as JSON knows it."""
    if isinstance(value, np.ndarray):
        return value.round(_DECIMALS).tolist() if value.dtype.kind == 'f' else value.tolist()
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    return value
