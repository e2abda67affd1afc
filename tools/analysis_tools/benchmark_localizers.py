"""Time the localizers and compare OTMinimization with its formula on dense matrices.

Each crowd is made of clusters and of people who stand alone, its density of blurred heads, a tenth
of which is a wide smear. OTMinimization, its formula on dense (cells x points) matrices in float32,
and LocalMaximum find the people. The table gives the
processor seconds of a call, all threads together, the largest memory allocated at one time during
one iteration, and F1 within 4 and 8 pixels of the true heads, pooled over the crowds. The dense
form takes minutes for thousands of people: ``--iterations 1`` gives the ratios sooner, though no
finished points. ::

    python tools/analysis_tools/benchmark_localizers.py --people 50 300 1000 --size 128
    python tools/analysis_tools/benchmark_localizers.py --people 3000 --crowds 1 --iterations 1
"""

import argparse
import time
from functools import partial

import torch

from mmcrowd import command_line
from mmcrowd.analysis.benchmarks.localizers import make_calls, make_crowd, peak_memory
from mmcrowd.evaluation import LocalizationMetric


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time the localizers on synthetic crowds')
    parser.add_argument('--size', type=int, default=256, help='side of the map; default: 256')
    parser.add_argument('--stride', type=int, default=2, help='pixels per cell; default: 2')
    parser.add_argument(
        '--people', type=int, nargs='+', default=[50, 300], help='per crowd; default: 50 300'
    )
    parser.add_argument('--crowds', type=int, default=3, help='of each size; default: 3')
    parser.add_argument(
        '--iterations', type=int, default=16, help='of OTMinimization at most; default: 16'
    )
    parser.add_argument('--no-dense', action='store_true', help='leave out the dense form')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    radii = (4, 8)
    print(
        f'{args.size} x {args.size} cells, stride {args.stride}, {args.crowds} crowds each, '
        f'{args.iterations} iterations at most, {torch.get_num_threads()} threads'
    )
    print(
        f'{"people":>6} {"form":>12} {"seconds":>9} {"MiB":>9} {"found":>7} '
        + ' '.join(f'{f"F1@{radius}":>7}' for radius in radii),
        flush=True,
    )
    for people in args.people:
        crowds = [make_crowd(people, args.size, args.stride, k) for k in range(args.crowds)]
        for form, call in make_calls(args.stride, not args.no_dense).items():
            memory = peak_memory(partial(call, crowds[0][1], 1))
            start = time.process_time()
            points = [call(density, args.iterations).double().numpy() for _, density in crowds]
            seconds = (time.process_time() - start) / len(crowds)
            found = sum(map(len, points)) / len(crowds)
            scores = LocalizationMetric.calculate(points, [heads for heads, _ in crowds], radii)
            print(
                f'{people:6} {form:>12} {seconds:9.3f} {memory:9.1f} {found:7.1f} '
                + ' '.join(f'{scores[f"F1@{radius}"]:7.4f}' for radius in radii),
                flush=True,
            )


if __name__ == '__main__':
    command_line.run(main)
