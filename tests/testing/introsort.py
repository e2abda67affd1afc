"""The order in which ``std::sort`` of the GNU C++ library leaves equal values.

It is introsort (Musser: *Introspective Sorting and Selection Algorithms*, 1997), which is not
stable, but always the same.
"""

import numpy as np

SHORT = 16  # parts up to this length are left to the insertion sort, which is stable


def introsort_order(values: np.ndarray) -> np.ndarray:
    """Places of the values in rising order, from an array of any shape, row by row.

    Raises:
        RuntimeError: Parts become so uneven that the library would go on by another method.
    """
    values = np.ravel(values).tolist()
    order = list(range(len(values)))
    depth = 2 * (len(order).bit_length() - 1)
    parts = [(0, len(order), depth)]
    while parts:
        first, end, depth = parts.pop()
        if end - first <= SHORT:
            continue
        if not depth:
            raise RuntimeError('heapsort begins here')
        cut = partition(order, values, first, end)
        parts += [(first, cut, depth - 1), (cut, end, depth - 1)]
    order.sort(key=values.__getitem__)
    return np.array(order, np.int64)


def partition(order: list[int], values: list[float], first: int, end: int) -> int:
    """Exchange entries from ``first`` to ``end`` until none before the cut that is returned is
    greater than one behind it. Their first entry becomes the median of three others."""
    three = (first + 1, first + (end - first) // 2, end - 1)
    low, middle, high = (values[order[place]] for place in three)
    if low < middle:
        median = 1 if middle < high else 2 if low < high else 0
    else:
        median = 0 if low < high else 2 if middle < high else 1
    median = three[median]
    order[first], order[median] = order[median], order[first]
    pivot = values[order[first]]
    left, right = first + 1, end
    while True:
        while values[order[left]] < pivot:
            left += 1
        right -= 1
        while pivot < values[order[right]]:
            right -= 1
        if left >= right:
            return left
        order[left], order[right] = order[right], order[left]
        left += 1
