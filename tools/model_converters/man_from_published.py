"""Convert a checkpoint of the published program of MAN to one of ``configs/man``, and back.

The program (github.com/LoraLinH/Boosting-Crowd-Counting-via-Multifaceted-Attention) writes
``best_model.pth`` and ``*_ckpt.tar``. They hold the same numbers under other names::

    python tools/model_converters/man_from_published.py best_model.pth checkpoints/man_qnrf.pth
    python tools/test.py configs/man/man_vgg19_qnrf.py checkpoints/man_qnrf.pth

    python tools/model_converters/man_from_published.py ours.pth theirs.pth --back
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.files import convert_file
from mmcrowd.models.converters.man import convert, convert_back


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published MAN checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth or .tar')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.back:
        # Their program reads parameters alone.
        text = convert_file(args.src, args.dst, convert_back, target_key=None)
    else:
        text = convert_file(args.src, args.dst, convert, source_key='model_state_dict')
    print(text)


if __name__ == '__main__':
    command_line.run(main)
