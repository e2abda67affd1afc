"""Means by weight over the batch of all processes."""

from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


def batch_ratio(numerator: Tensor, denominator: Tensor, floor: float) -> Tensor:
    r"""Quotient of two sums over a batch that several processes share.

    With the sums :math:`n_k` and :math:`d_k` over the images of process k of W it is

    .. math:: \frac{W n_k}{\max(\sum_j d_j, \text{floor})}

    so that its mean over the processes, and with it the gradient that parallel training takes the
    mean of, is the quotient of the sums over all images. In one process it is just that quotient.

    All processes have to call it, as often as each other: each waits for the others.

    Args:
        numerator: Sum over the images of this process, of any shape.
        denominator: Likewise, a shape that it broadcasts with; without gradient.
        floor: Positive; a smaller sum of the denominators counts as this.

    Returns:
        Of the shape and dtype of the numerator.

    Examples:
        >>> import torch
        >>> batch_ratio(torch.tensor(3.0), torch.tensor(2.0), floor=1)
        tensor(1.5000)
    """
    total = denominator.detach().to(numerator, copy=True)
    all_reduce(total)
    return get_world_size() * numerator / total.clamp(min=floor)
