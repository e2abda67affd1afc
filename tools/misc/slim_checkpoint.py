"""Write a checkpoint in half precision and without the optimizer's memory, to keep or to send it.

Tests take the result, and train.py --resume goes on from it. ::

    python tools/misc/slim_checkpoint.py work_dirs/pml_vgg16_shb/epoch_100.pth slim.pth
"""

import argparse
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import slim_checkpoint


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Write a small checkpoint')
    parser.add_argument('source', help='checkpoint of a training')
    parser.add_argument('target', help='file to write')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    slim_checkpoint(args.source, args.target)
    sizes = [Path(path).stat().st_size / 2**20 for path in (args.source, args.target)]
    print(f'{args.target}: {sizes[1]:.1f} MiB, was {sizes[0]:.1f} MiB')


if __name__ == '__main__':
    command_line.run(main)
