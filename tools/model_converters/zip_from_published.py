"""Convert a checkpoint of the published program of ZIP to one of ``configs/zip``, and back.

The program (github.com/Yiming-M/EBC-ZIP) publishes five sizes; the three smallest, ZIP-P, ZIP-N
and ZIP-T, are networks of ``configs/zip``. Their files hold the same numbers under other names::

    python tools/model_converters/zip_from_published.py best_mae.pth checkpoints/zip_n_sha.pth
    python tools/test.py configs/zip/zip_n_sha.py checkpoints/zip_n_sha.pth

    python tools/model_converters/zip_from_published.py ours.pth theirs.pth --back

The result has the bin centres of the file, whatever the config says.
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.files import convert_file
from mmcrowd.models.converters.zip import convert, convert_back


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Convert a published ZIP-P, ZIP-N or ZIP-T checkpoint'
    )
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.back:
        text = convert_file(args.src, args.dst, convert_back)
    else:
        text = convert_file(args.src, args.dst, convert, source_key='weights')
    print(text)


if __name__ == '__main__':
    command_line.run(main)
