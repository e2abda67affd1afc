import io
import re
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from mmcrowd.registry import TRANSFORMS
from mmcrowd.structures.frame import truth_to_original_frame

_TRANSPOSED = 5  # the first of the EXIF orientations that swap width and height, up to 8
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # of cv2.flip, behind the swap
# Pillow's names of the formats whose EXIF data OpenCV looks at.
_WITH_EXIF = ('JPEG', 'MPO', 'PNG', 'WEBP')

# In coded data FF is followed by 00 or by a restart mark, FF may be repeated, FF01 stands alone.
_JPEG_MARKER = re.compile(rb'\xff[^\x00\x01\xd0-\xd7\xff]', re.DOTALL)
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_APP1 = 0xE1
# Frames with Huffman codes: sequential ones, and with the progressive those that the decoder scales
# (it does not scale lossless ones).
_SEQUENTIAL = (0xC0, 0xC1)
_SCALABLE = (0xC0, 0xC1, 0xC2)

_DECODE_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


@TRANSFORMS.register_module()
class LoadCrowdImage(BaseTransform):
    """Load an image and start its meta information.

    The image is decoded to BGR with the EXIF rotation applied; grey images become three equal
    channels and transparency is dropped. An image that the dataset has rendered itself
    (``results['img']``) is taken as it is.

    Required keys: ``img_path`` or ``img``. Added keys: ``img`` (H, W, 3) uint8 BGR, ``ori_shape``,
    ``img_shape``, ``scale_factor``, ``crop_offset``, ``flip``; where there are ``points``,
    ``gt_original``, the points, boxes and sigmas as annotated, in the original frame. What only
    compares takes these, so that no rounding on a way there and back is in it; a transform that
    drops points drops their rows there too.

    Args:
        backend_args: Arguments of the file backend, see :func:`mmengine.fileio.get`.
        lazy: Leave a JPEG encoded, ``img`` being an :class:`EncodedImage`, until a transform needs
            its pixels. :class:`LimitSide` then only plans, and :class:`RandomScaleCrop` decodes no
            finer than its crop needs: for training on large photos, where the crop follows these
            two. The pixels differ a little from those of resizing twice; the points are where the
            pixels are. Where neither a plan nor the crop shrinks the image, nothing differs. Other
            formats are decoded at once. Default False.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be decoded or is cut off, naming the file; with ``lazy``
            perhaps not before the pixels are needed.
    """

    def __init__(self, backend_args: dict | None = None, lazy: bool = False):
        self.backend_args = backend_args
        self.lazy = lazy

    def transform(self, results: dict) -> dict:
        if results.get('img') is None:
            load = open_image if self.lazy else load_image
            results['img'] = load(results['img_path'], self.backend_args)
        shape = results['img'].shape[:2]
        # The image may be a resized copy of what the dataset counts as the original.
        original = results.get('ori_shape', shape)
        results.update(
            ori_shape=original,
            img_shape=shape,
            scale_factor=(shape[1] / original[1], shape[0] / original[0]),
            crop_offset=(0.0, 0.0),
            flip=False,
        )
        if 'points' in results:
            results['gt_original'] = truth_to_original_frame(results, results)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args}, lazy={self.lazy})'


