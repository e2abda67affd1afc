"""Evaluate predictions in the files of the NWPU-Crowd benchmark, without a model.

Prints precision, recall and F1 of the predicted points at each radius and the errors of the counts,
over all images and by the classes of the true count. A file may hold points or only counts; the
count of an image is the number of its points. ::

    python tools/analysis_tools/eval_predictions.py val_gt_loc.txt predictions.txt
    python tools/analysis_tools/eval_predictions.py val_gt_loc.txt predictions.txt --radii 4 8
"""

import argparse
import json

from mmcrowd import command_line
from mmcrowd.evaluation import evaluate_results, metric_tables, save_results
from mmcrowd.evaluation.formats import nwpu
from mmcrowd.evaluation.radius_argument import parse_radius
from mmcrowd.fileio.files import write_atomic


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate prediction files of the NWPU format')
    parser.add_argument('truth', help='file of the true points or counts')
    parser.add_argument('predictions', help='file of the predicted points or counts')
    parser.add_argument(
        '--radii',
        nargs='+',
        type=parse_radius,
        help='sigma_s and sigma_l, the radii of each head, or pixels; default: sigma_s sigma_l',
    )
    parser.add_argument(
        '--classes', default='nwpu', help='of the true count, nwpu or jhu; default: nwpu'
    )
    parser.add_argument('--out', help='write truth and predictions of every image to this .json')
    parser.add_argument('--json', help='write the metrics to this .json file')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    results = nwpu.read_results(args.truth, args.predictions)
    metrics = evaluate_results(results, args.radii, args.classes)
    print(metric_tables(metrics))
    if args.out:
        save_results(results, args.out)
    if args.json:
        write_atomic(args.json, json.dumps(metrics, indent=1))


if __name__ == '__main__':
    command_line.run(main)
