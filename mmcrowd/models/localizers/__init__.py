"""From the outputs of a network to points.

A localizer is a callable ``(outputs, stride) -> (points, scores)`` in ``TASK_UTILS``. ``outputs``
are the named outputs of one image, without batch dimension: maps are cut to the image, those of one
channel are ``(h, w)``, and ``img_shape`` is the (height, width) of the image in input pixels. A
localizer of one map takes that map in their place, too, and has the name of the map as its
``source``. ``stride`` are the input pixels per cell of the network's main map. The points are
``(k, 2)`` ``(x, y)`` in input pixels, the scores ``(k,)``.

A localizer that need not search on the host may have ``batch_counts(outputs, stride)``, too: from
the named outputs of a batch, N first, to the numbers of points ``(N,)``, or None if its settings do
not allow it. All of the batch is taken for image. These counts are logged in training.
"""

from .block_maximum import BlockMaximum
from .box_nms import BoxNMS
from .connected_components import ConnectedComponents
from .count_guided_peaks import CountGuidedPeaks
from .local_maximum import LocalMaximum
from .multi_scale_maximum import MultiScaleMaximum
from .ot_minimization import OTMinimization
from .proposal_threshold import ProposalThreshold
from .scale_box_nms import ScaleBoxNMS
from .sigmoid_threshold import SigmoidThreshold

__all__ = [
    'BlockMaximum',
    'BoxNMS',
    'ConnectedComponents',
    'CountGuidedPeaks',
    'LocalMaximum',
    'MultiScaleMaximum',
    'OTMinimization',
    'ProposalThreshold',
    'ScaleBoxNMS',
    'SigmoidThreshold',
]
