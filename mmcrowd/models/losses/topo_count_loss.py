"""Loss of TopoCount (Abousamra, Hoai, Samaras and Chen: *Localization in the Crowd with Topological
Constraints*, AAAI 2021)."""

import itertools
import warnings
from typing import NamedTuple

import numpy as np
import torch
from mmengine.logging import MessageHub
from torch import Tensor

from mmcrowd.ops.checks import check_at_least, check_not_negative
from mmcrowd.ops.persistence import Features, peak_persistence
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, stack_maps

from .checks import take_output
from .output_loss import OutputLoss

MARGIN = 10  # pixels between the patches and the edges of the map
BORDER = 5  # pixels of a patch in which no critical point counts, on each side
PERFECT = 0.99  # persistence above which a peak is left as it is
NOISE = 0.1  # persistence up to which one too many is left as it is


def dice_loss(probability: Tensor, target: Tensor) -> Tensor:
    r"""One minus the smoothed Dice coefficient.

    .. math:: 1 - \frac{2 \sum p g + 1}{\sum p^2 + \sum g^2 + 1}

    Args:
        probability: p, of any shape.
        target: g, of the same shape.

    Returns:
        The loss, a scalar; 0 of nothing.

    Examples:
        >>> dice_loss(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
        tensor(0.6667)
    """
    overlap = 2 * (probability * target).sum() + 1
    return 1 - overlap / (probability.square().sum() + target.square().sum() + 1)


class CriticalPoints(NamedTuple):
    """Pixels that decide how many peaks a likelihood has, and what it should be there.

    Attributes:
        row: ``(k,)`` int64.
        column: ``(k,)`` int64; no pixel is there twice.
        reference: ``(k,)`` wanted likelihood, of the dtype of the likelihood.
        num_fixed: How many peaks are to be made higher.
        num_removed: How many are to be removed.
    """

    row: np.ndarray
    column: np.ndarray
    reference: np.ndarray
    num_fixed: int
    num_removed: int


