"""``mmcrowd count``: how many people are in photos."""

import argparse
import csv
import json
import sys

from mmcrowd.apis.outputs import COLUMNS, FORMATS, csv_row
from mmcrowd.fileio.files import printable

from .arguments import add_counting, counter_of, counts_text

HELP = 'count the people in photos and mark them'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = 'Folders and archives of very many images are for mmcrowd infer.'
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
        help='predictions in --out-dir: json, a file for each photo; csv, counts.csv; nwpu, '
        'count.txt and loc.txt; default: json',
    )
    parser.add_argument('--no-pictures', action='store_true', help='no pictures in --out-dir')
    add_counting(parser, 'photos')
    parser.add_argument('--recursive', action='store_true', help='search subfolders, too')
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument('--json', action='store_true', help='print a line of JSON for each photo')
    printed.add_argument('--csv', action='store_true', help='print a table in CSV')
    parser.add_argument('--show', action='store_true', help='show each picture in a window')


def run(args: argparse.Namespace) -> None:
    for option, is_given in (('--formats', args.formats), ('--no-pictures', args.no_pictures)):
        if is_given and args.out_dir is None:
            raise ValueError(f'{option} without a folder for the files: name it by --out-dir')
    # Lines on the same terminal are progress enough.
    counter = counter_of(args, show_progress=not sys.stdout.isatty())
    results = counter.iter(
        # Names of the images in one folder are told from it, as by CrowdInferencer.
        args.photos[0] if len(args.photos) == 1 else args.photos,
        batch_size=args.batch_size,
        recursive=args.recursive,
        on_error='skip',
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
    counted = 0
    for result in results:
        counted += 1
        (prediction,) = result['predictions']
        if args.json:
            print(json.dumps(prediction), flush=True)
        elif args.csv:
            table.writerow(csv_row(prediction))
            sys.stdout.flush()
        else:
            print(line(prediction, model), flush=True)
    errors = [printable(each['error']) for each in counter.errors]
    if len(errors) == 1 and not counted:  # one photo was asked for
        raise ValueError(errors[0])
    if errors:
        listed = '\n'.join(f'  {error}' for error in errors)
        raise ValueError(f'{len(errors)} of the photos could not be read:\n{listed}')


def line(prediction: dict, model: str) -> str:
    """What is printed for a photo: its name, its count, the model and what is doubtful."""
    where = printable(prediction['img_path'] or prediction['name'])
    notes = ''.join(f'; note: {note}' for note in prediction['notes'])
    return f'{where}: {counts_text(prediction)} ({model}{notes})'
