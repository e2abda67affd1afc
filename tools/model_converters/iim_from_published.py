"""Convert a checkpoint of the published program of IIM to one of ``configs/iim``, and back.

The program (github.com/taohan10200/IIM) trains
HRNet-W48 or VGG16-bn with a learned threshold. Its files hold the same numbers under other names::

    python tools/model_converters/iim_from_published.py theirs.pth checkpoints/iim.pth
    python tools/test.py configs/iim/iim_hrnet_w48_nwpu.py checkpoints/iim.pth

    python tools/model_converters/iim_from_published.py ours.pth theirs.pth --back

Their program loads what is under ``state_dict`` of the last.
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.files import convert_file
from mmcrowd.models.converters.iim import convert, convert_back


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published IIM checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(convert_file(args.src, args.dst, convert_back if args.back else convert))


if __name__ == '__main__':
    command_line.run(main)
