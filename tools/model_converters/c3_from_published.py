"""Convert a checkpoint of the C-3-Framework (SFCN, CSRNet or MCNN) to ours, and back.

Its files, ``all_ep_*.pth`` and ``latest_state.pth``, become checkpoints of ``configs/sfcn`` and
``configs/c3``::

    python tools/model_converters/c3_from_published.py all_ep_190.pth checkpoints/sfcn_shb.pth
    python tools/test.py configs/sfcn/sfcn_resnet101_shb.py checkpoints/sfcn_shb.pth

    python tools/model_converters/c3_from_published.py ours.pth theirs.pth --back

``ours.pth`` may be a checkpoint of a training, of which the averaged weights are taken if it has an
EMA, as in a test. ``theirs.pth`` has parameters alone, as their test program reads them.
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.c3 import convert, convert_back
from mmcrowd.models.converters.files import convert_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Convert a published SFCN, CSRNet or MCNN checkpoint of the C-3-Framework'
    )
    parser.add_argument('src', help='checkpoint to convert, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.back:
        # Their program reads parameters alone.
        text = convert_file(args.src, args.dst, convert_back, target_key=None)
    else:
        text = convert_file(args.src, args.dst, convert, source_key='net')
    print(text)


if __name__ == '__main__':
    command_line.run(main)
