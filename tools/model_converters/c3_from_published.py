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
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint
from mmcrowd.models.converters.c3 import convert, convert_back


def main() -> None:
    parser = argparse.ArgumentParser(
        description='Convert a published SFCN, CSRNet or MCNN checkpoint of the C-3-Framework'
    )
    parser.add_argument('src', help='checkpoint to convert, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    args = parser.parse_args()
    state_dict = load_state_dict(args.src, 'state_dict' if args.back else 'net')
    try:
        state_dict = convert_back(state_dict) if args.back else convert(state_dict)
    except ValueError as error:
        raise ValueError(f'{args.src}: {error}') from error
    key = None if args.back else 'state_dict'
    save_checkpoint(state_dict, dict(source=Path(args.src).name), args.dst, key)
    size = sum(value.numel() for value in state_dict.values())
    print(f'{args.dst}: {len(state_dict)} parameters and buffers, {size:,} numbers')


if __name__ == '__main__':
    command_line.run(main)