def critical_points(
    likelihood: np.ndarray,
    mask: np.ndarray,
    start: tuple[int, int],
    patch_size: int = 50,
    halve: bool = False,
) -> CriticalPoints:
    """Find the pixels whose likelihood gives patches more or fewer peaks than the mask has.

    The peaks of a patch, of the likelihood and of the mask, are those of
    :func:`~mmcrowd.ops.persistence.peak_persistence`. Where the likelihood has more than the mask,
    as many of the most persistent are wanted: those above a persistence of 0.99 stay as they are,
    the others are fixed, their peaks to 1 and their saddles to 0. The rest, above a persistence of
    0.1, is removed: a peak is wanted as high as its saddle and the saddle as high as the peak (or
    as the mask has them, if the other of the two is within 5 pixels of the edge of the patch).
    Everywhere else peaks and saddles of the mask are wanted as they are there. Nothing within 5
    pixels of the edge counts, so that patches, which overlap by 10, share no point.

    Args:
        likelihood: ``(h, w)`` floating, between 0 and 1.
        mask: ``(h, w)``, 1 on the heads, else 0.
        start: (x, y) of the first patch. Patches begin every ``patch_size - 10`` pixels from there
            and end more than 10 pixels before the edges of the map.
        patch_size: Side of a patch in pixels. Defaults to 50.
        halve: Whether persistence is that of patches of half the size, see :func:`halved`. Defaults
            to False.

    Returns:
        The points of all patches. A saddle that several peaks end in has the value of the one that
        the program visits last, see :func:`removal_order`.
    """
    columns, rows = (
        np.arange(first, side - MARGIN - patch_size, patch_size - 2 * BORDER)
        for first, side in zip(start, likelihood.shape[::-1], strict=True)
    )
    if not len(rows) or not len(columns):
        nowhere = np.empty(0, np.int64)
        return CriticalPoints(nowhere, nowhere, np.empty(0, likelihood.dtype), 0, 0)
    corner = np.stack(np.meshgrid(rows, columns, indexing='ij'), -1).reshape(-1, 2)
    found, wanted = (_features(values, corner, patch_size, halve) for values in (likelihood, mask))
    too_many, fixed, surplus = _choose(found, wanted, len(corner))

    def value(values: np.ndarray, features: Features, cell: np.ndarray) -> np.ndarray:
        """Of the map at cells of patches."""
        row, column = (corner[features.map] + cell).T
        return values[row, column].astype(likelihood.dtype)

    height = value(likelihood, found, found.birth)
    edges = np.flatnonzero(np.diff(found.map, prepend=-1, append=-1))
    # Later ones replace earlier ones of the same pixel.
    removed = [
        first + removal_order(height[first:end], found.persistence[first:end], surplus[first:end])
        for first, end in itertools.pairwise(edges)
    ]
    removed = np.concatenate([np.empty(0, np.int64), *removed])
    fix, remove, ideal = (
        Features(*(x[chosen] for x in features))
        for features, chosen in (
            (found, fixed),
            (found, removed),
            (wanted, ~too_many[wanted.map]),
        )
    )
    ones = np.ones(len(fix.map), likelihood.dtype)
    points = [(fix, fix.birth, ones), (fix, fix.death, 0 * ones)]
    for here, there in ((remove.birth, remove.death), (remove.death, remove.birth)):
        inner = _inner(there, patch_size)
        reference = np.where(inner, value(likelihood, remove, there), value(mask, remove, here))
        points.append((remove, here, reference))
    points += [(ideal, cell, value(mask, ideal, cell)) for cell in (ideal.birth, ideal.death)]
    pixels, references = [], []
    for features, cell, reference in points:
        inner = _inner(cell, patch_size)
        pixels.append((corner[features.map] + cell)[inner])
        references.append(reference[inner])
    row, column = np.concatenate(pixels).T
    place = row * likelihood.shape[1] + column
    # The last of each place, which is the first from behind.
    _, last = np.unique(place[::-1], return_index=True)
    last = len(place) - 1 - last
    return CriticalPoints(
        row[last],
        column[last],
        np.concatenate(references)[last],
        int(fixed.sum()),
        len(removed),
    )


def _features(values: np.ndarray, corner: np.ndarray, patch_size: int, halve: bool) -> Features:
    """Peaks of all patches; cells in pixels of the patch."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (patch_size, patch_size))
    patches = windows[corner[:, 0], corner[:, 1]]
    if not halve:
        return peak_persistence(patches)
    features = peak_persistence(halved(patches))
    return features._replace(birth=2 * features.birth, death=2 * features.death)


def _choose(
    found: Features, wanted: Features, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which patches have more peaks than they should; which peaks are fixed, which are surplus."""
    num_found, num_wanted = (np.bincount(f.map, minlength=number) for f in (found, wanted))
    num_perfect = np.bincount(found.map[found.persistence > PERFECT], minlength=number)
    too_many = num_found > num_wanted
    # Place by falling persistence in the peak's patch.
    place = np.arange(len(found.map)) - (np.cumsum(num_found) - num_found)[found.map]
    limit = num_wanted[found.map]
    fixed = too_many[found.map] & (place >= num_perfect[found.map]) & (place < limit)
    surplus = too_many[found.map] & (place >= limit)
    return too_many, fixed, surplus


def removal_order(height: np.ndarray, persistence: np.ndarray, surplus: np.ndarray) -> np.ndarray:
    """Peaks of one patch that are removed, in the order in which the published program visits them.

    It numbers the peaks by falling height, and puts the numbers of those too many and of those
    above a persistence of 0.1 into two sets of Python. What both have comes in the order of their
    tables of hashes: the number modulo a power of 2 that grows with the number of entries, so that
    it is not always that of the heights.

    Args:
        height: ``(k,)`` of the peaks, by falling persistence.
        persistence: ``(k,)``.
        surplus: ``(k,)`` bool, which are too many.

    Returns:
        Places in these arrays.

    Examples:
        Of 40 peaks two are removed, the numbers 7 and 32 of a table of 8.

        >>> height = np.arange(40.0, 0.0, -1.0)
        >>> surplus = np.isin(np.arange(40), [7, 32])
        >>> removal_order(height, np.full(40, 0.5), surplus).tolist()
        [32, 7]
    """
    falling = np.argsort(-height, kind='stable')
    number = np.empty_like(falling)
    number[falling] = np.arange(len(falling))
    lasting = set(np.flatnonzero(persistence[falling] > NOISE).tolist())
    chosen = set(number[surplus].tolist()) & lasting
    return falling[list(chosen)]


