"""Files of very large images, read band by band so that they are never in memory as a whole."""

from pathlib import Path

import numpy as np

from .images import check_complete, jpeg_orientation

_JPEG = b'\xff\xd8'
# Little and big endian, of 32 and of 64 bits.
_TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_ROWS = 512


def open_bands(path: str | Path, least: int, most: int) -> 'ImageBands | None':
    """An image file that is left on the disk, if it can be read band by band.

    That is a JPEG or TIFF with 8 bits, grey or RGB, one page, and nothing to rotate, where pyvips
    is installed.

    Args:
        path: The file.
        least: Pixels that it must have more than.
        most: Pixels that it may have.

    Returns:
        None for any other file; also for one that cannot be read, whose error is left to
        :func:`~mmcrowd.fileio.images.load_image`.

    Raises:
        ValueError: The file is cut off.
    """
    try:
        import pyvips
    except (ImportError, OSError):  # not installed, or without its library
        return None
    with open(path, 'rb') as file:
        start = file.read(4)
    is_jpeg = start.startswith(_JPEG)
    if not is_jpeg and start not in _TIFF:
        return None
    try:
        image = _open(path)
    except pyvips.Error:
        return None
    known = image.get_fields()
    pages, orientation = (
        image.get(name) if name in known else 1 for name in ('n-pages', 'orientation')
    )
    if not least < image.width * image.height <= most:
        return None
    if image.format != 'uchar' or (image.interpretation, image.bands) not in (
        ('srgb', 3),
        ('b-w', 1),
    ):
        return None
    if is_jpeg:
        content = Path(path).read_bytes()
        check_complete(content, str(path))
        orientation = jpeg_orientation(content)
    return ImageBands(path) if (pages, orientation) == (1, 1) else None


class DamagedBandError(ValueError):
    """A band of an image file cannot be read, which shows when it is asked for.

    Attributes:
        image: The image.
    """

    def __init__(self, image: 'ImageBands', reason: object):
        super().__init__(f'{image.path}: not a readable image ({reason})')
        self.image = image


class ImageBands:
    """An image file of which a band of rows is in memory, in its full width.

    Windows are best asked for from the top down, as
    :class:`~mmcrowd.models.SlideInference` does: rows above the last window are forgotten, and a
    window that begins above it has the file read from its first row again. The pixels are those of
    :func:`~mmcrowd.fileio.images.load_image`.

    ``np.asarray`` reads the whole image.

    Args:
        path: A file that :func:`open_bands` has found fit.

    Attributes:
        shape: ``(H, W, 3)``.
    """

    def __init__(self, path: str | Path):
        self.path = path
        self._restart()
        self.shape = (self._image.height, self._image.width, 3)

    def _restart(self) -> None:
        import pyvips

        self._image = _open(self.path)
        self._region = pyvips.Region.new(self._image)
        # Rows ``[first, first + len(band))`` of the image.
        self._first = 0
        self._band = np.zeros((0, self._image.width, 3), np.uint8)

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """A window of the image.

        Args:
            rows: Rows, without step.
            columns: Columns, without step.

        Returns:
            ``(h, w, 3)`` uint8 BGR, a copy.

        Raises:
            DamagedBandError: The file is damaged.
        """
        top, bottom, _ = rows.indices(self.shape[0])
        if top < self._first:
            self._restart()
        parts = [self._band[top - self._first :]]
        row = self._first + len(self._band)
        while row < bottom:  # some at a time, of those that are passed over
            end = min(top, row + _ROWS) if row < top else bottom
            pixels = self._fetch(row, end)
            if row >= top:
                parts.append(pixels)
            row = end
        self._first, self._band = top, np.concatenate(parts)
        return self._band[: bottom - top, columns].copy()

    def reduced(self, longest: int) -> np.ndarray:
        """The whole image with no side above ``longest`` pixels, ``(h, w, 3)`` uint8 BGR."""
        import pyvips

        source = pyvips.Source.new_from_file(str(self.path))
        image = pyvips.Image.thumbnail_source(
            source, longest, height=longest, size='down', no_rotate=True
        )
        return _bgr(image.write_to_memory(), image)

    def _fetch(self, top: int, bottom: int) -> np.ndarray:
        import pyvips

        width, height = self._image.width, bottom - top
        try:
            buffer = self._region.fetch(0, top, width, height)
        except pyvips.Error as error:
            raise DamagedBandError(self, error) from error
        return _bgr(buffer, self._image, height)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self.read(slice(None), slice(None)), dtype)


def _open(path: str | Path):
    import pyvips

    # By a source: in a name vips would look for options.
    source = pyvips.Source.new_from_file(str(path))
    return pyvips.Image.new_from_source(source, '', access='sequential', fail_on='error')


def _bgr(buffer, image, height: int | None = None) -> np.ndarray:
    """Pixels as OpenCV has them, of what vips gives: RGB or grey."""
    shape = (image.height if height is None else height, image.width, image.bands)
    pixels = np.ndarray(shape, np.uint8, buffer)
    return np.repeat(pixels, 3, axis=2) if image.bands == 1 else pixels[..., ::-1]
