"""Time PMLLoss against its dense formula and against other losses, side by side.

Forward and backward of one image run in turn: PMLLoss with the partition computed inside, with the
partition given, as the loader workers make it, its formula on dense (cells x points) matrices,
which is also the oracle of the tests, and the losses that --losses names. The table gives the
median milliseconds, how many times as long as PMLLoss that is (partition inside and given), and the
peak of the memory that a call allocates. Each form runs several times in a row, after one call that
is not timed, so that all find their own data in the caches. Run it on an idle machine, or with
OMP_NUM_THREADS=1: where another process holds a core, the threads of a short operation wait for
each other by whole time slices. ::

    python tools/analysis_tools/benchmark_losses.py --points 54 400 1250
"""

import argparse
import statistics

import torch

from mmcrowd import command_line
from mmcrowd.analysis.benchmarks.losses import make_calls, peak_memory, time_calls


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time PMLLoss against its dense formula')
    parser.add_argument('--size', type=int, default=256, help='side of the map; default: 256')
    parser.add_argument('--stride', type=int, default=2, help='pixels per cell; default: 2')
    parser.add_argument(
        '--points', type=int, nargs='+', default=[54, 400, 1250], help='default: 54 400 1250'
    )
    parser.add_argument('--cost', default='clamped', help='cost of PMLLoss; default: clamped')
    parser.add_argument(
        '--losses',
        nargs='*',
        default=['DMCountLoss', 'GeneralizedLoss', 'BayesianLoss', 'GaussianL2Loss'],
        help='other losses, with their defaults; default: %(default)s',
    )
    parser.add_argument('--device', default='cpu', help='default: cpu')
    parser.add_argument(
        '--seconds', type=float, default=5, help='time for each number of points; default: 5'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(
        f'{args.size} x {args.size} cells, stride {args.stride}, {args.cost}, {args.device}, '
        f'{torch.get_num_threads()} threads'
    )
    print(
        f'{"points":>6} {"form":>16} {"ms":>9} {"/inside":>8} {"/given":>8} {"MiB":>9}', flush=True
    )
    for num_points in args.points:
        calls = make_calls(num_points, args.size, args.stride, args.cost, args.losses, args.device)
        memory = {form: peak_memory(call, args.device) for form, call in calls.items()}
        times = time_calls(calls, args.seconds, args.device)
        median = {form: statistics.median(t) for form, t in times.items()}
        for form in calls:
            print(
                f'{num_points:6} {form:>16} {1e3 * median[form]:9.2f} '
                f'{median[form] / median["inside"]:8.1f} {median[form] / median["given"]:8.1f} '
                f'{memory[form]:9.1f}',
                flush=True,
            )


if __name__ == '__main__':
    command_line.run(main)
