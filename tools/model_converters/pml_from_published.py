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
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint
from mmcrowd.models.converters.pml import convert, convert_back


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert a checkpoint of the PML authors' program")
    parser.add_argument('src', help='checkpoint to convert, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    args = parser.parse_args()
    state_dict = load_state_dict(args.src, 'state_dict' if args.back else 'model')
    try:
        state_dict = convert_back(state_dict) if args.back else convert(state_dict)
    except ValueError as error:
        raise ValueError(f'{args.src}: {error}') from error
    key = 'model' if args.back else 'state_dict'
    save_checkpoint(state_dict, dict(source=Path(args.src).name), args.dst, key)
    size = sum(value.numel() for value in state_dict.values())
    print(f'{args.dst}: {len(state_dict)} parameters and buffers, {size:,} numbers')


if __name__ == '__main__':
    command_line.run(main)
