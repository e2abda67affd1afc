"""How often each box is seen in training, for counters that classify boxes."""

import numpy as np
import torch

from mmcrowd.ops.box_kinds import scale_classes

LARGEST_RATIO = 10.0  # of the weight of a box to that of the background


def box_histogram(dataset, passes: int = 1, scales: int = 4, boxes: int = 3) -> np.ndarray:
    """Number of cells of each class at each scale, in samples of a dataset.

    Args:
        dataset: Its pipeline has a :class:`~mmcrowd.datasets.transforms.BoxKinds`.
        passes: How often each image is taken; random crops differ. Defaults to 1.
        scales: Number of scales. Defaults to 4.
        boxes: Number of boxes of a scale. Defaults to 3.

    Returns:
        ``(scales, boxes + 1)`` int64, the finest scale first, the background last.

    Raises:
        KeyError: A sample has no ``box_kind``.
    """
    histogram = np.zeros((scales, boxes + 1), np.int64)
    for index in range(passes * len(dataset)):
        sample = dataset[index % len(dataset)]['data_samples']
        if 'box_kind' not in sample.get('gt_maps', ()):
            raise KeyError(
                f'image {sample.get("img_id")!r} has no box_kind in its gt_maps; end the training '
                'pipeline with BoxKinds, before PackCrowdInputs'
            )
        for scale, row in enumerate(histogram):
            classes = scale_classes(sample.gt_maps.box_kind, scale, boxes)
            row += torch.bincount(classes.flatten(), minlength=boxes + 1).numpy()
    return histogram


def class_weights(histogram: np.ndarray) -> np.ndarray:
    """Weights of the classes of LSC-CNN (Sam et al., TPAMI 2020) from how often they are seen.

    Within a scale the background weighs 1, and a box as many times as much as it is rarer, at most
    10 times. A scale weighs the less the more boxes it has for its number of cells: with ``n_s``
    its boxes divided by the number of its cells for one of the coarsest scale, the weights are
    multiplied by the smallest ``n`` of all scales over ``n_s``.

    Args:
        histogram: ``(S, c)`` of :func:`box_histogram`.

    Returns:
        ``(S, c)`` float64.

    Raises:
        ValueError: A scale has no box, or no background.

    Examples:
        >>> class_weights(np.array([[80, 80, 960], [10, 20, 200]])).tolist()
        [[7.5, 7.5, 0.75], [10.0, 10.0, 1.0]]
    """
    cells = 4.0 ** np.arange(len(histogram))[::-1, None]
    share = np.asarray(histogram, np.float64) / cells
    heads = share[:, :-1].sum(1, keepdims=True)
    background = share[:, -1:]
    if not (heads.all() and background.all()):
        raise ValueError(
            f'histogram={np.asarray(histogram).tolist()} has a scale without box or without '
            'background; count more crops, or of images with heads of all sizes'
        )
    with np.errstate(divide='ignore'):  # a box that is never seen gets the largest ratio
        ratio = np.minimum(background / share, LARGEST_RATIO)
    return ratio * heads.min() / heads
