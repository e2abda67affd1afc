"""Train a model."""

import argparse

from mmcrowd import command_line
from mmcrowd.engine import launch, training_options


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='config file, or mmcrowd::NAME for one of the package')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint, or without a value from the last one in the work dir',
    )
    parser.add_argument(
        '--vis',
        nargs='+',
        choices=launch.VIS_BACKENDS,
        default=[],
        help='report to these too, besides the log in the work dir; their packages are needed',
    )
    launch.add_arguments(parser)
    training_options.add_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = launch.load_config(args)
    launch.add_vis_backends(cfg, args.vis)
    training_options.apply(cfg, args)
    if args.resume:
        launch.resume(cfg, args.resume)
    launch.train(cfg)


if __name__ == '__main__':
    command_line.run(main)
