"""Convert a checkpoint of the published program of TopoCount to one of ``configs/topocount``, and
back.

The program (github.com/ShahiraAbousamra/TopoCount) saves a plain state dict of its U-Net. Its files
hold the same numbers under other names::

    python tools/model_converters/topocount_from_published.py theirs.pth checkpoints/topocount.pth
    python tools/test.py configs/topocount/topocount_vgg16_sha.py checkpoints/topocount.pth

    python tools/model_converters/topocount_from_published.py ours.pth theirs.pth --back

Their program loads what is under ``state_dict`` of the last.
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.files import convert_file
from mmcrowd.models.converters.topocount import convert, convert_back


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published TopoCount checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(convert_file(args.src, args.dst, convert_back if args.back else convert))


if __name__ == '__main__':
    command_line.run(main)
