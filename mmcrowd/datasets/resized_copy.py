"""Copies of benchmarks with their images resized, which the same classes read.

A copy has the images as JPEG and one ``annotations.json`` in the format of
:class:`~mmcrowd.datasets.CrowdDataset`, in pixels of the copy.
"""

import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.utils import ProgressBar

from mmcrowd.fileio.files import is_hidden, natural_key, path_below, read_json, write_atomic
from mmcrowd.fileio.images import load_image, read_image_header, read_image_shape, resize_image
from mmcrowd.fileio.problems import Problems
from mmcrowd.registry import DATASETS
from mmcrowd.structures.point_fields import POINT_FIELDS

from .annotation_json import ANNOTATION_FILE, write_annotation_file
from .transforms.processing import ResizeToLimits

SPLITS = ('val', 'trainval', 'test')


@dataclass(frozen=True)
class Benchmark:
    """A dataset that can be prepared.

    Attributes:
        dataset_type: Its class.
        folder: Where the configs look for it, below the root of all data.
        images: How many images it is published with, training and validation and then test.
        rules: Published rules of resizing, by name; the first one is the default.
        has_folds: It is for cross-validation, without a split. Defaults to False.
    """

    dataset_type: str
    folder: str
    images: tuple[int, int]
    rules: dict[str, dict]
    has_folds: bool = False


AS_IS = dict(none=dict())
BENCHMARKS = dict(
    sha=Benchmark('ShanghaiTechDataset', 'ShanghaiTech/part_A', (300, 182), AS_IS),
    shb=Benchmark('ShanghaiTechDataset', 'ShanghaiTech/part_B', (400, 316), AS_IS),
    qnrf=Benchmark(
        'UCFQNRFDataset',
        'UCF-QNRF_ECCV18',
        (1201, 334),
        dict(
            pml=dict(longest=1536),
            pet=dict(longest=1536),
            bl=dict(shortest=(512, 2048)),
            dmc=dict(shortest=(512, 2048)),
        ),
    ),
    jhu=Benchmark('JHUCrowdDataset', 'jhu_crowd_v2.0', (2772, 1600), dict(pet=dict(longest=2048))),
    nwpu=Benchmark(
        'NWPUCrowdDataset',
        'NWPU-Crowd',
        (3609, 1500),
        dict(nwpu=dict(longest=2048), pet=dict(longest=2048)),
    ),
    ucf_cc_50=Benchmark('UCFCC50Dataset', 'UCF_CC_50', (40, 10), AS_IS, has_folds=True),
)


def prepare(
    benchmark: Benchmark,
    source: Path,
    out: Path,
    limits: dict,
    quality: int = 95,
    workers: int = 1,
) -> str:
    """Make a copy, or go on with one that was interrupted.

    What was copied from another file than there is now is copied again. The file of annotations
    comes last, when the copy has the images and the numbers of points of its source.

    Args:
        benchmark: What to copy.
        source: Its folder as downloaded, or another copy.
        out: Folder of the copy.
        limits: Arguments of :class:`~mmcrowd.datasets.transforms.ResizeToLimits`.
        quality: Quality of the JPEG files, 1 to 100. Defaults to 95.
        workers: Number of processes. Defaults to 1.

    Returns:
        A summary to print.

    Raises:
        ValueError, FileNotFoundError: The source is not the benchmark, ``out`` holds something else
            or some images cannot be copied.
        RuntimeError: The copy differs from its source.
    """
    splits = load_splits(benchmark, source)
    jobs = list_jobs(splits, out, benchmark.has_folds)
    manifest = dict(
        source=str(source.resolve()), limits=json.loads(json.dumps(limits)), quality=quality
    )
    removed = begin(out, manifest, {job['name']: job['info']['img_path'] for job in jobs})
    if removed:
        print(f'{removed} images were copied from other files than these: they are copied again.')
    pairs = [(job['info']['img_path'], job['target']) for job in jobs]
    sizes = prepare_images(pairs, source, limits, quality, workers)
    data_list = [make_entry(job, *size) for job, size in zip(jobs, sizes, strict=True)]
    metainfo = dict(
        dataset_name=splits['test'].metainfo.get('dataset_name'),
        dataset_type=benchmark.dataset_type,
        limits=limits,
    )
    write_annotation_file(out / ANNOTATION_FILE, data_list, **metainfo)
    try:
        lines = verify(splits, load_splits(benchmark, out), out)
    except BaseException:  # nor does an interrupted verification leave what says "complete"
        (out / ANNOTATION_FILE).unlink()
        raise
    number = (len(splits['trainval']), len(splits['test']))
    if number != benchmark.images:
        lines.append(
            f'Note: {number} images for training and test, published are {benchmark.images}.'
        )
    resized = sum(before != after for before, after in sizes)
    lines.append(f'{resized} of {len(sizes)} images resized. Complete: {out}')
    return '\n'.join(lines)


