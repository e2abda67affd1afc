"""``mmcrowd count``: how many people are in photos."""

import argparse
import csv
import json
import os
import sys

from mmcrowd.apis.inferencer import MAX_PIXELS, CrowdInferencer
from mmcrowd.apis.outputs import COLUMNS, FORMATS, csv_row
from mmcrowd.apis.zoo import DEFAULT
from mmcrowd.fileio.files import printable

HELP = 'count the people in photos and mark them'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'photos', nargs='+', metavar='PHOTO', help='file, folder, pattern ("photos/*.jpg") or URL'
    )
    parser.add_argument(
        '--out-dir', help='write a picture NAME.png and the prediction NAME.json to this folder'
    )
    parser.add_argument(
        '--formats',
        nargs='+',
        choices=FORMATS,
        default=['json'],
        help='predictions in --out-dir: json, a file for each photo; csv, counts.csv; nwpu, '
        'count.txt and loc.txt; default: json',
    )
    parser.add_argument('--no-pictures', action='store_true', help='no pictures in --out-dir')
    parser.add_argument(
        '--model', default=DEFAULT, help='name in the zoo, mmcrowd::NAME or config file'
    )
    parser.add_argument('--weights', help='checkpoint, URL or name in the zoo')
    parser.add_argument('--localizer', help='such as LocalMaximum; default: OTMinimization')
    parser.add_argument('--device', help='such as cuda:0 or cpu; default: an accelerator, if any')
    parser.add_argument('--precision', choices=('fp32', 'bf16'), default='fp32')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--max-pixels', type=int, default=MAX_PIXELS, help='reduce larger photos')
    parser.add_argument('--zones', help='JSON file of zones, which are counted too')
    parser.add_argument('--recursive', action='store_true', help='search subfolders, too')
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument('--json', action='store_true', help='print a line of JSON for each photo')
    printed.add_argument('--csv', action='store_true', help='print a table in CSV')
    parser.add_argument('--show', action='store_true', help='show each picture in a window')


def run(args: argparse.Namespace) -> None:
    counter = CrowdInferencer(
        args.model,
        args.weights,
        args.device,
        args.precision,
        args.localizer,
        # Lines on the same terminal are progress enough.
        show_progress=not sys.stdout.isatty(),
    )
    results = counter.iter(
        args.photos,
        batch_size=args.batch_size,
        recursive=args.recursive,
        on_error='raise' if len(args.photos) == 1 and not _is_many(args.photos[0]) else 'skip',
        max_pixels=args.max_pixels,
        show=args.show,
        vis_out_dir=None if args.no_pictures else args.out_dir,
        pred_out_dir=args.out_dir,
        pred_formats=args.formats,
        zones=args.zones,
    )
    table = csv.writer(sys.stdout, lineterminator='\n')
    if args.csv:
        table.writerow(COLUMNS)
    model = counter.describe()
    for result in results:
        (prediction,) = result['predictions']
        if args.json:
            print(json.dumps(prediction), flush=True)
        elif args.csv:
            table.writerow(csv_row(prediction))
            sys.stdout.flush()
        else:
            print(line(prediction, model), flush=True)
    if counter.errors:
        raise ValueError(
            f'{len(counter.errors)} of the photos could not be read:\n'
            + '\n'.join(f'  {printable(each["error"])}' for each in counter.errors)
        )


def line(prediction: dict, model: str) -> str:
    """What is printed for a photo: its name, its count, the model and what is doubtful."""
    where = printable(prediction['img_path'] or prediction['name'])
    notes = ''.join(f'; note: {note}' for note in prediction['notes'])
    zones = ''.join(
        f', {printable(zone["name"])} {zone["count"]:.1f}' for zone in prediction.get('zones', [])
    )
    return f'{where}: count {prediction["count"]:.1f}{zones} ({model}{notes})'


def _is_many(photo: str) -> bool:
    return os.path.isdir(photo) or not (os.path.exists(photo) or '://' in photo)
