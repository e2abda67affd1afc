"""Boxes of heads made smaller until neighbours are apart, on the host."""

import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 4  # of each box, that it is separated from
WIDEST_GAP = 60  # pixels
SHRINK = 0.9  # of both half sides in a round


def separate_boxes(
    centres: np.ndarray,
    half_sides: np.ndarray,
    least: int = 2,
    rounds: int = 41,
    narrow_gap: bool = True,
    next_gap: int | None = 3,
) -> np.ndarray:
    """Shrink boxes until there is a gap between each and its four nearest.

    The rule by which the published program of IIM (Gao et al., arXiv 2012.04164) makes its masks,
    of which every connected component shall be one head. The boxes are gone through in order, and
    for each its nearest ones. In every round the box of the larger area of the two, in doubt the
    first, is shrunk to 0.9 of its sides; then, if it is larger than both and closer to the box
    than a gap, also the box of the neighbour after this one. The gap of a pair is half of the
    larger of their half sides, at most 60 pixels, in each direction; a pair is apart when there is
    the gap in one of the directions.

    Defaults are the numbers for NWPU-Crowd, UCF-QNRF and JHU-Crowd++; for ShanghaiTech A they are
    ``least=1, rounds=51, narrow_gap=False, next_gap=None``, for B ``least=1, next_gap=None``.

    Args:
        centres: ``(m, 2)`` integers (x, y).
        half_sides: ``(m, 2)`` integers, half of the width and height.
        least: Half sides are not shrunk below this. Defaults to 2.
        rounds: At most so many for a pair. Defaults to 41.
        narrow_gap: Whether for a pair that overlaps the gap follows from half sides less half of
            the overlap. Defaults to True.
        next_gap: Gap to the neighbour after, in pixels; None for that of the pair. Defaults to 3.

    Returns:
        ``(m, 2)`` int64 half sides.

    Examples:
        >>> centres = np.array([[10, 10], [16, 10], [90, 10]])
        >>> separate_boxes(centres, np.array([[5, 5], [4, 4], [8, 8]])).tolist()
        [[2, 2], [3, 3], [8, 8]]
    """
    sides = np.array(half_sides, np.int64).reshape(-1, 2).tolist()
    nearest = nearest_boxes(np.asarray(centres, np.int64).reshape(-1, 2))
    places = np.asarray(centres, np.int64).reshape(-1, 2).tolist()

    def shrink(box: int) -> None:
        sides[box] = [max(int(side * SHRINK), least) for side in sides[box]]

    def overlaps(first: int, second: int) -> tuple[int, int]:
        (x, y), (other_x, other_y) = places[first], places[second]
        (w, h), (other_w, other_h) = sides[first], sides[second]
        return w + other_w - abs(x - other_x), h + other_h - abs(y - other_y)

    def area(box: int) -> int:
        return sides[box][0] * sides[box][1]

    for box, others in enumerate(nearest):
        for place, other in enumerate(others[:NEIGHBOURS]):
            overlap = overlaps(box, other)
            reduced = min(overlap) > 0 and narrow_gap
            gap = []
            for axis in range(2):
                largest = max(sides[box][axis], sides[other][axis])
                by = overlap[axis] / 2 if reduced else 0
                gap.append(min(int((largest - by) / 2), WIDEST_GAP))
            after = others[place + 1] if place + 1 < len(others) else None
            after_gap = gap if next_gap is None else [next_gap, next_gap]
            for _ in range(rounds):
                if any(o <= -g for o, g in zip(overlaps(box, other), gap, strict=True)):
                    break
                shrink(other if area(other) > area(box) else box)
                if after is None or area(after) <= max(area(box), area(other)):
                    continue
                if all(o > -g for o, g in zip(overlaps(box, after), after_gap, strict=True)):
                    shrink(after)
    return np.array(sides, np.int64).reshape(-1, 2)


def nearest_boxes(centres: np.ndarray) -> list[list[int]]:
    """Places of the five nearest other centres of each, in ascending order of distance and place.

    Args:
        centres: ``(m, 2)``.

    Returns:
        For each centre five places, or as many as there are others.

    Examples:
        >>> nearest_boxes(np.array([[0, 0], [5, 0], [1, 0]]))
        [[2, 1], [2, 0], [0, 1]]
    """
    number = min(NEIGHBOURS + 2, len(centres))
    if number < 2:
        return [[] for _ in centres]
    distances, places = cKDTree(centres).query(centres, number)
    nearest = []
    for own, (row, order) in enumerate(zip(distances, places, strict=True)):
        pairs = sorted(zip(row.tolist(), order.tolist(), strict=True))
        others = [place for _, place in pairs if place != own]
        nearest.append(others[: NEIGHBOURS + 1])
    return nearest
