"""Photos to count on, from wherever they are: found one by one, and read to pixels."""

import glob
import io
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from http.client import HTTPException
from itertools import takewhile
from pathlib import Path, PurePath
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import unquote, urlparse
from urllib.request import Request, urlopen

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mmcrowd.fileio.files import is_hidden, natural_key
from mmcrowd.fileio.images import check_complete, decode_file, decode_image
from mmcrowd.version import __version__

# Files that are taken for photos where a folder is searched.
IMAGE_ENDINGS = {
    *('.avif', '.bmp', '.gif', '.heic', '.heif', '.jfif', '.jpeg', '.jpg', '.mpo', '.png'),
    *('.tif', '.tiff', '.webp'),
}
# Formats that OpenCV decodes, as Pillow names them. The pixels are then those that a network was
# trained on; Pillow decodes the others.
_BY_OPENCV = ('BMP', 'JPEG', 'MPO', 'PNG', 'TIFF', 'WEBP')
_BITS_PER_SAMPLE = 258  # tag of TIFF
# Marks of HEIC files, behind "ftyp" in the first box.
_HEIC = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1')

# Images of more pixels are refused unless they are asked for: Pillow's limit, which may be off.
LIMIT = 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS else sys.maxsize
# It is one for all threads.
_PILLOW = Lock()

MAX_DOWNLOAD = 2**28  # bytes
TIMEOUT = 30  # seconds without an answer

_SCHEME = re.compile(r'([A-Za-z][A-Za-z0-9+.-]*)://')
# Files of which people may think that they can be counted here.
_VIDEO_ENDINGS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


class Photo(NamedTuple):
    """An image that is known, but not read yet.

    Attributes:
        name: What it is called in results, unique among the images of a run: the path below the
            folder that was given, without its ending if it is then still unique.
        source: Where its pixels are.
        path: Its path or URL; None for an image that is in memory.
    """

    name: str
    source: Any
    path: str | None = None


class Pixels(NamedTuple):
    """An image that is read.

    Attributes:
        img: ``(H, W, 3)`` uint8 BGR, after EXIF rotation.
        notes: What of the image is not in the pixels.
    """

    img: np.ndarray
    notes: list[str]


# -------------------------------------------------------------------------------------- finding


def find_photos(
    inputs: Any,
    recursive: bool = False,
    on_missing: Callable[[str, Any, FileNotFoundError], None] | None = None,
) -> Iterator[Photo]:
    """Find the images that an input stands for, lazily.

    No more is kept in memory than the names in one folder, or the list or the matches of the
    pattern that was given; of an iterator, the names of its paths. The files of a folder come in
    natural order, before its subfolders, and so do the items of a set.

    Args:
        inputs: Path, URL (http, https), folder, pattern such as ``'photos/*.jpg'``, bytes of a
            file, binary file that is open, array ``(H, W, 3)`` BGR, ``(H, W, 4)`` BGRA or
            ``(H, W)`` grey, uint8, PIL image, or a sequence, a set or an iterator of such things.
            An iterator may also give a :class:`Photo`, which is not looked for and keeps its name.
        recursive: Search the subfolders of folders, too. Defaults to False.
        on_missing: Called with the name, the item and the error where a path does not exist, or
            nothing is found by it; the search goes on. Defaults to None: the error is raised.

    Raises:
        FileNotFoundError: There is no such path, or no image in a folder.
        TypeError: The input is none of these.
    """
    for label, item in _labelled(inputs):
        try:
            yield from _of_item(item, label, recursive)
        except FileNotFoundError as error:
            if on_missing is None:
                raise
            on_missing(label or str(item), item, error)


def list_photos(inputs: Any, recursive: bool = False) -> Iterator[Photo]:
    """As :func:`find_photos`, without what is not there."""
    return find_photos(inputs, recursive, on_missing=lambda *missing: None)


def _labelled(inputs: Any) -> Iterator[tuple[str, Any]]:
    """The items of an input, each with what its images are called, or the folder of these."""
    if is_iterator(inputs):
        yield from _labelled_one_by_one(inputs)
    elif _is_several(inputs):
        items = [_at_home(item) for item in _in_order(inputs)]
        labels = unique_names([_label(item, number) for number, item in enumerate(items)])
        yield from zip(labels, items, strict=True)
    else:
        item = _at_home(inputs)
        if _is_folder_or_pattern(item):
            yield '', item
        else:
            (label,) = unique_names([_label(item, 0)])
            yield label, item


