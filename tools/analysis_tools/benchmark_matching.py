"""Time match_points on many points, and at the radii of a protocol.

Uniform points, as many predicted as true ones, with a radius that holds the given number of
predictions on average; and clusters of points that all lie within one radius of each other. The
table gives the pairs within the radius, the matched ones, the CPU seconds at this one radius and at
100 radii up to it, and the peak of the memory that the process holds beyond that at its start. Each
row runs in a process of its own. ::

    python tools/analysis_tools/benchmark_matching.py --points 20000 --candidates 3 10 30
"""

import argparse
import multiprocessing
import resource
import time

import numpy as np
from scipy.spatial import cKDTree

from mmcrowd import command_line
from mmcrowd.evaluation.functional.localization import match_points, match_points_at_radii
from mmcrowd.fileio.tables import markdown_table


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time match_points')
    parser.add_argument('--points', type=int, default=20_000, help='default: 20000')
    parser.add_argument(
        '--candidates',
        type=int,
        nargs='*',
        default=[3, 10, 30],
        help='predictions within the radius of a true point, on average; default: 3 10 30',
    )
    parser.add_argument(
        '--clusters',
        type=int,
        nargs='*',
        default=[500, 2000],
        help='points of each kind that all lie within one radius; default: 500 2000',
    )
    return parser.parse_args()


def measure(num_points: int, radius: float) -> tuple[int, int, float, float, float]:
    """Pairs, matches, seconds at one and at 100 radii, MiB, of points in the unit square."""
    rng = np.random.default_rng(0)
    pred, gt = rng.random((num_points, 2)), rng.random((num_points, 2))
    before = peak_mib()
    start = time.process_time()
    matches = len(match_points(pred, gt, radius)[0])
    one = time.process_time() - start
    memory = peak_mib() - before
    start = time.process_time()
    match_points_at_radii(pred, gt, radius * np.linspace(0.01, 1, 100))
    hundred = time.process_time() - start
    return cKDTree(gt).count_neighbors(cKDTree(pred), radius), matches, one, hundred, memory


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    args = parse_args()
    rows = [
        (f'{number} candidates', args.points, (number / np.pi / args.points) ** 0.5)
        for number in args.candidates
    ]
    rows += [('one cluster', number, 1.5) for number in args.clusters]
    cells = []
    for form, num_points, radius in rows:
        with multiprocessing.get_context('spawn').Pool(1) as pool:
            pairs, matches, one, hundred, memory = pool.apply(measure, (num_points, radius))
        numbers = (f'{value:,}' for value in (num_points, pairs, matches))
        cells.append([form, *numbers, f'{one:.2f}', f'{hundred:.2f}', f'{memory:.0f}'])
    header = ['form', 'points', 'pairs', 'matches', 's', 's, 100 radii', 'MiB']
    print(markdown_table(header, cells))


if __name__ == '__main__':
    command_line.run(main)
