from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from mmcrowd.evaluation.functional.density_quality import blurred_truth, density_quality
from mmcrowd.registry import METRICS


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
            for key in ('pred_density', 'density_stride', 'gt_instances'):
                if key not in sample:
                    raise KeyError(
                        f'image {sample.get("img_id")!r}: DensityQualityMetric needs {key}, sample '
                        'has none'
                    )
            density = _numpy(sample['pred_density']['density'])[0]
            truth = blurred_truth(
                _numpy(sample['gt_instances']['points']),
                density.shape,
                sample['density_stride'],
                self.sigma,
            )
            self.results.append(tuple(density_quality(density, truth).values()))

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


def _numpy(values: torch.Tensor | np.ndarray) -> np.ndarray:
    return torch.as_tensor(values).detach().cpu().double().numpy()
