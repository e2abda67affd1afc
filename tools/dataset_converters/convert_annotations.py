"""Convert what a labelling tool has written into the JSON file of ``CrowdDataset``.

Reads COCO (keypoints or boxes), LabelMe, "CVAT for images 1.1" and CSV; the image of each point
must lie in the folder IMAGES. ::

    python tools/dataset_converters/convert_annotations.py coco instances.json photos/images \
        --label person --out photos/annotations.json

Every point is one person; the centre of a box is its point. Coordinates become those of mmcrowd,
where integers are the centres of pixels. An image without shapes counts as one that shows nobody
only if the labels say so, see ``--empty-is-nobody``. All that is wrong is reported together, and
then nothing is written.
"""

import argparse
import os
import re
import uuid
from collections import Counter
from pathlib import Path, PureWindowsPath

import numpy as np
from label_formats import (
    LabelledImage,
    Shape,
    are_numbers,
    read_coco,
    read_csv,
    read_cvat,
    read_labelme,
    read_table,
)

from mmcrowd import command_line
from mmcrowd.datasets.annotation_json import FILE_NAME, GIVEN_SPLITS, write_annotations
from mmcrowd.datasets.base_crowd_dataset import clip_points, natural_key
from mmcrowd.datasets.crowd_dataset import CrowdDataset
from mmcrowd.fileio.files import list_tree, printable
from mmcrowd.fileio.images import read_image_header

# Where a format counts pixels from: labelling tools from the corner of the image, so that the
# centre of the first pixel is (0.5, 0.5); a CSV file, like mmcrowd, from that centre.
ORIGINS = dict(coco='corner', labelme='corner', cvat='corner', csv='centre')
IMAGE_ENDINGS = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
TOLERANCE = 1.0  # pixels that a point may lie outside
DECIMALS = 3  # of the coordinates that are written
MAX_REPORTED = 100
MAX_NAMED = 10


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert labels for CrowdDataset')
    parser.add_argument('format', choices=ORIGINS, help='of the labels')
    parser.add_argument('annotations', type=Path, help='file; for labelme a folder of .json files')
    parser.add_argument('images', type=Path, help='folder of the images, with its subfolders')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path(FILE_NAME),
        help='file to write; its folder is the data_root of the dataset; default: %(default)s',
    )
    parser.add_argument('--force', action='store_true', help='replace the file of --out')
    parser.add_argument(
        '--label', nargs='+', metavar='NAME', help='labels that are persons; default: all'
    )
    parser.add_argument('--keypoint', metavar='NAME', help='coco: the keypoint to take, if several')
    parser.add_argument(
        '--boxes', action='store_true', help='coco: take boxes where there are keypoints, too'
    )
    parser.add_argument(
        '--origin',
        choices=('corner', 'centre'),
        help='what (0, 0) is: the corner of the first pixel (default of coco, labelme and cvat) or '
        'its centre (default of csv)',
    )
    parser.add_argument(
        '--unrotated',
        action='store_true',
        help='the photos were labelled without their EXIF rotation: turn the points',
    )
    parser.add_argument(
        '--empty-is-nobody',
        action='store_true',
        help='coco, cvat: images that the file lists without any shape show nobody',
    )
    parser.add_argument(
        '--skip-unlabelled', action='store_true', help='leave out images without labels'
    )
    parser.add_argument(
        '--split-by',
        metavar='HOW',
        help='"folder": the subfolder of IMAGES, named train, val or test; or a CSV file with '
        'the columns image,split, where images that are not named are for training',
    )
    args = parser.parse_args(argv)
    if args.format != 'coco' and (args.keypoint or args.boxes):
        parser.error('--keypoint and --boxes are for coco')
    args.origin = args.origin or ORIGINS[args.format]
    for name in ('annotations', 'images', 'out'):
        setattr(args, name, Path(os.path.abspath(getattr(args, name))))
    return args


