"""From the labels of a labelling tool to the annotation file of ``CrowdDataset``."""

import os
import uuid
from collections import Counter
from pathlib import Path

import numpy as np

from mmcrowd.datasets.annotation_checks import clip_points
from mmcrowd.datasets.annotation_json import write_annotation_file
from mmcrowd.datasets.crowd_dataset import CrowdDataset
from mmcrowd.datasets.splits import GIVEN_SPLITS
from mmcrowd.fileio.files import natural_key
from mmcrowd.fileio.images import read_image_header
from mmcrowd.fileio.problems import Problems

from .coco import read_coco
from .csv import read_csv, read_table
from .cvat import read_cvat
from .image_search import find_image, find_images
from .labelme import read_labelme
from .options import ConversionOptions
from .shapes import LabelledImage, Shape, are_numbers

TOLERANCE = 1.0  # pixels that a point may lie outside
DECIMALS = 3  # of the coordinates that are written
MAX_REPORTED = 100
MAX_NAMED = 10


def convert(options: ConversionOptions) -> str:
    """Read, check and write.

    Args:
        options: What to convert, and how.

    Returns:
        A summary to print.

    Raises:
        FileExistsError: If the file of ``--out`` is there, without ``--force``.
        FileNotFoundError: If there are no labels or no folder of images.
        ValueError: For labels that cannot be read, and for everything that does not fit.
    """
    check_paths(options)
    problems = Problems(limit=MAX_REPORTED)
    labelled = read_labels(options, problems)
    kept, left_out = select_labels(labelled, options.label, options.annotations)
    by_name: set[Path] = set()
    paths = find_images(labelled, options, problems, by_name)
    splits = read_splits(paths, options, problems, by_name)

    shapes = [shape for image in paths.values() for shape in image.shapes]
    only_boxes = bool(shapes) and all(len(shape.values) == 4 for shape in shapes)
    entries, moved = [], 0
    for path, image in sorted(paths.items(), key=lambda item: natural_key(str(item[0]))):
        points, boxes, num_moved = measure(image, path, options, problems)
        entry = dict(img_path=Path(os.path.relpath(path, options.out.parent)).as_posix())
        if splits:
            entry['split'] = splits[path]
        entry['points'] = points
        if only_boxes:
            entry['boxes'] = boxes
        entries.append(entry)
        moved += num_moved
    if not entries and not problems:
        problems.append(f'{options.annotations}: no labelled image')
    problems.raise_if_any(f'{problems.counted}, nothing is written')
    write(entries, options.out)
    return summary(entries, kept, left_out, moved, len(by_name), options.out)


def check_paths(options: ConversionOptions) -> None:
    labels = options.annotations
    if not options.images.is_dir():
        raise FileNotFoundError(f'no folder of images {options.images}')
    if options.format == 'labelme' and not labels.is_dir():
        raise FileNotFoundError(f'no folder of labels {labels}')
    if options.format != 'labelme' and not labels.is_file():
        raise FileNotFoundError(f'no file of labels {labels}')
    if options.out == labels or labels in options.out.parents:
        raise ValueError(f'--out {options.out} lies among the labels; choose another folder')
    if options.out.exists() and not options.force:
        raise FileExistsError(f'{options.out} exists; --force replaces it')


def read_labels(options: ConversionOptions, problems: Problems) -> list[LabelledImage]:
    """The images of the file, with all their shapes."""
    if options.format == 'coco':
        return read_coco(options.annotations, problems, options.keypoint, options.boxes)
    readers = dict(labelme=read_labelme, cvat=read_cvat, csv=read_csv)
    return readers[options.format](options.annotations, problems)


