"""Files of a counted video: a table and a film that grow with it, and a graph at the end."""

import csv
import os
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

import cv2
import numpy as np

from mmcrowd.fileio.files import file_name, printable
from mmcrowd.visualization.time_series import draw_time_series
from mmcrowd.visualization.video_overlay import VideoOverlay

from .video import CountedFrame
from .video_sources import import_av
from .zones import Zones

# The first that this build of FFmpeg has. Every browser plays the first two.
CODECS = ('libx264', 'libopenh264', 'mpeg4')
# Ticks per second of the time stamps.
_TICKS = 90_000


class VideoWriter:
    """Write what was counted in a video, as it goes, in constant memory.

    - ``NAME.csv``: a row for each sample, written to the disk at once. Its columns are ``time_s``;
      ``clock``, the time of day with the offset from UTC, if the video is live; ``count``; the name
      of each zone with the count in it; and, if the ground is known, ``NAME per m2``.
    - ``NAME.mp4``: the frames with densities, points, zones, count and time drawn in; they follow
      each other as the samples do. While it grows it is ``NAME.mp4.partial``.
    - ``NAME.png``: the table as a graph, drawn at the end, when its numbers, 8 bytes each, are read
      once.

    Leaving the context finishes all of them, whatever it is left for.

    Args:
        folder: Folder of the files, made when needed.
        name: What they are called; :func:`~mmcrowd.fileio.files.file_name` writes what a file
            system forbids in another way.
        zones: The zones that are counted. Defaults to None.
        overlay: Write the film, too. Defaults to True.
        is_live: Whether there is a time of day. What is live cannot be counted again, so files that
            are there are never written over. Defaults to False.
        source: The file that is counted, which is never written over. Defaults to None.

    Raises:
        ImportError: PyAV, which writes the film, is not installed.
        FileExistsError: It is live, and one of the files is there.
        ValueError: Two columns have one name, the name is empty, or one of the files is the source.

    Attributes:
        paths: The files that are there when the context has been left.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        name: str,
        zones: Zones | None = None,
        overlay: bool = True,
        is_live: bool = False,
        source: str | os.PathLike | None = None,
    ):
        if overlay:
            import_av()
        if not name:
            raise ValueError(f'name={name!r} (--name), expected what the files are to be called')
        self._folder, self._name = Path(folder), file_name(name, one_word=False)
        for ending in ('.csv', '.png', *(('.mp4', '.mp4.partial') if overlay else ())):
            path = self._path(ending)
            if source is not None and path.exists() and path.samefile(source):
                raise ValueError(
                    f'{path} is the video that is counted and would be written over: choose '
                    'another folder or name (--out-dir, --name)'
                )
            if is_live and path.exists():
                raise FileExistsError(
                    f'{path} is there already, of an earlier run or another stream, and what is '
                    'live cannot be counted again: choose another name or folder (--name, '
                    '--out-dir)'
                )
        self._zones, self._is_live = zones, is_live
        self._columns = columns(zones, is_live)
        self._overlay = VideoOverlay() if overlay else None
        self._encoder: VideoEncoder | None = None
        self._first: float | None = None
        self._stack = ExitStack()
        self._file: TextIO | None = None
        self.paths: list[Path] = []

    def _path(self, ending: str) -> Path:
        return self._folder / f'{self._name}{ending}'

    def __enter__(self) -> 'VideoWriter':
        self._folder.mkdir(parents=True, exist_ok=True)
        self._stack.callback(self._draw)  # the last to be called
        path = self._path('.csv')
        # Where two begin at once, the second one fails.
        mode: Literal['x', 'w'] = 'x' if self._is_live else 'w'
        self._file = path.open(mode, encoding='utf-8', errors='backslashreplace', newline='')
        self._stack.enter_context(self._file)
        self.paths.append(path)
        self._write_row(self._columns)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def write(self, counted: CountedFrame, clock: datetime | None = None) -> None:
        """Write one sample.

        Args:
            counted: The sample.
            clock: Its time of day, if the video is live. Defaults to None.
        """
        self._write_row(row(counted, clock))
        if self._overlay is None:
            return
        img = cv2.cvtColor(counted.img, cv2.COLOR_BGR2RGB)
        height, width = img.shape[:2]
        zones = None if self._zones is None else self._zones.for_image((height, width))
        picture = self._overlay.draw(
            img,
            counted.sample,
            counted.time,
            counted.prediction.get('zones', ()),
            [] if zones is None else [zone.polygons for zone in zones.zones],
            clock,
        )
        if self._encoder is None:
            self._encoder = VideoEncoder(self._path('.mp4'), picture.shape[:2])
            self._stack.callback(self._finish_film)
            self._first = counted.time
        self._encoder.write(picture, counted.time - (self._first or 0.0))

    def _write_row(self, values: Sequence[Any]) -> None:
        assert self._file is not None, 'VideoWriter is a context'
        csv.writer(self._file, lineterminator='\n').writerow(values)
        self._file.flush()

    def _finish_film(self) -> None:
        assert self._encoder is not None
        self._encoder.close()
        self.paths.append(self._encoder.path)

    def _draw(self) -> None:
        """The graph, from the table: until then nothing is remembered, and then numbers only."""
        path = self._path('.csv')
        names = self._columns
        count = names.index('count')
        has_area = self._zones is not None and self._zones.ground is not None
        # Each zone has a second column then, which is no count.
        shown = [count, *range(count + 1, len(names), 2 if has_area else 1)]
        with path.open(encoding='utf-8', newline='') as file:
            rows = csv.reader(file)
            next(rows)
            numbers = (tuple(float(row[n]) for n in (0, *shown)) for row in rows)
            values = np.fromiter(numbers, np.dtype((np.float64, 1 + len(shown))))
        if not len(values):
            return
        series = {names[n]: values[:, k] for k, n in enumerate(shown, 1)}
        draw_time_series(values[:, 0], series, self._path('.png'), self._name)
        self.paths.append(self._path('.png'))


def columns(zones: Zones | None, is_live: bool) -> list[str]:
    """Names of the columns of the table, see :class:`VideoWriter`.

    Raises:
        ValueError: Two have one name.
    """
    names = ['time_s', *(['clock'] if is_live else []), 'count']
    if zones is not None:
        for zone in zones.zones:
            names.append(printable(zone.name))
            if zones.ground is not None:
                names.append(f'{printable(zone.name)} per m2')
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(
                f'{zones.source}: zone {twice[0]!r} would be a second column of that name; call '
                'it something else'
            )
    return names


def row(counted: CountedFrame, clock: datetime | None = None) -> list[str]:
    """The values of :func:`columns` for a sample; counts to a thousandth."""
    values = [f'{counted.time:.3f}']
    if clock is not None:
        values.append(clock.isoformat(timespec='milliseconds'))
    values.append(f'{counted.prediction["count"]:.3f}')
    for zone in counted.prediction.get('zones', ()):
        values.append(f'{zone["count"]:.3f}')
        if 'per_square_metre' in zone:
            values.append(f'{zone["per_square_metre"]:.4f}')
    return values


class VideoEncoder:
    """An MP4 file of pictures at given times.

    It has the name ``NAME.partial`` until :meth:`close` has finished it.

    Args:
        path: The file.
        size: ``(height, width)`` of the pictures, even numbers.
    """

    def __init__(self, path: Path, size: tuple[int, int]):
        av = import_av()
        self._av = av
        self.path = path
        self._partial = path.with_name(f'{path.name}.partial')
        codec = next((name for name in CODECS if name in av.codecs_available), None)
        if codec is None:
            raise ValueError(f'{path}: this FFmpeg has no encoder of {", ".join(CODECS)}')
        self._container = av.open(
            str(self._partial), 'w', format='mp4', options=dict(movflags='faststart')
        )
        self._stream = self._container.add_stream(codec, rate=25)
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = 'yuv420p'
        context = self._stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        # A viewer can go to every tenth picture.
        context.gop_size = 10
        if codec == 'libx264':
            # Nothing is held back for a look ahead.
            context.options = dict(preset='veryfast', crf='23', tune='zerolatency')
        else:
            context.bit_rate = 4_000_000
        self._last = -1

    def write(self, picture: np.ndarray, seconds: float) -> None:
        """Add a picture, RGB uint8 ``(height, width, 3)``, to be shown from this time on."""
        frame = self._av.VideoFrame.from_ndarray(picture, format='rgb24')
        self._last = max(round(seconds * _TICKS), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        os.replace(self._partial, self.path)
