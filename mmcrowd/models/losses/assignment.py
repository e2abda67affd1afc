"""One-to-one assignments on the host, for all matrices of a batch at once."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


@torch.compiler.disable  # NumPy's parts are no work for it, and some of them it cannot follow
@torch.no_grad()
def assign(
    costs: Sequence[Tensor], allowed: Sequence[Tensor] | None = None
) -> list[tuple[Tensor, Tensor]] | None:
    """Assign rows to columns one to one, at the least sum of costs, in each of several matrices.

    As many pairs are made as can be. All matrices go to the host in one transfer and all pairs
    return in one, so that the host waits for the device once.

    Args:
        costs: Matrices ``(m, R)`` of one dtype and device.
        allowed: For each matrix ``(R,)`` bool, the columns that may be taken. Defaults to None,
            all.

    Returns:
        For each matrix the indices of the rows and of the columns of the pairs, int64, on the
        device of the costs, ascending in the rows. None if a cost of an allowed column is not
        finite.

    Examples:
        >>> assign([torch.tensor([[1.0, 2.0, 9.0], [1.0, 4.0, 9.0]]), torch.zeros(0, 3)])
        [(tensor([0, 1]), tensor([1, 0])), (tensor([], dtype=torch.int64), tensor([], ...))]
    """
    device = costs[0].device
    # From here on an infinite cost is that of a column that may not be taken.
    costs = [cost.nan_to_num(torch.nan, torch.nan, torch.nan) for cost in costs]
    if allowed is not None:
        costs = [
            cost.masked_fill(~columns, torch.inf)
            for cost, columns in zip(costs, allowed, strict=True)
        ]
    flat = torch.cat([cost.flatten() for cost in costs]).cpu().numpy()
    if np.isnan(flat).any():
        return None
    ends = np.cumsum([cost.numel() for cost in costs])[:-1]
    pairs, numbers = [], []
    for values, cost in zip(np.split(flat, ends), costs, strict=True):
        rows, columns = _assign(values.reshape(cost.shape))
        pairs.append(np.stack((rows, columns)))
        numbers.append(len(rows))
    joined = torch.from_numpy(np.concatenate(pairs, 1)).to(device)
    return [(rows, columns) for rows, columns in joined.split(numbers, 1)]


def _assign(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of one matrix."""
    barred = np.isposinf(cost)
    if barred.any():
        # Dearer than every pair that may be made, so it is only made where all others are taken.
        dearest = cost[~barred].max(initial=0.0)
        cost = np.where(barred, dearest + max(abs(dearest), 1), cost)
    rows, columns = linear_sum_assignment(cost)
    allowed = ~barred[rows, columns]
    return rows[allowed], columns[allowed]


def unmatched(images: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Pairs as of :func:`assign` in which nothing is matched.

    Args:
        images: Any tensor with the images first; the pairs are on its device.

    Returns:
        For each image two empty indices.
    """
    nothing = torch.empty(0, dtype=torch.int64, device=images.device)
    return [(nothing, nothing)] * len(images)
