"""Where the frames of a video come from: a file or a network stream by PyAV, a camera by OpenCV."""

import itertools
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from mmcrowd.fileio.images import resize_image

# Seconds that a network stream may take to open, and to send the next packet.
TIMEOUTS = (15.0, 10.0)
# What FFmpeg takes for videos, too: text as a terminal would show it, and single pictures.
_NO_VIDEO = re.compile(r'tty|image2.*|.*_pipe')
# Streams of JPEG pictures, to which FFmpeg gives a time as if there were 25 in a second.
_UNTIMED = ('mjpeg', 'mpjpeg')


class Moment(NamedTuple):
    """A frame whose pixels are not converted yet.

    Attributes:
        time: Seconds since the start of a file, or since the first frame of this connection.
        read: Function that gives the pixels, ``(H, W, 3)`` uint8 BGR. It works until the next
            moment is asked for.
    """

    time: float
    read: Callable[[], np.ndarray]


class Source(Protocol):
    """An opened file, stream or camera.

    Attributes:
        length: Seconds from start to end; None if nobody knows.
        reached: Time up to which it has been read.
        damaged: Frames that could not be decoded.
        last_damage: Time of the last of these; minus infinity if there is none.
    """

    length: float | None
    reached: float
    damaged: int
    last_damage: float

    def key_frames_suffice(self, interval: float) -> bool:
        """Whether key frames are known to come at least twice in so many seconds."""

    def moments(self, start: float = 0.0, only_key_frames: bool = False) -> Iterator[Moment]:
        """The frames from a time on (at least), or the key frames among them.

        Raises:
            ConnectionError: It broke off.
            ValueError: It has frames, but none with a time.
        """

    def close(self) -> None:
        """Close it."""


class Address(NamedTuple):
    """What is to be opened.

    Attributes:
        target: Path, URL, or number of a camera.
        name: What it is called in messages; a URL without user and password.
        stem: What files of results are called.
    """

    target: str | int
    name: str
    stem: str

    @property
    def is_network(self) -> bool:
        """Whether it is a URL of something that is not on this machine's disks."""
        text = str(self.target)
        return '://' in text and not text.startswith('file://')

    @property
    def file(self) -> Path | None:
        """The file of this machine, if it is one."""
        if self.is_network or isinstance(self.target, int):
            return None
        return Path(self.target.removeprefix('file:'))


def find_address(source: str | int | os.PathLike) -> Address:
    """What a path, a URL or the number of a camera stands for.

    Examples:
        >>> find_address('rtsp://me:secret@10.0.0.7:554/gate')[1:]
        ('rtsp://10.0.0.7:554/gate', 'gate')
        >>> find_address('0').stem
        'camera_0'
        >>> find_address('/dev/video2').target
        2
    """
    text = os.fspath(source) if not isinstance(source, int) else str(source)
    # Where Linux has cameras, under this name or one that is a link to it.
    if device := re.fullmatch(r'/dev/video(\d+)', os.path.realpath(text)):
        text = device[1]
        source = int(text)
    if isinstance(source, int) or (text.isdecimal() and not os.path.exists(text)):
        return Address(int(text), f'camera {text}', f'camera_{int(text)}')
    if '://' in text:
        url = urlsplit(text)
        host = url.netloc.rpartition('@')[2]
        stem = PurePath(unquote(url.path)).stem or host.replace(':', '_')
        # What follows a "?" may hold a password, too.
        return Address(text, f'{url.scheme}://{host}{url.path}', stem)
    return Address(text, text, Path(text).stem)


def open_source(address: Address) -> Source:
    """Open a file, a stream or a camera.

    Raises:
        ConnectionError: A stream cannot be reached, or a camera does not open.
        FileNotFoundError: There is no such file.
        ImportError: PyAV is not installed.
        ValueError: It is no video, or has only sound.
    """
    return _Camera(address) if isinstance(address.target, int) else _Container(address)


def import_av() -> ModuleType:
    """PyAV, which is an optional package.

    Raises:
        ImportError: It is not installed; says how to mend that.
    """
    try:
        import av
    except ImportError:
        raise ImportError(
            'videos are read and written with PyAV, which is not installed: run '
            "`pip install 'mmcrowd[video]'`"
        ) from None
    return av


