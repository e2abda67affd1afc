r"""Convert a checkpoint of Bayesian Loss, DM-Count or GL to one of our configs, and back.

The three published programs have one network. Their files, ``best_model.pth`` or ``*_ckpt.tar``,
become checkpoints of ``configs/{bl,dmc,gl}/*_vgg19_official_*.py``::

    python tools/model_converters/bl_from_published.py best_model.pth checkpoints/bl_qnrf.pth
    python tools/test.py configs/bl/bl_vgg19_official_qnrf.py checkpoints/bl_qnrf.pth

    python tools/model_converters/bl_from_published.py ours.pth theirs.pth --back dmc

``ours.pth`` may be a checkpoint of a training, of which the averaged weights are taken if it has an
EMA, as in a test. ``theirs.pth`` has parameters alone, as their test programs read them.
"""

import argparse
from functools import partial

from mmcrowd import command_line
from mmcrowd.models.converters.bl import convert, convert_back
from mmcrowd.models.converters.files import convert_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Convert a published BL, DM-Count or GL checkpoint'
    )
    parser.add_argument('src', help='checkpoint to convert, .pth or .tar')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument(
        '--back', choices=('bl', 'dmc', 'gl'), help='from ours to that of this program'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.back:
        # Their programs read parameters alone.
        text = convert_file(
            args.src, args.dst, partial(convert_back, program=args.back), target_key=None
        )
    else:
        text = convert_file(args.src, args.dst, convert, source_key='model_state_dict')
    print(text)


if __name__ == '__main__':
    command_line.run(main)
