"""What an evaluation knows of one image, and its JSON file."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmcrowd.fileio.files import write_atomic
from mmcrowd.ops.heads import box_levels, box_sigmas
from mmcrowd.structures import CrowdDataSample, SampleReader
from mmcrowd.structures.point_fields import POINT_FIELDS

__all__ = ['ImageResult', 'load_results', 'save_results']

# Form of the JSON file; a new number where a reader of the older form would misread the newer one.
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
    def from_sample(
        cls, sample: CrowdDataSample | Mapping, reader: str = 'ImageResult'
    ) -> 'ImageResult':
        """Result of a sample after prediction.

        Args:
            sample: The sample, or the dict that metrics get of it.
            reader: Who needs it, written in the errors. Defaults to ``'ImageResult'``.

        Raises:
            KeyError: The sample has no ``img_id`` or no ``pred_count``.
            ValueError: Its ``gt_original`` and ``gt_instances`` are of different numbers of points.
        """
        read = SampleReader(sample, reader)
        truth = read.original_truth
        return cls(
            img_id=read.value('img_id'),
            pred_count=float(read.value('pred_count')),
            gt_count=read.get('gt_count'),
            pred_points=read.pred_points,
            pred_scores=read.pred_scores,
            **{f'gt_{key}': truth[key] for key in TRUTH if key in truth},
            img_path=read.get('img_path'),
            ori_shape=read.get('ori_shape'),
            attributes=dict(read.get('attributes', {})),
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
            boxes = np.empty((0, 4))  # all is known of nobody
        try:
            return None if boxes is None else function(boxes)
        except ValueError as error:
            raise ValueError(f'image {self.img_id!r}: {error}') from None


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


def _plain(value: Any) -> Any:
    """The value as JSON knows it."""
    if isinstance(value, np.ndarray):
        return (value + 0).tolist()  # -0.0 becomes 0.0
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return value + 0.0 if isinstance(value, float) else value
