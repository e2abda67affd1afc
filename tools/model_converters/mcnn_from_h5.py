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

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import save_checkpoint
from mmcrowd.models.converters.mcnn import GRAY_LEVELS, convert


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
