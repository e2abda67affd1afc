"""Make a file of weights for the zoo from a checkpoint of a training.

The file has what a prediction needs, in half precision and in the form of safetensors, which holds
no code; it says for which config it is, and of which sizes the training images were. The parameters
must be those of the model of the config::

    python tools/model_converters/publish_model.py work_dirs/x/best_count_selection_epoch_50.pth \\
        mmcrowd/zoo/pml_efficientnet_lite0_default.safetensors \\
        --config mmcrowd::pml_efficientnet_lite0_default --sizes 400 1024

Of a training with ``EMAHook`` it holds the averaged weights. Where crops were learnt and whole
images are counted too low or too high, ``--count-factor`` corrects it in the last layer; find it on
whole training images, never on those of a test. The lines that are printed belong into the metafile
of the config, beside what a test of this file gives.
"""

import argparse
import hashlib
from pathlib import Path

from mmengine.registry import DefaultScope

from mmcrowd import command_line
from mmcrowd.apis.zoo import config_of
from mmcrowd.engine.config import PACKAGE, public_name, read_config, without_pretraining
from mmcrowd.fileio.checkpoints import (
    load_state_dict,
    require_same_parameters,
    save_checkpoint,
)
from mmcrowd.models.converters.publish import publish
from mmcrowd.registry import MODELS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Make a file of weights for the zoo')
    parser.add_argument('src', help='checkpoint of a training')
    parser.add_argument('dst', help='file to write, .safetensors')
    parser.add_argument(
        '--config', required=True, help='config file, mmcrowd::NAME or name in the zoo'
    )
    parser.add_argument(
        '--sizes',
        nargs=2,
        type=int,
        metavar=('MIN', 'MAX'),
        help='smallest and largest longer side of the training images, in pixels',
    )
    parser.add_argument(
        '--count-factor',
        type=float,
        default=1.0,
        metavar='F',
        help='all densities are multiplied by it; of counters with a DensityHead. Default: 1',
    )
    args = parser.parse_args(argv)
    if not args.dst.endswith('.safetensors'):
        parser.error(f'the file must end in .safetensors, got {args.dst}')
    if args.sizes and not 1 <= args.sizes[0] <= args.sizes[1]:
        parser.error(f'--sizes {args.sizes[0]} {args.sizes[1]}: expected 1 <= MIN <= MAX')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    config = config_of(args.config)
    cfg = read_config(config)
    state_dict = load_state_dict(args.src)
    with DefaultScope.overwrite_default_scope('mmcrowd'):
        model = MODELS.build(without_pretraining(cfg.model))
    require_same_parameters(model.state_dict(), state_dict, args.src)
    meta = dict(config=public_name(config)) | (dict(sizes=args.sizes) if args.sizes else {})
    if args.count_factor != 1:
        if not hasattr(model.head, 'scale_density'):
            raise TypeError(
                f'--count-factor: expected a DensityHead, not {type(model.head).__name__}'
            )
        model.load_state_dict(state_dict, strict=False)
        model.head.scale_density(args.count_factor)
        state_dict = model.state_dict()
        meta['count_factor'] = args.count_factor
    state_dict = publish(state_dict)
    save_checkpoint(state_dict, meta, args.dst)
    content = Path(args.dst).read_bytes()
    numbers = sum(value.numel() for value in state_dict.values())
    print(f'# {args.dst}: {numbers:,} numbers, {len(content) / 1e6:.2f} MB')
    path = Path(args.dst).resolve()
    # The metafiles name files of the package by their path in it.
    is_ours = path.is_relative_to(PACKAGE)
    where = path.relative_to(PACKAGE.parent).as_posix() if is_ours else args.dst
    print(f'    Weights:\n      - {where}')
    print(f'    SHA256: {hashlib.sha256(content).hexdigest()}')


if __name__ == '__main__':
    command_line.run(main)
