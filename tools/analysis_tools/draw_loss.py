"""Draw what the Proximal Mapping Loss sees in an image of a config's data set.

Writes four pictures of a crop around one point: the partition to the points, the background weights
of BL, GL and PML side by side, GL's transport plan beside the nearest points, and the targets p*
of the point for too small, right and too large a density: figures 2, 5, 8 and 6 of the paper. ::

    python tools/analysis_tools/draw_loss.py configs/pml_vgg16_synthetic.py \\
        --index 5 --out-dir figures
"""

import argparse
from pathlib import Path

import mmcv
import numpy as np
from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmcrowd import command_line
from mmcrowd.analysis.loss_figures import (
    crop_around,
    draw_backgrounds,
    draw_partition,
    draw_targets,
    draw_transport,
)
from mmcrowd.engine.config import read_config
from mmcrowd.fileio.files import printable
from mmcrowd.registry import DATASETS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw what the loss sees in an image')
    parser.add_argument('config', help='config whose test_dataloader gives the image')
    parser.add_argument('--index', type=int, default=0, help='of the image; default: 0')
    parser.add_argument(
        '--point', type=int, help='whose targets to draw; default: the most central'
    )
    parser.add_argument(
        '--crop', type=int, default=256, help='side of the crop in pixels; default: 256'
    )
    parser.add_argument('--stride', type=int, default=2, help='pixels per cell; default: 2')
    parser.add_argument('--cost', default='clamped', help='default: clamped')
    parser.add_argument('--tau', type=float, default=32.0, help='of the L2 targets; default: 32')
    parser.add_argument('--out-dir', default='.', help='folder of the pictures; default: this one')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value overrides')
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmcrowd'))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    if not 0 <= args.index < len(dataset):
        raise ValueError(f'--index {args.index}: the data set has {len(dataset)} images')
    sample = dataset[args.index]
    image = np.ascontiguousarray(sample['inputs'].numpy()[::-1].transpose(1, 2, 0))  # to RGB
    points = sample['data_samples'].gt_instances.points.numpy()
    image, points, point = crop_around(image, points, args.crop, args.point)
    pictures = dict(
        partition=draw_partition(image, points, args.stride),
        backgrounds=draw_backgrounds(image, points, args.stride, args.cost),
        targets=draw_targets(
            image, points, point, args.stride, args.cost, args.tau, sigma=2.0 * args.stride
        ),
        transport=draw_transport(image, points, args.stride),
    )
    for name, picture in pictures.items():
        path = Path(args.out_dir) / f'{name}.png'
        mmcv.imwrite(picture[..., ::-1], str(path))
        print(printable(str(path)))


if __name__ == '__main__':
    command_line.run(main)
