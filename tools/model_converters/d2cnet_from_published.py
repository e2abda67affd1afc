"""Convert a checkpoint of the published program of D2CNet to one of ``configs/d2cnet``, and back.

The program (github.com/hustaia/Decoupled_Two-stage_Counting) keeps its two networks in one file::

    python tools/model_converters/d2cnet_from_published.py partA.pth.tar checkpoints/d2cnet_sha.pth
    python tools/test.py configs/d2cnet/d2cnet_vgg16_sha.py checkpoints/d2cnet_sha.pth

    python tools/model_converters/d2cnet_from_published.py ours.pth theirs.pth.tar --back

The program and its weights are for non-commercial use only, as its README says.
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.d2cnet import convert_files


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published D2CNet checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth.tar')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(convert_files(args.src, args.dst, args.back))


if __name__ == '__main__':
    command_line.run(main)
