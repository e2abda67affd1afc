"""Convert a checkpoint of the published program of CLTR to one of ``configs/cltr``, and back.

The program (github.com/dk-liang/CLTR) publishes files for JHU-Crowd++ and NWPU-Crowd, and writes
such files itself. They hold the same numbers under other names::

    python tools/model_converters/cltr_from_published.py nwpu.pth checkpoints/cltr_nwpu.pth
    python tools/test.py configs/cltr/cltr_r50_nwpu_published.py checkpoints/cltr_nwpu.pth

    python tools/model_converters/cltr_from_published.py ours.pth theirs.pth --back

The number of queries of the config must be that of the file.
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.cltr import convert, convert_back
from mmcrowd.models.converters.files import convert_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published CLTR checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(convert_file(args.src, args.dst, convert_back if args.back else convert))


if __name__ == '__main__':
    command_line.run(main)
