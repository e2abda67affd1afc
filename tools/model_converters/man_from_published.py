"""Convert a checkpoint of the published program of MAN to one of ``configs/man``, and back.

The program (github.com/LoraLinH/Boosting-Crowd-Counting-via-Multifaceted-Attention) writes
``best_model.pth`` and ``*_ckpt.tar``. They hold the same numbers under other names::

    python tools/model_converters/man_from_published.py best_model.pth checkpoints/man_qnrf.pth
    python tools/test.py configs/man/man_vgg19_qnrf.py checkpoints/man_qnrf.pth

    python tools/model_converters/man_from_published.py ours.pth theirs.pth --back
"""

import argparse
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint
from mmcrowd.models.converters.man import convert, convert_back


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published MAN checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth or .tar')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    state_dict = load_state_dict(args.src, 'state_dict' if args.back else 'model_state_dict')
    try:
        state_dict = convert_back(state_dict) if args.back else convert(state_dict)
    except ValueError as error:
        raise ValueError(f'{args.src}: {error}') from error
    # Their test program reads parameters alone.
    key = None if args.back else 'state_dict'
    save_checkpoint(state_dict, dict(source=Path(args.src).name), args.dst, key)
    size = sum(value.numel() for value in state_dict.values())
    print(f'{args.dst}: {len(state_dict)} parameters and buffers, {size:,} numbers')


if __name__ == '__main__':
    command_line.run(main)
