"""A job whose processes are killed at random moments, then counted on by another number of shards.

As a script it is the long form of the test: ``python -m tests.testing.killed_job --images 5000
--kills 10`` draws the images, kills and says what it found. Its status is 1 if an image was not
counted exactly once, or if memory grew with the work.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config

from mmcrowd.apis import CrowdInferencer
from mmcrowd.apis.jobs import JobImages, count_shard
from mmcrowd.fileio.checkpoints import save_checkpoint
from mmcrowd.registry import MODELS


def tiny_counter(folder: Path) -> CrowdInferencer:
    """A counter of few parameters, its config and weights in ``folder``."""
    model = dict(
        type='mmcrowd.DensityCounter',
        data_preprocessor=dict(
            type='mmcrowd.CrowdDataPreprocessor', mean=[127.0] * 3, std=[255.0] * 3
        ),
        backbone=dict(type='mmcrowd.MCNN', in_channels=3),
        head=dict(
            type='mmcrowd.DensityHead', in_channels=30, mid_channels=(), in_stride=4, out_stride=4
        ),
        loss=dict(type='mmcrowd.PMLLoss'),
        localizer=dict(type='mmcrowd.LocalMaximum', threshold=0.5),
    )
    config, weights = folder / 'tiny.py', folder / 'tiny.pth'
    config.write_text(f"custom_imports = dict(imports=['mmcrowd'])\nmodel = {model}\n")
    torch.manual_seed(0)
    save_checkpoint(MODELS.build(model).state_dict(), {}, weights)
    return CrowdInferencer(Config.fromfile(config), weights, device='cpu', show_progress=False)


def draw_images(folder: Path, number: int, side: int = 32) -> None:
    """Noise, ``number`` files of which no two are alike, in subfolders of a thousand."""
    rng = np.random.default_rng(0)
    for k in range(number):
        path = folder / f'{k // 1000:03d}' / f'{k:06d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (side, side, 3), np.uint8))


class StoppedImages(JobImages):
    """Images of which SIGTERM comes instead of the one with index ``number``."""

    number = 0

    def __iter__(self):
        for k, item in enumerate(super().__iter__()):
            if k == self.number:
                signal.raise_signal(signal.SIGTERM)
            yield item


class HeldImages(JobImages):
    """Images that end at index ``number`` in waiting for the kill, however late it comes."""

    number = 0

    def __iter__(self):
        for k, item in enumerate(super().__iter__()):
            if k == self.number:
                threading.Event().wait()
            yield item


def start(
    counter: CrowdInferencer, images: JobImages, out_dir: Path, shard: tuple[int, int]
) -> int:
    """A process that counts a shard; its id."""
    if pid := os.fork():
        return pid
    code = 1
    try:  # the child never returns to its caller
        torch.set_num_threads(1)
        count_shard(counter, images, out_dir, shard)
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def wait_for_end(pid: int) -> tuple[int, int]:
    """Wait for a process.

    Returns:
        Its exit code, minus the signal for one that was killed, and the most memory that it had, in
        MiB.
    """
    _, status, usage = os.wait4(pid, 0)
    unit = 2**20 if sys.platform == 'darwin' else 2**10
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss // unit


def finish(pids: list[int]) -> list[int]:
    """Wait for processes that are to end well; the most memory that each had, in MiB."""
    ends = [wait_for_end(pid) for pid in pids]
    assert all(code == 0 for code, _ in ends)
    return [mib for _, mib in ends]


def bytes_of(out_dir: Path) -> int:
    return sum(path.stat().st_size for path in out_dir.glob('part-*.jsonl'))


def wait_for_bytes(out_dir: Path, goal: int, rng: random.Random, patience: float = 1.0) -> None:
    """Wait for so many bytes, or for ``patience`` seconds in which none came after the first."""
    last, since = 0, time.monotonic()
    while (now := bytes_of(out_dir)) < goal:
        if now != last:
            last, since = now, time.monotonic()
        elif now and time.monotonic() - since > patience:
            return
        time.sleep(rng.uniform(0, 0.005))


def kill_now(pid: int) -> int:
    """Kill a process that is still at work; the most memory that it had, in MiB."""
    os.kill(pid, signal.SIGKILL)
    code, mib = wait_for_end(pid)
    assert code == -signal.SIGKILL, 'ended too early'
    return mib


def kill_and_go_on(
    counter: CrowdInferencer, folder: Path, out_dir: Path, kills: int, step: int, seed: int = 0
) -> list[dict]:
    """Count by two shards that are killed ``kills`` times together, and by three to the end.

    Args:
        counter: The counter.
        folder: The images.
        out_dir: Folder of the job.
        kills: How often one of the two processes is killed.
        step: Bytes of results between two kills, on average; the moment is random. A process has
            three quarters of the images at most before it is killed.
        seed: Of the moments.

    Returns:
        What was seen at each of these kills, and then of the three at their end: ``shard``,
        ``bytes`` written by all and ``mib``, the most memory that the process had.
    """
    rng = random.Random(seed)
    seen = []
    held = HeldImages([folder])
    held.number = sum(1 for _ in JobImages([folder])) * 3 // 4
    pids = [start(counter, held, out_dir, (k, 2)) for k in range(2)]
    for kill in range(kills):
        goal = bytes_of(out_dir) + rng.randrange(step // 2, step * 3 // 2)
        wait_for_bytes(out_dir, goal, rng)
        k = kill % 2
        written = bytes_of(out_dir)
        seen.append(dict(shard=f'{k}/2', bytes=written, mib=kill_now(pids[k])))
        pids[k] = start(counter, held, out_dir, (k, 2))
    for pid in pids:  # both in the midst of their work
        kill_now(pid)
    peaks = finish([start(counter, JobImages([folder]), out_dir, (k, 3)) for k in range(3)])
    written = bytes_of(out_dir)
    return seen + [dict(shard=f'{k}/3', bytes=written, mib=mib) for k, mib in enumerate(peaks)]


def times_counted(out_dir: Path) -> Counter:
    """How often each path is in the parts, by the plainest reading of them."""
    times: Counter = Counter()
    for path in out_dir.glob('part-*.jsonl'):
        times.update(json.loads(line)['path'] for line in path.read_bytes().splitlines(True))
    return times


def find_faults(seen: list[dict], times: Counter, images: int) -> list[str]:
    """What is wrong with a job.

    Args:
        seen: See :func:`kill_and_go_on`.
        times: See :func:`times_counted`.
        images: How many there are.

    Returns:
        A sentence for each fault: an image that was not counted exactly once, or a process that
        had more than 1.1 times the memory of the one that was killed first.
    """
    faults = []
    once = sum(n == 1 for n in times.values())
    if (once, len(times)) != (images, images):
        faults.append(f'{once} of {images} images counted once, {len(times)} counted at all')
    first, highest = seen[0]['mib'], max(each['mib'] for each in seen)
    if highest > 1.1 * first:
        faults.append(f'memory grew from {first} to {highest} MiB')
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=5000)
    parser.add_argument('--kills', type=int, default=10)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    counter = tiny_counter(folder)
    draw_images(folder / 'images', args.images)
    begin = time.monotonic()
    # Some 280 bytes an image: half of the job is done when the last kill has come.
    step = 140 * args.images // args.kills
    seen = kill_and_go_on(counter, folder / 'images', folder / 'out', args.kills, step)
    times = times_counted(folder / 'out')
    for each in seen:
        print(each)
    for path in sorted((folder / 'out').glob('*-of-00003.json')):
        print(path.name, json.loads(path.read_text()))
    once = sum(n == 1 for n in times.values())
    print(
        f'{args.images} images, {args.kills + 2} kills: {len(times)} counted, of which {once} '
        f'once, {time.monotonic() - begin:.0f} s, in {folder}'
    )
    sys.exit('\n'.join(find_faults(seen, times, args.images)) or 0)


if __name__ == '__main__':
    main()
