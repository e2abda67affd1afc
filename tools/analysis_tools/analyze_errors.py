"""Write one HTML page about the errors of a test run.

Reads the results that ``tools/test.py --out`` or ``eval_predictions.py --out`` wrote and builds a
page with graphs, a table of all images, and the worst images with found, missed and invented heads.
It is one file that needs no network. ::

    python tools/analysis_tools/analyze_errors.py results.json --out errors.html
"""

import argparse
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.analysis.error_page import build_error_page
from mmcrowd.evaluation.image_result import load_results
from mmcrowd.evaluation.radius_argument import parse_radius
from mmcrowd.fileio.files import printable, write_atomic


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Write an HTML page about the errors of a run')
    parser.add_argument('results', help='JSON file of results')
    parser.add_argument('--out', default='errors.html', help='page to write; default: %(default)s')
    parser.add_argument(
        '--radius',
        type=parse_radius,
        default=8.0,
        help='farthest distance of a predicted point from its true point: pixels, or sigma_s or '
        'sigma_l for the radii of each head; default: 8',
    )
    parser.add_argument(
        '--worst', type=int, default=24, help='number of images to show; default: %(default)s'
    )
    parser.add_argument(
        '--image-root', help='folder with the image files; default: where the results say'
    )
    parser.add_argument('--title', help='heading; default: the name of the file of results')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    results = load_results(args.results)
    page = build_error_page(
        results,
        radius=args.radius,
        worst=args.worst,
        image_root=args.image_root,
        title=args.title or f'Errors: {Path(args.results).stem}',
    )
    out = Path(args.out)
    write_atomic(out, page)
    print(printable(f'{out}: {len(results)} images, {len(page) / 1e6:.1f} MB'))


if __name__ == '__main__':
    command_line.run(main)
