"""Mean count of the blocks in each bin, the ``bin_centres`` of a ZIP counter.

The training images of a config are looked at in all windows of the block's size, at the size that
``ResizeToLimits`` of its training pipeline gives them. ::

    python tools/misc/count_bins.py configs/zip/zip_n_sha.py --splits trainval
    python tools/misc/count_bins.py configs/zip/zip_n_sha.py --side 32 --bins 0 1 2 3 4 6 8

The split ``trainval`` is the official training set of ShanghaiTech and UCF-QNRF, whose ``val`` is a
part of it here.
"""

import argparse

import numpy as np
from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmcrowd import command_line
from mmcrowd.datasets.count_bins import bin_centres, dataset_histogram
from mmcrowd.engine.config import read_config
from mmcrowd.registry import DATASETS, TRANSFORMS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Mean count of the blocks in each bin')
    parser.add_argument('config', help='config with a training data loader')
    parser.add_argument('--data-root', help='folder of the data set, as downloaded or prepared')
    parser.add_argument(
        '--side', type=int, help='side of a block in pixels; default: the stride of the head'
    )
    parser.add_argument(
        '--bins', type=int, nargs='+', help='lowest count of each bin; default: those of the loss'
    )
    parser.add_argument(
        '--splits', nargs='+', default=['train'], metavar='SPLIT', help='default: train'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='key=value overrides'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(args.config, args.cfg_options, args.data_root)
    init_default_scope(cfg.get('default_scope', 'mmcrowd'))
    side = args.side or cfg.model.head.out_stride
    bins = args.bins or cfg.model.loss.bins
    source = cfg.train_dataloader.dataset
    limits = [step for step in source.pipeline if step.type == 'ResizeToLimits']
    size_for = TRANSFORMS.build(limits[0]).size_for if limits else None
    histograms = [
        dataset_histogram(DATASETS.build(dict(source, split=split, pipeline=[])), side, size_for)
        for split in args.splits
    ]
    longest = max(map(len, histograms))
    histogram = sum(np.pad(one, (0, longest - len(one))) for one in histograms)
    print(f'{histogram.sum():,} windows of {side} x {side} pixels, at most {longest - 1} points')
    print('bins        =', list(bins))
    print('bin_centres =', [round(value, 5) for value in bin_centres(histogram, bins)[1:]])


if __name__ == '__main__':
    command_line.run(main)
