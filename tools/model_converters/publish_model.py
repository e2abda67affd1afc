"""Make a file of weights for the zoo from a checkpoint of a training.

The file has what a prediction needs, in half precision and in the form of safetensors, which holds
no code; it says for which config it is, and of which sizes the training images were::

    python tools/model_converters/publish_model.py work_dirs/x/best_count_selection_epoch_50.pth \\
        mmcrowd/zoo/pml_efficientnet_lite0_default.safetensors \\
        --config mmcrowd::pml_efficientnet_lite0_default --sizes 400 1024

Of a training with ``EMAHook`` it holds the averaged weights. The lines that are printed belong into
the metafile of the config, beside what a test of this file gives.
"""

import argparse
import hashlib
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.engine.config import find_config
from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint
from mmcrowd.models.converters.publish import publish


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Make a file of weights for the zoo')
    parser.add_argument('src', help='checkpoint of a training')
    parser.add_argument('dst', help='file to write, .safetensors')
    parser.add_argument('--config', required=True, help='mmcrowd::NAME of the config')
    parser.add_argument(
        '--sizes',
        nargs=2,
        type=int,
        metavar=('MIN', 'MAX'),
        help='smallest and largest longer side of the training images, in pixels',
    )
    args = parser.parse_args(argv)
    if not args.dst.endswith('.safetensors'):
        parser.error(f'the file must end in .safetensors, got {args.dst}')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    find_config(args.config)
    state_dict = publish(load_state_dict(args.src))
    meta = dict(config=args.config) | (dict(sizes=args.sizes) if args.sizes else {})
    save_checkpoint(state_dict, meta, args.dst)
    content = Path(args.dst).read_bytes()
    numbers = sum(value.numel() for value in state_dict.values())
    print(f'# {args.dst}: {numbers:,} numbers, {len(content) / 1e6:.2f} MB')
    print(f'    Weights:\n      - mmcrowd/zoo/{Path(args.dst).name}')
    print(f'    SHA256: {hashlib.sha256(content).hexdigest()}')


if __name__ == '__main__':
    command_line.run(main)
