"""``mmcrowd infer``: count the images of an archive, by shards that may be killed."""

import argparse
import json
import sys

from mmcrowd.apis.inferencer import MAX_PIXELS, CrowdInferencer
from mmcrowd.apis.jobs import (
    JobImages,
    count_shard,
    device_of_process,
    parse_shard,
    shard_of_process,
    write_tables,
)

from .arguments import add_model

HELP = 'count millions of images in shards, each image once whatever is killed'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'inputs', nargs='*', metavar='INPUT', help='folder, pattern, tar archive or image'
    )
    parser.add_argument(
        '--list', nargs='+', default=[], metavar='FILE', help='text files, a path in each line'
    )
    parser.add_argument('--root', help='folder that the paths in the results and in lists begin at')
    parser.add_argument('--out-dir', required=True, help='folder of the results of all shards')
    parser.add_argument(
        '--shard',
        type=_shard,
        metavar='I/N',
        help='the shard to count, I from 0 to N - 1; default: RANK and WORLD_SIZE, or 0/1',
    )
    parser.add_argument(
        '--retry-bad', action='store_true', help='try again what could not be read before'
    )
    parser.add_argument('--no-points', action='store_true', help='counts only')
    parser.add_argument(
        '--sync-seconds',
        type=float,
        default=5.0,
        help='the longest time between two fsync while images are counted; default: 5',
    )
    add_model(parser)
    parser.add_argument('--localizer', help='such as LocalMaximum; default: OTMinimization')
    parser.add_argument(
        '--device', help='such as cuda:0 or cpu; default: the GPU of LOCAL_RANK, or any'
    )
    parser.add_argument('--precision', choices=('fp32', 'bf16'), default='fp32')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--max-pixels', type=int, default=MAX_PIXELS, help='reduce larger images')
    parser.add_argument('--zones', help='JSON file of zones, which are counted too')
    tables = parser.add_argument_group('at the end, when all shards are done')
    tables.add_argument('--to-parquet', action='store_true', help='write counts.parquet')
    tables.add_argument('--to-csv', action='store_true', help='write counts.csv')
    tables.add_argument(
        '--incomplete', action='store_true', help='write the tables of a job that has not ended'
    )


def run(args: argparse.Namespace) -> None:
    """Count, write tables, or do one after the other.

    Raises:
        SystemExit: A signal has ended the run, with its usual status.
    """
    formats = ['csv'] * args.to_csv + ['parquet'] * args.to_parquet
    shard = shard_of_process() if args.shard is None else args.shard
    if args.inputs or args.list:
        if formats and shard[1] > 1:
            raise ValueError(
                f'{", ".join(formats)} of one shard of {shard[1]}: run the command again without '
                'images when all shards are done'
            )
        _count(args, shard)
    elif not formats:
        raise ValueError('nothing to do: name images, or --to-parquet or --to-csv')
    if formats:
        print(json.dumps(write_tables(args.out_dir, formats, args.incomplete)))


def _count(args: argparse.Namespace, shard: tuple[int, int]) -> None:
    images = JobImages(args.inputs, args.list, args.root)
    counter = CrowdInferencer(
        args.model,
        args.weights,
        args.device or device_of_process(),
        args.precision,
        args.localizer,
        cfg_options=args.cfg_options,
    )
    summary = count_shard(
        counter,
        images,
        args.out_dir,
        shard,
        retry_bad=args.retry_bad,
        points=not args.no_points,
        batch_size=args.batch_size,
        max_pixels=args.max_pixels,
        zones=args.zones,
        sync_seconds=args.sync_seconds,
    )
    print(json.dumps(summary), flush=True)
    if summary['signal'] is not None:
        sys.exit(128 + summary['signal'])


def _shard(text: str) -> tuple[int, int]:
    try:
        return parse_shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
