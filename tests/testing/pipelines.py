"""What the transforms of a pipeline hand on."""

import numpy as np


def make_results(height=60, width=80, points=None, img=None):
    """A loaded image of noise with its points, as no transform has changed it yet."""
    if points is None:
        points = np.random.default_rng(0).uniform(-0.5, (width - 0.5, height - 0.5), (50, 2))
    if img is None:
        img = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return dict(
        img=img,
        img_path='made.png',
        points=np.asarray(points, np.float32).reshape(-1, 2),
        ori_shape=(height, width),
        img_shape=(height, width),
        scale_factor=(1.0, 1.0),
        crop_offset=(0.0, 0.0),
        flip=False,
    )