def _inner(cell: np.ndarray, patch_size: int) -> np.ndarray:
    """``(k,)`` bool, which cells ``(k, 2)`` are not near the edge of their patch."""
    inside = (cell >= BORDER) & (cell < patch_size - BORDER)
    return inside[:, 0] & inside[:, 1]


def halved(patches: np.ndarray) -> np.ndarray:
    """Patches of half the size, in the 256 steps of an image, as the published program has them.

    Each patch is stretched to 0 to 255 and rounded, its sides are halved by the filter
    (1, 3, 3, 1) / 8, at the edges (3, 3, 1) / 7, with rounding after each direction. It is scaled
    so that its maximum is that of the patch before; its least value becomes 0.

    Args:
        patches: ``(n, s, s)`` with an even s.

    Returns:
        ``(n, s / 2, s / 2)`` float64.

    Examples:
        >>> halved(np.array([[[0.2, 0.2, 0.6, 0.6]] * 4])).round(3).tolist()
        [[[0.099, 0.6], [0.099, 0.6]]]
    """
    size = patches.shape[1]
    reach = np.abs(np.arange(size) + 0.5 - np.arange(1, size, 2)[:, None])
    weights = np.maximum(1 - reach / 2, 0)
    weights /= weights.sum(1, keepdims=True)
    patches = patches.astype(np.float64)
    least, most = (f((1, 2), keepdims=True) for f in (patches.min, patches.max))
    flat = least == most
    steps = np.floor(255 / np.where(flat, 1, most - least) * (patches - least) + 0.5)
    steps = np.floor(steps @ weights.T + 0.5)
    steps = np.floor(weights @ steps + 0.5)
    top = steps.max((1, 2), keepdims=True)
    return steps / np.where(top > 0, top, 1) * most


