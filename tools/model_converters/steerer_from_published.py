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
from functools import partial

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import load_state_dict
from mmcrowd.models.converters.files import convert_file
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
    rest = unused(load_state_dict(args.unused_from)) if args.unused_from else None
    if args.back:
        # Their program reads parameters alone.
        text = convert_file(args.src, args.dst, partial(convert_back, unused=rest), target_key=None)
    else:
        text = convert_file(args.src, args.dst, convert)
    print(text)


if __name__ == '__main__':
    command_line.run(main)
