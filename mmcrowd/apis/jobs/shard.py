"""Count one shard of a job: each of its images once, whatever was killed before."""

import hashlib
import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from mmcrowd.apis.inferencer import MAX_PIXELS, CrowdInferencer, check_limits
from mmcrowd.apis.inputs import IMAGE_ENDINGS, Photo
from mmcrowd.apis.zones import parse_zones, read_zones_file
from mmcrowd.fileio.files import printable, read_json, write_atomic
from mmcrowd.models import OnnxInference

from .images import JobImage, JobImages
from .keys import KeySet, image_key, shard_of
from .parts import ERRORS, RECORDS, ShardFiles, check_settings


def parse_shard(text: str) -> tuple[int, int]:
    """The shard that ``I/N`` names, I from 0 to N - 1.

    Examples:
        >>> parse_shard('0/4')
        (0, 4)
        >>> parse_shard('4/4')
        Traceback (most recent call last):
        ValueError: shard '4/4', expected I/N with I from 0 to N - 1
    """
    index, _, count = text.partition('/')
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise ValueError(f'shard {text!r}, expected I/N with I from 0 to N - 1')
    return int(index), int(count)


def shard_of_process(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """The shard of this process by ``RANK`` and ``WORLD_SIZE``, as torchrun sets them.

    Examples:
        >>> shard_of_process({'RANK': '1', 'WORLD_SIZE': '2'}), shard_of_process({})
        ((1, 2), (0, 1))
    """
    names = ('RANK', 'WORLD_SIZE')
    given = [environment[name] for name in names if name in environment]
    if len(given) == 1:
        raise ValueError(f'only one of {" and ".join(names)} is set; set both, or --shard I/N')
    return parse_shard('/'.join(given)) if given else (0, 1)


def device_of_process(environment: Mapping[str, str] = os.environ) -> str | None:
    """The GPU of this process among those of its machine, taken in turn by ``LOCAL_RANK`` or
    ``SLURM_LOCALID``; None, an accelerator if there is one, where neither is set."""
    rank = environment.get('LOCAL_RANK', environment.get('SLURM_LOCALID'))
    if rank is None or not torch.cuda.is_available():
        return None
    return f'cuda:{int(rank) % torch.cuda.device_count()}'


def count_shard(
    counter: CrowdInferencer,
    images: JobImages,
    out_dir: str | Path,
    shard: tuple[int, int] = (0, 1),
    retry_bad: bool = False,
    points: bool = True,
    batch_size: int = 1,
    max_pixels: int = MAX_PIXELS,
    zones: str | os.PathLike | Mapping | None = None,
    sync_seconds: float = 5.0,
) -> dict[str, Any]:
    """Count the images of a shard that no run has counted before.

    Shards need not know of each other: the place of an image says whose it is
    (:func:`~mmcrowd.apis.jobs.keys.shard_of`), and the parts in ``out_dir``, of whatever number
    of shards, say what has been done. A record is written when its image has been counted; SIGINT
    and SIGTERM end the run after the images that are under way, a second one at once.

    In memory are 16 bytes for each image of the shard, to know it again, and those of a batch.

    Args:
        counter: The counter.
        images: Images of the whole job.
        out_dir: Folder of the parts of all shards.
        shard: Number of the shard, from 0, and number of shards. Defaults to ``(0, 1)``.
        retry_bad: Try again what could not be read before. Defaults to False.
        points: Write the points and their scores; without them the counter does without its
            localizer if its count is no number of points. Defaults to True.
        batch_size: Images that go through the network together, at most: those of one size that
            follow each other. Defaults to 1.
        max_pixels: Larger images are reduced to so many. Defaults to 12 million.
        zones: JSON file of zones that are counted, too, or its content. Defaults to None.
        sync_seconds: See :class:`~mmcrowd.fileio.json_lines.JsonLinesWriter`. Defaults to 5.

    Returns:
        The summary: ``shard``, ``images`` that were counted and ``count``, the people in them,
        ``bad`` images, ``done_before`` and ``bad_before``, which were found and left out,
        ``duplicates``, ``seconds``, ``images_per_second``, ``cut_bytes`` of broken lines, and
        ``signal``, the number of the signal that ended the run, or None. If none did it is
        written as ``summary-I-of-N.json``.

    Raises:
        FileNotFoundError: There is no image at all, or the root is gone.
        RuntimeError: Another process writes to this part, or to one of another number of shards.
        ValueError: The folder has results of another model or of other settings.
        OSError: The results cannot be written.
    """
    check_limits(batch_size, max_pixels)
    localizer = counter.model.localizer
    if not points and counter.model.count_from != 'points':
        counter.model.localizer = None
    if isinstance(zones, str | os.PathLike):
        zones = read_zones_file(zones)
    if zones is not None:
        parse_zones(zones)  # an error in them comes before anything is written
    settings = dict(
        config=None if counter.cfg.filename is None else Path(counter.cfg.filename).stem,
        weights=digest_of(counter),
        precision=counter.model.precision,
        localizer=type(counter.model.localizer).__name__,
        points=points,
        max_pixels=max_pixels,
        zones=zones,
    )
    if counter.cfg_options:
        settings['cfg_options'] = {key: str(value) for key, value in counter.cfg_options.items()}
    index, count = shard
    try:
        check_settings(out_dir, settings)
        check_root(out_dir, images)
        with ShardFiles(out_dir, index, count, sync_seconds) as files, stop_on_signals() as stop:
            run = _Run(images, files, counter, retry_bad, points, stop)
            return run.count(batch_size=batch_size, max_pixels=max_pixels, zones=zones)
    finally:
        counter.model.localizer = localizer


class _Run:
    """The way of the images of one shard through the counter, and what becomes of each."""

    def __init__(
        self,
        images: JobImages,
        files: ShardFiles,
        counter: CrowdInferencer,
        retry_bad: bool,
        points: bool,
        stop: list[int],
    ):
        self.images, self.files, self.counter, self.stop = images, files, counter, stop
        self.retry_bad, self.points = retry_bad, points
        self.done, self.bad = files.keys(RECORDS), files.keys(ERRORS)
        self.seen = KeySet()
        # Images that are in the network or about to be, by their keys, with the beginning of their
        # records.
        self.waiting: dict[str, tuple[JobImage, dict[str, Any]]] = {}
        self.numbers = dict(images=0, bad=0, done_before=0, bad_before=0, duplicates=0)
        self.people = 0.0

    def count(self, **kwargs: Any) -> dict[str, Any]:
        """Count until the images or the patience of the user end; the summary."""
        start = time.monotonic()
        photos = self.photos()
        try:
            while self.count_until_refused(photos, **kwargs):
                pass
        except Exception:
            under_way = ', '.join(item.label for item, _ in self.waiting.values())
            if under_way:  # for a network that fails on one image
                warnings.warn(f'stopped at {printable(under_way)}', stacklevel=2)
            raise
        seconds = time.monotonic() - start
        summary = dict(
            shard=f'{self.files.index}/{self.files.count}',
            **self.numbers,
            count=self.people,
            seconds=round(seconds, 3),
            images_per_second=round(self.numbers['images'] / max(seconds, 1e-9), 3),
            cut_bytes=self.files.cut,
            signal=self.stop[0] if self.stop else None,
        )
        if not self.stop:
            self.files.finish(summary)
        return summary

    def count_until_refused(self, photos: Iterator[Photo], **kwargs: Any) -> bool:
        """Count to the end, or until a ValueError about what is in the network, such as a density
        that is not finite; whether to go on with the next images."""
        try:
            for result in self.counter.iter(photos, on_error='skip', **kwargs):
                self.write(*result['predictions'])
            self.take_errors()
        except ValueError as error:
            self.take_errors()
            if not self.waiting:
                raise
            for name, (item, _) in list(self.waiting.items()):
                self.fail(name, f'{item.label}: {error}')
            return True
        return False

    def photos(self) -> Iterator[Photo]:
        """The images that are to be counted, as the inferencer asks for them."""
        is_empty = True
        for item in self.images:
            is_empty = False
            self.take_errors()
            if self.stop:
                return
            if shard_of(item.path, item.member, self.files.count) == self.files.index:
                yield from self.photo_of(item)
        if is_empty:
            endings = ' '.join(sorted(IMAGE_ENDINGS))
            raise FileNotFoundError(f'{self.images.root}: no image found below it ({endings})')

    def photo_of(self, item: JobImage) -> Iterator[Photo]:
        """The image, if it is to be counted."""
        size: int | None = None
        mtime_ns: int | None = None
        problem: Exception | None = None
        try:
            size, mtime_ns = item.version()
        except (OSError, ValueError) as error:
            problem = error
        key = image_key(item.path, item.member, size, mtime_ns)
        if not self.seen.add(key):
            self.numbers['duplicates'] += 1
        elif key in self.done:
            self.numbers['done_before'] += 1
        elif key in self.bad and not self.retry_bad:
            self.numbers['bad_before'] += 1
        else:
            record = dict(path=item.path, member=item.member, size=size, mtime_ns=mtime_ns)
            name = key.hex()
            self.waiting[name] = item, record
            try:
                if problem is not None:
                    raise problem
                yield Photo(name, item.source(), item.label)
            except (OSError, ValueError) as error:
                self.fail(name, str(error))

    def write(self, prediction: dict[str, Any]) -> None:
        """Write what was counted in an image."""
        name = prediction['name']
        item, record = self.waiting[name]
        fields = ['width', 'height', 'count', 'notes', 'zones']
        fields += ['points', 'scores'] if self.points else []
        record = record | {key: prediction[key] for key in fields if key in prediction}
        try:
            self.files.write(bytes.fromhex(name), record)
        except ValueError as error:
            self.fail(name, f'{item.label}: the answer is not finite ({error})')
            return
        del self.waiting[name]
        self.numbers['images'] += 1
        self.people += prediction['count']

    def take_errors(self) -> None:
        """Write the images that the inferencer could not read."""
        while self.counter.errors:
            error = self.counter.errors.pop()
            self.fail(error['name'], error['error'])

    def fail(self, name: str, error: str) -> None:
        """Write that an image could not be counted.

        Raises:
            FileNotFoundError: Rather, no image can be.
        """
        _, record = self.waiting.pop(name)
        if is_gone(self.images.root):
            raise FileNotFoundError(
                f'{self.images.root}: gone or empty now, while its images are counted; run the job '
                'again when it is back'
            )
        self.files.write_error(bytes.fromhex(name), dict(record, error=error))
        self.numbers['bad'] += 1


def is_gone(folder: str) -> bool:
    """Whether there is nothing in a folder, or no folder: it is not mounted any more."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def check_root(out_dir: str | Path, images: JobImages) -> None:
    """Refuse another root than that of earlier runs, unless it was given as such.

    The paths below it would be others, and images that were counted would be counted again.

    Raises:
        ValueError: It is another one.
    """
    path = Path(out_dir) / 'root.json'
    if not path.exists():
        write_atomic(path, json.dumps(images.root) + '\n')
    before = read_json(path)
    if before != images.root and not images.has_root:
        raise ValueError(
            f'{path}: the paths of the images begin at {before} there and at {images.root} now, so '
            'that all would be counted again; name the folder by `root` (--root)'
        )


def digest_of(counter: CrowdInferencer) -> str:
    """SHA-256 of the parameters of a counter, or of its exported network, in hexadecimal."""
    digest = hashlib.sha256()
    if isinstance(counter.model.inference, OnnxInference):
        digest.update(counter.model.inference.path.read_bytes())
        return digest.hexdigest()
    for name, value in sorted(counter.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list; the second one has its usual effect.

    Outside the main thread, which alone gets signals, nothing is changed.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for other, handler in before.items():
            signal.signal(other, handler)

    for number in before:
        signal.signal(number, receive)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
