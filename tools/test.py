"""Test a model: print its metrics, and write its predictions and pictures if asked."""

import argparse

from mmcrowd import command_line
from mmcrowd.engine import launch


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='config file, or mmcrowd::NAME for one of the package')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--out',
        help='write counts and points of every image, predicted and true, to this .json file, or '
        'the whole predictions, with the density maps, to this .pkl file',
    )
    parser.add_argument(
        '--submission-dir',
        help='write count.txt and, if the model predicts points, loc.txt to this folder, as the '
        'NWPU-Crowd benchmark takes them',
    )
    parser.add_argument('--show-dir', help='write pictures of the predictions to this folder')
    parser.add_argument(
        '--interval',
        type=int,
        default=1,
        help='draw every INTERVAL-th image of the data set; default: 1',
    )
    parser.add_argument(
        '--no-strict',
        dest='strict',
        action='store_false',
        help='load what fits of a checkpoint of another model, instead of refusing it',
    )
    launch.add_arguments(parser)
    args = parser.parse_args(argv)
    if args.out and not args.out.endswith(('.json', '.pkl', '.pickle')):
        parser.error(f'--out must end in .json, .pkl or .pickle, got {args.out}')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = launch.load_config(args)
    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.strict:
        launch.require_own_weights(cfg)
    if args.show_dir:
        launch.draw_predictions(cfg, args.show_dir, args.interval)
    launch.test(cfg, launch.prediction_writers(args.out, args.submission_dir))


if __name__ == '__main__':
    command_line.run(main)
