"""Print and draw the mean count of a point-neighbour case by the distance to the nearest other
point, as figure 7 of the Proximal Mapping Loss does.

Each model, results file of ``tools/test.py --out`` with points, or prediction file of the NWPU
format is a curve. A model that predicts a density is judged by it, any other by its points.
Distances are in pixels of the images as the data set has them. ::

    python tools/analysis_tools/case_counts.py --model configs/pml_vgg19_qnrf.py pml.pth \\
        --model configs/gl/gl_vgg19_qnrf.py gl.pth --names PML GL --out case_counts.png
    python tools/analysis_tools/case_counts.py --results results.json
    python tools/analysis_tools/case_counts.py --nwpu val_gt_loc.txt predictions.txt
"""

import argparse
from pathlib import Path

import mmcv

from mmcrowd import command_line
from mmcrowd.analysis.case_counts import (
    by_distance,
    case_table,
    draw_cases,
    model_cases,
    result_cases,
)
from mmcrowd.engine.experiments import RunOptions
from mmcrowd.evaluation.formats import nwpu
from mmcrowd.evaluation.image_result import load_results
from mmcrowd.fileio.files import printable


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Count per point-neighbour case, by distance')
    pair = dict(nargs=2, action='append', default=[])
    parser.add_argument(
        '--model', metavar=('CONFIG', 'CHECKPOINT'), help='predicts its test images', **pair
    )
    parser.add_argument(
        '--results', metavar='JSON', action='append', default=[], help='results with points'
    )
    parser.add_argument(
        '--nwpu', metavar=('TRUTH', 'PREDICTIONS'), help='files of points, NWPU format', **pair
    )
    parser.add_argument(
        '--names', nargs='+', help='of models, results and files; default: those of the files'
    )
    parser.add_argument('--width', type=float, default=4.0, help='of a bin in pixels; default: 4')
    parser.add_argument('--bins', type=int, default=10, help='number of bins; default: 10')
    parser.add_argument('--out', default='case_counts.png', help='picture; default: %(default)s')
    parser.add_argument(
        '--work-dir', default='work_dirs/case_counts', help='of the logs; default: %(default)s'
    )
    parser.add_argument('--bf16', action='store_true', help='mixed precision of the models')
    parser.add_argument('--data-root', help='folder of the dataset instead of that in the configs')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for every model'
    )
    args = parser.parse_args(argv)
    files = [config for config, _ in args.model] + args.results + [file for _, file in args.nwpu]
    if not files:
        parser.error('expected one of --model, --results and --nwpu')
    args.names = args.names or [Path(file).stem for file in files]
    if len(args.names) != len(files) or len(set(args.names)) != len(files):
        parser.error(f'expected {len(files)} different --names, got {args.names}')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    options = RunOptions(cfg_options=args.cfg_options, data_root=args.data_root)
    cases = [result_cases(load_results(path)) for path in args.results]
    cases += [result_cases(nwpu.read_results(*pair)) for pair in args.nwpu]
    of_models = []
    for config, checkpoint in args.model:
        cfg = options.read_config(config)
        if args.bf16:
            cfg.model.precision = 'bf16'
        of_models.append(model_cases(cfg, checkpoint, args.work_dir))
    binned = {
        name: by_distance(every, args.width, args.bins)
        for name, every in zip(args.names, of_models + cases, strict=True)
    }
    mmcv.imwrite(draw_cases(binned)[..., ::-1], args.out)
    print(case_table(binned))
    print(printable(args.out))


if __name__ == '__main__':
    command_line.run(main)
