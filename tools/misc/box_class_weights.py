"""Weights of the boxes of LSC-CNN, the ``class_weights`` of its loss, from the training images.

The images of the training loader of a config go through its pipeline, random crops and all. ::

    python tools/misc/box_class_weights.py configs/lsc_cnn/lsc_cnn_vgg16_sha.py
    python tools/train.py configs/lsc_cnn/lsc_cnn_vgg16_sha.py \\
        --cfg-options 'model.loss.class_weights=[[...],[...],[...],[...]]'
"""

import argparse

from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed

from mmcrowd import command_line
from mmcrowd.datasets.box_histogram import box_histogram, class_weights
from mmcrowd.datasets.wrappers import unwrap
from mmcrowd.engine.config import read_config
from mmcrowd.registry import DATASETS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Weights of the boxes of LSC-CNN')
    parser.add_argument('config', help='config with a training data loader')
    parser.add_argument('--data-root', help='folder of the data set, as downloaded or prepared')
    parser.add_argument(
        '--passes', type=int, default=20, help='crops of each image; default: %(default)s'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the crops; default: %(default)s')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='key=value overrides'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(args.config, args.cfg_options, args.data_root)
    init_default_scope(cfg.get('default_scope', 'mmcrowd'))
    set_random_seed(args.seed)
    histograms = [
        box_histogram(DATASETS.build(dataset), args.passes)
        for dataset in unwrap(cfg.train_dataloader.dataset)
    ]
    histogram = sum(histograms)
    print(f'cells of each class, of {args.passes} crops of each image:')
    print(histogram)
    print('class_weights =', class_weights(histogram).round(6).tolist())


if __name__ == '__main__':
    command_line.run(main)
