"""Convert a checkpoint of the published program of FIDTM to one of ``configs/fidtm``, and back.

The program (github.com/dk-liang/FIDTM) trains HRNet-W48 with a head of transposed convolutions. Its
``model_best.pth`` files hold the same numbers under other names::

    python tools/model_converters/fidtm_from_published.py model_best.pth checkpoints/fidtm_sha.pth
    python tools/test.py configs/fidtm/fidtm_hrnet_w48_sha.py checkpoints/fidtm_sha.pth

    python tools/model_converters/fidtm_from_published.py ours.pth theirs.pth --back
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.fidtm import convert, convert_back
from mmcrowd.models.converters.files import convert_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published FIDTM checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(convert_file(args.src, args.dst, convert_back if args.back else convert))


if __name__ == '__main__':
    command_line.run(main)
