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
from mmcrowd.evaluation.formats import nwpu
from mmcrowd.evaluation.image_result import ImageResult, save_results
from mmcrowd.evaluation.metrics.count_metric import CountMetric
from mmcrowd.evaluation.metrics.localization_metric import LocalizationMetric
from mmcrowd.fileio.files import write_atomic
from mmcrowd.ops.heads import HEAD_RADII


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate prediction files of the NWPU format')
    parser.add_argument('truth', help='file of the true points or counts')
    parser.add_argument('predictions', help='file of the predicted points or counts')
    parser.add_argument(
        '--radii',
        nargs='+',
        type=radius,
        help='sigma_s and sigma_l, the radii of each head, or pixels; default: sigma_s sigma_l',
    )
    parser.add_argument(
        '--classes', default='nwpu', help='of the true count, nwpu or jhu; default: nwpu'
    )
    parser.add_argument('--out', help='write truth and predictions of every image to this .json')
    parser.add_argument('--json', help='write the metrics to this .json file')
    return parser.parse_args(argv)


def radius(text: str) -> str | float:
    if text in HEAD_RADII:
        return text
    value = float(text)
    return int(value) if value.is_integer() else value


def evaluate(
    results: list[ImageResult], radii: list[str | float] | None = None, classes: str = 'nwpu'
) -> dict[str, float]:
    """Metrics of the results, with the keys that they have in a test run.

    Raises:
        ValueError: radii are given, but a file holds only counts.
    """
    metrics = {}
    if all(r.pred_points is not None and r.gt_points is not None for r in results):
        found = LocalizationMetric.calculate(
            [r.pred_points for r in results],
            [r.gt_points for r in results],
            radii or HEAD_RADII,
            gt_sigmas=[r.head_sigmas() for r in results],
            gt_levels=[r.head_levels() for r in results],
        )
        metrics |= {f'loc/{key}': float(value) for key, value in found.items()}
    elif radii:
        raise ValueError('--radii: one of the files holds counts, there are no points to compare')
    counts = CountMetric.calculate(
        [r.pred_count for r in results], [r.gt_count for r in results], classes
    )
    return metrics | {f'count/{key}': value for key, value in counts.items()}


def table(metrics: dict[str, float]) -> str:
    """One row per radius and one per class of the count, all digits."""
    loc, count = {}, {}
    for key, value in metrics.items():
        kind, name = key.split('/')
        separator, rows = ('@', loc) if kind == 'loc' else ('_', count)
        column, _, row = name.partition(separator)
        if column != 'selection':
            rows.setdefault(row or 'all', {})[column] = repr(value)
    return '\n\n'.join(_aligned(*rows) for rows in (('radius', loc), ('images', count)) if rows[1])


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    results = nwpu.read_results(args.truth, args.predictions)
    metrics = evaluate(results, args.radii, args.classes)
    print(table(metrics))
    if args.out:
        save_results(results, args.out)
    if args.json:
        write_atomic(args.json, json.dumps(metrics, indent=1))


def _aligned(title: str, rows: dict[str, dict[str, str]]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [[title, *columns]]
    lines += [[name, *(row.get(column, '') for column in columns)] for name, row in rows.items()]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return '\n'.join('  '.join(map(str.ljust, line, widths)).rstrip() for line in lines)


if __name__ == '__main__':
    command_line.run(main)
