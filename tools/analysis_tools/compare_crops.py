"""See whether a checkpoint counts crops, from which it has learned, as it counts whole images.

A factor between the lines is a defect of the training: of the statistics of batch normalisation, of
resampling, of the edges of crops. ::

    python tools/analysis_tools/compare_crops.py configs/pml_efficientnet_lite0_shb_cpu.py \\
        work_dirs/pml_efficientnet_lite0_shb_cpu/best_count_selection_epoch_12.pth
"""

import argparse

from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from mmcrowd import command_line
from mmcrowd.analysis.crops_and_whole import compare_crops_and_whole
from mmcrowd.engine.config import read_config, set_data_root
from mmcrowd.registry import MODELS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Compare the counts of crops and whole images')
    parser.add_argument('config', help='config with train_dataloader and val_dataloader')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--num-images', type=int, default=100, help='of each kind, at most; default: 100'
    )
    parser.add_argument('--data-root', help="folder of the data set, in place of the config's")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value overrides')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    if args.data_root:
        set_data_root(cfg, args.data_root)
    init_default_scope(cfg.get('default_scope', 'mmcrowd'))
    model = MODELS.build(cfg.model)
    load_checkpoint(model, args.checkpoint, map_location='cpu', strict=True)
    print(f'{"":42s} images  predicted/true    dense quarter    MAE')
    for row in compare_crops_and_whole(cfg, model, args.num_images):
        print(
            f'{row.name:42s} {row.num:6d}  {row.ratio:.3f} +- {row.error:.3f}  '
            f'{row.dense:13.3f}  {row.mae:6.2f}',
            flush=True,
        )


if __name__ == '__main__':
    command_line.run(main)
