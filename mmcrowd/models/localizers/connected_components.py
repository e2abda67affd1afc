"""Points at the centres of connected regions of a map."""

import math
from collections.abc import Mapping
from numbers import Real

import cv2
import numpy as np
import torch
from torch import Tensor

from mmcrowd.models.localizers.checks import check_density, take_source
from mmcrowd.ops.cells import cell_centre
from mmcrowd.registry import TASK_UTILS

CONNECTIVITIES = (4, 8)
CENTRES = ('mean', 'mass', 'outline')


@TASK_UTILS.register_module()
class ConnectedComponents:
    """Take the connected regions of a map that pass a threshold, one point for each.

    A cell passes if its value is at least the threshold: one for all cells, or the value of another
    output at that cell, as in IIM (Gao et al., arXiv 2012.04164), whose program is
    ``ConnectedComponents('threshold', min_area=3, to_cells=True, source='map')``.

    With ``high`` the threshold has hysteresis, as in TopoCount (Abousamra et al., AAAI 2021): a
    group of passing cells, connected over their edges, stays only if one of its values is at least
    ``high``. What stays is then divided into regions by ``connectivity``.

    On a density in persons per cell a region is a place of at least so many persons per cell, and
    people whose mass touches are one point.

    Args:
        threshold: Least value of a cell, or the name of the output that has it for each cell.
            Defaults to 0.5.
        high: Least largest value of a group, not less than a number as ``threshold``. Defaults to
            None, no hysteresis.
        connectivity: 4, cells that share an edge are connected, or 8, a corner is enough. Defaults
            to 4.
        min_area: Least number of cells of a region. Defaults to 1.
        centre: Where the point is: at the ``'mean'`` of the cells; of their ``'mass'``, the mean
            weighted with the values, which must not be negative; or of the area within the
            ``'outline'`` through the outer cells, as in TopoCount, for the connectivity 8. Where
            that area is 0, as of a line of cells, it is their mean. Defaults to ``'mean'``.
        to_cells: Whether the mean is cut down to a whole row and column, as published. Defaults to
            False.
        source: Output that is searched. Defaults to ``'density'``.

    Raises:
        ValueError: ``connectivity``, ``min_area`` or ``centre`` is none of the above, there are
            outlines with another connectivity than 8, or ``threshold`` or ``high`` is not a finite
            number (or name, or None), or ``high`` is less than ``threshold``.

    Examples:
        >>> density = torch.tensor([[0.6, 0.9, 0.0, 0.0], [0.0, 0.0, 0.5, 0.2]])
        >>> ConnectedComponents()(density, stride=1)
        (tensor([[0.5000, 0.0000],
                [2.0000, 1.0000]]), tensor([0.9000, 0.5000]))
        >>> ConnectedComponents(0.1, high=0.8, connectivity=8)(density, stride=1)
        (tensor([[0.5000, 0.0000]]), tensor([0.9000]))
    """

    def __init__(
        self,
        threshold: float | str = 0.5,
        high: float | None = None,
        connectivity: int = 4,
        min_area: int = 1,
        centre: str = 'mean',
        to_cells: bool = False,
        source: str = 'density',
    ) -> None:
        if connectivity not in CONNECTIVITIES:
            raise ValueError(
                f'ConnectedComponents: connectivity={connectivity!r}, expected one of '
                f'{CONNECTIVITIES}'
            )
        if centre not in CENTRES:
            raise ValueError(f'ConnectedComponents: centre={centre!r}, expected one of {CENTRES}')
        if centre == 'outline' and connectivity != 8:
            raise ValueError(
                f"ConnectedComponents: centre='outline' is that of regions of connectivity=8, but "
                f'got {connectivity}'
            )
        if not isinstance(min_area, int | np.integer) or isinstance(min_area, bool) or min_area < 1:
            raise ValueError(
                f'ConnectedComponents: min_area={min_area!r}, expected a whole number of at least 1'
            )
        if not isinstance(threshold, str) and not is_finite_number(threshold):
            raise ValueError(
                f'ConnectedComponents: threshold={threshold!r}, expected a finite number or the '
                'name of an output'
            )
        if high is not None and not is_finite_number(high):
            raise ValueError(
                f'ConnectedComponents: high={high!r}, expected a finite number or None'
            )
        if high is not None and not isinstance(threshold, str) and high < threshold:
            raise ValueError(
                f'ConnectedComponents: high={high!r}, expected at least threshold={threshold!r}'
            )
        self.threshold = threshold
        self.high = high
        self.connectivity = connectivity
        self.min_area = min_area
        self.centre = centre
        self.to_cells = to_cells
        self.source = source

    @torch.no_grad()
    def __call__(
        self, outputs: Tensor | Mapping[str, Tensor], stride: int
    ) -> tuple[Tensor, Tensor]:
        """Find the points of one image, on the host.

        Args:
            outputs: Map ``(h, w)``, or the outputs of the network for the image, of which
                ``source`` is taken.
            stride: Input pixels per cell.

        Returns:
            ``(k, 2)`` points ``(x, y)`` in input pixels and their ``(k,)`` scores, the largest
            value of each region; float32, on the device of the map, by falling score and then in
            the order of rows.

        Raises:
            KeyError: The outputs lack ``source`` or the threshold.
            TypeError: The threshold is an output, but there is only a map.
            ValueError: The map is not ``(h, w)``, floating and finite, the threshold has another
                size, or a value is negative that the mass needs.
        """
        source = take_source(outputs, self.source, self)
        check_density(source, stride, self)
        values = to_numpy(source)
        passes = values >= self._threshold(outputs, values.shape)
        if self.high is not None:
            passes = grow(passes, values >= self.high)
        number, labels, stats, centres = cv2.connectedComponentsWithStats(
            passes.view(np.uint8), connectivity=self.connectivity
        )
        # Numbers of cells of the flat map, and intp numbers of regions: with a row and a column for
        # each cell, or with int32, the sums and maxima over regions take several times as long.
        cells = np.flatnonzero(passes)
        values = values.ravel()[cells].astype(np.float64)
        regions = labels.ravel()[cells].astype(np.intp)
        if self.centre == 'mass':
            weights = self._weights(values)
            total = np.bincount(regions, weights, number)
            total[0] = 1  # cells that do not pass
            axes = cells % passes.shape[1], cells // passes.shape[1]
            centres = np.stack(
                [np.bincount(regions, weights * axis, number) / total for axis in axes], 1
            )
        elif self.centre == 'outline':
            # Lines along an axis have no area, and most regions of a noisy map are such.
            wide = (stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]] > 1).all(1)
            wide[0] = False
            outlines = outline_centres(np.where(wide[labels], labels, 0), number - 1)
            centres[1:] = np.where(np.isnan(outlines), centres[1:], outlines)
        if self.to_cells:
            centres = np.floor(centres)
        scores = np.full(number, -np.inf)
        np.maximum.at(scores, regions, values)
        kept = stats[:, cv2.CC_STAT_AREA] >= self.min_area
        kept[0] = False
        centres, scores = centres[kept], scores[kept]
        order = falling_order(scores, centres)
        points, scores = (
            torch.from_numpy(array[order]).to(source.device, torch.float32)
            for array in (cell_centre(centres, stride), scores)
        )
        return points, scores

    def _threshold(
        self, outputs: Tensor | Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> float | np.ndarray:
        if not isinstance(self.threshold, str):
            return self.threshold
        if not isinstance(outputs, Mapping):
            raise TypeError(
                f'ConnectedComponents: threshold={self.threshold!r} is an output, expected the '
                'outputs of the network, but got one map'
            )
        threshold = take_source(outputs, self.threshold, self)
        if tuple(threshold.shape) != shape:
            raise ValueError(
                f'ConnectedComponents: the threshold {self.threshold!r} has the shape '
                f'{tuple(threshold.shape)}, but {self.source!r} has {shape}'
            )
        return to_numpy(threshold)

    def _weights(self, values: np.ndarray) -> np.ndarray:
        if values.min(initial=0) < 0:
            raise ValueError(
                f"ConnectedComponents: centre='mass' needs values that are not negative, but got "
                f'{values.min()}'
            )
        # Of a region of zeros the mass says nothing.
        return values + np.finfo(np.float64).tiny


def is_finite_number(value: object) -> bool:
    """Whether it is a real number, neither NaN nor infinite."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def to_numpy(values: Tensor) -> np.ndarray:
    """A map on the host; NumPy has no bfloat16, and half precision becomes float32."""
    half = values.dtype in (torch.float16, torch.bfloat16)
    return (values.float() if half else values).cpu().numpy()


def falling_order(scores: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Order by falling score, and equal scores by row and column.

    Args:
        scores: ``(k,)``.
        centres: ``(k, 2)`` (x, y).

    Returns:
        ``(k,)`` places.

    Examples:
        >>> falling_order(np.array([1.0, 3.0, 1.0]), np.array([[0, 7], [0, 0], [9, 2]]))
        array([1, 2, 0])
    """
    order = np.argsort(-scores)
    # Stable sorting by several keys takes ten times as long: only for the scores that need it.
    equal = np.diff(scores[order], prepend=np.nan, append=np.nan) == 0
    tied = np.flatnonzero(equal[1:] | equal[:-1])
    some = order[tied]
    order[tied] = some[np.lexsort((centres[some, 0], centres[some, 1], -scores[some]))]
    return order


def label(cells: np.ndarray, connectivity: int) -> np.ndarray:
    """Number the connected regions of cells.

    Args:
        cells: ``(h, w)`` bool.
        connectivity: 4 or 8.

    Returns:
        ``(h, w)`` int32, 0 where a cell is False, and the regions from 1 on.

    Examples:
        >>> label(np.array([[True, False], [False, True]]), 8).tolist()
        [[1, 0], [0, 1]]
    """
    return cv2.connectedComponents(cells.astype(np.uint8), connectivity=connectivity)[1]


def outline_centres(labels: np.ndarray, number: int) -> np.ndarray:
    """Centroids of the polygons through the outer cells of regions; holes belong to them.

    Args:
        labels: ``(h, w)`` int32, regions of connectivity 8 from 1 on.
        number: How many there are.

    Returns:
        ``(number, 2)`` (x, y) in cells, NaN for a polygon without area.

    Examples:
        >>> labels = np.int32([[1, 1, 1, 0, 2], [1, 0, 1, 0, 2], [1, 1, 1, 0, 2]])
        >>> outline_centres(labels, 2).tolist()
        [[1.0, 1.0], [nan, nan]]
    """
    centres = np.full((number, 2), np.nan)
    # Of two levels: outlines of regions, those within holes of others too, and of their holes.
    contours, levels = cv2.findContours(
        fill_empty_holes(labels), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    for contour, (*_, parent) in zip(contours, [] if levels is None else levels[0], strict=True):
        if parent >= 0:
            continue
        moments = cv2.moments(contour)
        if moments['m00'] > 0:
            x, y = contour[0, 0]
            centre = moments['m10'] / moments['m00'], moments['m01'] / moments['m00']
            centres[labels[y, x] - 1] = centre
    return centres


def fill_empty_holes(labels: np.ndarray) -> np.ndarray:
    """The cells of regions and of their holes, but for the holes with another region inside.

    The outlines of the regions stay as they are: cells that an outline passes by are connected over
    their edges, so that it never comes to a cell of a hole. Of a noisy map, with a hundred thousand
    holes, following the outlines of the holes takes most of the time.

    Args:
        labels: ``(h, w)`` int32, regions of connectivity 8 from 1 on.

    Returns:
        ``(h, w)`` uint8, 0 and 1.

    Examples:
        >>> fill_empty_holes(np.int32([[0, 1, 0], [1, 0, 1], [0, 1, 0]])).tolist()
        [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    """
    number, gaps = cv2.connectedComponents((labels == 0).view(np.uint8), connectivity=4)
    empty = np.ones(number, bool)  # also of the regions, gap 0
    for side in (gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]):
        empty[side[side > 0]] = False
    # Of neighbours over an edge one is 0 in the labels and the other in the gaps, or both are in
    # the same gap or region.
    beside, region = [], []
    for first, second in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        label_pair, gap_pair = (array[first] + array[second] for array in (labels, gaps))
        border = np.flatnonzero((labels[first] > 0) != (labels[second] > 0))
        beside.append(gap_pair.ravel()[border])
        region.append(label_pair.ravel()[border])
    beside, region = np.concatenate(beside).astype(np.intp), np.concatenate(region)
    around = np.zeros(number, np.int32)
    around[beside] = region  # any of them
    empty[beside[around[beside] != region]] = False
    return empty[gaps].view(np.uint8)


def grow(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Keep the groups of cells, connected over their edges, that hold a certain cell.

    Args:
        low: ``(h, w)`` bool, the cells of the groups.
        high: ``(h, w)`` bool, the certain cells.

    Returns:
        ``(h, w)`` bool.

    Examples:
        >>> low = np.array([[True, True, False, True]])
        >>> grow(low, np.array([[False, True, False, False]]))
        array([[ True,  True, False, False]])
    """
    groups = label(low, 4)
    chosen = np.zeros(groups.max(initial=0) + 1, bool)
    chosen[groups[low & high]] = True
    return chosen[groups]