def load_splits(benchmark: Benchmark, root: Path) -> dict[str, BaseDataset]:
    """The dataset by split. The folds of a cross-validation are chosen later: no split, all images.

    Raises:
        ValueError, FileNotFoundError: For a folder that is not what it should be; the message names
            all problems of a split.
    """
    build = partial(DATASETS.build, default_args=dict(data_root=str(root)))
    config = dict(type=f'mmcrowd.{benchmark.dataset_type}')
    return {split: build(dict(config, split=split)) for split in SPLITS}


def list_jobs(splits: dict[str, BaseDataset], out: Path, folds: bool) -> list[dict]:
    """For each image its entry, the file to read and the file to write, in the order to be kept.

    Raises:
        ValueError: An id, of a source that is a copy itself, would lead out of the new copy.
    """
    of_val = {info['img_id'] for info in entries_of(splits['val'])}
    jobs = []
    for part in ('trainval', 'test'):
        for info in entries_of(splits[part]):
            split = 'test' if part == 'test' else 'val' if info['img_id'] in of_val else 'train'
            # Ids are unique in a part only.
            folder = 'images' if folds else part
            target = path_below(out / folder, f'{info["img_id"]}.jpg')
            name = f'{folder}/{info["img_id"]}.jpg'
            given = {} if folds else dict(split=split)
            jobs.append(dict(info=info, name=name, given=given, target=str(target)))
    if folds:  # numbered in natural order
        jobs.sort(key=lambda job: natural_key(job['info']['img_id']))
    return jobs


def entries_of(dataset: BaseDataset) -> list[dict]:
    return [dataset.get_data_info(k) for k in range(len(dataset))]


def prepare_images(
    pairs: list[tuple[str, str]], source: Path, limits: dict, quality: int, workers: int
) -> list[tuple]:
    """Write all images under a progress bar; their sizes ``(h, w)`` before and after.

    Raises:
        ValueError, FileNotFoundError: Images could not be written, naming them.
    """
    bar, sizes, problems = ProgressBar(len(pairs)), [], Problems()
    # One image, one core.
    with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        work = partial(prepare_image, limits=limits, quality=quality)
        for size in pool.map(work, pairs, chunksize=4):
            if isinstance(size, Exception):
                problems.append(size)
            sizes.append(size)
            bar.update()
    print()
    problems.raise_if_any(f'{source}: {len(problems)} images not copied')
    return sizes


def prepare_image(job: tuple[str, str], limits: dict, quality: int):
    """Write one image, unless it is there already.

    Args:
        job: The file to read and the file to write.
        limits: Arguments of ``ResizeToLimits``.
        quality: Of the JPEG.

    Returns:
        Size ``(h, w)`` before and after, or the error that kept it from being written.
    """
    source, target = (Path(path) for path in job)
    try:
        before = read_image_shape(str(source))
        after = ResizeToLimits(**limits).size_for(*before)
        if not _is_there(target, after):
            _write_image(source, target, before, after, quality)
    except (ValueError, OSError) as error:
        return error
    return before, after


def _is_there(target: Path, size: tuple[int, int]) -> bool:
    # Files get their names when they are complete, so one with the right header is complete. It
    # was made of this source, see begin().
    try:
        return read_image_shape(str(target)) == size
    except (ValueError, OSError):
        return False


