"""Convert a published MCNN weight file (HDF5, grey input in 0..255) to a counter's checkpoint.

The files ``mcnn_shtechA_660.h5`` and ``mcnn_shtechB_110.h5`` belong to a public implementation of
MCNN (Zhang et al., CVPR 2016) for ShanghaiTech A and B::

    python tools/model_converters/mcnn_from_h5.py mcnn_shtechA_660.h5 checkpoints/mcnn_sha.pth
    python tools/test.py configs/pml_mcnn_sha.py checkpoints/mcnn_sha.pth

The MCNN configs feed grey levels divided by 255; the first convolution of each column is multiplied
by 255 in return. The result holds all parameters of the ``DensityCounter`` of these configs.
"""

import argparse
from pathlib import Path

import torch
from checkpoint import open_weights, read_array, save_checkpoint

from mmcrowd import command_line
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


def main() -> None:
    parser = argparse.ArgumentParser(description='Convert a published MCNN weight file')
    parser.add_argument('src', help='published weights, .h5')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    args = parser.parse_args()
    state_dict = convert(args.src)
    meta = dict(source=Path(args.src).name, channels='grey', mean=[0.0], std=[float(GRAY_LEVELS)])
    save_checkpoint(state_dict, meta, args.dst)
    size = sum(value.numel() for value in state_dict.values())
    print(
        f'{args.dst}: {len(state_dict) // 2} convolutions, {size:,} parameters, for grey input '
        f'divided by {GRAY_LEVELS}'
    )


if __name__ == '__main__':
    command_line.run(main)
