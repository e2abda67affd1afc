"""MCNN (Zhang et al., CVPR 2016): weights of a public implementation, for grey levels in 0..255.

The MCNN configs feed grey levels divided by 255; the first convolution of each column is multiplied
by 255 in return.
"""

from pathlib import Path

import torch

from mmcrowd.fileio.hdf5 import open_weights, read_array
from mmcrowd.models.backbones import MCNN

GRAY_LEVELS = 255  # std of the MCNN configs


def convert(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the three columns and the 1x1 convolution under the names of a counter.

    Args:
        path: Weight file with arrays ``DME.branch{1,2,3}.*`` and ``DME.fuse.0.*``.

    Returns:
        Parameters ``backbone.*`` and ``head.predict.*``.

    Raises:
        ValueError: If an array is missing or has another shape.
    """
    state_dict = {}
    with open_weights(path) as file:
        for name, value in MCNN(in_channels=1).state_dict().items():
            # Both count the pooling layers: column1.2 and branch1.2 are the second convolution.
            array = read_array(file, f'DME.{name.replace("column", "branch")}', tuple(value.shape))
            if name.endswith('.0.conv.weight'):
                array *= GRAY_LEVELS
            state_dict[f'backbone.{name}'] = torch.from_numpy(array)
        for name, shape in (('weight', (1, 30, 1, 1)), ('bias', (1,))):
            array = read_array(file, f'DME.fuse.0.conv.{name}', shape)
            state_dict[f'head.predict.{name}'] = torch.from_numpy(array)
    return state_dict