class _Container:
    """A file or a network stream, opened once."""

    def __init__(self, address: Address):
        self._av = import_av()
        self._address = address
        self.damaged = 0
        self.last_damage = -math.inf
        self.reached = 0.0
        self._container = self._open()
        try:
            self._stream = self._find_stream()
        except BaseException:
            self.close()
            raise
        # Not by frames: threads that run ahead report now and then a damaged frame as whole, and a
        # live picture would be late by as many frames as there are threads.
        self._stream.thread_type = 'SLICE'
        self._stretch = float(self._stream.sample_aspect_ratio or 1)
        self.length = self._find_length()
        self._untimed = self.length is None and self._container.format.name in _UNTIMED

    def _open(self) -> Any:
        target, name = str(self._address.target), self._address.name
        options: dict[str, str] = {}
        timeouts = None
        if self._address.is_network:
            timeouts = TIMEOUTS
            if target.startswith('rtsp'):
                # By UDP, which is the default, lost packets become grey smears.
                options['rtsp_transport'] = 'tcp'
        elif '://' not in target:
            if not os.path.exists(target):
                raise FileNotFoundError(f'no video file {target}')
            if os.path.isdir(target):
                raise ValueError(f'{target} is a folder, expected a video file')
            target = f'file:{target}'  # "a:b.mp4" would be a protocol
        try:
            return self._av.open(target, options=options, timeout=timeouts)
        except (self._av.error.FFmpegError, OSError) as error:
            # Not str(error), which has the URL with its password.
            reason = describe(error)
            if isinstance(error, ValueError):
                raise ValueError(f'{name}: not a readable video ({reason})') from None
            if self._address.is_network:
                raise ConnectionError(f'{name}: no connection ({reason})') from None
            raise ValueError(f'{name}: cannot be read ({reason})') from None

    def _find_stream(self) -> Any:
        name, kind = self._address.name, self._container.format.name
        if _NO_VIDEO.fullmatch(kind):
            raise ValueError(f'{name}: not a video (read as {kind}); `mmcrowd count` counts photos')
        if not self._container.streams.video:
            kinds = sorted({stream.type for stream in self._container.streams}) or ['nothing']
            raise ValueError(f'{name}: no video stream in it, only {", ".join(kinds)}')
        stream = self._container.streams.video[0]
        if stream.codec_context is None:
            raise ValueError(f'{name}: there is no decoder for its video')
        return stream

    def _find_length(self) -> float | None:
        """Seconds of the video stream; those of the container may be those of its sound."""
        stream, container = self._stream, self._container
        if stream.duration:
            return float(stream.duration * stream.time_base)
        # Matroska has it as a text.
        tag = re.fullmatch(r'(\d+):(\d+):(\d+\.?\d*)', stream.metadata.get('DURATION', ''))
        if tag:
            hours, minutes, seconds = map(float, tag.groups())
            return 3600 * hours + 60 * minutes + seconds
        return container.duration / self._av.time_base if container.duration else None

    @property
    def _origin(self) -> float:
        """Time stamp of the start, seconds."""
        return (self._container.start_time or 0) / self._av.time_base

    def key_frames_suffice(self, interval: float) -> bool:
        stream = self._stream
        if self.length is None:
            return False
        # The index of MP4 files; others have none before they are read, or an incomplete one.
        key_times = [
            float(entry.timestamp * stream.time_base) - self._origin
            for entry in stream.index_entries
            if entry.is_keyframe
        ]
        return _largest_gap(key_times, self.length) <= interval / 2

    def moments(self, start: float = 0.0, only_key_frames: bool = False) -> Iterator[Moment]:
        if start > 0 and self.length is not None:
            self._seek(start)
        origin = self._origin if self.length is not None else None
        frames = timed = 0
        for frame in self._frames(only_key_frames):
            frames += 1
            seconds = time.monotonic() if self._untimed else frame.time
            if seconds is None:
                continue
            timed += 1
            if origin is None:
                origin = seconds
            yield Moment(seconds - origin, partial(_pixels, frame, self._stretch))
        if frames and not timed:
            raise ValueError(
                f'{self._address.name}: its frames have no time stamps; `ffmpeg -i IN OUT.mp4` '
                'makes a video that has them'
            )

    def _seek(self, start: float) -> None:
        """Go to the last key frame before a time; where that is impossible, stay."""
        try:
            at = int((start + self._origin) / self._stream.time_base)
            self._container.seek(at, stream=self._stream)
        except self._av.error.FFmpegError:
            # A server without ranges: what comes before is read and left out.
            return

    def _frames(self, only_key_frames: bool) -> Iterator[Any]:
        """The frames that decode."""
        for packet in self._packets():
            # An empty packet asks for what the decoder still holds.
            if only_key_frames and packet.size and not packet.is_keyframe:
                continue
            try:
                frames = packet.decode()
            except self._av.error.EOFError:
                continue
            except self._av.error.FFmpegError:
                self._count_damaged()
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._count_damaged()
                else:
                    yield frame

    def _packets(self) -> Iterator[Any]:
        """All packets, and an empty one at the end, which may be an error."""
        try:
            for packet in self._container.demux(self._stream):
                if packet.pts is not None:
                    end = (packet.pts + (packet.duration or 0)) * packet.time_base
                    self.reached = max(self.reached, float(end) - self._origin)
                yield packet
        except (self._av.error.FFmpegError, OSError) as error:
            last = self._av.Packet()
            last.stream, last.time_base = self._stream, self._stream.time_base
            yield last
            raise ConnectionError(f'{self._address.name}: {describe(error)}') from None

    def _count_damaged(self) -> None:
        self.damaged += 1
        self.last_damage = self.reached

    def close(self) -> None:
        self._container.close()


