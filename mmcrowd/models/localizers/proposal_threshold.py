"""Points of a network that proposes points (Song et al.: *Rethinking Counting and Localization in
Crowds: A Purely Point-Based Framework*, ICCV 2021)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmcrowd.models.localizers.checks import inside_image, take_source
from mmcrowd.registry import TASK_UTILS


@TASK_UTILS.register_module()
class ProposalThreshold:
    """Accept the proposed points that are likely to be a person.

    The probability of a person is the second one of the softmax over the two logits. Where the
    size of the image is known, proposals outside of it, such as those in the padding of a batch,
    are left out unless ``keep_outside`` says otherwise.

    Args:
        score_threshold: A proposal is accepted if its probability is above this. Defaults to 0.5.
        source: Output of the network with the proposals. Defaults to ``'points'``.
        logits: Output of the network with their logits. Defaults to ``'logits'``.
        keep_outside: Whether proposals outside of the image count too, for example in its padding,
            as in the published program of P2PNet. Defaults to False.

    Raises:
        ValueError: ``score_threshold`` is no probability.

    Examples:
        >>> proposals = torch.tensor([[3.0, 4.0], [5.0, 6.0], [90.0, 6.0]])
        >>> logits = torch.tensor([[0.0, 2.0], [0.0, -2.0], [0.0, 2.0]])
        >>> outputs = dict(points=proposals, logits=logits, img_shape=(32, 32))
        >>> ProposalThreshold()(outputs, stride=4)
        (tensor([[3., 4.]]), tensor([0.8808]))
    """

    def __init__(
        self,
        score_threshold: float = 0.5,
        source: str = 'points',
        logits: str = 'logits',
        keep_outside: bool = False,
    ) -> None:
        if not 0 <= score_threshold <= 1:
            raise ValueError(
                f'ProposalThreshold: score_threshold={score_threshold!r}, expected a probability'
            )
        self.score_threshold = score_threshold
        self.source = source
        self.logits = logits
        self.keep_outside = keep_outside

    @torch.no_grad()
    def __call__(self, outputs: Mapping[str, Tensor], stride: int) -> tuple[Tensor, Tensor]:
        """Choose among the proposals of one image.

        Args:
            outputs: ``source`` ``(R, 2)``, ``(x, y)`` in input pixels, ``logits`` ``(R, 2)`` of
                background and person, and optionally ``img_shape``, the (height, width) of the
                image in input pixels.
            stride: Not used.

        Returns:
            ``(k, 2)`` points ``(x, y)`` in input pixels and their ``(k,)`` probabilities, in the
            order of the proposals.

        Raises:
            KeyError: The outputs have no proposals or no logits of these names.
        """
        points = take_source(outputs, self.source, self)
        scores = self._scores(outputs)
        accepted = scores > self.score_threshold
        if not self.keep_outside:
            accepted &= inside_image(points, outputs)
        return points[accepted], scores[accepted]

    def batch_counts(self, outputs: Mapping[str, Tensor], stride: int) -> Tensor:
        """How many proposals of each image of a batch pass, ``(N,)``, wherever they are."""
        return (self._scores(outputs) > self.score_threshold).sum(1)

    def _scores(self, outputs: Mapping[str, Tensor]) -> Tensor:
        return take_source(outputs, self.logits, self).softmax(-1)[..., 1]
