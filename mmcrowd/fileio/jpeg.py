"""JPEG files that stay encoded until it is known how much of them, and how fine, is needed."""

import io
from typing import NamedTuple

import cv2
import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from .images import (
    SEQUENTIAL,
    START_OF_SCAN,
    TRANSPOSED,
    decode_image,
    jpeg_orientation,
    jpeg_segments,
    read_image_file,
    resize_image,
)

# The frames that the decoder scales: sequential and progressive ones, not the lossless.
_SCALABLE = (*SEQUENTIAL, 0xC2)

_DECODE_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def open_image(path: str, backend_args: dict | None = None) -> 'np.ndarray | EncodedImage':
    """Like :func:`~mmcrowd.fileio.images.load_image`, but a JPEG stays encoded."""
    content = read_image_file(path, backend_args)
    header = _read_jpeg_header(content)
    if header is None:
        return decode_image(content, path, cv2.IMREAD_COLOR, jpeg_orientation(content))
    return EncodedImage(content, path, header)


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
        planned: ``(h, w)`` in pixels that the image shall have. Defaults to its own size.
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
        height, width = header.size if planned is None else planned
        self.planned = (height, width)

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
            window: ``(x0, y0, w, h)`` in pixels of that size. Defaults to None, the whole image.
                What lies below the window is not even read where the file allows it.

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
            img = self._decode_top(self.header.height_at, reduction, rows, (x0, y0, w, h))
            if img is not None:
                return img
        flags = _DECODE_REDUCED[reduction]
        img = decode_image(self.content, self.path, flags, self.header.orientation)
        if img.shape[:2] != size:
            raise ValueError(
                f'{self.path}: decoded at 1/{reduction} to {img.shape[:2]} pixels (h, w), expected '
                f'{size} from its header'
            )
        return img[y0 : y0 + h, x0 : x0 + w]

    def _decode_top(
        self, at: int, reduction: int, rows: int, window: tuple[int, int, int, int]
    ) -> np.ndarray | None:
        """The window of a file that pretends to have fewer rows; libjpeg stops behind them.

        OpenCV would warn of the data that are left. None for a file that Pillow refuses; OpenCV
        then has the say.
        """
        content = memoryview(self.content)
        shortened = b''.join((content[:at], int(rows).to_bytes(2, 'big'), content[at + 2 :]))
        x0, y0, w, h = window
        try:
            img = JpegImageFile(io.BytesIO(shortened))
            width, height = (max(side // reduction, 1) for side in img.size)
            img.draft(None, (width, height))
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
        orientation: EXIF orientation, see :func:`~mmcrowd.fileio.images.exif_orientation`.
        height_at: Where the two bytes of the height are, if the rows come one after the other, from
            the top: in one scan of grey or three colours. None otherwise.
    """

    size: tuple[int, int]
    orientation: int
    height_at: int | None


def _read_jpeg_header(content: bytes) -> JpegHeader | None:
    """Header of a JPEG that can be decoded at a reduced size; None for all other files."""
    orientation = jpeg_orientation(content)
    if orientation is None:
        return None
    size, components, height_at = (0, 0), None, None
    for code, segment, end in jpeg_segments(content):
        if code in _SCALABLE:
            size = int.from_bytes(segment[1:3], 'big'), int.from_bytes(segment[3:5], 'big')
            if code in SEQUENTIAL and segment[5:6] in (b'\1', b'\3'):
                components, height_at = segment[5:6], end - len(segment) + 1
        elif code == START_OF_SCAN:
            if segment[:1] != components or orientation != 1:
                height_at = None
            break
    if 0 in size:
        return None
    return JpegHeader(size[::-1] if orientation >= TRANSPOSED else size, orientation, height_at)