@MODELS.register_module()
class TopoCountLoss(OutputLoss):
    """Dice loss of all pixels, and of the pixels that decide how many peaks there are.

    It takes ``logit`` ``(N, 1, h, w)`` from the outputs, of
    :class:`~mmcrowd.models.heads.LogitHead`, and ``mask`` from the ``gt_maps`` of the samples, such
    as squares of :class:`~mmcrowd.datasets.transforms.DotBoxes` that
    :class:`~mmcrowd.datasets.transforms.BoxMask` has drawn. ``loss_dice`` is the
    :func:`dice_loss` of the likelihood, the sigmoid of the logit, to the mask. ``loss_topology``
    is the Dice loss over the :func:`critical_points` alone, in patches of a grid that begins
    anywhere from 10 pixels to half a patch from the corner. Both are means over the images. As
    published, a map with a side of at most ``patch_size + 20`` pixels has no patch, and a topology
    term of 0; the first batch of such maps is told in a warning.

    The paper has the persistences themselves in place of the second term; this is what its program
    computes. The network must give reasonable peaks before it has a meaning, so it begins after
    some epochs.

    The persistence is found on the host, which waits for the likelihood.

    Args:
        patch_size: Side of the patches in pixels. Defaults to 50, of ShanghaiTech; 100, with
            ``halve``, for the other sets.
        halve: See :func:`critical_points`. Defaults to False.
        start_epoch: Epoch, counted from 0, from which on there is a topology term. Defaults to 30;
            3 for ShanghaiTech B.
        dice_weight: Defaults to 1.0.
        topology_weight: With 0 the term is not computed. Defaults to 1.0.

    Raises:
        ValueError: A weight or the epoch is negative, both weights are 0, ``patch_size`` is no
            integer, leaves nothing but borders, or is odd and halved.

    Examples:
        >>> from mmengine.structures import PixelData
        >>> sample = CrowdDataSample(gt_maps=PixelData(mask=torch.ones(1, 2, 2)))
        >>> outputs = dict(logit=torch.zeros(1, 1, 2, 2))
        >>> TopoCountLoss(topology_weight=0).loss(outputs, [sample], stride=1)
        {'loss_dice': tensor(0.1667)}
    """

    host_step = True

    def __init__(
        self,
        patch_size: int = 50,
        halve: bool = False,
        start_epoch: int = 30,
        dice_weight: float = 1.0,
        topology_weight: float = 1.0,
    ):
        super().__init__()
        check_at_least(self, 2 * BORDER + 1, patch_size=patch_size)
        check_not_negative(
            self,
            start_epoch=start_epoch,
            dice_weight=dice_weight,
            topology_weight=topology_weight,
        )
        if dice_weight == topology_weight == 0:
            raise ValueError('TopoCountLoss: dice_weight and topology_weight must not both be 0')
        if halve and patch_size % 2:
            raise ValueError(
                f'TopoCountLoss: patch_size={patch_size} cannot be halved, expected an even number'
            )
        self.patch_size = patch_size
        self.halve = halve
        self.start_epoch = start_epoch
        self.dice_weight = dice_weight
        self.topology_weight = topology_weight
        self._has_warned = False

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute ``loss_dice`` and, from ``start_epoch`` on, ``loss_topology``, see
        :class:`OutputLoss`.

        Raises:
            KeyError: There is no logit, or a sample has no mask.
            ValueError: The mask has another size than the logit.
        """
        logit = at_least_float32(take_output(outputs, 'logit', self))
        mask = stack_maps(data_samples, 'mask', logit, 'BoxMask')
        self._check_size(logit)
        terms = {}
        with torch.autocast(logit.device.type, enabled=False):
            images = list(zip(logit.sigmoid()[:, 0], mask[:, 0], strict=True))
            if self.dice_weight:
                dice = torch.stack([dice_loss(*image) for image in images])
                terms['loss_dice'] = self.dice_weight * dice.mean()
            epoch = MessageHub.get_current_instance().get_info('epoch', 0)
            if self.topology_weight and epoch >= self.start_epoch:
                topology = torch.stack([self.topology(*image) for image in images])
                terms['loss_topology'] = self.topology_weight * topology.mean()
        return terms

    def _check_size(self, logit: Tensor) -> None:
        """Warn once of maps that no patch fits in, wherever the grid begins; already in the epochs
        before the topology term."""
        height, width = logit.shape[2:]
        least = self.patch_size + 2 * MARGIN + 1
        if self.topology_weight and min(height, width) < least and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f'TopoCountLoss: maps of {height}x{width} pixels (h, w) have no patch of '
                f'patch_size={self.patch_size}, so their topology term is 0; expected at least '
                f'{least}x{least}. If these are crops, make them larger or the patches smaller',
                stacklevel=3,
            )

    def topology(
        self, likelihood: Tensor, mask: Tensor, start: tuple[int, int] | None = None
    ) -> Tensor:
        """Topology term of one image.

        Args:
            likelihood: ``(h, w)``.
            mask: ``(h, w)``.
            start: (x, y) of the first patch. Defaults to None, drawn.

        Returns:
            A scalar.
        """
        if start is None:
            x, y = torch.randint(self.patch_size // 2 + 1, (2,)).clamp(min=MARGIN).tolist()
            start = (x, y)
        # A NaN has no rank; the loss shows it all the same.
        values = likelihood.detach().nan_to_num().cpu().numpy()
        points = critical_points(values, mask.cpu().numpy(), start, self.patch_size, self.halve)
        row, column, reference = (
            torch.from_numpy(array).to(likelihood.device) for array in points[:3]
        )
        return dice_loss(likelihood[row, column], reference)
