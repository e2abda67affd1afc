from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mmcrowd.evaluation.functional.density_quality import blurred_truth, density_quality
from mmcrowd.registry import METRICS
from mmcrowd.structures import SampleReader


@METRICS.register_module()
class DensityQualityMetric(BaseMetric):
    """How much the predicted density looks like the blurred true points.

    Printed keys: ``quality/PSNR`` and ``quality/SSIM``, each the mean over the images with somebody
    in them (``nan`` if there is none). Both maps have the cells of the prediction, un-padded, in
    the input frame; the protocol is that of
    :func:`~mmcrowd.evaluation.functional.density_quality.density_quality`. It needs scikit-image,
    the extra ``[quality]``.

    Args:
        sigma: Standard deviation of the Gaussians of the truth, in pixels of the input frame.
            Numbers of different sigmas do not compare. Defaults to 4.0.
        collect_device: ``'cpu'`` or ``'gpu'``, see :class:`mmengine.evaluator.BaseMetric`.
        prefix: Replaces ``quality`` in the printed keys.
        collect_dir: Shared folder through which ``collect_device='cpu'`` collects.

    Raises:
        ValueError: If sigma is not positive; while processing, for a map with a side of less than
            11 cells.
        KeyError: While processing, for a sample without ``pred_density``, ``density_stride`` or
            ``gt_instances``.
        ImportError: While processing, without scikit-image.

    Examples:
        In a config:

        .. code:: python

            test_evaluator = [dict(type='CountMetric'), dict(type='DensityQualityMetric')]

        On the numbers of three images, one without anybody:

        >>> DensityQualityMetric.calculate([20, 30, float('nan')], [0.5, 0.75, float('nan')])
        {'PSNR': 25.0, 'SSIM': 0.625}
    """

    default_prefix = 'quality'

    def __init__(
        self,
        sigma: float = 4.0,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        if not sigma > 0:
            raise ValueError(f'sigma={sigma!r}, expected a positive number of pixels')
        self.sigma = sigma

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the two numbers of each sample."""
        for sample in data_samples:
            read = SampleReader(sample, 'DensityQualityMetric')
            read.require('gt_instances')
            stride = read.stride()
            truth = blurred_truth(read.gt_points, read.density.shape, stride, self.sigma)
            self.results.append(tuple(density_quality(read.density, truth).values()))

    def compute_metrics(self, results: list[tuple[float, float]]) -> dict[str, float]:
        """Means over the images of all ranks."""
        return self.calculate(*np.array(results, np.float64).reshape(-1, 2).T)

    @staticmethod
    def calculate(psnr: Sequence[float], ssim: Sequence[float]) -> dict[str, float]:
        """Means of ``(n,)`` values of the images, ``nan`` left out."""
        means = {}
        for key, values in (('PSNR', psnr), ('SSIM', ssim)):
            values = np.asarray(values, np.float64)
            values = values[~np.isnan(values)]
            means[key] = float(values.mean()) if values.size else float('nan')
        return means