def select_labels(
    images: list[LabelledImage], wanted: list[str] | None, source: Path
) -> tuple[Counter, Counter]:
    """Drop the shapes of other labels, in place.

    An image on which only other things are labelled was looked at: it shows nobody.

    Returns:
        Number of shapes of each label, kept and left out.

    Raises:
        ValueError: If a wanted label is nowhere.
    """
    found = Counter(shape.label for image in images for shape in image.shapes)
    if wanted is None:
        return found, Counter()
    unknown = [label for label in wanted if label not in found]
    if unknown:
        raise ValueError(f'{source}: --label {unknown} is nowhere, the labels are {sorted(found)}')
    for image in images:
        kept = [shape for shape in image.shapes if shape.label in wanted]
        image.says_nobody |= len(kept) == 0 < len(image.shapes)
        image.shapes = kept
    kept = Counter({label: found[label] for label in wanted})
    return kept, found - kept


def read_splits(
    paths: dict[Path, LabelledImage],
    options: ConversionOptions,
    problems: Problems,
    by_name: set[Path],
) -> dict[Path, str]:
    """The split of each image as ``--split-by`` says; empty without it."""
    splits: dict[Path, str] = {}
    if options.split_by is None:
        return splits
    if options.split_by == 'folder':
        folder = options.images
        for path in paths:
            splits[path] = path.relative_to(folder).parts[0]
            if splits[path] not in GIVEN_SPLITS:
                problems.append(f'{path}: not below a folder train, val or test of {folder}')
        return splits
    splits = dict.fromkeys(paths, 'train')
    for where, row in read_table(Path(options.split_by), ('image', 'split'), problems):
        path = find_image(row['image'], options.images, by_name)
        if path not in splits:
            problems.append(f'{where}: {row["image"]!r} is no labelled image')
        elif row['split'] not in GIVEN_SPLITS:
            problems.append(f'{where}: split {row["split"]!r}, expected train, val or test')
        else:
            splits[path] = row['split']
    return splits


def measure(
    image: LabelledImage, path: Path, options: ConversionOptions, problems: Problems
) -> tuple[list, list, int]:
    """Points and boxes of one image in the frame of mmcrowd.

    Returns:
        Points ``[x, y]``, boxes ``[x0, y0, x1, y1]`` (a point is a box of no size), and how many
        points lay outside, by up to :data:`TOLERANCE`, and were moved inside.
    """
    shapes = [shape for shape in image.shapes if is_sound(shape, problems)]
    try:
        _, (height, width), orientation = read_image_header(str(path))
    except (ValueError, OSError) as problem:
        problems.append(problem)
        return [], [], 0
    labelled_size = (height, width) if options.unrotated and orientation >= 5 else (width, height)
    if image.size is not None and image.size != labelled_size:
        problems.append(wrong_size(image, path, labelled_size, orientation, options.unrotated))
        return [], [], 0

    corners = [shape.values if len(shape.values) == 4 else shape.values * 2 for shape in shapes]
    boxes = np.array(corners, np.float64).reshape(-1, 2, 2)
    if options.origin == 'corner':
        boxes -= 0.5
    if options.unrotated:
        boxes = rotate(boxes, orientation, labelled_size)
        boxes = np.stack([boxes.min(axis=1), boxes.max(axis=1)], axis=1)
    points = boxes.mean(axis=1).round(DECIMALS)

    size = np.array([width, height])
    far = (points < -0.5 - TOLERANCE) | (points > size - 0.5 + TOLERANCE)
    for k in np.flatnonzero(far.any(axis=1)):
        problems.append(
            f'{shapes[k].where}: point {points[k].tolist()} lies outside the image of '
            f'{width} x {height} pixels'
        )
    inside = clip_points(points, (height, width))
    moved = int((inside != points.astype(np.float32)).any(axis=1).sum())
    return _rounded(inside), _rounded(boxes.reshape(-1, 4)), moved


def is_sound(shape: Shape, problems: Problems) -> bool:
    """Whether the shape is a point or a box of numbers; if not, a problem is appended."""
    values, problem = shape.values, shape.problem
    if not problem and (len(values) not in (2, 4) or not are_numbers(values)):
        problem = f'{list(values)}, expected finite numbers, two for a point or four for a box'
    elif not problem and len(values) == 4 and not (values[0] < values[2] and values[1] < values[3]):
        problem = f'box {list(values)} (x0, y0, x1, y1) has no area'
    if problem:
        problems.append(f'{shape.where}: {problem}')
    return not problem


