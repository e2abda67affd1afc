"""Points at the centres of boxes that do not overlap."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mmcrowd.models.localizers.checks import check_density, take_source
from mmcrowd.ops.box_overlap import box_nms
from mmcrowd.ops.cells import cell_centre
from mmcrowd.ops.checks import check_not_negative
from mmcrowd.registry import TASK_UTILS


@TASK_UTILS.register_module()
class BoxNMS:
    """Put a square box around every cell that passes a threshold, and take the best that do not
    overlap too much.

    A box has the value of its cell as score and a side that is the same for all, or that another
    output has for each cell. On a density with one side it leaves no two points within about a side
    of each other, however many cells the mass of a head is spread over.

    Args:
        sizes: Side of the boxes in input pixels, or the name of the output that has it for each
            cell; a cell whose side is 0 has no box. Defaults to 12.0.
        threshold: Least value of a cell, which must be above 0. Defaults to 0.01.
        overlap: Share of overlap, intersection over union, above which the box of the lower score
            is left out. Defaults to 0.2.
        edge: See :func:`~mmcrowd.ops.box_overlap.box_nms`, in input pixels. Defaults to 0.0.
        drop_contained: See the same. Defaults to False.
        source: Output that is searched. Defaults to ``'density'``.

    Raises:
        ValueError: A side, the threshold, the overlap or the edge is out of range.

    Examples:
        >>> density = torch.tensor([[0.2, 0.5, 0.3, 0.0, 0.0, 0.4]])
        >>> BoxNMS(sizes=4.0)(density, stride=2)
        (tensor([[ 2.5000,  0.5000],
                [10.5000,  0.5000]]), tensor([0.5000, 0.4000]))
    """

    def __init__(
        self,
        sizes: float | str = 12.0,
        threshold: float = 0.01,
        overlap: float = 0.2,
        edge: float = 0.0,
        drop_contained: bool = False,
        source: str = 'density',
    ) -> None:
        if not isinstance(sizes, str) and not sizes > 0:
            raise ValueError(f'BoxNMS: sizes={sizes!r}, expected a positive side or an output')
        if not threshold > 0 or not 0 <= overlap <= 1:
            raise ValueError(
                f'BoxNMS: threshold={threshold!r} and overlap={overlap!r}, expected a positive '
                'number and a share from 0 to 1'
            )
        check_not_negative(self, edge=edge)
        self.sizes = sizes
        self.threshold = threshold
        self.overlap = overlap
        self.edge = edge
        self.drop_contained = drop_contained
        self.source = source

    @torch.no_grad()
    def __call__(
        self, outputs: Tensor | Mapping[str, Tensor], stride: int
    ) -> tuple[Tensor, Tensor]:
        """Find the points of one image, on the host.

        Args:
            outputs: Map ``(h, w)``, or the outputs of the network for the image, of which
                ``source`` is taken.
            stride: Input pixels per cell.

        Returns:
            ``(k, 2)`` points ``(x, y)`` in input pixels, centres of cells, and their ``(k,)``
            scores, the values of the cells; float32, on the device of the map, by falling score and
            then in the order of rows.

        Raises:
            KeyError: The outputs lack ``source`` or the sides.
            TypeError: The sides are an output, but there is only a map.
            ValueError: The map is not ``(h, w)``, floating and finite, or the sides have another
                shape or are negative.
        """
        density = take_source(outputs, self.source, self)
        check_density(density, stride, self)
        sides = self._sides(outputs, density)
        cells = ((density >= self.threshold) & (sides > 0)).nonzero()
        index = tuple(cells.T)
        scores, sides = (array[index].cpu().double().numpy() for array in (density, sides))
        points = cell_centre(cells.flip(1).cpu().double().numpy(), stride)
        half = sides[:, None] / 2
        boxes = np.concatenate([points - half, points + half], axis=1)
        chosen = box_nms(boxes, scores, self.overlap, self.edge, self.drop_contained)
        points, scores = (
            torch.from_numpy(array[chosen]).to(density.device, torch.float32)
            for array in (points, scores)
        )
        return points, scores

    def _sides(self, outputs: Tensor | Mapping[str, Tensor], density: Tensor) -> Tensor:
        """``(h, w)`` sides in input pixels."""
        if not isinstance(self.sizes, str):
            return torch.full_like(density, self.sizes)
        if not isinstance(outputs, Mapping):
            raise TypeError(
                f'BoxNMS: sizes={self.sizes!r} is an output, expected the outputs of the network, '
                'but got one map'
            )
        sides = take_source(outputs, self.sizes, self)
        if sides.shape != density.shape or (sides < 0).any():
            raise ValueError(
                f'BoxNMS: the sides {self.sizes!r} must be {tuple(density.shape)} and not '
                f'negative, but got {tuple(sides.shape)}, the smallest {float(sides.min())}'
            )
        return sides
