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
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint
from mmcrowd.models.converters.bl import convert, convert_back


def main() -> None:
    parser = argparse.ArgumentParser(
        description='Convert a published BL, DM-Count or GL checkpoint'
    )
    parser.add_argument('src', help='checkpoint to convert, .pth or .tar')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument(
        '--back', choices=('bl', 'dmc', 'gl'), help='from ours to that of this program'
    )
    args = parser.parse_args()
    state_dict = load_state_dict(args.src, 'state_dict' if args.back else 'model_state_dict')
    try:
        state_dict = convert_back(state_dict, args.back) if args.back else convert(state_dict)
    except ValueError as error:
        raise ValueError(f'{args.src}: {error}') from error
    key = None if args.back else 'state_dict'
    save_checkpoint(state_dict, dict(source=Path(args.src).name), args.dst, key)
    size = sum(value.numel() for value in state_dict.values())
    print(f'{args.dst}: {len(state_dict)} parameters and buffers, {size:,} numbers')


if __name__ == '__main__':
    command_line.run(main)
