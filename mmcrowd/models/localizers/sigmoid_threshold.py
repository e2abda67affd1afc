"""Points of a network whose scores are independent of each other (Liang, Xu and Bai: *An End-to-End
Transformer Model for Crowd Localization*, ECCV 2022)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmcrowd.models.localizers.checks import inside_image, take_source
from mmcrowd.registry import TASK_UTILS


@TASK_UTILS.register_module()
class SigmoidThreshold:
    """Accept the proposed points whose score is high enough.

    The score is the sigmoid of the last logit. Where the size of the image is known, proposals
    outside of it are left out unless ``keep_outside`` says otherwise.

    Args:
        score_threshold: A proposal is accepted if its score is at least this. Defaults to 0.35.
        source: Output of the network with the proposals. Defaults to ``'points'``.
        logits: Output of the network with their logits. Defaults to ``'logits'``.
        every_logit: Whether each logit of a proposal may accept it, once each, and no more points
            are accepted than there are proposals, those with the highest scores: the rule of the
            published program of CLTR. Defaults to False.
        keep_outside: Whether proposals outside of the image count too. Defaults to False.

    Raises:
        ValueError: ``score_threshold`` is no probability.

    Examples:
        >>> outputs = dict(points=torch.tensor([[3.0, 4.0], [5.0, 6.0]]),
        ...                logits=torch.tensor([[-9.0, 2.0], [0.0, -2.0]]), img_shape=(32, 32))
        >>> SigmoidThreshold()(outputs, stride=32)
        (tensor([[3., 4.]]), tensor([0.8808]))
        >>> SigmoidThreshold(every_logit=True)(outputs, stride=32)
        (tensor([[3., 4.],
                [5., 6.]]), tensor([0.8808, 0.5000]))
    """

    def __init__(
        self,
        score_threshold: float = 0.35,
        source: str = 'points',
        logits: str = 'logits',
        every_logit: bool = False,
        keep_outside: bool = False,
    ) -> None:
        if not 0 <= score_threshold <= 1:
            raise ValueError(
                f'SigmoidThreshold: score_threshold={score_threshold!r}, expected a probability'
            )
        self.score_threshold = score_threshold
        self.source = source
        self.logits = logits
        self.every_logit = every_logit
        self.keep_outside = keep_outside

    @torch.no_grad()
    def __call__(self, outputs: Mapping[str, Tensor], stride: int) -> tuple[Tensor, Tensor]:
        """Choose among the proposals of one image.

        Args:
            outputs: ``source`` ``(R, 2)``, ``(x, y)`` in input pixels, ``logits`` ``(R, c)``, and
                optionally ``img_shape``, the (height, width) of the image in input pixels.
            stride: Not used.

        Returns:
            ``(k, 2)`` points ``(x, y)`` in input pixels and their ``(k,)`` scores, in the order of
            the proposals.

        Raises:
            KeyError: The outputs have no proposals or no logits of these names.
        """
        points = take_source(outputs, self.source, self)
        scores = take_source(outputs, self.logits, self).sigmoid()
        if self.every_logit:
            best = scores.flatten().topk(len(points)).indices.sort().values
            points, scores = points[best // scores.shape[1]], scores.flatten()[best]
        else:
            scores = scores[:, -1]
        accepted = scores >= self.score_threshold
        if not self.keep_outside:
            accepted &= inside_image(points, outputs)
        return points[accepted], scores[accepted]

    def batch_counts(self, outputs: Mapping[str, Tensor], stride: int) -> Tensor:
        """How many points each image of a batch would have, ``(N,)``, wherever they are."""
        passes = take_source(outputs, self.logits, self).sigmoid() >= self.score_threshold
        if self.every_logit:
            return passes.flatten(1).sum(1).clamp(max=passes.shape[1])
        return passes[..., -1].sum(1)
