"""The image files that labels are about."""

import os
import posixpath
import re
from pathlib import Path, PureWindowsPath

from mmcrowd.fileio.files import list_tree, natural_key
from mmcrowd.fileio.problems import Problems

from .options import ConversionOptions
from .shapes import LabelledImage

IMAGE_ENDINGS = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')


def find_images(
    labelled: list[LabelledImage],
    options: ConversionOptions,
    problems: Problems,
    by_name: set[Path],
) -> dict[Path, LabelledImage]:
    """The file of each image that is to be written; ``by_name`` as for :func:`find_image`."""
    paths: dict[Path, LabelledImage] = {}
    for image in labelled:
        path = find_image(image.name, options.images, by_name, image.folder, options.annotations)
        if path is None:
            problems.append(f'{image.where}: {no_image(image.name, options.images)}')
        elif path in paths:
            problems.append(f'{image.where}: {path} is there twice, also in {paths[path].where}')
        else:
            paths[path] = image

    if not options.skip_unlabelled:
        # A photo may have several paths, by links.
        listed = {os.path.realpath(path) for path in paths}
        unlisted = [p for p in image_files(options.images) if os.path.realpath(p) not in listed]
        unlisted.sort(key=lambda path: natural_key(str(path)))
        for path in unlisted:
            problems.append(f'{path}: image without labels; see --skip-unlabelled')
    empty = [path for path, image in paths.items() if not image.shapes and not image.says_nobody]
    for path in [] if options.empty_is_nobody else empty:
        if options.skip_unlabelled:
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
    name: str,
    images: Path,
    by_name: set[Path],
    folder: Path | None = None,
    root: Path | None = None,
) -> Path | None:
    """The file below ``images`` that a name in the labels means.

    The name is a path, with slashes of either kind, relative to the folder of the labels, to the
    folder in ``images`` that mirrors it, to ``images`` or to a folder above. If it cannot be below
    ``images``, being absolute or out of them by ``..``, the labels were made elsewhere, and it
    means the file of the same last name directly in ``images``.

    Args:
        name: As the labels have it.
        images: Folder of the images.
        by_name: To add the files to that were found by their last name alone.
        folder: Folder of the labels, if they may be relative to it. Defaults to None.
        root: Folder of all labels, which ``folder`` is, or lies in. Defaults to None.
    """
    name = name.replace('\\', '/')
    bases = [images, *images.parents]
    nested = Path()
    if folder is not None:
        if root is not None and folder.is_relative_to(root):
            nested = folder.relative_to(root)
        bases = [folder, images / nested, *bases]
    for base in bases:
        path = Path(os.path.abspath(base / name))
        if path.is_relative_to(images) and os.path.isfile(path):
            # Of labels in a subfolder a bare name may mean another image than that in the root.
            if base == images and nested.parts and '/' not in name:
                by_name.add(path)
            return path
    path = images / PureWindowsPath(name).name
    if is_elsewhere(name) and os.path.isfile(path):
        by_name.add(path)
        return path
    return None


def is_elsewhere(name: str) -> bool:
    """Whether a path with slashes leads out of every folder that it may be relative to."""
    drive_or_scheme = re.match(r'[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://', name)
    return bool(drive_or_scheme) or name.startswith('/') or posixpath.normpath(name)[:3] == '../'


def no_image(name: str, images: Path) -> str:
    """The problem of a name that :func:`find_image` does not find."""
    base = PureWindowsPath(name).name
    there = base and os.path.isfile(images / base)
    hint = f'; {base} there is not in the folder that the labels name' if there else ''
    return f'no image {name!r} in {images}{hint}'
