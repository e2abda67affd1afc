"""Convert a checkpoint of the published program of MUD-ikNN to one of ``configs/iknn``, and back.

The program (github.com/golmschenk/sr-gan) keeps its counter under ``DNN``, beside the networks of
other experiments::

    python tools/model_converters/iknn_from_published.py model_100000.pth checkpoints/iknn_sha.pth
    python tools/test.py configs/iknn/iknn_densenet201_sha.py checkpoints/iknn_sha.pth

    python tools/model_converters/iknn_from_published.py ours.pth theirs.pth --back
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.files import convert_file
from mmcrowd.models.converters.iknn import convert, convert_back


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published MUD-ikNN checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.back:
        print(convert_file(args.src, args.dst, convert_back, target_key='DNN'))
    else:
        print(convert_file(args.src, args.dst, convert, source_key='DNN'))


if __name__ == '__main__':
    command_line.run(main)
