from typing import Any

from torch import Tensor

from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, stack_maps

from .base_counter import BaseCounter

# Maps of the samples that the second stage is trained on too: name, the transform that makes the
# map, name of what the second stage gives for it.
TRUE_MAPS = (
    ('probability', 'ProbabilityMap', 'count_of_truth'),
    ('drawn_probability', 'DrawnMap', 'count_of_drawn'),
)


@MODELS.register_module()
class TwoStageCounter(BaseCounter):
    """A counter whose head counts from its own map of heads, and learns that from true maps too.

    ``head.regressor`` takes the output ``probability``. For training it is also given the true
    ``probability`` of the ``gt_maps`` of the samples and, if they have one, the
    ``drawn_probability``; the loss finds what it gives as ``count_of_truth`` and
    ``count_of_drawn`` (Cheng et al.: *Decoupled Two-Stage Crowd Counting and Beyond*, IEEE
    Transactions on Image Processing 2021).

    Args:
        copy_backbone: Whether the regressor starts with the weights of the backbone, which is a VGG
            of the same depth: both start from ImageNet, as published. Defaults to True.
        **kwargs: Arguments of :class:`BaseCounter`.
    """

    def __init__(self, copy_backbone: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.copy_backbone = copy_backbone

    @property
    def regressor(self) -> Any:
        """The second stage, from a map of heads to counts."""
        return self.head.regressor

    def init_weights(self) -> None:
        """Initialise all parts, and then the regressor from the backbone."""
        super().init_weights()
        if self.copy_backbone:
            self.regressor.start_from(self.backbone)

    def loss(self, inputs: Tensor, data_samples: list[CrowdDataSample]) -> dict[str, Tensor]:
        """Losses of a training batch; keys start with ``loss_``.

        Raises:
            KeyError: A sample has no true map, or only some have a drawn one.
        """
        outputs = self.run_network(inputs, self._padding_mask(inputs, data_samples))
        drawn = any('drawn_probability' in sample.get('gt_maps', ()) for sample in data_samples)
        for name, transform, result in TRUE_MAPS[: 1 + drawn]:
            maps = stack_maps(data_samples, name, outputs['probability'], transform)
            with self._precision_context(inputs):
                outputs[result] = self.regressor(maps)
        loss: Any = self.loss_module
        return loss.loss(outputs, data_samples, self.stride)
