"""Convert a checkpoint of the published program of P2PNet to one of ``configs/p2pnet``, and back.

The program (github.com/TencentYoutuResearch/CrowdCounting-P2PNet) has its ``SHTechA.pth`` beside
it, and writes such files itself. They hold the same numbers under other names::

    python tools/model_converters/p2pnet_from_published.py SHTechA.pth checkpoints/p2pnet_sha.pth
    python tools/test.py configs/p2pnet/p2pnet_vgg16bn_sha_published.py checkpoints/p2pnet_sha.pth

    python tools/model_converters/p2pnet_from_published.py ours.pth theirs.pth --back

On the way back the parameters that the published network holds and never uses are 0, or those of
the file ``--unused-from``.
"""

import argparse
from functools import partial

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import load_state_dict
from mmcrowd.models.converters.files import convert_file
from mmcrowd.models.converters.p2pnet import convert, convert_back, unused


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published P2PNet checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    parser.add_argument(
        '--unused-from', metavar='FILE', help='with --back: published checkpoint to take them from'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    rest = unused(load_state_dict(args.unused_from, 'model')) if args.unused_from else None
    if args.back:
        text = convert_file(
            args.src, args.dst, partial(convert_back, unused=rest), target_key='model'
        )
    else:
        text = convert_file(args.src, args.dst, convert, source_key='model')
    print(text)


if __name__ == '__main__':
    command_line.run(main)
