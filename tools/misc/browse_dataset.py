"""Draw what the trainer sees of a data set.

Writes a picture for each image: a panel for each transform of the pipeline (``--mode pipeline``),
the last one alone (``transformed``), or the image as loaded with its annotation (``original``).
Random transforms draw what they draw for this sample in training, at the given seed and epoch. ::

    python tools/misc/browse_dataset.py configs/pml_vgg16_shb.py --out-dir pictures
    python tools/misc/browse_dataset.py configs/pml_vgg16_shb.py --out-dir pictures \\
        --index 3 17 --epoch 40 --mode transformed
"""

import argparse
import re
from pathlib import Path

import mmcv
from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmcrowd import command_line
from mmcrowd.analysis.pipeline_figure import arrange
from mmcrowd.analysis.pipeline_recorder import MODES, record
from mmcrowd.datasets import SeededSamples
from mmcrowd.engine.config import read_config
from mmcrowd.fileio.files import printable
from mmcrowd.registry import DATASETS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw what the trainer sees of a data set')
    parser.add_argument('config', help='config whose data set to draw')
    parser.add_argument('--out-dir', required=True, help='folder of the pictures')
    parser.add_argument(
        '--split',
        choices=('train', 'val', 'test'),
        default='train',
        help='of which {split}_dataloader; default: %(default)s',
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        '--number', type=int, default=10, help='of images, from the first on; default: %(default)s'
    )
    which.add_argument('--index', type=int, nargs='+', help='of the images, instead of --number')
    parser.add_argument('--mode', choices=MODES, default=MODES[0], help='default: %(default)s')
    parser.add_argument('--seed', type=int, help="of the training; default: the config's, else 0")
    parser.add_argument(
        '--epoch', type=int, default=0, help='of the training, from 0 on; default: %(default)s'
    )
    parser.add_argument(
        '--data-root',
        help='folder of the data set, as downloaded or prepared, instead of the one in the config',
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value overrides')
    args = parser.parse_args(argv)
    if args.number < 1 or args.epoch < 0:
        parser.error(f'--number {args.number} --epoch {args.epoch}: too small')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(args.config, args.cfg_options, args.data_root)
    init_default_scope(cfg.get('default_scope', 'mmcrowd'))
    loader = cfg.get(f'{args.split}_dataloader')
    if loader is None:
        raise ValueError(f'{args.config} has no {args.split}_dataloader')
    seed = args.seed if args.seed is not None else cfg.get('randomness', {}).get('seed') or 0

    dataset = DATASETS.build(loader.dataset)
    samples = SeededSamples(dataset, seed)
    samples.set_epoch(args.epoch)
    indices = range(min(args.number, len(dataset))) if args.index is None else args.index
    for index in indices:
        if not 0 <= index < len(dataset):
            raise ValueError(f'--index {index}: the data set has {len(dataset)} images')

    state = f'{args.split} {{}}'
    if args.mode != 'original':
        state += f'  \N{MIDDLE DOT}  seed {seed}, epoch {args.epoch}'
    for index in indices:
        done = record(samples, index, args.mode)
        picture = arrange(done.panels, done.img_id or f'image {index}', state.format(index))
        name = re.sub(r'[^\w.-]+', '_', f'{args.split}_{index:05d}_{done.img_id}')
        mmcv.imwrite(picture[..., ::-1], str(Path(args.out_dir) / f'{name}.jpg'))
    print(
        printable(
            f'{args.out_dir}: {len(indices)} of {len(dataset)} images of {args.split}_dataloader, '
            f'mode {args.mode}, seed {seed}, epoch {args.epoch}'
        )
    )


if __name__ == '__main__':
    command_line.run(main)
