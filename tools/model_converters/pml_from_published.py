r"""Convert a checkpoint of the PML authors' program to one of the ``pml_*`` configs, and back.

The program (github.com/Elin24/pml) saves ``ckpt_epoch_best.pth``; the configs of VGG16-bn, VGG19
and HRNet (W40, W44, W48) have its networks, under other names::

    python tools/model_converters/pml_from_published.py \
        ckpt_epoch_best.pth checkpoints/pml_vgg19.pth
    python tools/test.py configs/pml_vgg19_qnrf.py checkpoints/pml_vgg19.pth

    python tools/model_converters/pml_from_published.py ours.pth theirs.pth --back

``ours.pth`` may be a checkpoint of a training, of which the averaged weights are taken if it has an
EMA, as in a test.
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.files import convert_file
from mmcrowd.models.converters.pml import convert, convert_back


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Convert a checkpoint of the PML authors' program")
    parser.add_argument('src', help='checkpoint to convert, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.back:
        text = convert_file(args.src, args.dst, convert_back, target_key='model')
    else:
        text = convert_file(args.src, args.dst, convert, source_key='model')
    print(text)


if __name__ == '__main__':
    command_line.run(main)
