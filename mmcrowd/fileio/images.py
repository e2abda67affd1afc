"""Reading image files: pixels, sizes and orientation, with EXIF rotation applied throughout."""

import re
from collections.abc import Iterator

import cv2
import numpy as np
from mmengine import fileio
from PIL import ExifTags, Image

# The first of the EXIF orientations that swap width and height, up to 8.
TRANSPOSED = 5

# In coded data FF is followed by 00 or by a restart mark, FF may be repeated, FF01 stands alone.
_JPEG_MARKER = re.compile(rb'\xff[^\x00\x01\xd0-\xd7\xff]', re.DOTALL)
START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
# Frames with Huffman codes and one pass over the pixels.
SEQUENTIAL = (0xC0, 0xC1)


def load_image(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Decode an image file to ``(H, W, 3)`` uint8 BGR, with the EXIF rotation applied.

    Grey becomes three equal channels, CMYK and palettes become BGR, transparency is dropped without
    blending, and of 16 bits the upper 8 are kept. Coded data that are damaged inside a JPEG which
    is otherwise whole cannot be told from a picture: they are decoded as they are.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no image or is cut off.
    """
    return decode_image(read_image_file(path, backend_args), path, cv2.IMREAD_COLOR)


def resize_image(img: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to ``size = (h, w)``; area averaging when both axes shrink, bilinear otherwise."""
    if img.shape[:2] == tuple(size):
        return img
    shrinks = size[0] <= img.shape[0] and size[1] <= img.shape[1]
    return cv2.resize(
        img, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def read_image_shape(path: str) -> tuple[int, int]:
    """``(height, width)`` after EXIF rotation, from the header of the file alone."""
    try:
        with Image.open(path) as header:
            width, height = header.size
            orientation = read_orientation(header)
    except FileNotFoundError:
        raise FileNotFoundError(f'no image file {path}') from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f'{path}: not a readable image ({error})') from error
    return (width, height) if orientation >= TRANSPOSED else (height, width)


def read_orientation(header: Image.Image) -> int:
    """EXIF orientation, 1 (as it is) to 8, that :func:`load_image` applies to an opened file."""
    if header.format == 'TIFF':  # turned already, by Pillow and by OpenCV
        return 1
    for key in ('xmp', 'XML:com.adobe.xmp'):  # where Pillow looks too, but OpenCV does not
        header.info.pop(key, None)
    value = header.getexif().get(ExifTags.Base.Orientation, 1)
    return value if value in range(1, 9) else 1


def read_image_file(path: str, backend_args: dict | None) -> bytes:
    content = fileio.get(str(path), backend_args)
    if _is_truncated(content):
        raise ValueError(f'{path}: image file is cut off after {len(content)} bytes')
    return content


def decode_image(content: bytes, path: str, flags: int) -> np.ndarray:
    # OpenCV raises on an empty buffer and on more pixels than it allows, and returns None for bytes
    # that it cannot decode.
    try:
        img = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    except cv2.error as error:
        raise ValueError(f'{path}: not a readable image ({error})') from error
    if img is None:
        raise ValueError(f'{path}: not a readable image ({len(content)} bytes)')
    return img


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


def jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, parameters and end of each segment of a JPEG (ITU-T T.81, annex B)."""
    position = 2
    while marker := _JPEG_MARKER.search(content, position):
        start = marker.end()
        # The length of a segment counts its own two bytes. Coded data follow a scan's header; the
        # search for the next marker passes over them.
        position = start + int.from_bytes(content[start : start + 2], 'big')
        yield content[start - 1], content[start + 2 : position], position
