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

import numpy as np

from mmcrowd import command_line
from mmcrowd.analysis.benchmarks.matching import measure
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


def main() -> None:
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