def _labelled_one_by_one(items: Iterator) -> Iterator[tuple[str, Any]]:
    """The items of an iterator: paths with their names, others with their numbers."""
    taken: set[str] = set()
    copies: Counter[str] = Counter()
    are_named = True  # all items so far
    for number, item in enumerate(items):
        item = _at_home(item)
        name = _name(item)
        are_named = are_named and name != ''
        stem = _without_ending(name) or f'{number}'
        label = stem if name in ('', stem) or stem not in taken else name
        # The numbers of the others, of which there may be millions, are not remembered.
        if name and label.isdecimal() and not are_named:
            label = name
        while label in taken:
            copies[name or stem] += 1
            label = f'{name or stem}-{copies[name or stem] + 1}'
        if label != f'{number}' or name:
            taken.add(label)
        yield label, item


def is_iterator(inputs: Any) -> bool:
    """Whether an input is an iterator of images; a file that is open is one image."""
    return isinstance(inputs, Iterator) and not _is_file(inputs)


def _is_several(inputs: Any) -> bool:
    is_bytes = isinstance(inputs, str | bytes | bytearray | memoryview)
    return isinstance(inputs, Sequence | Set) and not is_bytes


def _in_order(items: Sequence | Set) -> Sequence:
    if isinstance(items, Set):
        return sorted(items, key=lambda item: natural_key(str(item)))
    return items


def _is_file(item: Any) -> bool:
    """Whether an item is a file that is open, or something like it."""
    return callable(getattr(item, 'read', None))


def _path_of(file: Any) -> Any:
    """What a file that is open says its path is; None, or a number, if it has none."""
    return getattr(file, 'name', None)


def _is_folder_or_pattern(item: Any) -> bool:
    return _is_path(item) and (os.path.isdir(item) or _as_pattern(item) is not None)


def _at_home(item: Any) -> Any:
    """A path with the home of the user in place of ``~``, anything else as it is."""
    if _is_path(item) and os.fspath(item).startswith('~') and not os.path.lexists(item):
        return os.path.expanduser(item)
    return item


def unique_names(names: Sequence[str]) -> list[str]:
    """Names without the endings of files where no two become the same, and numbered otherwise.

    Examples:
        >>> unique_names(['a.jpg', 'b.jpg', 'b.png', 'c.jpg', 'c.jpg'])
        ['a', 'b.jpg', 'b.png', 'c.jpg', 'c.jpg-2']
    """
    stems = [_without_ending(name) for name in names]
    times = Counter(stems)
    short = [stem if times[stem] == 1 else name for stem, name in zip(stems, names, strict=True)]
    taken = set(short)
    seen: Counter[str] = Counter()
    unique = []
    for name in short:
        seen[name] += 1
        given = name
        while seen[name] > 1 and given in taken:
            given = f'{name}-{seen[name]}'
            seen[name] += given in taken
        taken.add(given)
        unique.append(given)
    return unique


def _without_ending(name: str) -> str:
    return name[: -len(PurePath(name).suffix)] if _is_image_name(name) else name


def _is_image_name(name: str) -> bool:
    return PurePath(name).suffix.lower() in IMAGE_ENDINGS


def _is_path(item: Any) -> bool:
    return isinstance(item, str | os.PathLike)


def is_url(item: Any) -> bool:
    return _scheme(item) in ('http', 'https')


def _scheme(item: Any) -> str | None:
    """The part of a URL before ``://``, in small letters; None for anything else."""
    match = _SCHEME.match(item) if isinstance(item, str) else None
    return match[1].lower() if match else None


def _label(item: Any, number: int) -> str:
    """What an item of a list is called before the names are made unique."""
    return _name(item) or f'image_{number}'