class EncodedImage:
    """A JPEG that is not decoded yet, and the size that it is planned to have.

    ``np.asarray`` gives the pixels in that size, (h, w, 3) uint8 BGR: what needs pixels calls it
    and need not know whether the image is encoded.

    **Decoding at 1/r.** libjpeg can decode to ceil(W / r) x ceil(H / r) pixels, r being 1, 2, 4
    or 8, which spares most of the work but for reading the codes. Pixel j is the mean of the
    pixels [r j, r j + r), so this is a resize by exactly 1/r, and the last column and row may be
    cells that are only partly inside the image.

    Args:
        content: The file.
        path: Its name, for errors.
        header: What is known of it.
        planned: ``(h, w)`` in pixels that the image shall have. Default its own size.
    """

    def __init__(
        self,
        content: bytes,
        path: str,
        header: 'JpegHeader',
        planned: tuple[int, int] | None = None,
    ):
        self.content = content
        self.path = path
        self.header = header
        self.planned = header.size if planned is None else tuple(planned)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the planned image, as that of an array."""
        return (*self.planned, 3)

    @property
    def scale(self) -> tuple[float, float]:
        """Planned scale ``(sx, sy)``."""
        height, width = self.header.size
        return self.planned[1] / width, self.planned[0] / height

    def resize(self, planned: tuple[int, int]) -> 'EncodedImage':
        """The same file with another plan, ``(h, w)``."""
        return EncodedImage(self.content, self.path, self.header, planned)

    def reduction(self, scale: float, whole_cells: bool = False) -> int:
        """The strongest reduction that is still no coarser than ``scale``.

        Args:
            scale: Scale that the original pixels shall have in the end, the larger one of the axes.
            whole_cells: Whether both sides must divide by the reduction. EXIF rotation makes it
                necessary too: it can bring the part of a cell to the left or to the top, where it
                would shift all the others.

        Returns:
            1, 2, 4 or 8.
        """
        whole_cells = whole_cells or self.header.orientation != 1
        for r in (8, 4, 2):
            if scale * r <= 1 and not (whole_cells and any(side % r for side in self.header.size)):
                return r
        return 1

    def decoded_size(self, reduction: int) -> tuple[int, int]:
        """``(h, w)`` at 1/``reduction``."""
        height, width = self.header.size
        return -(-height // reduction), -(-width // reduction)

    def decode(
        self, reduction: int = 1, window: tuple[int, int, int, int] | None = None
    ) -> np.ndarray:
        """Pixels at 1/``reduction``.

        Args:
            reduction: 1, 2, 4 or 8.
            window: ``(x0, y0, w, h)`` in pixels of that size. Default None, the whole image. What
                lies below the window is not even read where the file allows it.

        Returns:
            ``(h, w, 3)`` uint8 BGR.

        Raises:
            ValueError: If the file cannot be decoded, naming it.
        """
        size = self.decoded_size(reduction)
        x0, y0, w, h = (0, 0, size[1], size[0]) if window is None else window
        # Upsampling of colours looks one row ahead; and OpenCV is the faster to the last row.
        rows = (y0 + h + 2) * reduction
        if self.header.height_at is not None and rows < 0.95 * self.header.size[0]:
            img = self._decode_top(reduction, rows, (x0, y0, w, h))
            if img is not None:
                return img
        flags = _DECODE_REDUCED[reduction]
        img = _decode(self.content, self.path, flags, self.header.orientation)
        if img.shape[:2] != size:
            raise ValueError(
                f'{self.path}: decoded at 1/{reduction} to {img.shape[:2]} pixels (h, w), expected '
                f'{size} from its header'
            )
        return img[y0 : y0 + h, x0 : x0 + w]

    def _decode_top(
        self, reduction: int, rows: int, window: tuple[int, int, int, int]
    ) -> np.ndarray | None:
        """The window of a file that pretends to have fewer rows; libjpeg stops behind them.

        OpenCV would warn of the data that are left. None for a file that Pillow refuses; OpenCV
        then has the say.
        """
        at, content = self.header.height_at, memoryview(self.content)
        shortened = b''.join((content[:at], int(rows).to_bytes(2, 'big'), content[at + 2 :]))
        x0, y0, w, h = window
        try:
            img = JpegImageFile(io.BytesIO(shortened))
            img.draft(None, tuple(max(side // reduction, 1) for side in img.size))
            img = np.asarray(img.crop((x0, y0, x0 + w, y0 + h)))
        except (OSError, SyntaxError):
            return None
        return cv2.cvtColor(img, cv2.COLOR_RGB2BGR if img.ndim == 3 else cv2.COLOR_GRAY2BGR)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        # Whole cells, so that it is the planned image to a fraction of a pixel.
        img = self.decode(self.reduction(max(self.scale), whole_cells=True))
        return np.asarray(resize_image(img, self.planned), dtype)


class JpegHeader(NamedTuple):
    """What :class:`EncodedImage` needs to know of its file.

    Attributes:
        size: ``(h, w)`` in pixels, after EXIF rotation.
        orientation: EXIF orientation, see :func:`exif_orientation`.
        height_at: Where the two bytes of the height are, if the rows come one after the other, from
            the top: in one scan of grey or three colours. None otherwise.
    """

    size: tuple[int, int]
    orientation: int
    height_at: int | None


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
    content = _read(path, backend_args)
    return _decode(content, path, cv2.IMREAD_COLOR, _jpeg_orientation(content))


def open_image(path: str, backend_args: dict | None = None) -> 'np.ndarray | EncodedImage':
    """Like :func:`load_image`, but a JPEG stays encoded, with its size from the header."""
    content = _read(path, backend_args)
    header = _read_jpeg_header(content)
    if header is None:
        return _decode(content, path, cv2.IMREAD_COLOR, _jpeg_orientation(content))
    return EncodedImage(content, path, header)


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
    size = (width, height) if orientation >= _TRANSPOSED else (height, width)
    return ImageHeader(header.format, size, orientation)


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


def _read(path: str, backend_args: dict | None) -> bytes:
    content = fileio.get(str(path), backend_args)
    if _is_truncated(content):
        raise ValueError(f'{path}: image file is cut off after {len(content)} bytes')
    return content


def _decode(content: bytes, path: str, flags: int, orientation: int | None) -> np.ndarray:
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
    if orientation is not None and orientation >= _TRANSPOSED:
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
    for code, segment, end in _segments(content):
        if code == _END_OF_IMAGE:
            return True
        if code in _SEQUENTIAL:
            components = segment[5:6]
        elif code == _START_OF_SCAN and segment[:1] == components:
            return content.rfind(bytes((0xFF, _END_OF_IMAGE)), end) >= 0
    return False


def _jpeg_orientation(content: bytes) -> int | None:
    """EXIF orientation of a JPEG; None for all other files."""
    if not content.startswith(b'\xff\xd8'):
        return None
    exif = b''
    for code, segment, _ in _segments(content):
        if code == _START_OF_SCAN:
            break
        if code == _APP1 and segment.startswith(b'Exif\0\0'):
            # Data that are too long for one segment go on in the next, as Pillow has it.
            exif += segment[6:] if exif else segment
    return exif_orientation(exif)


def _read_jpeg_header(content: bytes) -> JpegHeader | None:
    """Header of a JPEG that can be decoded at a reduced size; None for all other files."""
    orientation = _jpeg_orientation(content)
    if orientation is None:
        return None
    size, components, height_at = (0, 0), None, None
    for code, segment, end in _segments(content):
        if code in _SCALABLE:
            size = int.from_bytes(segment[1:3], 'big'), int.from_bytes(segment[3:5], 'big')
            if code in _SEQUENTIAL and segment[5:6] in (b'\1', b'\3'):
                components, height_at = segment[5:6], end - len(segment) + 1
        elif code == _START_OF_SCAN:
            if segment[:1] != components or orientation != 1:
                height_at = None
            break
    if 0 in size:
        return None
    return JpegHeader(size[::-1] if orientation >= _TRANSPOSED else size, orientation, height_at)


def _segments(content: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, parameters and end of each segment of a JPEG (ITU-T T.81, annex B)."""
    position = 2
    while marker := _JPEG_MARKER.search(content, position):
        start = marker.end()
        # The length of a segment counts its own two bytes. Coded data follow a scan's header; the
        # search for the next marker passes over them.
        position = start + int.from_bytes(content[start : start + 2], 'big')
        yield content[start - 1], content[start + 2 : position], position
