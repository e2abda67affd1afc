"""Convert a checkpoint of the published program of DMCount-EBC to one of ``configs/ebc``, and back.

The program (github.com/Yiming-M/CLIP-EBC) publishes DMCount-EBC as ``vgg19_ae``. Its files,
``best_mae_*.pth`` and ``ckpt.pth``, hold the same numbers under other names::

    python tools/model_converters/ebc_from_published.py best_mae_0.pth checkpoints/ebc_nwpu.pth
    python tools/test.py configs/ebc/ebc_vgg19_nwpu.py checkpoints/ebc_nwpu.pth

    python tools/model_converters/ebc_from_published.py ours.pth theirs.pth --back

The counts of the bins are in no file: the config must be that of the data set of the checkpoint.
``ours.pth`` may be a checkpoint of a training, of which the averaged weights are taken if it has an
EMA, as in a test. ``theirs.pth`` has parameters alone, as their test program reads them.
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.ebc import convert, convert_back
from mmcrowd.models.converters.files import convert_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published DMCount-EBC checkpoint')
    parser.add_argument('src', help='checkpoint to convert, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.back:
        # Their program reads parameters alone.
        text = convert_file(args.src, args.dst, convert_back, target_key=None)
    else:
        text = convert_file(args.src, args.dst, convert, source_key='model_state_dict')
    print(text)


if __name__ == '__main__':
    command_line.run(main)
