"""Convert a checkpoint of the published program of LSC-CNN to one of ``configs/lsc_cnn``, and back.

The program (github.com/val-iisc/lsc-cnn) keeps the weights of an epoch under ``state_dict``; its
files hold the same numbers under other names. The networks see differently scaled pixels, so the
checkpoint is for the configs ``*_published.py``::

    python tools/model_converters/lsc_cnn_from_published.py theirs.pth checkpoints/lsc_cnn.pth
    python tools/test.py configs/lsc_cnn/lsc_cnn_vgg16_sha_published.py checkpoints/lsc_cnn.pth

    python tools/model_converters/lsc_cnn_from_published.py ours.pth theirs.pth --back
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.files import convert_file
from mmcrowd.models.converters.lsc_cnn import convert, convert_back


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published LSC-CNN checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(convert_file(args.src, args.dst, convert_back if args.back else convert))


if __name__ == '__main__':
    command_line.run(main)
