"""How far the annotated points of an image are apart, on their device."""

import torch
from torch import Tensor

ROWS = 1024  # points whose distances to all others are held at once


@torch.no_grad()
def mean_neighbour_distance(points: Tensor, number: int) -> Tensor:
    """Mean distance of each point to its nearest other ones.

    Args:
        points: ``(m, 2)`` positions.
        number: How many others, or all if there are fewer.

    Returns:
        ``(m,)`` distances; 0 for a point that is alone.

    Examples:
        >>> mean_neighbour_distance(torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]]), 2)
        tensor([4.0000, 4.5000, 3.5000])
    """
    number = min(number, len(points) - 1)
    if number < 1:
        return points.new_zeros(len(points))
    means = []
    for start in range(0, len(points), ROWS):
        rows = points[start : start + ROWS]
        # The way through a matrix product would lose the small distances far from the origin.
        distance = torch.cdist(rows, points, compute_mode='donot_use_mm_for_euclid_dist')
        # The least is a point's distance 0 to itself.
        nearest = distance.topk(number + 1, largest=False).values
        means.append(nearest[:, 1:].mean(1))
    return torch.cat(means)
