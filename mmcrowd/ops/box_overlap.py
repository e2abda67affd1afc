"""Choice among boxes that overlap, on the host."""

import numpy as np
from scipy.spatial import cKDTree


def check_boxes(boxes: np.ndarray, where: str = '') -> None:
    """See that boxes are finite and not reversed.

    Args:
        boxes: ``(n, 4)`` xyxy.
        where: Beginning of the message, such as ``'BoxMask: img.jpg: '``. Defaults to nothing.

    Raises:
        ValueError: One of them is not.
    """
    wrong = ~(np.isfinite(boxes).all(1) & (boxes[:, :2] <= boxes[:, 2:]).all(1))
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f'{where}boxes[{first}] is {boxes[first].tolist()}, expected finite x1 <= x2 and '
            'y1 <= y2'
        )


def box_nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    edge: float = 0.0,
    drop_contained: bool = False,
) -> np.ndarray:
    """Choose boxes greedily by falling score, none that overlaps a chosen one by too much.

    The overlap is intersection over union. Only boxes whose centres are close enough for one are
    compared, found by a KD-tree: thousands of chosen boxes among tens of thousands take tenths of a
    second, unless all lie in one place.

    Args:
        boxes: ``(n, 4)`` xyxy, finite, ``x1 <= x2`` and ``y1 <= y2``.
        scores: ``(n,)``; of equal ones the first box comes first.
        threshold: A box is left out if it overlaps a chosen one by more than this share.
        edge: Added to every length: 1 where the coordinates are the first and last pixel of a box.
            Defaults to 0.0.
        drop_contained: Whether a box that lies in a chosen one, or around it, overlaps it wholly.
            Defaults to False.

    Returns:
        ``(k,)`` int64 places of the chosen boxes, by falling score.

    Raises:
        ValueError: The boxes are not as described, or there are not as many scores.

    Examples:
        >>> boxes = np.array([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0], [9.0, 0.0, 12.0, 3.0]])
        >>> box_nms(boxes, np.array([0.5, 0.9, 0.2]), threshold=0.5)
        array([1, 2])
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    check_boxes(boxes)
    low, high = boxes[:, :2], boxes[:, 2:]
    if len(scores) != len(boxes):
        raise ValueError(f'{len(boxes)} boxes need as many scores, but got {len(scores)}')
    if not len(boxes):
        return np.zeros(0, np.int64)
    centres, sides = (low + high) / 2, high - low + edge
    area = sides.prod(1)
    tree = cKDTree(centres)
    reach = sides.max() / 2
    alive = np.ones(len(boxes), bool)
    chosen = []
    for place in np.argsort(-np.asarray(scores), kind='stable'):
        if not alive[place]:
            continue
        chosen.append(place)
        near = np.array(
            tree.query_ball_point(centres[place], reach + sides[place].max() / 2, p=np.inf)
        )
        near = near[alive[near]]
        shared = np.minimum(high[near], high[place]) - np.maximum(low[near], low[place]) + edge
        shared = shared.clip(min=0).prod(1)
        union = area[near] + area[place] - shared
        overlap = np.divide(shared, union, out=np.zeros(len(near)), where=union > 0)
        if drop_contained:
            inside = (low[near] >= low[place]) & (high[near] <= high[place])
            around = (low[near] <= low[place]) & (high[near] >= high[place])
            overlap[inside.all(1) | around.all(1)] = 1
        alive[near[overlap > threshold]] = False
        alive[place] = False
    return np.array(chosen, np.int64)
