from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from mmengine.structures import BaseDataElement

from .point_fields import POINT_FIELDS, truth_to_original_frame

# The values of a point that have a form in each frame.
MOVING = tuple(key for key, field in POINT_FIELDS.items() if field.moves)


class SampleReader:
    """Typed view of a sample, for everything that compares, draws or writes it.

    What the sample holds is read as float64 arrays on the host; what it does not hold is None, or
    an error by :meth:`require`. All errors name the image and the key.

    Args:
        sample: A :class:`~mmcrowd.structures.CrowdDataSample`, or the dict that metrics get of it.
        reader: Who reads, such as ``'CountMetric'``; written in the errors.
        name: Name of the image in the errors. Defaults to the ``img_id`` of the sample.

    Examples:
        >>> read = SampleReader(dict(img_id='IMG_1', pred_count=2.5), 'CountMetric')
        >>> read.value('pred_count'), read.pred_points
        (2.5, None)
        >>> read.value('gt_count')
        Traceback (most recent call last):
        KeyError: "image 'IMG_1': CountMetric needs gt_count, the sample has none"
    """

    def __init__(
        self, sample: BaseDataElement | Mapping, reader: str, name: str | int | None = None
    ):
        self._sample = sample.to_dict() if isinstance(sample, BaseDataElement) else sample
        self._reader = reader
        self.img_id = self._sample.get('img_id') if name is None else name

    @property
    def meta(self) -> Mapping:
        """The sample as the functions of :mod:`mmcrowd.structures.frame` take it."""
        return self._sample

    def get(self, key: str, default: Any = None) -> Any:
        """A value of the sample as it stands there, or the default."""
        value = self._sample.get(key)
        return default if value is None else value

    def value(self, key: str) -> Any:
        """A value of the sample as it stands there.

        Raises:
            KeyError: The sample has none.
        """
        self.require(key)
        return self._sample[key]

    def require(self, *keys: str, hint: str = '') -> None:
        """Check that the sample has some values.

        Args:
            *keys: Keys of the sample.
            hint: What to do about it, appended to the error. Defaults to nothing.

        Raises:
            KeyError: The sample lacks one of them.
        """
        for key in keys:
            if self._sample.get(key) is None:
                end = f'; {hint}' if hint else ''
                raise KeyError(
                    f'image {self.img_id!r}: {self._reader} needs {key}, the sample has none{end}'
                )

    @property
    def pred_points(self) -> np.ndarray | None:
        """``(k, 2)`` predicted points ``(x, y)`` in pixels of the original frame."""
        return self._rows('pred_instances', 'points')

    @property
    def pred_scores(self) -> np.ndarray | None:
        """``(k,)`` scores of the predicted points."""
        scores = self.get('pred_instances', {}).get('scores')
        return None if scores is None else _array(scores)

    @cached_property
    def density(self) -> np.ndarray | None:
        """``(h, w)`` predicted persons per cell of the un-padded area, in the input frame.

        Raises:
            ValueError: A value is not finite.
        """
        values = self.get('pred_density', {}).get('density')
        if values is None:
            return None
        density = _array(values)
        if not np.isfinite(density.sum()):  # as good as to ask every cell, and faster
            raise ValueError(f'image {self.img_id!r}: pred_density is not finite everywhere')
        return density[0]

    def stride(self, img_shape: tuple[int, int] | None = None) -> int:
        """Input pixels per cell of the predicted density.

        Args:
            img_shape: ``(H, W)`` of the image in the input frame, which the density must just
                cover. Defaults to that of the sample; if it has none, nothing is checked.

        Raises:
            KeyError: The sample has no ``pred_density`` or no ``density_stride``.
            ValueError: The density has another size than image and stride say.
        """
        self.require('pred_density', 'density_stride')
        stride, density = self._sample['density_stride'], self.density
        size = () if density is None else density.shape
        shape = img_shape or self.get('img_shape')
        if shape is not None and tuple(-(-side // stride) for side in shape) != size:
            raise ValueError(
                f'image {self.img_id!r}: pred_density has {size} cells, which do not cover an '
                f'input of {tuple(shape)} pixels at density_stride {stride}'
            )
        return stride

    @property
    def gt_points(self) -> np.ndarray | None:
        """``(m, 2)`` true points ``(x, y)`` in pixels of the input frame."""
        return self._rows('gt_instances', 'points')

    @property
    def gt_boxes(self) -> np.ndarray | None:
        """``(m, 4)`` boxes of the heads, xyxy in pixels of the input frame."""
        return self._rows('gt_instances', 'boxes')

    @cached_property
    def original_truth(self) -> dict[str, np.ndarray]:
        """``points``, ``boxes`` and ``sigmas`` of the heads in the original frame, those known.

        They are the sample's ``gt_original``, the truth as annotated, see
        :class:`~mmcrowd.datasets.transforms.LoadCrowdImage`. Only if it has none, those of its
        ``gt_instances`` are brought back from the input frame.

        Raises:
            ValueError: The two are not of the same number of points.
        """
        original, instances = self.get('gt_original'), self.get('gt_instances', {})
        if original is None or instances.get('points') is None:
            truth = {key: _rows(instances.get(key), key) for key in MOVING}
            return truth_to_original_frame(truth, self._sample)
        numbers = len(original['points']), len(instances['points'])
        if numbers[0] != numbers[1]:
            raise ValueError(
                f'image {self.img_id!r}: gt_original has {numbers[0]} points, gt_instances '
                f'{numbers[1]}; a transform that drops points must drop their rows of gt_original '
                'too'
            )
        rows = {key: _rows(original.get(key), key) for key in MOVING}
        return {key: values for key, values in rows.items() if values is not None}

    @property
    def partition_index(self) -> np.ndarray | None:
        """``(h, w)`` int64 nearest point of each cell, -1 for none."""
        index = self.get('gt_partition', {}).get('index')
        return None if index is None else _array(index)[0].astype(np.int64)

    def _rows(self, group: str, field: str) -> np.ndarray | None:
        return _rows(self.get(group, {}).get(field), field)


def _rows(values: Any, field: str) -> np.ndarray | None:
    return None if values is None else _array(values).reshape(-1, *POINT_FIELDS[field].shape)


def _array(values: Any) -> np.ndarray:
    if hasattr(values, 'detach'):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, np.float64)
