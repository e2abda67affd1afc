"""What an evaluation knows of one image, and its JSON file."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmcrowd.fileio.files import write_atomic
from mmcrowd.ops.heads import box_levels, box_sigmas
from mmcrowd.structures.point_fields import POINT_FIELDS, truth_to_original_frame

# Of the JSON file; raised when a reader of the older form would misread the newer one.
FORMAT = 'mmcrowd-results-1'

# The fields of the points, by their names in the table, that evaluations use.
TRUTH = ('points', 'sigmas', 'boxes')


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
        shapes = {f'gt_{key}': POINT_FIELDS[key].shape for key in TRUTH}
        for name, shape in dict(shapes, pred_points=(2,), pred_scores=()).items():
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, np.asarray(value, np.float64).reshape(-1, *shape))
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

        Raises:
            KeyError: The sample has no ``img_id`` or no ``pred_count``.
            ValueError: Its ``gt_original`` is not of its points.
        """
        for key in ('img_id', 'pred_count'):
            if key not in sample:
                raise KeyError(f'image {sample.get("img_id")!r}: the sample has no {key}')
        pred = sample.get('pred_instances') or {}
        truth = original_truth(sample)
        return cls(
            img_id=sample['img_id'],
            pred_count=float(sample['pred_count']),
            gt_count=sample.get('gt_count'),
            pred_points=_array(pred.get('points')),
            pred_scores=_array(pred.get('scores')),
            **{f'gt_{key}': truth[key] for key in TRUTH if key in truth},
            img_path=sample.get('img_path'),
            ori_shape=sample.get('ori_shape'),
            attributes=dict(sample.get('attributes') or {}),
        )

    def head_sigmas(self) -> np.ndarray | None:
        """``(m, 2)`` small and large radius of each head, those that are given or else of its box.

        Returns:
            Whole pixels, as the protocol of NWPU-Crowd has them; None where nothing tells them.

        Raises:
            ValueError: A box cannot be used, naming the image.
        """
        if self.gt_sigmas is not None:
            return np.rint(self.gt_sigmas)
        return self._of_boxes(box_sigmas)

    def head_levels(self) -> np.ndarray | None:
        """``(m,)`` level of each head's area, as :meth:`head_sigmas`."""
        return self._of_boxes(box_levels) if self.gt_levels is None else self.gt_levels

    def _of_boxes(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
        boxes = self.gt_boxes
        if boxes is None and self.gt_points is not None and len(self.gt_points) == 0:
            boxes = []  # all is known of nobody
        try:
            return None if boxes is None else function(boxes)
        except ValueError as error:
            raise ValueError(f'image {self.img_id!r}: {error}') from None


def original_truth(sample: Mapping) -> dict[str, np.ndarray]:
    """Points, boxes and sigmas of the heads in the original frame.

    They are the sample's ``gt_original``, see
    :class:`~mmcrowd.datasets.transforms.LoadCrowdImage`. If it has none, those of its
    ``gt_instances`` are brought back from the input frame.

    Args:
        sample: A :class:`~mmcrowd.structures.CrowdDataSample` as a metric gets it, a dict.

    Returns:
        float64 arrays of ``points``, ``boxes`` and ``sigmas``, those that there are.

    Raises:
        ValueError: The two are not of the same number of points.
    """
    gt = sample.get('gt_instances') or {}
    truth = {key: _array(gt.get(key)) for key in TRUTH}
    original = sample.get('gt_original')
    if truth['points'] is None or original is None:
        return truth_to_original_frame(truth, sample)
    numbers = len(original['points']), len(truth['points'])
    if numbers[0] != numbers[1]:
        raise ValueError(
            f'image {sample.get("img_id")!r}: gt_original has {numbers[0]} points, gt_instances '
            f'{numbers[1]}; a transform that drops points must drop their rows of gt_original too'
        )
    return original


def save_results(results: Sequence[ImageResult], path: str | Path) -> None:
    """Write the results of a test run as JSON, all digits; the file appears whole or not at all."""
    images = [
        {key: _plain(value) for key, value in asdict(result).items() if value is not None}
        for result in results
    ]
    write_atomic(path, json.dumps(dict(format=FORMAT, images=images)))


def load_results(path: str | Path) -> list[ImageResult]:
    """Read what :func:`save_results` wrote.

    Raises:
        ValueError: The file is no such JSON, naming it and what is wrong.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
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
        return (value + 0).tolist()  # -0.0 becomes 0.0
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return value + 0.0 if isinstance(value, float) else value
