import re

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from PIL import Image

from mmcrowd.registry import TRANSFORMS

# EXIF orientations that swap width and height, and the tag that holds the orientation.
_TRANSPOSED = (5, 6, 7, 8)
_ORIENTATION_TAG = 0x0112

# In coded data FF is followed by 00 or by a restart mark, FF may be repeated, FF01 stands alone.
_JPEG_MARKER = re.compile(rb'\xff[^\x00\x01\xd0-\xd7\xff]', re.DOTALL)
_END_OF_IMAGE = 0xD9


@TRANSFORMS.register_module()
class LoadCrowdImage(BaseTransform):
    """Load an image and start its meta information.

    The image is decoded to BGR with the EXIF rotation applied; grey images become three equal
    channels and transparency is dropped. An image that the dataset has rendered itself
    (``results['img']``) is taken as it is.

    Required keys: ``img_path`` or ``img``. Added keys: ``img`` (H, W, 3) uint8 BGR, ``ori_shape``,
    ``img_shape``, ``scale_factor``, ``crop_offset``, ``flip``.

    Args:
        backend_args: Arguments of the file backend, see :func:`mmengine.fileio.get`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be decoded or is cut off, naming the file.
    """

    def __init__(self, backend_args: dict | None = None):
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        if results.get('img') is None:
            results['img'] = load_image(results['img_path'], self.backend_args)
        shape = results['img'].shape[:2]
        results.update(
            ori_shape=shape,
            img_shape=shape,
            scale_factor=(1.0, 1.0),
            crop_offset=(0.0, 0.0),
            flip=False,
        )
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args})'


def load_image(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Decode an image file to ``(H, W, 3)`` uint8 BGR, with the EXIF rotation applied.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no image or is cut off.
    """
    content = fileio.get(str(path), backend_args)
    if _is_truncated(content):
        raise ValueError(f'{path}: image file is cut off after {len(content)} bytes')
    # OpenCV raises on an empty buffer and returns None for bytes that it cannot decode.
    img = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if img is None:
        raise ValueError(f'{path}: not a readable image ({len(content)} bytes)')
    return img


def read_image_shape(path: str) -> tuple[int, int]:
    """``(height, width)`` after EXIF rotation, from the header of the file alone."""
    try:
        with Image.open(path) as header:
            width, height = header.size
            orientation = header.getexif().get(_ORIENTATION_TAG, 1)
    except FileNotFoundError:
        raise FileNotFoundError(f'no image file {path}') from None
    except (OSError, SyntaxError) as error:
        raise ValueError(f'{path}: not a readable image ({error})') from error
    return (width, height) if orientation in _TRANSPOSED else (height, width)


def _is_truncated(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end mark.

    OpenCV decodes such a file without complaint and fills the rest with grey. What follows the end
    mark (the film of a "motion photo", say) does not matter.
    """
    if content.startswith(b'\xff\xd8'):
        return not _reaches_end_of_jpeg(content)
    return content.startswith(b'\x89PNG') and b'IEND' not in content


def _reaches_end_of_jpeg(content: bytes) -> bool:
    """Walk the segments of a JPEG (ITU-T T.81, annex B) to its end mark."""
    position = 2
    while marker := _JPEG_MARKER.search(content, position):
        code, position = content[marker.end() - 1], marker.end()
        if code == _END_OF_IMAGE:
            return True
        # The length of a segment counts its own two bytes. Coded data follow a scan's header; the
        # search for the next marker passes over them.
        position += int.from_bytes(content[position : position + 2], 'big')
    return False