def wrong_size(
    image: LabelledImage, path: Path, wanted: tuple[int, int], orientation: int, unrotated: bool
) -> str:
    """The problem of an image that has not the size for which it was labelled."""
    hint = ''
    if orientation >= 5 and image.size == wanted[::-1]:
        hint = (
            ', which is its size after the EXIF rotation; leave out --unrotated'
            if unrotated
            else ', which is its size before the EXIF rotation; if the labelling tool shows photos '
            'unrotated, --unrotated turns the points of all of them'
        )
    return (
        f'{image.where}: labelled as {image.size[0]} x {image.size[1]} pixels{hint}; {path} has '
        f'{wanted[0]} x {wanted[1]}'
    )


def rotate(points: np.ndarray, orientation: int, size: tuple[int, int]) -> np.ndarray:
    """Move points from the stored image to the image after EXIF rotation.

    Args:
        points: ``(..., 2)``, ``(x, y)`` with integers at pixel centres.
        orientation: 1 to 8, as in EXIF.
        size: ``(width, height)`` of the stored image.
    """
    last = np.array(size) - 1
    mirrored = np.array([orientation in (2, 3, 7, 8), orientation in (3, 4, 6, 7)])
    points = np.where(mirrored, last - points, points)
    return points[..., ::-1] if orientation >= 5 else points


def write(entries: list[dict], out: Path) -> None:
    """Write the file in one step, after the dataset has read it."""
    unchecked = out.with_name(f'{out.name}.{uuid.uuid4().hex}')
    try:
        write_annotation_file(unchecked, entries)
        # Without any split, 'test' reads the whole file.
        given = {'trainval' if e.get('split', 'test') != 'test' else 'test' for e in entries}
        num_points = 0
        for split in sorted(given):
            dataset = CrowdDataset(
                ann_file=str(unchecked),
                data_root=str(out.parent),
                split=split,
                cache=False,
                serialize_data=False,
            )
            num_points += sum(len(dataset.get_data_info(i)['points']) for i in range(len(dataset)))
        wanted = sum(len(entry['points']) for entry in entries)
        if num_points != wanted:
            raise ValueError(f'{out}: the dataset reads {num_points} points, expected {wanted}')
        os.replace(unchecked, out)
    finally:
        unchecked.unlink(missing_ok=True)


def summary(
    entries: list[dict], kept: Counter, left_out: Counter, moved: int, by_name: int, out: Path
) -> str:
    counts = [len(entry['points']) for entry in entries]
    nobody = [entry['img_path'] for entry in entries if not entry['points']]
    lines = [
        f'{out}: {len(entries)} images, {sum(counts)} points, {min(counts)} to {max(counts)} in an '
        f'image, {len(nobody)} images with nobody'
    ]
    if nobody:
        more = f' and {len(nobody) - MAX_NAMED} more' if len(nobody) > MAX_NAMED else ''
        lines.append(f'nobody: {", ".join(nobody[:MAX_NAMED])}{more}')
    for title, labels in (('labels', kept), ('left out', left_out)):
        if any(labels):
            names = (f'{name or "(none)"} {number}' for name, number in labels.most_common())
            lines.append(f'{title}: {", ".join(names)}')
    if by_name:
        lines.append(
            f'{by_name} images were found by their names alone: the labels name folders elsewhere'
        )
    if moved:
        lines.append(f'{moved} points up to {TOLERANCE:g} pixel outside were moved inside')
    splits = Counter(entry.get('split', 'train') for entry in entries)
    lines.append('splits: ' + ', '.join(f'{name} {splits[name]}' for name in GIVEN_SPLITS))
    if not splits['val']:
        lines.append('validation: every tenth of the training images')
        if splits['train'] < 10:
            lines.append(
                f'WARNING: {splits["train"]} training images are too few for that; mark some as '
                'val with --split-by'
            )
    return '\n'.join(lines)


def _rounded(values: np.ndarray) -> list:
    return [[round(value, DECIMALS) for value in row] for row in values.tolist()]
