"""How large a network is: parameters, and operations for an image of a stated size."""

from typing import NamedTuple

import torch
from mmengine.analysis import ActivationAnalyzer, FlopAnalyzer, parameter_count
from mmengine.analysis.print_helper import complexity_stats_table
from torch import Tensor

from mmcrowd.models import BaseCounter
from mmcrowd.models.counters.outputs import map_tensors


class Complexity(NamedTuple):
    """What a network costs.

    Attributes:
        input_shape: Of the batch that was counted, ``(1, C, H, W)``: one image, with the padding of
            the data preprocessor.
        parameters: Number of trainable and frozen parameters.
        flops: Multiply-adds of one image, each counted once, as in the papers of the field.
        activations: Numbers that convolutions, linear layers and matrix products give.
        table: These by module, as text.
    """

    input_shape: tuple[int, ...]
    parameters: int
    flops: int
    activations: int
    table: str


def network_complexity(counter: BaseCounter, size: tuple[int, int], depth: int = 3) -> Complexity:
    """Parameters and operations of a counter's network, by MMEngine's analysis of its graph.

    Backbone, neck and head are counted, for one image: what ``mode='tensor'`` runs. Localizer and
    loss are no part of it, and an ``inference`` in tiles does more, for the halos. Operations are
    those of convolutions, linear layers, matrix products, normalisations, bilinear and nearest
    upsampling; activations and sums are left out. Where the work depends on the image, as in PET,
    which decodes the queries of the regions that it chooses, it is that for a black image, and
    varies with the weights.

    Args:
        counter: The counter; it is set to evaluation.
        size: ``(height, width)`` of the image in pixels.
        depth: Levels of modules in the table. Defaults to 3.

    Raises:
        ValueError: ``size`` has a side below 1.
    """
    if min(size) < 1:
        raise ValueError(f'size={tuple(size)}, expected positive (height, width) in pixels')
    counter.eval()
    device = next(counter.parameters()).device
    image = torch.zeros(3, *size, dtype=torch.uint8, device=device)
    inputs = counter.data_preprocessor(dict(inputs=[image]))['inputs']
    # The tracer takes tensors in tuples only, not the dict of named outputs.
    hook = counter.register_forward_hook(lambda _module, _args, outputs: _tensors_of(outputs))
    try:
        flops, activations = FlopAnalyzer(counter, inputs), ActivationAnalyzer(counter, inputs)
        for analyzer in (flops, activations):
            # They list every operation without a count, such as sums.
            analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            analyzer.tracer_warnings('none')
        with torch.no_grad():
            return Complexity(
                input_shape=tuple(inputs.shape),
                parameters=parameter_count(counter)[''],
                flops=int(flops.total()),
                activations=int(activations.total()),
                table=complexity_stats_table(flops, depth, activations, show_param_shapes=False),
            )
    finally:
        hook.remove()


def _tensors_of(outputs: dict) -> tuple[Tensor, ...]:
    tensors: list[Tensor] = []
    map_tensors(tensors.append, outputs)
    return tuple(tensors)
