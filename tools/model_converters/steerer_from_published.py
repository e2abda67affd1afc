"""Convert a checkpoint of the published program of STEERER to one of ``configs/steerer``, and back.

The program (github.com/taohan10200/STEERER) publishes checkpoints of its networks on HRNet-W48.
They hold the same numbers under other names, and some more that no step uses::

    python tools/model_converters/steerer_from_published.py SHHB.pth checkpoints/steerer_shb.pth
    python tools/test.py configs/steerer/steerer_hrnet_w48_shb.py checkpoints/steerer_shb.pth

    python tools/model_converters/steerer_from_published.py ours.pth theirs.pth --back

On the way back the numbers that no step uses are left out, or are those of the file
``--unused-from``.
"""

import argparse
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint
from mmcrowd.models.converters.steerer import convert, convert_back, unused


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published STEERER checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    parser.add_argument(
        '--unused-from', metavar='FILE', help='with --back: published checkpoint to take them from'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    state_dict = load_state_dict(args.src)
    rest = unused(load_state_dict(args.unused_from)) if args.unused_from else None
    try:
        state_dict = convert_back(state_dict, rest) if args.back else convert(state_dict)
    except ValueError as error:
        raise ValueError(f'{args.src}: {error}') from error
    # Their program reads parameters alone.
    key = None if args.back else 'state_dict'
    save_checkpoint(state_dict, dict(source=Path(args.src).name), args.dst, key)
    size = sum(value.numel() for value in state_dict.values())
    print(f'{args.dst}: {len(state_dict)} parameters and buffers, {size:,} numbers')


if __name__ == '__main__':
    command_line.run(main)
