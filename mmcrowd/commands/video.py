"""``mmcrowd video``: how many people are in a video, over time."""

import argparse
import csv
import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TextIO

from mmcrowd.apis.video import CountedFrame, count_video
from mmcrowd.apis.video_outputs import VideoWriter, columns, row
from mmcrowd.apis.video_reader import RATE, TRIES, VideoReader
from mmcrowd.apis.zones import read_zones
from mmcrowd.fileio.files import printable
from mmcrowd.visualization.time_series import clock_text

from .arguments import add_counting, counter_of, counts_text

HELP = 'count the people in a video, stream or camera over time'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'video', metavar='VIDEO', help='file, URL (rtsp, http, ...) or number of a camera'
    )
    parser.add_argument(
        '--out-dir', help='write NAME.csv, NAME.png (a graph) and NAME.mp4 (overlay) to this folder'
    )
    parser.add_argument(
        '--name', help='NAME of these files; default: that of the file, stream or camera'
    )
    parser.add_argument('--no-overlay', action='store_true', help='no NAME.mp4 in --out-dir')
    parser.add_argument(
        '--rate',
        type=_rate,
        default=RATE,
        help='samples per second, or "all" for every frame; default: %(default)g',
    )
    parser.add_argument('--start', type=float, default=0.0, help='seconds to leave out')
    parser.add_argument('--end', type=float, help='seconds at which to end')
    parser.add_argument(
        '--key-frames',
        action=argparse.BooleanOptionalAction,
        default=None,
        help='decode key frames only; default: if the index of the file says that they suffice',
    )
    parser.add_argument(
        '--tries',
        type=int,
        default=TRIES,
        help='how often in a row a broken stream is opened again; default: %(default)s',
    )
    add_counting(parser, 'frames')
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument('--json', action='store_true', help='print a line of JSON for each sample')
    printed.add_argument('--csv', action='store_true', help='print the table')


def run(args: argparse.Namespace) -> None:
    zones = None if args.zones is None else read_zones(args.zones)
    video = VideoReader(args.video, args.rate, args.start, args.end, args.key_frames, args.tries)
    writer = None
    if args.out_dir is not None:
        # Before the model is loaded: it looks whether the files may be written.
        writer = VideoWriter(
            args.out_dir,
            video.stem if args.name is None else args.name,
            zones,
            not args.no_overlay,
            video.is_live,
            video.file,
        )
    counter = counter_of(args, show_progress=False)
    shows_points = args.json or (args.out_dir is not None and not args.no_overlay)
    if not shows_points and counter.model.count_from != 'points':
        # Finding points takes longer than counting.
        counter.model.localizer = None
    model = counter.describe()
    print(f'{printable(video.name)}: {model}', file=sys.stderr)
    printer = Printer(args.json, args.csv, columns(zones, video.is_live), sys.stdout)
    with ExitStack() as stack:
        received = stack.enter_context(stopped_by_signals(video))
        if writer is not None:
            stack.enter_context(writer)
        samples = stack.enter_context(
            closing(count_video(video, counter, args.batch_size, zones, args.max_pixels))
        )
        for counted in samples:
            clock = video.clock(counted.time)
            printer.print(counted, clock)
            if writer is not None:
                writer.write(counted, clock)
    print(printer.summary(video.name), file=sys.stderr)
    for path in writer.paths if writer is not None else ():
        print(f'wrote {printable(str(path))}', file=sys.stderr)
    if received:
        print(f'stopped by {signal.Signals(received[0]).name}', file=sys.stderr, flush=True)
        sys.exit(128 + received[0])
    if video.problem is not None:
        sys.exit(1)


class Printer:
    """Print samples as they come, and how it was at the end.

    Args:
        as_json: A line of JSON for each.
        as_csv: A table.
        columns: Of the table.
        out: Where to.
    """

    def __init__(self, as_json: bool, as_csv: bool, columns: list[str], out: TextIO):
        self._json, self._csv, self._out = as_json, as_csv, out
        self._number, self._sum, self._highest = 0, 0.0, (-1.0, 0.0)
        self._notes: set[str] = set()
        self._start = time.monotonic()
        self._table = csv.writer(out, lineterminator='\n')
        if as_csv:
            self._table.writerow(columns)

    def print(self, counted: CountedFrame, clock) -> None:
        count = counted.prediction['count']
        self._number += 1
        self._sum += count
        self._highest = max(self._highest, (count, counted.time))
        if self._json:
            known = dict(time_s=round(counted.time, 3))
            if clock is not None:
                known['clock'] = clock.isoformat(timespec='milliseconds')
            rest = {k: v for k, v in counted.prediction.items() if k not in ('name', 'img_path')}
            print(json.dumps(known | rest), file=self._out)
        elif self._csv:
            self._table.writerow(row(counted, clock))
        else:
            print(self._line(counted), file=self._out)
        self._out.flush()

    def _line(self, counted: CountedFrame) -> str:
        """Time and counts, and a note when it is the first of its kind."""
        prediction = counted.prediction
        # Notes with numbers change all the time.
        kinds = {''.join(c for c in note if not c.isdigit()): note for note in prediction['notes']}
        fresh = [note for kind, note in kinds.items() if kind not in self._notes]
        self._notes.update(kinds)
        notes = ''.join(f'; note: {note}' for note in fresh)
        return f'{clock_text(counted.time, 1)}: {counts_text(prediction)}{notes}'

    def summary(self, name: str) -> str:
        if not self._number:
            return f'{printable(name)}: no sample'
        count, at = self._highest
        rate = self._number / (time.monotonic() - self._start)
        return (
            f'{printable(name)}: {self._number} samples, mean {self._sum / self._number:.1f}, '
            f'highest {count:.1f} at {clock_text(at, 1)}; {rate:.2g} samples a second'
        )


@contextmanager
def stopped_by_signals(video: VideoReader) -> Iterator[list[int]]:
    """Context in which Ctrl-C and SIGTERM end the reading, so that the files become whole.

    Yields:
        The signals that came.
    """
    received: list[int] = []

    def stop(number: int, _) -> None:
        received.append(number)
        video.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _rate(text: str) -> float | None:
    if text == 'all':
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f'{text!r}, expected a number above 0 or "all"')
    return rate
