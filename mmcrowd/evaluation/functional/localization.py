"""One-to-one matching of predicted with true points, and its scores, on plain arrays."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow
from scipy.spatial import cKDTree

from mmcrowd.ops.heads import HEAD_RADII


def match_points(
    pred: np.ndarray, gt: np.ndarray, radius: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Match predicted with true points one to one, as many as can be.

    A prediction may be matched with a true point if their Euclidean distance is at most the radius
    of that true point. The squares are compared in float64, so that the answer is exact for integer
    coordinates and radii. The matching has the largest possible number of pairs; which of the
    matchings of that size it is, is not promised.

    Time and memory grow with the number of pairs within reach of each other: up to 2 microseconds
    and 150 bytes each. Where all points lie within one radius every pair is one: 2000 predictions
    and 2000 true points then take about 0.5 GB.

    Args:
        pred: ``(k, 2)`` predicted points ``(x, y)``.
        gt: ``(m, 2)`` true points, of the same frame.
        radius: One radius, or ``(m,)`` radii, in the unit of the points; both ends are included.

    Returns:
        Indices ``pred_index`` and ``gt_index`` of the matched pairs, int64 ``(tp,)`` each,
        ascending in ``gt_index``.

    Raises:
        ValueError: Points that are not ``(n, 2)`` and finite, or radii that are not one or ``m``
            finite numbers >= 0.

    Examples:
        >>> match_points([[0, 0], [9, 0]], [[4, 0], [5, 0]], 5)
        (array([0, 1]), array([0, 1]))
    """
    return match_points_at_radii(pred, gt, [np.asarray(radius)])[0]


