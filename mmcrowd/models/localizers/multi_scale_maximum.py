"""Points at the local maxima of a density that is blurred at several scales."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from mmcrowd.models.localizers.checks import check_density, take_source
from mmcrowd.models.localizers.local_maximum import LocalMaximum
from mmcrowd.ops.smoothing import gaussian_blur
from mmcrowd.registry import TASK_UTILS


@TASK_UTILS.register_module()
class MultiScaleMaximum:
    r"""Merge the local maxima of a density at several scales.

    At the scale :math:`\sigma` the strength of a cell is :math:`2 \pi \sigma^2` times the density
    blurred with a Gaussian of that standard deviation, in persons: a head whose mass 1 lies in one
    cell has the strength 1 there at every scale, and one of standard deviation s has
    :math:`\sigma^2 / (\sigma^2 + s^2)`. So one threshold serves all scales. Small heads are found
    at a fine scale, and the wide mass of a near one, in which a fine scale sees several weak peaks
    or none, at a coarse one. The rule is ours.

    All maxima of the first scale whose strength is at least the threshold are points. Of each
    following scale those are added that lie farther than ``separation`` times its sigma from every
    point so far.

    Args:
        sigmas: Standard deviations in input pixels, ascending. Defaults to (3.0, 6.0, 12.0).
        threshold: Least strength in persons. Defaults to 0.3.
        separation: In sigmas of the coarser scale. Defaults to 2.0.
        source: Output that is searched. Defaults to ``'density'``.

    Raises:
        ValueError: The sigmas are not positive and ascending, or a number is negative.

    Examples:
        >>> density = torch.zeros(32, 64)
        >>> density[16, 8] = 1.0  # a far head
        >>> density[9:24, 40:55] = 1 / 225  # a near one
        >>> points, strengths = MultiScaleMaximum()(density, stride=1)
        >>> points
        tensor([[ 8., 16.],
                [47., 16.]])
    """

    def __init__(
        self,
        sigmas: Sequence[float] = (3.0, 6.0, 12.0),
        threshold: float = 0.3,
        separation: float = 2.0,
        source: str = 'density',
    ) -> None:
        sigmas = tuple(sigmas)
        if not sigmas or sigmas[0] <= 0 or sigmas != tuple(sorted(set(sigmas))):
            raise ValueError(f'MultiScaleMaximum: sigmas={sigmas}, expected positive, ascending')
        if not threshold > 0 or not separation >= 0:
            raise ValueError(
                f'MultiScaleMaximum: threshold={threshold!r} and separation={separation!r}, '
                'expected a positive number and one that is not negative'
            )
        self.sigmas = sigmas
        self.separation = separation
        self.source = source
        self.search = LocalMaximum(threshold)

    @torch.no_grad()
    def __call__(
        self, outputs: Tensor | Mapping[str, Tensor], stride: int
    ) -> tuple[Tensor, Tensor]:
        """Find the points of one image.

        Args:
            outputs: Density ``(h, w)`` in persons per cell, or the outputs of the network for the
                image, of which ``source`` is taken.
            stride: Input pixels per cell.

        Returns:
            ``(k, 2)`` points ``(x, y)`` in input pixels and their ``(k,)`` strengths in persons;
            float32, on the device of the density, scale by scale and by falling strength.

        Raises:
            KeyError: The outputs have no ``source``.
            ValueError: The density is not ``(h, w)``, floating and finite.
        """
        density = take_source(outputs, self.source, self)
        check_density(density, stride, self)
        density = density.to(torch.promote_types(density.dtype, torch.float32))
        points, scores = torch.zeros(0, 2), torch.zeros(0)
        for sigma in self.sigmas:
            cells = sigma / stride
            strength = 2 * np.pi * cells**2 * gaussian_blur(density, cells)
            found, values = (result.cpu() for result in self.search(strength, stride))
            if len(points) and len(found):
                distance = cKDTree(points.numpy()).query(found.numpy())[0]
                new = torch.from_numpy(distance > self.separation * sigma)
                found, values = found[new], values[new]
            points, scores = torch.cat([points, found]), torch.cat([scores, values])
        return points.to(density.device), scores.to(density.device)
