"""Counting on videos, streams and cameras."""

import os
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from mmcrowd.structures import CrowdDataSample

from .inferencer import MAX_PIXELS, CrowdInferencer, check_limits, plain_prediction
from .read_ahead import read_ahead
from .video_reader import Frame, VideoReader
from .zones import Zones


class CountedFrame(NamedTuple):
    """A frame of a video, and who is in it.

    Attributes:
        time: Seconds, see :class:`~mmcrowd.apis.video_reader.Frame`.
        img: ``(H, W, 3)`` uint8 BGR, the original frame.
        prediction: The answer of :class:`~mmcrowd.apis.CrowdInferencer` for it.
        sample: The same as a sample, with the density.
    """

    time: float
    img: np.ndarray
    prediction: dict[str, Any]
    sample: CrowdDataSample


def count_video(
    source: str | int | os.PathLike | VideoReader,
    counter: CrowdInferencer | None = None,
    batch_size: int = 1,
    zones: str | os.PathLike | Mapping | Zones | None = None,
    max_pixels: int = MAX_PIXELS,
    **reading: Any,
) -> Generator[CountedFrame, None, None]:
    """Count the people in a video, sample by sample; memory does not grow.

    The frames are read in a thread of their own. Where counting is slower than a live source,
    samples are left out, so that the one that is counted is always fresh; a file waits.

    Args:
        source: Path of a file, URL of a stream, number of a camera, or a
            :class:`~mmcrowd.apis.video_reader.VideoReader`, whose ``problem`` then says whether
            the video was whole, and whose ``stop`` ends the count.
        counter: Defaults to None, ``CrowdInferencer()``.
        batch_size: Samples that go through the network together; with a live source the first one
            waits for the last. Defaults to 1.
        zones: As :class:`~mmcrowd.apis.CrowdInferencer` takes them. Defaults to None.
        max_pixels: Larger frames are reduced to so many. Defaults to 12 million.
        **reading: ``rate``, ``start``, ``end`` and what else
            :class:`~mmcrowd.apis.video_reader.VideoReader` takes.

    Returns:
        An iterator of the counted frames. It raises what the reading raises.

    Raises:
        ConnectionError, FileNotFoundError, ImportError, ValueError: As
            :class:`~mmcrowd.apis.video_reader.VideoReader`.
        TypeError: ``reading`` beside a reader.
    """
    check_limits(batch_size, max_pixels)
    if not isinstance(source, VideoReader):
        source = VideoReader(source, **reading)
    elif reading:
        raise TypeError(f'{", ".join(reading)}: the VideoReader that is given has them already')
    counter = CrowdInferencer() if counter is None else counter
    return _count(source, counter, dict(batch_size=batch_size, zones=zones, max_pixels=max_pixels))


def _count(
    video: VideoReader, counter: CrowdInferencer, options: dict
) -> Generator[CountedFrame, None, None]:
    in_work: deque[Frame] = deque()

    def pixels(frames: Iterator[Frame]) -> Iterator[np.ndarray]:
        for frame in frames:
            in_work.append(frame)
            yield frame.img
            del frame

    missed = 0

    def miss() -> None:
        nonlocal missed
        missed += 1

    ahead = read_ahead(
        video, options['batch_size'], video.stopped, newest=video.is_live, on_drop=miss
    )
    with closing(ahead) as frames:
        for result in counter.iter(pixels(frames), return_datasamples=True, **options):
            (sample,) = result['predictions']
            prediction = plain_prediction(sample) | counter.origin()
            yield CountedFrame(*in_work.popleft(), prediction, sample)
    if missed:
        video.tell(
            f'{video.name}: {missed} samples were left out, since counting is slower than '
            f'{video.rate or "all"} samples a second'
        )