def convert(args: argparse.Namespace) -> str:
    """Read, check and write.

    Args:
        args: As :func:`parse_args` returns them.

    Returns:
        A summary to print.

    Raises:
        FileExistsError: If the file of ``--out`` is there, without ``--force``.
        FileNotFoundError: If there are no labels or no folder of images.
        ValueError: For labels that cannot be read, and for everything that does not fit.
    """
    check_paths(args)
    problems: list[str] = []
    labelled = read_labels(args, problems)
    kept, left_out = select_labels(labelled, args.label, args.annotations)
    by_name: set[Path] = set()
    paths = find_images(labelled, args, problems, by_name)
    splits = read_splits(paths, args, problems, by_name)

    shapes = [shape for image in paths.values() for shape in image.shapes]
    only_boxes = bool(shapes) and all(len(shape.values) == 4 for shape in shapes)
    entries, moved = [], 0
    for path, image in sorted(paths.items(), key=lambda item: natural_key(str(item[0]))):
        points, boxes, num_moved = measure(image, path, args, problems)
        entry = dict(img_path=Path(os.path.relpath(path, args.out.parent)).as_posix())
        if splits:
            entry['split'] = splits[path]
        entry['points'] = points
        if only_boxes:
            entry['boxes'] = boxes
        entries.append(entry)
        moved += num_moved
    if not entries and not problems:
        problems.append(f'{args.annotations}: no labelled image')
    if problems:
        report(problems)
    write(entries, args.out)
    return summary(entries, kept, left_out, moved, len(by_name), args.out)


def check_paths(args: argparse.Namespace) -> None:
    labels = args.annotations
    if not args.images.is_dir():
        raise FileNotFoundError(f'no folder of images {args.images}')
    if args.format == 'labelme' and not labels.is_dir():
        raise FileNotFoundError(f'no folder of labels {labels}')
    if args.format != 'labelme' and not labels.is_file():
        raise FileNotFoundError(f'no file of labels {labels}')
    if args.out == labels or labels in args.out.parents:
        raise ValueError(f'--out {args.out} lies among the labels; choose another folder')
    if args.out.exists() and not args.force:
        raise FileExistsError(f'{args.out} exists; --force replaces it')


def read_labels(args: argparse.Namespace, problems: list[str]) -> list[LabelledImage]:
    """The images of the file, with all their shapes."""
    if args.format == 'coco':
        return read_coco(args.annotations, problems, args.keypoint, args.boxes)
    readers = dict(labelme=read_labelme, cvat=read_cvat, csv=read_csv)
    return readers[args.format](args.annotations, problems)


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


def find_images(
    labelled: list[LabelledImage],
    args: argparse.Namespace,
    problems: list[str],
    by_name: set[Path],
) -> dict[Path, LabelledImage]:
    """The file of each image that is to be written; ``by_name`` as for :func:`find_image`."""
    paths: dict[Path, LabelledImage] = {}
    for image in labelled:
        path = find_image(image.name, args.images, by_name, image.folder)
        if path is None:
            problems.append(f'{image.where}: {no_image(image.name, args.images)}')
        elif path in paths:
            problems.append(f'{image.where}: {path} is there twice, also in {paths[path].where}')
        else:
            paths[path] = image

    if not args.skip_unlabelled:
        # A photo may have several paths, by links.
        listed = {os.path.realpath(path) for path in paths}
        unlisted = [p for p in image_files(args.images) if os.path.realpath(p) not in listed]
        unlisted.sort(key=lambda path: natural_key(str(path)))
        problems += [f'{path}: image without labels; see --skip-unlabelled' for path in unlisted]
    empty = [path for path, image in paths.items() if not image.shapes and not image.says_nobody]
    for path in [] if args.empty_is_nobody else empty:
        if args.skip_unlabelled:
            del paths[path]
        else:
            problems.append(
                f'{paths[path].where}: {paths[path].name} has no shapes; --empty-is-nobody if such '
                'images show nobody, --skip-unlabelled if they are not labelled yet'
            )

    stems: dict[Path, Path] = {}
    for path in paths:
        other = stems.setdefault(path.with_suffix(''), path)
        if other != path:
            problems.append(f'{path}: named as {other} but for the ending; rename one of them')
    return paths


def image_files(folder: Path) -> list[Path]:
    """All images of the tree but hidden ones, such as ``._IMG_1.jpg`` and ``.thumbs/IMG_1.jpg``."""
    return [path for path in list_tree(folder) if path.suffix.lower() in IMAGE_ENDINGS]


