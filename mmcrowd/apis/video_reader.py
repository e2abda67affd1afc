"""A video as few frames with their times: samples at a chosen rate, across broken connections."""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from threading import Event
from typing import NamedTuple

import numpy as np

from .video_sources import Source, find_address, open_source

# Samples per second. People do not appear from nowhere, and a network takes its time.
RATE = 1.0
# A broken stream is opened again so often in a row, with a wait of 1, 2, 4 ... seconds before.
TRIES = 8
LONGEST_WAIT = 30.0
# A file that ends so many seconds before the end that it states is cut short.
MISSING_SECONDS = 1.0
# So is one with damage in its last seconds: frames are not stored in the order of their times.
DAMAGED_TAIL = 0.5
# Time stamps that fall back by more are those of a sender that began anew.
FALL_BACK = 1.0
# Time stamps are sums of fractions: one may lie this much before the moment that it means.
_EPSILON = 1e-6


class Frame(NamedTuple):
    """A sample of a video.

    Attributes:
        time: Seconds since the start of a file, or since the first frame of a stream or camera.
        img: ``(H, W, 3)`` uint8 BGR, turned as the video says, with square pixels.
    """

    time: float
    img: np.ndarray


def tell(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr, flush=True)


class VideoReader:
    """Frames of a video, by their time stamps, one after the other.

    The sample of the moment ``start + k / rate`` is the first frame at or after it; a frame is
    taken once, so that a gap in the video is one in the samples. ``time`` is that of the frame.

    - **A file** is read up to its end. One that ends more than a second before the end that it
      states, or has a damaged frame in its last half second, is cut short: ``problem`` says so,
      after a line by ``tell``.
    - **A live stream** (a URL of unknown length) or **a camera** has no end: when it breaks off, is
      silent for ten seconds, or ends, it is opened again after 1, 2, 4, 8, 16 and then 30 seconds,
      ``tries`` times in a row at most. Times go on by the clock, or from the last one where the
      stream ran ahead of it.
    - **A file behind a URL** is opened again in the same way, and goes on behind the last frame.

    A sample is decoded when it is asked for, and nothing is kept.

    Args:
        source: Path of a file, URL (rtsp, http, ...), or number of a camera.
        rate: Samples per second; None for every frame. Defaults to 1.
        start: Seconds to leave out before the first sample. Defaults to 0.
        end: Time before which the last sample lies. Defaults to None, that of the video.
        key_frames: Decode key frames only: much less work, but a sample may be late by the
            distance of two key frames. Defaults to None: if the index of the file says that they
            come at least twice between two samples.
        tries: How often in a row a broken stream is opened again. Defaults to 8.
        tell: What is called with each line about connections and damage. Defaults to
            :func:`tell`, which prints to stderr.

    Raises:
        ConnectionError: A stream cannot be reached (the first time, it is tried once), or a camera
            does not open.
        FileNotFoundError: There is no such file.
        ImportError: PyAV is not installed.
        ValueError: It is no video, or an argument makes no sense.

    Attributes:
        name: What the video is called in messages, without a password.
        stem: What its files of results are called.
        file: Its path, if it is a file of this machine.
        is_live: Whether it is a camera or a stream without an end.
        started: Time of the first frame by the clock of this machine, if it is live; before the
            first frame, None.
        problem: Why the file is not whole, a sentence; None if it is, or nobody has seen its end.
    """

    def __init__(
        self,
        source: str | int | os.PathLike,
        rate: float | None = RATE,
        start: float = 0.0,
        end: float | None = None,
        key_frames: bool | None = None,
        tries: int = TRIES,
        tell: Callable[[str], None] = tell,
    ):
        if rate is not None and not 0 < rate < math.inf:
            raise ValueError(f'rate={rate!r}, expected samples per second, or None for all frames')
        if not 0 <= start < math.inf:
            raise ValueError(f'start={start!r}, expected seconds from 0 on')
        if end is not None and not end > start:
            raise ValueError(f'end={end!r}, expected seconds after start={start!r}')
        if tries < 0:
            raise ValueError(f'tries={tries!r}, expected 0 or more')
        self.rate, self.start, self.end, self.tries = rate, start, end, tries
        self.tell = tell
        self._address = find_address(source)
        self.name, self.stem = self._address.name, self._address.stem
        self.file = self._address.file
        self.problem: str | None = None
        self.started: datetime | None = None
        self.stopped = Event()
        self._source: Source | None = open_source(self._address)
        self.length = self._source.length
        # The last frame may lie at the end itself: it need not have a length.
        if self.length is not None and start > self.length:
            self._source.close()
            raise ValueError(
                f'{self.name}: start={start:g} lies behind the end, {self.length:.1f} s'
            )
        is_remote = self._address.is_network or isinstance(self._address.target, int)
        self.is_live = is_remote and self.length is None
        self._may_return = is_remote
        if key_frames is None:
            key_frames = rate is not None and self._source.key_frames_suffice(1 / rate)
        self.key_frames = key_frames

    def stop(self) -> None:
        """Let the iteration end, from whatever thread or signal handler."""
        self.stopped.set()

    def clock(self, seconds: float) -> datetime | None:
        """The time of a sample by the clock of this machine; None if the video is a file."""
        return None if self.started is None else self.started + timedelta(seconds=seconds)

    def __iter__(self) -> Iterator[Frame]:
        """The samples, over all connections. A video is read once.

        Raises:
            ConnectionError: The stream did not come back.
            RuntimeError: It has been read before.
            ValueError: Its frames have no time stamps.
        """
        last, due, failures = -math.inf, self.start, 0
        began: float | None = None
        while True:
            source = self._take_source()
            shift = None if self.is_live else 0.0
            before = -math.inf
            try:
                for seconds, read in source.moments(max(self.start, last), self.key_frames):
                    if self.stopped.is_set():
                        return
                    if began is None:
                        began = time.monotonic()
                        if self.is_live:
                            self.started = datetime.now().astimezone()
                    if shift is None or seconds < before - FALL_BACK:
                        shift = self._next_shift(last, began) - seconds
                    before = seconds
                    if seconds + shift <= last:
                        continue
                    last, failures = seconds + shift, 0
                    if self.end is not None and last >= self.end:
                        return
                    if last >= due - _EPSILON:
                        yield Frame(last, read())
                        due = self._next_due(last)
                reason = self._missing_end(source)
                if reason is None and not self.is_live:
                    self._tell_damage(source)
                    return
            except ConnectionError as error:
                reason = str(error)
            finally:
                source.close()
            if self.stopped.is_set():
                return
            if not self._may_return:
                self._tell_damage(source)
                self.problem = reason
                self.tell(str(reason))
                return
            failures = self._reconnect(reason or f'{self.name}: the stream ended', failures)
            if self.stopped.is_set():
                return

    def _take_source(self) -> Source:
        if self._source is None:
            raise RuntimeError(f'{self.name}: a video is read once, make another VideoReader')
        source, self._source = self._source, None
        return source

    def _next_due(self, taken: float) -> float:
        """The first moment of the grid behind a sample."""
        if self.rate is None:
            return taken
        passed = math.floor((taken - self.start) * self.rate + _EPSILON)
        return self.start + (passed + 1) / self.rate

    def _next_shift(self, last: float, began: float) -> float:
        """Time of the first frame of a connection: by the clock, but after what was before."""
        if last == -math.inf:
            return 0.0
        on_clock = time.monotonic() - began if self.is_live else -math.inf
        return max(on_clock, last + 1e-3)

    def _missing_end(self, source: Source) -> str | None:
        """What is missing at the end, if anything is."""
        if source.length is None or self.is_live:
            return None
        lacks = source.length - source.reached > MISSING_SECONDS
        if not lacks and source.reached - source.last_damage > DAMAGED_TAIL:
            return None
        return f'{self.name}: cut short, it ends at {source.reached:.1f} s of {source.length:.1f} s'

    def _tell_damage(self, source: Source) -> None:
        if source.damaged:
            self.tell(f'{self.name}: {source.damaged} damaged frames were left out')

    def _reconnect(self, reason: str, failures: int) -> int:
        """Open the source again; the number of tries since the last frame."""
        while failures < self.tries:
            wait = wait_before(failures)
            failures += 1
            self.tell(f'{reason}; try {failures} of {self.tries} in {wait:g} s')
            if self.stopped.wait(wait):
                return failures
            try:
                self._source = open_source(self._address)
                return failures
            except (ConnectionError, ValueError) as error:
                reason = str(error)
        raise ConnectionError(f'{reason}; given up after {self.tries} tries in a row')


def wait_before(failures: int) -> float:
    """Seconds to wait after so many failures in a row.

    Examples:
        >>> [wait_before(n) for n in range(7)]
        [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    """
    return min(2.0**failures, LONGEST_WAIT)