def match_points_at_radii(
    pred: np.ndarray, gt: np.ndarray, radii: Sequence[float] | Sequence[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """:func:`match_points` at each of several radii, for less than the sum of their times.

    Args:
        pred: ``(k, 2)`` predicted points ``(x, y)``.
        gt: ``(m, 2)`` true points, of the same frame.
        radii: Each as ``radius`` of :func:`match_points`; fastest in ascending order.

    Returns:
        For each radius the two indices of :func:`match_points`.

    Raises:
        ValueError: As :func:`match_points`.
    """
    pred, gt = _points('pred', pred), _points('gt', gt)
    per_point = [_per_point(radius, len(gt)) for radius in radii]
    if not per_point:
        return []
    gt_end, pred_end, squared = _edges(pred, gt, np.max(per_point, axis=0))
    pred_of_gt = np.full(len(gt), -1)
    matchings = []
    for radius in per_point:
        near = squared <= radius[gt_end] ** 2
        pred_of_gt = _maximum_matching(gt_end[near], pred_end[near], len(pred), pred_of_gt)
        gt_index = np.flatnonzero(pred_of_gt >= 0)
        matchings.append((pred_of_gt[gt_index], gt_index))
    return matchings


def match_heads(
    pred: np.ndarray, gt: np.ndarray, sigmas: np.ndarray, radii: Sequence[str] = HEAD_RADII
) -> list[tuple[np.ndarray, np.ndarray]]:
    """:func:`match_points` at radii of each head, by the protocol of NWPU-Crowd.

    The protocol knows whole pixels only: points and sigmas are rounded first, halves to the even
    number, as the files of the benchmark are written.

    Args:
        pred: ``(k, 2)`` predicted points ``(x, y)`` in the original frame.
        gt: ``(m, 2)`` true points.
        sigmas: ``(m, 2)`` small and large radius of each head.
        radii: Some of :data:`~mmcrowd.ops.heads.HEAD_RADII`. Defaults to both.

    Returns:
        For each radius the two indices of :func:`match_points`.

    Raises:
        ValueError: As :func:`match_points`.

    Examples:
        >>> match_heads([[5.4, 0]], [[0, 0]], [[4, 5]])[1]
        (array([0]), array([0]))
    """
    pred, gt, sigmas = (np.rint(np.asarray(a, np.float64)) for a in (pred, gt, sigmas))
    sigmas = sigmas.reshape(-1, 2)
    return match_points_at_radii(pred, gt, [sigmas[:, HEAD_RADII.index(name)] for name in radii])


def localization_scores(tp: int, fp: int, fn: int) -> dict[str, float]:
    """Precision, recall and F1 of counts that are pooled over a set of images.

    - ``P`` = tp / (tp + fp), ``nan`` if nothing was predicted.
    - ``R`` = tp / (tp + fn), ``nan`` if there is no true point.
    - ``F1`` = 2 P R / (P + R); 0 if nothing was matched, ``nan`` only if there was nothing to match
      on either side.

    Args:
        tp: Matched pairs.
        fp: Predictions without a partner.
        fn: True points without a partner.

    Raises:
        ValueError: A count is negative.

    Examples:
        >>> localization_scores(tp=6, fp=2, fn=6)
        {'P': 0.75, 'R': 0.5, 'F1': 0.6}
    """
    if min(tp, fp, fn) < 0:
        raise ValueError(f'tp, fp, fn are {tp}, {fp}, {fn}, expected counts >= 0')
    precision = float(tp / (tp + fp)) if tp + fp else float('nan')
    recall = float(tp / (tp + fn)) if tp + fn else float('nan')
    f1 = 0.0 if fp + fn else float('nan')
    if tp:
        f1 = 2 * precision * recall / (precision + recall)
    return {'P': precision, 'R': recall, 'F1': f1}


def _points(name: str, points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, np.float64)
    if points.size == 0:
        return points.reshape(0, 2)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f'{name} has shape {points.shape}, expected (n, 2)')
    finite = np.isfinite(points)
    if not finite.all():
        index = int(np.argmin(finite.all(1)))
        raise ValueError(f'{name}[{index}] is {points[index].tolist()}, expected finite numbers')
    return points


def _per_point(radius: float | np.ndarray, num_points: int) -> np.ndarray:
    radius = np.asarray(radius, np.float64)
    if radius.shape not in ((), (num_points,)):
        raise ValueError(f'radius has shape {radius.shape}, expected one number or ({num_points},)')
    valid = np.isfinite(radius) & (radius >= 0)
    if not valid.all():
        raise ValueError(f'radius is {radius[~valid].flat[0]}, expected finite numbers >= 0')
    return np.broadcast_to(radius, num_points)


def _edges(
    pred: np.ndarray, gt: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs within the radius: index of the true point, of the prediction, squared distance."""
    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    if len(pred) and len(gt):
        tree = cKDTree(pred)
        # The tree rounds in its own way: it searches a little wider than the exact test below.
        slack = 1e-6 * max(np.abs(pred).max(), np.abs(gt).max())
        # It takes one radius, so it is asked once for all radii between two powers of two.
        octave = np.maximum(np.frexp(radius)[1], 2)
        for value in np.unique(octave):
            member = np.flatnonzero(octave == value)
            pairs = cKDTree(gt[member]).sparse_distance_matrix(
                tree, radius[member].max() + slack, output_type='ndarray'
            )
            gt_end, pred_end = member[pairs['i']], pairs['j']
            squared = ((gt[gt_end] - pred[pred_end]) ** 2).sum(1)
            near = squared <= radius[gt_end] ** 2
            found.append((gt_end[near], pred_end[near], squared[near]))
    gt_end, pred_end, squared = (np.concatenate(column) for column in zip(*found, strict=True))
    return gt_end, pred_end, squared


def _maximum_matching(
    gt_end: np.ndarray, pred_end: np.ndarray, num_pred: int, start: np.ndarray
) -> np.ndarray:
    """Extend a matching along augmenting paths to one of maximum cardinality.

    This is the maximum flow from the unmatched true points to the unmatched predictions through
    edges of capacity one, those of the matching reversed; Dinic's algorithm needs O(E sqrt(V)).
    :func:`scipy.sparse.csgraph.maximum_bipartite_matching` is no choice: up to SciPy 1.18 at least
    it visits dead ends again and again, in time exponential in the length of the paths (issue 26147
    of scipy/scipy), and clusters denser than the radius have long ones.

    Args:
        gt_end: ``(E,)`` true point of each edge.
        pred_end: ``(E,)`` prediction of each edge.
        num_pred: Number of predictions.
        start: ``(m,)`` prediction of each true point in a matching to start from, -1 for none;
            pairs that are no edge are dropped.

    Returns:
        ``(m,)`` prediction of each true point, -1 for none.
    """
    num_gt = len(start)
    matched = start[gt_end] == pred_end
    pred_of_gt = np.full(num_gt, -1)
    pred_of_gt[gt_end[matched]] = pred_end[matched]
    # Without an edge at both of its ends there is no augmenting path.
    free_gt, free_pred = np.zeros(num_gt, bool), np.zeros(num_pred, bool)
    free_gt[gt_end], free_pred[pred_end] = True, True
    free_gt[gt_end[matched]], free_pred[pred_end[matched]] = False, False
    free_gt, free_pred = np.flatnonzero(free_gt), np.flatnonzero(free_pred)
    if not len(free_gt) or not len(free_pred):
        return pred_of_gt

    # Nodes: true points, predictions, source, sink.
    source, sink = num_gt + num_pred, num_gt + num_pred + 1
    pred_node = num_gt + pred_end
    from_gt, to_pred = np.full(len(free_gt), source), np.full(len(free_pred), sink)
    tail = np.concatenate([np.where(matched, pred_node, gt_end), from_gt, num_gt + free_pred])
    head = np.concatenate([np.where(matched, gt_end, pred_node), free_gt, to_pred])
    # Built by hand: in small images the conversions of scipy.sparse would take most of the time.
    order = np.lexsort((head, tail))
    start_of = np.zeros(sink + 2, np.int32)
    np.cumsum(np.bincount(tail, minlength=sink + 1), out=start_of[1:])
    network = csr_array(
        (np.ones(len(tail), np.int32), head[order].astype(np.int32), start_of),
        shape=(sink + 1, sink + 1),
    )
    flow = maximum_flow(network, source, sink).flow
    # An augmenting path gives its true points new partners and leaves none without one.
    rows = flow.indptr[: num_gt + 1]
    new = flow.data[: rows[-1]] > 0
    pred_of_gt[np.repeat(np.arange(num_gt), np.diff(rows))[new]] = (
        flow.indices[: rows[-1]][new] - num_gt
    )
    return pred_of_gt