def find_image(
    name: str, images: Path, by_name: set[Path], folder: Path | None = None
) -> Path | None:
    """The file below ``images`` that a name in the labels means.

    The name is a path, with slashes of either kind, relative to the folder of the labels, to
    ``images`` or to a folder above. If it cannot be below ``images``, being absolute or out of
    them by ``..``, the labels were made elsewhere, and it means the file of the same last name
    directly in ``images``.

    Args:
        name: As the labels have it.
        images: Folder of the images.
        by_name: To add the files to that were found by their last name alone.
        folder: Folder of the labels, if they may be relative to it.
    """
    name = name.replace('\\', '/')
    for base in (*([folder] if folder else []), images, *images.parents):
        path = Path(os.path.abspath(base / name))
        if path.is_relative_to(images) and os.path.isfile(path):
            return path
    path = images / PureWindowsPath(name).name
    if is_elsewhere(name) and os.path.isfile(path):
        by_name.add(path)
        return path
    return None


def is_elsewhere(name: str) -> bool:
    """Whether a path with slashes leads out of every folder that it may be relative to."""
    drive_or_scheme = re.match(r'[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://', name)
    return bool(drive_or_scheme) or name.startswith('/') or os.path.normpath(name)[:3] == '../'


def no_image(name: str, images: Path) -> str:
    """The problem of a name that :func:`find_image` does not find."""
    base = PureWindowsPath(name).name
    there = base and os.path.isfile(images / base)
    hint = f'; {base} there is not in the folder that the labels name' if there else ''
    return f'no image {name!r} in {images}{hint}'


def read_splits(
    paths: dict[Path, LabelledImage],
    args: argparse.Namespace,
    problems: list[str],
    by_name: set[Path],
) -> dict[Path, str]:
    """The split of each image as ``--split-by`` says; empty without it."""
    splits: dict[Path, str] = {}
    if args.split_by is None:
        return splits
    if args.split_by == 'folder':
        for path in paths:
            splits[path] = path.relative_to(args.images).parts[0]
            if splits[path] not in GIVEN_SPLITS:
                problems.append(f'{path}: not below a folder train, val or test of {args.images}')
        return splits
    splits = dict.fromkeys(paths, 'train')
    for where, row in read_table(Path(args.split_by), ('image', 'split'), problems):
        path = find_image(row['image'], args.images, by_name)
        if path not in splits:
            problems.append(f'{where}: {row["image"]!r} is no labelled image')
        elif row['split'] not in GIVEN_SPLITS:
            problems.append(f'{where}: split {row["split"]!r}, expected train, val or test')
        else:
            splits[path] = row['split']
    return splits


def measure(
    image: LabelledImage, path: Path, args: argparse.Namespace, problems: list[str]
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
        problems.append(str(problem))
        return [], [], 0
    labelled_size = (height, width) if args.unrotated and orientation >= 5 else (width, height)
    if image.size is not None and image.size != labelled_size:
        problems.append(wrong_size(image, path, labelled_size, orientation, args.unrotated))
        return [], [], 0

    corners = [shape.values if len(shape.values) == 4 else shape.values * 2 for shape in shapes]
    boxes = np.array(corners, np.float64).reshape(-1, 2, 2)
    if args.origin == 'corner':
        boxes -= 0.5
    if args.unrotated:
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


def is_sound(shape: Shape, problems: list[str]) -> bool:
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


def report(problems: list[str]) -> None:
    lines = [f'- {problem}' for problem in problems[:MAX_REPORTED]]
    if len(problems) > MAX_REPORTED:
        lines.append(f'- and {len(problems) - MAX_REPORTED} more')
    number = f'{len(problems)} problem{"s" if len(problems) > 1 else ""}'
    raise ValueError(f'{number}, nothing is written:\n' + '\n'.join(lines))


def write(entries: list[dict], out: Path) -> None:
    """Write the file in one step, after the dataset has read it."""
    unchecked = out.with_name(f'{out.name}.{uuid.uuid4().hex}')
    try:
        write_annotations(unchecked, entries)
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


def main(argv: list[str] | None = None) -> None:
    print(printable(convert(parse_args(argv))))


if __name__ == '__main__':
    command_line.run(main)
