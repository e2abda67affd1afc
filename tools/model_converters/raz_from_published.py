"""Convert a checkpoint of the published program of RAZ_loc to one of ``configs/raz``, and back.

The program (github.com/gjy3035/NWPU-Crowd-Sample-Code-for-Localization) trains
VGG16 with a head of dilated and transposed convolutions. Its files hold the same numbers under
other names::

    python tools/model_converters/raz_from_published.py theirs.pth checkpoints/raz.pth
    python tools/test.py configs/raz/raz_vgg16_nwpu.py checkpoints/raz.pth

    python tools/model_converters/raz_from_published.py ours.pth theirs.pth --back
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.files import convert_file
from mmcrowd.models.converters.raz import convert, convert_back


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published RAZ_loc checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(convert_file(args.src, args.dst, convert_back if args.back else convert))


if __name__ == '__main__':
    command_line.run(main)
