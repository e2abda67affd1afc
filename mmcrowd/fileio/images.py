"""Reading image files: pixels, sizes and orientation, with EXIF rotation applied throughout."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from mmengine import fileio
from PIL import ExifTags, Image

TRANSPOSED = 5  # the first of the EXIF orientations that swap width and height, up to 8
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # of cv2.flip, behind the swap
# Pillow's names of the formats whose EXIF data OpenCV looks at.
_WITH_EXIF = ('JPEG', 'MPO', 'PNG', 'WEBP')

# In coded data FF is followed by 00 or by a restart mark, FF may be repeated, FF01 stands alone.
_JPEG_MARKER = re.compile(rb'\xff[^\x00\x01\xd0-\xd7\xff]', re.DOTALL)
START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_APP1 = 0xE1
# Frames with Huffman codes and one pass over the pixels.
SEQUENTIAL = (0xC0, 0xC1)


class ImageHeader(NamedTuple):
    """What the header of an image file says.

    Attributes:
        format: As Pillow names it, such as ``'JPEG'``.
        size: ``(h, w)`` in pixels, after EXIF rotation.
        orientation: The EXIF orientation that :func:`load_image` applies, 1 (as it is) to 8.
    """

    format: str
    size: tuple[int, int]
    orientation: int


def load_image(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Decode an image file to ``(H, W, 3)`` uint8 BGR, with the EXIF rotation applied.

    The rotation is that of :func:`exif_orientation`; formats other than JPEG, PNG and WebP have
    none, or, TIFF, one of their own, which the decoders apply.
    Grey becomes three equal channels, CMYK and palettes become BGR, transparency is dropped without
    blending, and of 16 bits the upper 8 are kept. Coded data that are damaged inside a JPEG which
    is otherwise whole cannot be told from a picture: they are decoded as they are.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no image or is cut off.
    """
    return decode_file(_read_bytes(path, backend_args), path)


def decode_file(content: bytes, name: str) -> np.ndarray:
    """Decode the bytes of an image file as :func:`load_image` does.

    Args:
        content: The file.
        name: Its name, for the errors.

    Raises:
        ValueError: If it is no image or is cut off.
    """
    check_complete(content, name)
    return decode_image(content, name, cv2.IMREAD_COLOR, jpeg_orientation(content))


def resize_image(img: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to ``size = (h, w)``; area averaging when both axes shrink, bilinear otherwise."""
    if img.shape[:2] == tuple(size):
        return img
    shrinks = size[0] <= img.shape[0] and size[1] <= img.shape[1]
    return cv2.resize(
        img, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def read_image_shape(path: str) -> tuple[int, int]:
    """``(height, width)`` after EXIF rotation, see :func:`read_image_header`."""
    return read_image_header(path).size


def read_image_header(path: str) -> ImageHeader:
    """Format, size and orientation of an image file, without its pixels where that is possible.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no image, or its header is damaged, naming the file.
    """
    try:
        with Image.open(path) as header:
            width, height = header.size
            if header.format == 'PNG':
                header.load()  # EXIF data may follow the pixels
            exif = header.info.get('exif', b'') if header.format in _WITH_EXIF else b''
    except FileNotFoundError:
        raise FileNotFoundError(f'no image file {path}') from None
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise ValueError(f'{path}: not a readable image ({error})') from error
    orientation = exif_orientation(exif)
    size = (width, height) if orientation >= TRANSPOSED else (height, width)
    return ImageHeader(str(header.format), size, orientation)


def exif_orientation(exif: bytes) -> int:
    """The orientation that EXIF data give, 1 (as it is) to 8.

    Anything else than one of the eight numbers counts as 1, and so do data that are damaged before
    it.
    """
    block = Image.Exif()
    try:
        block.load(exif)
        value = block.get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises many kinds for damaged data
        return 1
    return value if type(value) is int and 1 <= value <= 8 else 1


def read_image_file(path: str, backend_args: dict | None) -> bytes:
    content = _read_bytes(path, backend_args)
    check_complete(content, path)
    return content


def _read_bytes(path: str, backend_args: dict | None) -> bytes:
    try:
        return fileio.get(str(path), backend_args)
    except FileNotFoundError:
        raise FileNotFoundError(f'no image file {path}') from None
    except OSError as error:  # a file system that is gone, a disk that fails
        raise OSError(f'{path}: cannot be read ({error.strerror or error})') from error


def check_complete(content: bytes, name: str) -> None:
    """Make sure that a JPEG or PNG is not cut off.

    Raises:
        ValueError: If it is.
    """
    if _is_truncated(content):
        raise ValueError(f'{name}: image file is cut off after {len(content)} bytes')


def decode_image(content: bytes, path: str, flags: int, orientation: int | None) -> np.ndarray:
    """Decode with this EXIF orientation; None leaves it to OpenCV."""
    if orientation is not None:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    # OpenCV raises on an empty buffer and on more pixels than it allows, and returns None for bytes
    # that it cannot decode.
    try:
        img = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    except cv2.error as error:
        raise ValueError(f'{path}: not a readable image ({error})') from error
    if img is None:
        raise ValueError(f'{path}: not a readable image ({len(content)} bytes)')
    if orientation is not None and orientation >= TRANSPOSED:
        img = cv2.transpose(img)
    return cv2.flip(img, _FLIPS[orientation]) if orientation in _FLIPS else img


def _is_truncated(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end mark.

    OpenCV decodes such a file without complaint and fills the rest with grey. What follows the end
    mark (the film of a "motion photo", say) does not matter.
    """
    if content.startswith(b'\xff\xd8'):
        return not _reaches_end_of_jpeg(content)
    return content.startswith(b'\x89PNG') and b'IEND' not in content


def _reaches_end_of_jpeg(content: bytes) -> bool:
    """Walk the segments of a JPEG to its end mark.

    The usual file has one scan, of all components, so nothing but the end mark follows. Its coded
    data, nearly the whole file, are not searched: the two bytes of the mark cannot be among them,
    so that if these are found anywhere behind the scan's header, the coded data ended before. They
    are looked for from the back, where they usually are.
    """
    components = None
    for code, segment, end in jpeg_segments(content):
        if code == _END_OF_IMAGE:
            return True
        if code in SEQUENTIAL:
            components = segment[5:6]
        elif code == START_OF_SCAN and segment[:1] == components:
            return content.rfind(bytes((0xFF, _END_OF_IMAGE)), end) >= 0
    return False


def jpeg_orientation(content: bytes) -> int | None:
    """EXIF orientation of a JPEG; None for all other files."""
    if not content.startswith(b'\xff\xd8'):
        return None
    exif = b''
    for code, segment, _ in jpeg_segments(content):
        if code == START_OF_SCAN:
            break
        if code == _APP1 and segment.startswith(b'Exif\0\0'):
            # Data that are too long for one segment go on in the next, as Pillow has it.
            exif += segment[6:] if exif else segment
    return exif_orientation(exif)


def jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, parameters and end of each segment of a JPEG (ITU-T T.81, annex B)."""
    position = 2
    while marker := _JPEG_MARKER.search(content, position):
        start = marker.end()
        # The length of a segment counts its own two bytes. Coded data follow a scan's header; the
        # search for the next marker passes over them.
        position = start + int.from_bytes(content[start : start + 2], 'big')
        yield content[start - 1], content[start + 2 : position], position
