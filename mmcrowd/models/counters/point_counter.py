import torch
from mmengine.structures import InstanceData

from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, to_original_frame

from .base_counter import BaseCounter, whole_images


@MODELS.register_module()
class PointCounter(BaseCounter):
    """A counter that predicts a set of points, whose number is the count.

    ``backbone -> neck (optional) -> head -> proposals``, of which those are accepted that are
    likely to be a person: P2PNet (Song et al., ICCV 2021).

    Args:
        backbone: Config of the backbone, of any scope; returns a tuple of feature levels.
        head: Config of the head, ``features -> (proposals, logits)``, see
            :class:`~mmcrowd.models.PointHead`; it has ``in_stride``, input pixels per feature cell.
        loss: Config of a loss, ``forward(proposals, logits, points) -> dict``.
        neck, data_preprocessor, precision, init_cfg: See :class:`BaseCounter`.
        score_threshold: A proposal is accepted if its probability of a person is above this.
            Default 0.5.

    Raises:
        ValueError: If ``score_threshold`` is no probability.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        loss: dict,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        precision: str = 'fp32',
        score_threshold: float = 0.5,
        init_cfg: dict | None = None,
    ):
        if not 0 <= score_threshold <= 1:
            raise ValueError(f'score_threshold={score_threshold!r}, expected a probability')
        super().__init__(backbone, head, loss, neck, data_preprocessor, precision, init_cfg)
        self.score_threshold = score_threshold

    def predict_proposals(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All proposals of the padded batch, float32.

        Returns:
            tuple[Tensor, Tensor]: Points ``(N, R, 2)``, ``(x, y)`` in input pixels, and logits
            ``(N, R, 2)`` of background and person.
        """
        proposals, logits = self._run_network(inputs)
        return proposals.float(), logits.float()

    def _forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.predict_proposals(inputs)

    def loss(
        self, inputs: torch.Tensor, data_samples: list[CrowdDataSample]
    ) -> dict[str, torch.Tensor]:
        """Losses of a training batch; keys start with ``loss_``."""
        proposals, logits = self.predict_proposals(inputs)
        return self.loss_module(
            proposals, logits, [sample.gt_instances.points for sample in data_samples]
        )

    def predict(
        self, inputs: torch.Tensor, data_samples: list[CrowdDataSample] | None = None
    ) -> list[CrowdDataSample]:
        """Predictions of a batch: ``pred_instances`` and ``pred_count`` of the un-padded area.

        ``pred_instances`` has the ``points`` ``(k, 2)`` in the original frame and their ``scores``
        ``(k,)``, in the order of the proposals; ``pred_count`` is k. Without ``data_samples`` all
        of ``inputs`` counts as image.

        Raises:
            ValueError: The sides of the padded batch are no multiples of the head's ``in_stride``,
                so that there may be no proposals at the right and the lower edge.
        """
        if any(side % self.head.in_stride for side in inputs.shape[-2:]):
            raise ValueError(
                f'a batch padded to {tuple(inputs.shape[-2:])} pixels (h, w), expected multiples '
                f'of in_stride of the head, {self.head.in_stride}; pad_size_divisor of the '
                'data_preprocessor must be a multiple of it'
            )
        if data_samples is None:
            data_samples = whole_images(inputs)
        proposals, logits = (outputs.detach() for outputs in self.predict_proposals(inputs))
        scores = logits.softmax(-1)[..., 1]
        for points, score, sample in zip(proposals, scores, data_samples, strict=True):
            height, width = sample.img_shape
            end = points.new_tensor((width, height)) - 0.5
            inside = ((points >= -0.5) & (points < end)).all(1)
            accepted = inside & (score > self.score_threshold)
            located = to_original_frame(points[accepted].cpu().numpy(), sample.metainfo)
            sample.pred_instances = InstanceData(
                points=torch.from_numpy(located).to(score.device), scores=score[accepted]
            )
            sample.pred_count = float(len(located))
        return data_samples
