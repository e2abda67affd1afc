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
import time
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile

from mmcrowd import command_line
from mmcrowd.models.losses.reference import dense_pml
from mmcrowd.ops.partition import partition_batch
from mmcrowd.registry import MODELS

REPEATS = 5  # timed calls of a form in a row


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


def make_calls(num_points: int, args: argparse.Namespace) -> dict:
    """Functions of no argument that run forward and backward."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(num_points, 2, generator=generator) * args.size * args.stride
    density = torch.rand(1, 1, args.size, args.size, generator=generator)
    density *= num_points / density.sum()
    points, density = points.to(args.device), density.to(args.device).requires_grad_()
    partition = partition_batch([points], density.shape[2:], args.stride)

    def call(loss, partition=None):
        density.grad = None
        sum(loss(density, [points], args.stride, partition).values()).backward()

    def dense(density, points, stride, partition):
        return dict(loss=dense_pml(density[0, 0], points[0], stride, args.cost))

    pml = MODELS.build(dict(type='PMLLoss', cost=args.cost))
    others = {name: MODELS.build(dict(type=name)).to(args.device) for name in args.losses}
    return dict(
        inside=partial(call, pml),
        given=partial(call, pml, partition),
        dense=partial(call, dense),
        **{name: partial(call, loss) for name, loss in others.items()},
    )


def seconds(call, device: str) -> float:
    start = time.perf_counter()
    call()
    if device != 'cpu':
        torch.accelerator.synchronize()
    return time.perf_counter() - start


def peak_memory(call, device: str) -> float:
    """Largest memory in MiB that is allocated at one time during a call, beyond that before it."""
    if device != 'cpu':
        torch.accelerator.reset_peak_memory_stats()
        before = torch.accelerator.memory_allocated()
        call()
        return (torch.accelerator.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        call()
    now = peak = 0
    for event in sorted(recorded.events(), key=lambda e: e.time_range.start):
        now += event.self_cpu_memory_usage
        peak = max(peak, now)
    return peak / 2**20


def main():
    args = parse_args()
    print(
        f'{args.size} x {args.size} cells, stride {args.stride}, {args.cost}, {args.device}, '
        f'{torch.get_num_threads()} threads'
    )
    print(
        f'{"points":>6} {"form":>16} {"ms":>9} {"/inside":>8} {"/given":>8} {"MiB":>9}', flush=True
    )
    for num_points in args.points:
        calls = make_calls(num_points, args)
        memory = {form: peak_memory(call, args.device) for form, call in calls.items()}
        times = {form: [] for form in calls}
        end = time.perf_counter() + args.seconds
        while not times['dense'] or time.perf_counter() < end:
            for form, call in calls.items():
                call()
                times[form] += [seconds(call, args.device) for _ in range(REPEATS)]
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
