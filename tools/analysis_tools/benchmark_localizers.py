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
import tracemalloc
from functools import partial

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from mmcrowd import command_line
from mmcrowd.evaluation import LocalizationMetric
from mmcrowd.models.localizers.dense_transport import dense_transport
from mmcrowd.models.localizers.local_maximum import LocalMaximum
from mmcrowd.models.localizers.ot_minimization import (
    OTMinimization,
    draw_starts,
    minimize_transport,
    number_of_points,
)
from mmcrowd.ops.cells import cell_position

RADII = (4, 8)


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


def make_crowd(people: int, size: int, stride: int, seed: int) -> tuple[np.ndarray, Tensor]:
    """Heads ``(people, 2)`` in pixels and their float32 density."""
    rng = np.random.default_rng(seed)
    side = size * stride
    sigma = rng.uniform(2, 5)
    clusters = rng.random((people // 50 + 1, 2)) * side
    clustered = clusters[rng.integers(len(clusters), size=people)]
    clustered += rng.normal(scale=side / rng.uniform(6, 16), size=clustered.shape)
    alone = rng.random((people, 2)) * side
    heads = np.where(rng.random((people, 1)) < 0.5, clustered, alone).clip(0, side - 1)
    column, row = np.rint(cell_position(heads, stride)).astype(int).clip(0, size - 1).T
    counts = np.zeros((size, size))
    np.add.at(counts, (row, column), 1)
    density = 0.9 * gaussian_filter(counts, sigma / stride)
    density += 0.1 * gaussian_filter(counts, 40 / stride)
    return heads, torch.from_numpy(density).float()


def make_calls(args: argparse.Namespace) -> dict:
    """Functions of density and iterations that give ``(k, 2)`` points."""

    def sparse(density, iterations):
        return OTMinimization(max_iterations=iterations)(density, args.stride)[0]

    def dense(density, iterations):
        mass = density.double()
        people = number_of_points(mass.numpy())
        mass *= people / mass.sum()
        starts = draw_starts(mass.numpy(), people, args.stride, np.random.default_rng(0))
        points, _ = minimize_transport(
            mass.float().numpy(),
            starts.astype(np.float32),
            args.stride,
            iterations,
            transport=dense_transport,
        )
        return torch.from_numpy(points)

    def maxima(density, iterations, **settings):
        return LocalMaximum(**settings)(density, args.stride)[0]

    calls = {'OTM': sparse, 'OTM dense': dense}
    if args.no_dense:
        del calls['OTM dense']
    calls['LM absolute'] = partial(maxima, mode='absolute')
    calls['LM relative'] = partial(maxima, mode='relative')
    calls['LM adaptive'] = partial(maxima, mode='adaptive')
    return calls


def peak_memory(call) -> float:
    """Largest memory in MiB that numpy and torch allocate at one time during a call."""
    tracemalloc.start()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        call()
    of_numpy = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    now = of_torch = 0
    for event in sorted(recorded.events(), key=lambda e: e.time_range.start):
        now += event.self_cpu_memory_usage
        of_torch = max(of_torch, now)
    return max(of_numpy, of_torch) / 2**20


def main():
    args = parse_args()
    print(
        f'{args.size} x {args.size} cells, stride {args.stride}, {args.crowds} crowds each, '
        f'{args.iterations} iterations at most, {torch.get_num_threads()} threads'
    )
    print(
        f'{"people":>6} {"form":>12} {"seconds":>9} {"MiB":>9} {"found":>7} '
        + ' '.join(f'{f"F1@{radius}":>7}' for radius in RADII),
        flush=True,
    )
    for people in args.people:
        crowds = [make_crowd(people, args.size, args.stride, k) for k in range(args.crowds)]
        for form, call in make_calls(args).items():
            memory = peak_memory(partial(call, crowds[0][1], 1))
            start = time.process_time()
            points = [call(density, args.iterations).double().numpy() for _, density in crowds]
            seconds = (time.process_time() - start) / len(crowds)
            found = sum(map(len, points)) / len(crowds)
            scores = LocalizationMetric.calculate(points, [heads for heads, _ in crowds], RADII)
            print(
                f'{people:6} {form:>12} {seconds:9.3f} {memory:9.1f} {found:7.1f} '
                + ' '.join(f'{scores[f"F1@{radius}"]:7.4f}' for radius in RADII),
                flush=True,
            )


if __name__ == '__main__':
    command_line.run(main)
