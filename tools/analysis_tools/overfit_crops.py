"""See whether counters learn a few crops by heart: a first question to a network, a loss, a rate.

One line for each config: the mean absolute error that predicting the mean count of the crops makes,
that of the counter after some steps on them, their ratio, and F1 of its points in the crops, if it
has a localizer. ::

    python tools/analysis_tools/overfit_crops.py configs/{man,ebc}/*_lite0_shb_cpu.py \\
        --cfg-options train_dataloader.dataset.pipeline.1.crop_size=128

A loss that changes with the epoch comes to its later forms by ``--epochs``, such as TopoCount with
topology in the second half of the steps::

    python tools/analysis_tools/overfit_crops.py configs/topocount/topocount_vgg16_sha_cpu.py \\
        --min-heads 5 --epochs 2 --cfg-options model.loss.start_epoch=1
"""

import argparse

from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmcrowd import command_line
from mmcrowd.analysis.overfitting import overfit
from mmcrowd.engine.config import read_config, set_data_root


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train counters on a few crops')
    parser.add_argument('configs', nargs='+', help='configs, in turn')
    parser.add_argument('--num-crops', type=int, default=16, help='default: 16')
    parser.add_argument('--num-steps', type=int, default=200, help='default: 200')
    parser.add_argument('--batch-size', type=int, default=4, help='crops of a step; default: 4')
    parser.add_argument(
        '--radius', type=float, default=8.0, help='of a match, in pixels of the crops; default: 8'
    )
    parser.add_argument(
        '--epochs', type=int, default=1, help='that the steps are spread over; default: 1'
    )
    parser.add_argument('--min-heads', type=int, default=0, help='of a crop; default: 0')
    parser.add_argument('--data-root', help="folder of the data set, in place of the config's")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value overrides')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(f'{"config":48s}  MAE of mean     MAE  ratio     F1  loss first > last   seconds')
    for path in args.configs:
        cfg = read_config(path, args.cfg_options)
        if args.data_root:
            set_data_root(cfg, args.data_root)
        init_default_scope(cfg.get('default_scope', 'mmcrowd'))
        row = overfit(
            cfg,
            args.num_crops,
            args.num_steps,
            args.batch_size,
            args.radius,
            args.epochs,
            args.min_heads,
        )
        f1 = '' if row.f1 is None else f'{row.f1:.3f}'
        print(
            f'{path:48s}  {row.mean_mae:11.2f}  {row.mae:6.2f}  {row.mae / row.mean_mae:5.3f}  '
            f'{f1:>5s}  {row.loss[0]:8.3g} > {row.loss[1]:<8.3g}  {row.seconds:6.0f}',
            flush=True,
        )


if __name__ == '__main__':
    command_line.run(main)