def _write_image(source: Path, target: Path, before: tuple, after: tuple, quality: int) -> None:
    img = load_image(str(source))
    if img.shape[:2] != before:
        raise ValueError(
            f'{source}: {img.shape[:2]} pixels (h, w), but {before} by its header; perhaps damaged'
        )
    if after == before and _is_plain_jpeg(source):
        content = source.read_bytes()
    else:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        done, content = cv2.imencode('.jpg', resize_image(img, after), options)
        if not done:
            raise ValueError(f'{source}: cannot be written as JPEG')
        content = content.tobytes()
    write_atomic(target, content)


def _is_plain_jpeg(path: Path) -> bool:
    """Whether the file has its pixels as they are seen, not to be turned first."""
    header = read_image_header(str(path))
    return header.format == 'JPEG' and header.orientation == 1


def make_entry(job: dict, before: tuple[int, int], after: tuple[int, int]) -> dict:
    """The image's entry in ``annotations.json``, in pixels of the copy."""
    info = job['info']
    entry = dict(img_path=job['name'], img_id=info['img_id'], **job['given'])
    # The source may be a copy itself.
    original = tuple(info.get('ori_shape', before))
    if after != original:
        entry['ori_shape'] = list(original)
    if info['attributes']:
        entry['attributes'] = info['attributes']
    scale = (after[1] / before[1], after[0] / before[0])
    entry['points'] = None
    for key, field in POINT_FIELDS.items():
        if key in info:
            is_int = np.issubdtype(field.dtype, np.integer)
            values = info[key] if is_int else info[key].astype(np.float64)
            values = field.resize(values, scale)
            entry[key] = values.tolist() if is_int else values.round(4).tolist()
    return entry


def verify(splits: dict[str, BaseDataset], copies: dict[str, BaseDataset], out: Path) -> list[str]:
    """Compare the copy with its source; a line for each split.

    Raises:
        RuntimeError: They differ in an image or in the points of one.
    """
    lines = []
    for split, dataset in splits.items():
        copy, points = copies[split], 0
        if len(copy) != len(dataset):
            raise RuntimeError(f'{out}: {len(copy)} images in {split!r}, expected {len(dataset)}')
        for wanted, got in zip(entries_of(dataset), entries_of(copy), strict=True):
            numbers = [len(info['points']) if 'points' in info else None for info in (wanted, got)]
            if wanted['img_id'] != got['img_id'] or numbers[0] != numbers[1]:
                raise RuntimeError(
                    f'{got["img_path"]}: {numbers[1]} points of {got["img_id"]!r}, '
                    f'expected {numbers[0]} of {wanted["img_id"]!r}'
                )
            points += numbers[0] or 0
        lines.append(f'{split}: {len(copy)} images, {points} points')
    return lines


def begin(out: Path, manifest: dict, sources: dict[str, str]) -> int:
    """Write down what the copy is made of; what was made of anything else is removed first.

    A file of the copy is there only if it was made of a source with the size and the time of
    modification that ``prepare.json`` has. In a copy whose ``prepare.json`` has none of them, as
    older versions wrote it, nothing is known to be current.

    Args:
        out: Folder of the copy.
        manifest: The rule and the source, which are one for a folder.
        sources: By the name of each file to write the file to read.

    Returns:
        How many files of a copy that was begun were not current.

    Raises:
        ValueError: The folder has another copy, or something else.
    """
    path = out / 'prepare.json'
    found = read_json(path) if path.exists() else None
    if found is None and out.exists() and not all(is_hidden(p.name) for p in out.iterdir()):
        raise ValueError(f'{out} is not empty and no copy that was begun; choose another --out')
    recorded = found.pop('sources', {}) if isinstance(found, dict) else {}
    if found not in (None, manifest):
        raise ValueError(f'{path} says {found}, not {manifest}; choose another --out')
    states = {name: _state(source) for name, source in sources.items()}
    outdated = [out / name for name, state in states.items() if recorded.get(name) != state]
    removed = sum(target.exists() for target in outdated)
    if removed:
        (out / ANNOTATION_FILE).unlink(missing_ok=True)  # it says "complete"
    for target in outdated:
        target.unlink(missing_ok=True)
    write_atomic(path, json.dumps(dict(manifest, sources=states), indent=1))
    return removed


def _state(path: str) -> list[int]:
    """Size and time of modification of a file."""
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns]