def _name(item: Any) -> str:
    """The name of a file, folder or URL; empty for what has none."""
    if _is_file(item):
        item = _path_of(item)
    if is_url(item):
        name = PurePath(unquote(urlparse(item).path)).name
    elif _is_path(item):
        # A pattern is called like the folder that it is searched in.
        path = _folder_of(item) if _as_pattern(item) else item
        name = Path(os.path.abspath(path)).name
    else:
        name = ''
    return name if name.strip('.') else ''


def _folder_of(pattern: str | os.PathLike) -> Path:
    """The part of a pattern before the first wildcard."""
    return Path(*takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts))


def _as_pattern(path: str | os.PathLike) -> str | None:
    """The path if it is a pattern rather than the name of something."""
    text = os.fspath(path)
    is_pattern = glob.has_magic(text) and _scheme(text) is None and not os.path.lexists(text)
    return text if is_pattern else None


def _of_item(item: Any, label: str, recursive: bool) -> Iterator[Photo]:
    if isinstance(item, Photo):
        yield item
    elif _is_path(item) and not is_url(item):
        if pattern := _as_pattern(item):
            yield from _of_pattern(pattern, label)
            return
        if os.path.isdir(item):
            found = False
            for photo in _of_folder(Path(item), label, recursive, set()):
                found = True
                yield photo
            if not found:
                endings = ' '.join(sorted(IMAGE_ENDINGS))
                where = 'in it or below' if recursive else 'in it'
                raise FileNotFoundError(f'{item}: no image {where} ({endings})')
            return
        if not os.path.exists(item):
            if scheme := _scheme(item):
                raise FileNotFoundError(
                    f'{item}: a URL of {scheme}, expected one of http or https, or a path'
                )
            raise FileNotFoundError(f'no image, folder or matching file: {item}')
        yield Photo(label, item, os.fspath(item))
    elif is_url(item):
        yield Photo(label, item, item)
    elif isinstance(item, bytes | bytearray | memoryview | np.ndarray | Image.Image):
        yield Photo(label, item)
    elif _is_file(item):
        path = _path_of(item)
        is_known = _is_path(path) and os.path.exists(path)  # not in an archive, say
        yield Photo(label, item, os.fspath(path) if is_known else None)
    else:
        raise TypeError(
            f'{type(item).__name__} is no image; expected a path, URL, folder, pattern, bytes, '
            'binary file, array or PIL image, or several of them'
        )


def _of_folder(folder: Path, prefix: str, recursive: bool, seen: set[str]) -> Iterator[Photo]:
    seen.add(os.path.realpath(folder))
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not is_hidden(entry.name)]
        names = [entry.name for entry in shown if _is_image_name(entry.name) and entry.is_file()]
        folders = [entry.name for entry in shown if recursive and entry.is_dir()]
    names.sort(key=natural_key)
    for name, short in zip(names, unique_names(names), strict=True):
        path = folder / name
        yield Photo(f'{prefix}/{short}' if prefix else short, path, str(path))
    for name in sorted(folders, key=natural_key):
        if os.path.realpath(folder / name) not in seen:  # links may lead in circles
            below = f'{prefix}/{name}' if prefix else name
            yield from _of_folder(folder / name, below, recursive, seen)


def _of_pattern(pattern: str, prefix: str = '') -> Iterator[Photo]:
    files = [Path(path) for path in glob.iglob(pattern, recursive=True) if os.path.isfile(path)]
    paths = sorted((p for p in files if _is_image_name(p.name)), key=lambda p: natural_key(str(p)))
    if not paths:
        others = ''
        if files:
            endings = ' '.join(sorted(IMAGE_ENDINGS))
            others = f', but other files do, such as {files[0].name}; images end in {endings}'
        raise FileNotFoundError(f'no image matches {pattern}{others}')
    root = os.path.commonpath([path.parent for path in paths])
    names = unique_names([path.relative_to(root).as_posix() for path in paths])
    for path, name in zip(paths, names, strict=True):
        yield Photo(f'{prefix}/{name}' if prefix else name, path, str(path))


# -------------------------------------------------------------------------------------- reading


