"""Points of a density map by optimal transport (Lin and Chan: *Optimal Transport Minimization:
Crowd Localization on Density Maps for Semi-Supervised Counting*, CVPR 2023)."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from mmcrowd.models.localizers.checks import check_density, take_source
from mmcrowd.models.localizers.multiscale_transport import MultiscaleTransport
from mmcrowd.registry import TASK_UTILS

# ``points (N, 2) -> (barycentres (N, 2), spread (N,))``, of one density
Transport = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

DRAWS = 16  # rounds of drawing start positions that are pixels of their own


@TASK_UTILS.register_module()
class OTMinimization:
    r"""Move N points until each is the barycentre of its share of the density, N the count.

    The density :math:`a` is scaled to the sum :math:`N = \lfloor \sum_i a_i + 1/2 \rfloor`
    (:func:`number_of_points`), and N start positions are drawn from it (:func:`draw_starts`).
    Then, with :math:`C_{in} = \|x_i - y_n\|^2 / (2 \cdot 32)` in input pixels, each iteration finds
    the entropic plan

    .. math::
        P_{in} = a_i \exp\frac{f_i + g_n - C_{in}}{\epsilon}, \quad
        \sum_n P_{in} = a_i, \quad \sum_i P_{in} = 1

    and moves each point to the barycentre :math:`\sum_i P_{in} x_i` of its mass. The plan comes
    from one Sinkhorn step, of :math:`f` and then of :math:`g`, at each :math:`\epsilon` from
    :math:`\max(8, \max C)` down by the factor 0.75 to 0.01: the mass of each point is exactly one,
    that of a cell nearly :math:`a_i`. The iterations end when the points move by less than one
    pixel on average and by less than the stride at most.

    :func:`~.dense_transport.dense_transport` is an iteration as these formulas read;
    :class:`~.multiscale_transport.MultiscaleTransport`, which is used, gives the same points
    without a (cells x points) matrix.

    Cells below zero count for N but have no mass. The work is done on the host in float64. What
    differs from the program that the authors have published is in a table of
    ``docs/localization.md``.

    Args:
        max_iterations: Iterations at most. Defaults to 16.
        score_radius: Root mean square distance, in input pixels, between a point and its
            mass at which its score is one half. Defaults to 8.
        seed: Seed of the start positions. Each call starts from it afresh. Defaults to 0.
        source: Output of the network that is the density, where it has several. Defaults to
            ``'density'``.

    Raises:
        ValueError: No iterations, or a radius that is not positive.

    Examples:
        >>> density = torch.zeros(4, 6)
        >>> density[1, 2] = density[2, 5] = 1
        >>> points, scores = OTMinimization()(density, stride=2)
        >>> sorted(points.round().int().tolist())
        [[4, 2], [10, 4]]
    """

    def __init__(
        self,
        max_iterations: int = 16,
        score_radius: float = 8.0,
        seed: int = 0,
        source: str = 'density',
    ) -> None:
        if max_iterations < 1 or not score_radius > 0:
            raise ValueError(
                'OTMinimization: max_iterations and score_radius must be positive, but got '
                f'{max_iterations} and {score_radius}'
            )
        self.max_iterations = max_iterations
        self.score_radius = score_radius
        self.seed = seed
        self.source = source

    @torch.no_grad()
    def __call__(
        self, outputs: Tensor | Mapping[str, Tensor], stride: int
    ) -> tuple[Tensor, Tensor]:
        """Find the points of one image.

        Args:
            outputs: Density ``(h, w)`` in persons per cell, or the outputs of the network for the
                image, of which ``source`` is taken.
            stride: Input pixels per cell. Cell (i, j) has its centre at
                ``(j * stride + (stride - 1) / 2, i * stride + (stride - 1) / 2)``.

        Returns:
            ``(N, 2)`` points ``(x, y)`` in input pixels, inside the
            rectangle of the cell centres, and their ``(N,)`` scores ``1 / (1 + d2 / r**2)``, with
            d2 the mean squared distance between a point and its mass and r the ``score_radius``:
            near 1 for a head that the density shows as a sharp peak, near 0 for a person made up
            of smear. Float32, on the device of the density, by falling score.

        Raises:
            KeyError: The outputs have no ``source``.
            ValueError: The density is not ``(h, w)``, not of a floating type or not finite.
        """
        density = take_source(outputs, self.source, self)
        check_density(density, stride, self)
        mass = density.detach().cpu().double().numpy()
        num_points = number_of_points(mass)
        points, scores = np.zeros((0, 2)), np.zeros(0)
        if num_points:
            mass = mass.clip(min=0)
            mass *= num_points / mass.sum()
            starts = draw_starts(mass, num_points, stride, np.random.default_rng(self.seed))
            transport = MultiscaleTransport(mass, stride)
            points, spread = minimize_transport(transport, starts, stride, self.max_iterations)
            scores = 1 / (1 + spread / self.score_radius**2)
        order = np.argsort(-scores, kind='stable')
        return tuple(
            torch.from_numpy(array[order]).to(density.device, torch.float32)
            for array in (points, scores)
        )


def number_of_points(density: np.ndarray) -> int:
    """How many people a density stands for: its sum, rounded half up; none below one half."""
    return max(math.floor(density.sum() + 0.5), 0)


def draw_starts(
    mass: np.ndarray, num_points: int, stride: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw pixels of the bilinearly upsampled density without replacement.

    The upsampled density is never made: it is that of a cell drawn by mass, moved along each axis
    by a length whose chance falls evenly to zero at the stride, and mirrored at the border. Drawing
    again whenever a pixel repeats is drawing without replacement. Where the mass is on so few
    pixels that this does not end within 16 rounds of N, the missing starts are drawn with
    replacement, as positions within their pixels.

    Args:
        mass: ``(h, w)`` float64, not negative, with a positive sum.
        num_points: N.
        stride: Input pixels per cell.
        rng: Source of chance.

    Returns:
        ``(N, 2)`` float64 positions ``(x, y)`` in input pixels.
    """
    size = np.array(mass.shape[::-1]) * stride
    cumulative = mass.ravel().cumsum()
    offsets = np.arange(1 - stride, stride) if stride % 2 else np.arange(0.5 - stride, stride)
    weights = (1 - np.abs(offsets) / stride) / stride
    pixels = np.zeros(0, np.int64)
    for _ in range(DRAWS):
        # The product may round up to the sum itself, which no cell is beyond.
        chance = np.minimum(
            rng.random(num_points) * cumulative[-1], np.nextafter(cumulative[-1], 0)
        )
        cell = np.searchsorted(cumulative, chance, side='right')
        centre = np.stack((cell % mass.shape[1], cell // mass.shape[1]), 1) * stride + stride / 2
        from_edge = np.abs(centre + rng.choice(offsets, (num_points, 2), p=weights))
        pixel = (size - np.abs(size - from_edge) - 0.5).astype(np.int64)
        pixels = np.concatenate((pixels, pixel @ [1, size[0]]))
        _, first = np.unique(pixels, return_index=True)
        pixels = pixels[np.sort(first)][:num_points]
        if len(pixels) == num_points:
            break
    starts = np.stack((pixels % size[0], pixels // size[0]), 1).astype(np.float64)
    missing = num_points - len(pixels)
    return np.concatenate((starts, pixel[:missing] + rng.uniform(-0.5, 0.5, (missing, 2))))


def minimize_transport(
    transport: Transport, starts: np.ndarray, stride: int, max_iterations: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Move points to the barycentres of their plan until they rest, see :class:`OTMinimization`.

    Args:
        transport: From ``(N, 2)`` points to the barycentres and spread of their plan: a
            :class:`~.multiscale_transport.MultiscaleTransport`, or
            :func:`~.dense_transport.dense_transport` of a density, its readable form.
        starts: ``(N, 2)`` float64 positions ``(x, y)`` in input pixels, N at least 1.
        stride: Input pixels per cell.
        max_iterations: Iterations at most. Defaults to 16.

    Returns:
        ``(N, 2)`` points, and the ``(N,)`` mean squared distance in pixels of each from its mass.
    """
    points = starts
    for _ in range(max_iterations):
        previous = points
        points, spread = transport(previous)
        moved = np.hypot(*(points - previous).T)
        if moved.mean() < 1 and moved.max() < stride:
            break
    return points, spread
