"""Likeness of density maps as pictures: PSNR and SSIM."""

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from mmcrowd.ops.cells import cell_of

INSTALL = "pip install 'scikit-image>=0.22'"


def blurred_truth(
    points: np.ndarray, size: tuple[int, int], stride: float, sigma: float
) -> np.ndarray:
    """Density map of the true points: each is counted in its cell, and the map is blurred.

    The Gaussian filter (cut at 4 sigma) reflects at the border, so that the map sums to the number
    of points. A point beyond the frame counts in the nearest cell.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in pixels of the frame of the map.
        size: ``(h, w)`` in cells.
        stride: Pixels per cell. Pixel column ``j`` covers ``[j - 0.5, j + 0.5)``, cell column 0
            the first ``stride`` of them.
        sigma: Standard deviation of the Gaussian in pixels.

    Returns:
        ``(h, w)`` float64 persons per cell.

    Raises:
        ValueError: If sigma is not positive.
    """
    if not sigma > 0:
        raise ValueError(f'sigma is {sigma}, expected a positive number of pixels')
    height, width = size
    cells = cell_of(np.asarray(points, np.float64).reshape(-1, 2), stride)
    column, row = cells.clip(0, (width - 1, height - 1)).astype(np.int64).T
    counts = np.bincount(row * width + column, minlength=height * width).reshape(size)
    return gaussian_filter(counts.astype(np.float64), sigma / stride, mode='reflect')


def density_quality(density: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    r"""PSNR and SSIM of a density map against the true one.

    With the range :math:`R = \max_i t_i` of the truth:

    - ``PSNR``: :math:`10 \log_{10} (R^2 / \mathrm{mean}_i (a_i - t_i)^2)`, in dB; infinite for
      equal maps.
    - ``SSIM``: Wang et al., *Image quality assessment*, IEEE TIP 2004, with its Gaussian window of
      11 cells and sigma 1.5, and the same range. Computed by scikit-image.

    Papers differ in how they scale and resize the maps before, so their numbers do not compare
    between programs. Here there is neither: the maps are compared cell by cell, in persons.

    Args:
        density: ``(h, w)`` persons per cell, both sides at least 11.
        truth: ``(h, w)`` persons per cell, from :func:`blurred_truth`.

    Returns:
        Both numbers, ``nan`` if the truth is 0 everywhere: it has no range.

    Raises:
        ValueError: If the shapes differ or a side is shorter than the window.
        ImportError: Without scikit-image.
    """
    structural_similarity = _structural_similarity()
    density, truth = np.asarray(density, np.float64), np.asarray(truth, np.float64)
    if density.shape != truth.shape or min(density.shape) < 11:
        raise ValueError(
            f'density and truth have the shapes {density.shape} and {truth.shape}, expected one '
            'shape (h, w) with sides of at least 11 cells'
        )
    if not truth.any():
        return dict(PSNR=math.nan, SSIM=math.nan)
    error = np.square(density - truth).mean()
    ssim = structural_similarity(
        density,
        truth,
        data_range=truth.max(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    psnr = 10 * math.log10(truth.max() ** 2 / error) if error else math.inf
    return dict(PSNR=psnr, SSIM=float(ssim))


def _structural_similarity():
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise ImportError(f'SSIM needs scikit-image: {INSTALL}') from error
    return structural_similarity
