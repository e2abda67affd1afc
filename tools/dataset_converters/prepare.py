"""Copy a benchmark with its images resized, once, for faster training.

The copy has the images as JPEG and one ``annotations.json`` in the format of ``CrowdDataset``, with
the splits, the attributes and all that is known of each head. The dataset class of the benchmark
reads the copy as it reads the folder as downloaded; metrics, submissions and results stay in pixels
of the images as downloaded. ::

    python tools/dataset_converters/prepare.py qnrf             # longest side 1536, as for PML
    python tools/dataset_converters/prepare.py qnrf --rule bl --out data/qnrf_bl
    python tools/dataset_converters/prepare.py jhu --longest 1024 --out data/jhu_1024

By default the folder that the configs name is read, and ``prepared/NAME`` beside it is written,
which is what the configs of UCF-QNRF, JHU-CROWD++ and NWPU-Crowd train on. An image that need not
change is copied byte by byte. The same command goes on where it was interrupted, and copies again
what has another size or time of modification than when it was copied; ``annotations.json`` comes
last.
"""

import argparse
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

from mmcrowd import command_line
from mmcrowd.datasets.annotation_json import FILE_NAME, write_annotations
from mmcrowd.datasets.base_crowd_dataset import natural_key
from mmcrowd.datasets.transforms.processing import LimitSide
from mmcrowd.fileio.files import is_hidden, path_below, printable, read_json, write_atomic
from mmcrowd.fileio.images import load_image, read_image_header, read_image_shape, resize_image
from mmcrowd.registry import DATASETS
from mmcrowd.structures.point_fields import POINT_FIELDS

SPLITS = ('val', 'trainval', 'test')
MAX_NAMED = 20


@dataclass(frozen=True)
class Benchmark:
    """A dataset that can be prepared.

    Attributes:
        dataset_type: Its class.
        folder: Where the configs look for it, below the root of all data.
        images: How many images it is published with, training and validation and then test.
        rules: Published rules of resizing, by name; the first one is the default.
    """

    dataset_type: str
    folder: str
    images: tuple[int, int]
    rules: dict[str, dict]


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
    ucf_cc_50=Benchmark('UCFCC50Dataset', 'UCF_CC_50', (40, 10), AS_IS),
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('benchmark', choices=BENCHMARKS)
    parser.add_argument(
        '--data-root', help='folder as downloaded; default: where the configs look for it'
    )
    parser.add_argument(
        '--out', help='folder of the copy; default: prepared/NAME below the root of all data'
    )
    parser.add_argument(
        '--rule',
        help='a published rule: '
        + '; '.join(f'{name}: {", ".join(b.rules)}' for name, b in BENCHMARKS.items())
        + '; none. Default: the first one',
    )
    parser.add_argument('--longest', type=int, help='own rule: at most this many pixels')
    parser.add_argument(
        '--shortest',
        type=int,
        nargs=2,
        metavar=('LOW', 'HIGH'),
        help='own rule: range of the shorter side in pixels',
    )
    parser.add_argument('--quality', type=int, default=95, help='of the JPEG files; default: 95')
    parser.add_argument(
        '--workers', type=int, default=os.cpu_count(), help='processes; default: all cores'
    )
    args = parser.parse_args(argv)
    rules = {**BENCHMARKS[args.benchmark].rules, **AS_IS}
    own = dict(longest=args.longest, shortest=args.shortest)
    own = {key: value for key, value in own.items() if value is not None}
    if own and args.rule:
        parser.error('--rule and --longest or --shortest exclude each other')
    if args.rule and args.rule not in rules:
        parser.error(f'--rule {args.rule}: {args.benchmark} has {", ".join(rules)}')
    if not 1 <= args.quality <= 100:
        parser.error(f'--quality {args.quality}: expected 1 to 100')
    if args.workers < 1:
        parser.error(f'--workers {args.workers}: expected 1 or more')
    args.limits = own or rules[args.rule or next(iter(rules))]
    try:
        LimitSide(**args.limits)
    except ValueError as error:
        parser.error(str(error))
    return args


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
    of_val = {info['img_id'] for info in entries(splits['val'])}
    jobs = []
    for part in ('trainval', 'test'):
        for info in entries(splits[part]):
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


def entries(dataset: BaseDataset) -> list[dict]:
    return [dataset.get_data_info(k) for k in range(len(dataset))]


def prepare_image(job: tuple[str, str], limits: dict, quality: int):
    """Write one image, unless it is there already.

    Args:
        job: The file to read and the file to write.
        limits: Arguments of ``LimitSide``.
        quality: Of the JPEG.

    Returns:
        Size ``(h, w)`` before and after, or the error that kept it from being written.
    """
    source, target = (Path(path) for path in job)
    try:
        before = read_image_shape(str(source))
        after = LimitSide(**limits).size_for(*before)
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
        for wanted, got in zip(entries(dataset), entries(copy), strict=True):
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
        (out / FILE_NAME).unlink(missing_ok=True)  # it says "complete"
    for target in outdated:
        target.unlink(missing_ok=True)
    write_atomic(path, json.dumps(dict(manifest, sources=states), indent=1))
    return removed


def _state(path: str) -> list[int]:
    """Size and time of modification of a file."""
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns]


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    benchmark = BENCHMARKS[args.benchmark]
    root = Path(os.environ.get('MMCROWD_DATA_ROOT') or 'data')
    source = Path(args.data_root or root / benchmark.folder)
    out = Path(args.out or root / 'prepared' / benchmark.folder)
    splits = load_splits(benchmark, source)
    jobs = list_jobs(splits, out, folds=args.benchmark == 'ucf_cc_50')
    manifest = dict(
        source=str(source.resolve()),
        limits=json.loads(json.dumps(args.limits)),
        quality=args.quality,
    )
    removed = begin(out, manifest, {job['name']: job['info']['img_path'] for job in jobs})
    if removed:
        print(f'{removed} images were copied from other files than these: they are copied again.')
    pairs = [(job['info']['img_path'], job['target']) for job in jobs]
    bar, sizes = ProgressBar(len(pairs)), []
    # One image, one core.
    with ProcessPoolExecutor(args.workers, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        work = partial(prepare_image, limits=args.limits, quality=args.quality)
        for size in pool.map(work, pairs, chunksize=4):
            sizes.append(size)
            bar.update()
    print()
    problems = [size for size in sizes if isinstance(size, Exception)]
    if problems:
        lines = [f'- {problem}' for problem in problems[:MAX_NAMED]]
        if len(problems) > MAX_NAMED:
            lines.append(f'- and {len(problems) - MAX_NAMED} more')
        raise ValueError(f'{source}: {len(problems)} images not copied:\n' + '\n'.join(lines))
    data_list = [make_entry(job, *size) for job, size in zip(jobs, sizes, strict=True)]
    metainfo = dict(
        dataset_name=splits['test'].metainfo.get('dataset_name'),
        dataset_type=benchmark.dataset_type,
        limits=args.limits,
    )
    write_annotations(out / FILE_NAME, data_list, **metainfo)
    try:
        lines = verify(splits, load_splits(benchmark, out), out)
    except BaseException:  # nor does an interrupted verification leave what says "complete"
        (out / FILE_NAME).unlink()
        raise
    print('\n'.join(lines))
    number = (len(splits['trainval']), len(splits['test']))
    if number != benchmark.images:
        print(f'Note: {number} images for training and test, published are {benchmark.images}.')
    resized = sum(before != after for before, after in sizes)
    print(printable(f'{resized} of {len(sizes)} images resized. Complete: {out}'))


if __name__ == '__main__':
    command_line.run(main)