def read_photo(photo: Photo, max_pixels: int | None = None) -> Pixels:
    """Read the pixels of an image.

    Args:
        photo: The image.
        max_pixels: An image file of more pixels is refused. Defaults to None, the limit of Pillow,
            twice ``PIL.Image.MAX_IMAGE_PIXELS``, 179 million.

    Raises:
        FileNotFoundError: The file is not there, or cannot be downloaded.
        ValueError: It is no image, or one of too many pixels.
    """
    source = photo.source
    if isinstance(source, np.ndarray):
        return _from_array(source, photo.name)
    if isinstance(source, Image.Image):
        with _naming(photo.name):
            return Pixels(*_from_pillow(source, _notes_of(source)))
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_photo(bytes(source), photo.path or photo.name, max_pixels)
    if is_url(source):
        return decode_photo(_download(source), str(photo.path), max_pixels)
    if _is_file(source):
        name = photo.path or photo.name
        return decode_photo(_content_of(source, name), name, max_pixels)
    try:
        content = Path(source).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f'no image file {source}') from None
    return decode_photo(content, str(photo.path), max_pixels)


def _content_of(file: Any, name: str) -> bytes:
    """All of a file that is open, from its start if that can be gone back to, as Pillow does."""
    content = None
    if not isinstance(file, io.TextIOBase):
        with _naming(name):
            if getattr(file, 'seekable', lambda: False)():
                file.seek(0)
            content = file.read()
    if not isinstance(content, bytes | bytearray):
        raise ValueError(f'{name}: {type(file).__name__}, expected a binary file, open(..., "rb")')
    return bytes(content)


def decode_photo(content: bytes, name: str, max_pixels: int | None = None) -> Pixels:
    """Decode an image file to BGR; its header is looked at before anything is decoded.

    Grey becomes three equal channels, transparency is dropped, of several frames the first is kept,
    and of 16 bits the upper 8; but values that fit into 14 bits are taken for those of a camera
    with so many, which is noted.

    Args:
        content: The file.
        name: Its name, for the errors.
        max_pixels: An image of more pixels is refused. Defaults to None, the limit of Pillow.

    Raises:
        ValueError: As :func:`read_photo`.
    """
    if not content:
        raise ValueError(f'{name}: the file is empty')
    is_heic = content[4:8] == b'ftyp' and content[8:12] in _HEIC
    if is_heic:
        _open_heic(name)
    try:
        with _naming(name):
            image = _open_with_pillow(content, max_pixels)
    except UnidentifiedImageError:
        is_video = PurePath(name).suffix.lower() in _VIDEO_ENDINGS
        hint = '; videos are counted by mmcrowd video' if is_video else ''
        raise ValueError(f'{name}: not a readable image ({len(content)} bytes){hint}') from None
    except Image.DecompressionBombError as error:
        # Who has set a lower limit knows.
        hint = '' if max_pixels is None or max_pixels < LIMIT else '; see max_pixels, --max-pixels'
        raise ValueError(f'{name}: {error}{hint}') from None
    with image:
        if max_pixels is not None and image.width * image.height > max_pixels:
            raise ValueError(
                f'{name}: {image.width} x {image.height} pixels, expected at most '
                f'{max_pixels / 1e6:g} million'
            )
        with _naming(name):
            notes = _notes_of(image)
            if image.format not in _BY_OPENCV:
                return Pixels(*_from_pillow(image, notes))
        is_deep = _is_deep(image, content)
    if is_deep:
        check_complete(content, name)
        img = decode_image(content, name, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, None)
        return Pixels(*_upper_bits(img, notes))
    return Pixels(decode_file(content, name), notes)


def _is_deep(image: Image.Image, content: bytes) -> bool:
    """Whether the channels of a file have 16 bits, which Pillow does not tell of colours."""
    if image.format == 'PNG':
        return content[24] == 16
    tags = getattr(image, 'tag_v2', {})
    return image.format == 'TIFF' and max(tags.get(_BITS_PER_SAMPLE, (1,))) == 16


