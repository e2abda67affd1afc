"""See where the loader of a config spends its time, and whether a training would wait for it.

One process with one thread does what a loader's worker does for some batches of the training set,
and prints the processor milliseconds of each step for an image, the data preprocessor of the
counter too, which works in the process that trains. ``--photos`` puts large photos in the place of
the images, made as benchmark_loader.py makes them, of images of the data set, with 815 points each;
the pipeline, which begins with LoadCrowdImage, stays that of the config. ``--step`` times a step
of training on one batch, too, and says how many workers keep up with it. ::

    python tools/analysis_tools/profile_loader.py configs/pml_vgg16_shb.py --step
    python tools/analysis_tools/profile_loader.py configs/pml_hrnet_qnrf.py --photos 3000x2000 \\
        --sources data/ShanghaiTech/part_A/train_data/images
"""

import argparse
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmcrowd import command_line
from mmcrowd.analysis.benchmarks.loader import build_photos
from mmcrowd.analysis.benchmarks.loader_profile import (
    one_thread,
    profile_loader,
    profile_table,
    time_step,
    worker_rate,
)
from mmcrowd.engine.config import read_config, set_data_root, without_pretraining
from mmcrowd.fileio.files import is_hidden
from mmcrowd.registry import DATASETS, MODELS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time each step of a loader')
    parser.add_argument('config', help='config of the training')
    parser.add_argument('--num-images', type=int, default=128, help='default: 128')
    parser.add_argument('--photos', metavar='WxH', help='such as 3000x2000: photos of this size')
    parser.add_argument('--sources', help='with --photos: folder of JPEG images to make them of')
    parser.add_argument('--bits', type=float, default=2.5, help='per pixel of them; default: 2.5')
    parser.add_argument('--step', action='store_true', help='time a training step, too')
    parser.add_argument('--data-root', help="folder of the data set, in place of the config's")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value overrides')
    args = parser.parse_args()
    if args.photos and not re.fullmatch(r'[1-9]\d*x[1-9]\d*', args.photos):
        parser.error(f'--photos {args.photos}, expected a size in pixels such as 3000x2000')
    if bool(args.photos) != bool(args.sources):
        parser.error('--photos and --sources go together')
    return args


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    if args.data_root:
        set_data_root(cfg, args.data_root)
    init_default_scope(cfg.get('default_scope', 'mmcrowd'))
    model = MODELS.build(without_pretraining(cfg.model))
    batch_size = cfg.train_dataloader.batch_size
    num_batches = -(-args.num_images // batch_size)
    with TemporaryDirectory() as folder:
        if args.photos:
            size = tuple(map(int, args.photos.split('x')))
            sources = sorted(p for p in Path(args.sources).glob('*.jpg') if not is_hidden(p.name))
            if not sources:
                raise FileNotFoundError(f'no *.jpg in {args.sources}')
            dataset = build_photos(cfg, sources, size, args.bits, args.num_images, Path(folder))
        else:
            dataset = DATASETS.build(cfg.train_dataloader.dataset)
        with one_thread():
            steps = profile_loader(dataset, model.data_preprocessor, batch_size, num_batches)
        print(f'{args.config}, {num_batches} batches of {batch_size}')
        print(profile_table(steps))
        if args.step:
            rate = batch_size / time_step(cfg, model, dataset, batch_size)
            print(
                f'A training step with {torch.get_num_threads()} threads takes {rate:.1f} images a '
                f'second, those of {rate / worker_rate(steps):.2f} workers.'
            )


if __name__ == '__main__':
    command_line.run(main)