class _Camera:
    """A camera of this machine, opened once."""

    length: float | None = None
    damaged = 0
    last_damage = -math.inf

    def __init__(self, address: Address):
        self._address = address
        self.reached = 0.0
        self._capture = cv2.VideoCapture(address.target)
        if not self._capture.isOpened():
            self._capture.release()
            raise ConnectionError(f'{address.name} does not open: there is none, or it is in use')

    def key_frames_suffice(self, interval: float) -> bool:
        return False

    def moments(self, start: float = 0.0, only_key_frames: bool = False) -> Iterator[Moment]:
        first = None
        while self._capture.grab():
            now = time.monotonic()
            first = now if first is None else first
            self.reached = now - first
            yield Moment(self.reached, self._read)
        raise ConnectionError(f'{self._address.name}: it gives no more frames')

    def _read(self) -> np.ndarray:
        good, img = self._capture.retrieve()
        if not good:
            raise ConnectionError(f'{self._address.name}: a frame cannot be read')
        return img

    def close(self) -> None:
        self._capture.release()


def describe(error: Exception) -> str:
    """What went wrong, without the address."""
    if type(error).__name__ == 'ExitError':
        return f'no answer in {TIMEOUTS[0]:g} s, or no data in {TIMEOUTS[1]:g} s'
    return getattr(error, 'strerror', None) or type(error).__name__


def _largest_gap(times: Sequence[float], length: float) -> float:
    """Longest time without one of these moments, up to the end.

    Examples:
        >>> _largest_gap([0.0, 2.0, 3.0], 7.0), _largest_gap([], 7.0)
        (4.0, 7.0)
    """
    edges = sorted([0.0, *times, length])
    return max(after - before for before, after in itertools.pairwise(edges))


def _pixels(frame: Any, stretch: float) -> np.ndarray:
    """A frame upright, BGR, with square pixels; those of the file are wider by ``stretch``."""
    img = frame.to_ndarray(format='bgr24')
    # Nothing is lost: the side that is too short grows. Beyond 4 it is no film, but a wrong header.
    height, width = img.shape[:2]
    if 1 < stretch <= 4:
        img = resize_image(img, (height, round(width * stretch)))
    elif 1 / 4 <= stretch < 1:
        img = resize_image(img, (round(height / stretch), width))
    # By so many degrees against the clock it is to be turned.
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(img, quarters))