def _upper_bits(img: np.ndarray, notes: list[str]) -> tuple[np.ndarray, list[str]]:
    """The upper 8 of the bits that the values have, and the notes with what was assumed.

    Cameras write 10, 12 or 14 bits into files of 16; values up to 255 stay as they are.
    """
    if img.dtype == np.uint8:
        return img, notes
    if img.dtype != np.uint16:
        img = img.clip(0, 2**16 - 1).astype(np.uint16)
    bits = max(8, int(img.max(initial=0)).bit_length())
    if bits > 14:
        return (img >> 8).astype(np.uint8), notes
    note = f'values up to {img.max(initial=0)} of 65535 were taken for {bits} bits, not 16'
    return (img >> (bits - 8)).astype(np.uint8), [*notes, note]


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Context in which the errors of damaged files, of which Pillow has many kinds, get a name."""
    try:
        yield
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise
    except Exception as error:
        raise ValueError(f'{name}: not a readable image ({error})') from error


def _open_with_pillow(content: bytes, max_pixels: int | None) -> Image.Image:
    """The header of an image, which may have ``max_pixels`` even where Pillow would refuse it."""
    with warnings.catch_warnings(), _PILLOW:
        # Large, but below the limit.
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        usual = Image.MAX_IMAGE_PIXELS
        if usual is not None and max_pixels is not None:  # it refuses twice as many
            Image.MAX_IMAGE_PIXELS = max(usual, -(-max_pixels // 2))
        try:
            return Image.open(io.BytesIO(content))
        finally:
            Image.MAX_IMAGE_PIXELS = usual


def _open_heic(name: str) -> None:
    """Let Pillow read HEIC."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise ValueError(
            f'{name}: a HEIC image, which needs pillow-heif: run `pip install pillow-heif`'
        ) from None
    register_heif_opener()


def _notes_of(image: Image.Image) -> list[str]:
    notes = []
    # The second "frame" of a phone's photo (MPO) is no other picture.
    frames = 1 if image.format == 'MPO' else getattr(image, 'n_frames', 1)
    if frames > 1:
        notes.append(f'the first of {frames} frames was counted')
    has_alpha = image.mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La') or 'transparency' in image.info
    if has_alpha and np.asarray(image.convert('RGBA').getchannel('A')).min() < 255:
        notes.append('transparent areas were counted with the colours that they hide')
    return notes


def _from_pillow(image: Image.Image, notes: list[str]) -> tuple[np.ndarray, list[str]]:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I'):  # 16 bits, of which convert() would clip all but the lowest 8
        grey, notes = _upper_bits(np.asarray(image), notes)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), notes
    if image.mode == 'F':
        raise ValueError('floating-point pixels, expected 8 or 16 bits')
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1]), notes


def _from_array(img: np.ndarray, name: str) -> Pixels:
    channels = img.shape[2] if img.ndim == 3 else 1
    if img.dtype != np.uint8 or img.ndim not in (2, 3) or channels not in (1, 3, 4) or not img.size:
        raise ValueError(
            f'{name}: an array {img.dtype} {img.shape}, expected uint8 (H, W, 3) BGR, (H, W, 4) '
            'BGRA or (H, W) grey'
        )
    notes = []
    if channels == 4 and img[..., 3].min() < 255:
        notes.append('transparent areas were counted with the colours that they hide')
    if channels == 1:
        return Pixels(cv2.cvtColor(img, cv2.COLOR_GRAY2BGR), notes)
    return Pixels(np.ascontiguousarray(img[..., :3]), notes)


def _download(url: str) -> bytes:
    try:
        # Some servers refuse the name that Python gives itself.
        request = Request(url, headers={'User-Agent': f'mmcrowd/{__version__}'})
        with urlopen(request, timeout=TIMEOUT) as answer:
            content = answer.read(MAX_DOWNLOAD + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise FileNotFoundError(f'cannot download {url} ({error})') from None
    if len(content) > MAX_DOWNLOAD:
        raise ValueError(f'{url}: more than {MAX_DOWNLOAD:,} bytes')
    return content


def number_of_photos(inputs: Any, recursive: bool = False) -> int | None:
    """How many images an input stands for; None for an iterator.

    Folders and patterns are searched, files are not looked at.
    """
    if is_iterator(inputs):
        return None
    items = [_at_home(item) for item in (inputs if _is_several(inputs) else [inputs])]
    return sum(
        sum(1 for _ in list_photos(item, recursive)) if _is_folder_or_pattern(item) else 1
        for item in items
    )
