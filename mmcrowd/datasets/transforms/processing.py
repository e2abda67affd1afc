"""Transforms of pixels. What an image has for each of its points moves with the pixels, by the
rules of :mod:`mmcrowd.structures.frame` and the table of :mod:`mmcrowd.structures.point_fields`; an
unlabelled image has none of it.

What the loader has made for each pixel or cell (``gt_partition``, ``gt_maps``) moves with nothing:
a transform that would change the geometry after them raises an error.

An image that is still encoded (:class:`~mmcrowd.fileio.jpeg.EncodedImage`) stays so in resizes,
which only plan, until a crop or a transform that needs its pixels.

The second name under which some of them are registered is their older one."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmcrowd.fileio.images import resize_image
from mmcrowd.fileio.jpeg import EncodedImage
from mmcrowd.registry import TRANSFORMS
from mmcrowd.structures import compose_crop, compose_flip, compose_resize
from mmcrowd.structures.point_fields import POINT_FIELDS, PointField

PLACES = ('window', 'centre')


@TRANSFORMS.register_module()
class RandomScaleCrop(BaseTransform):
    """Scale by a random factor and cut out a random window of ``crop_size``.

    The window of ``crop_size / scale`` pixels is cut out first and then resized, so that no more
    pixels are touched than needed. An encoded image is decoded as coarsely as the scale allows (its
    own planned scale included), so that its pixels are only shrunk from there, or at full size.
    Where the image is smaller than the window, the scale is raised until the window fits the image
    (the two axes may then differ by the rounding of the window to whole pixels), unless ``enlarge``
    is False. Points outside the window are dropped.

    Args:
        crop_size: Size of the crop in pixels, ``(h, w)`` or one number for both. Defaults to 512.
        scale_range: Range of the uniformly drawn scale. Defaults to (0.5, 1.5), the authors'.
        scale_prob: Probability that a scale is drawn; otherwise it is 1. Defaults to 1.0.
        enlarge: Whether an image that is smaller than the window is enlarged to it; otherwise the
            crop has the smaller side. Defaults to True.
        place: What is drawn uniformly: ``'window'``, all places of the window in the image, as the
            authors do; or ``'centre'``, where in the image its centre is, a window that juts out
            being moved inside. With windows of two thirds of the height, the uppermost sixth of an
            image is in 25 % of the first and in 42 % of the second. In ShanghaiTech B it has half
            of the people. Defaults to ``'window'``.

    Raises:
        ValueError: ``crop_size`` is not positive, ``scale_range`` is no range of positive numbers,
            ``scale_prob`` is no probability, or ``place`` is another word.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> results = LoadCrowdImage()(dict(img=np.zeros((64, 96, 3), np.uint8)))
        >>> RandomScaleCrop(32)(results)['img'].shape
        (32, 32, 3)
    """

    def __init__(
        self,
        crop_size: int | tuple[int, int] = 512,
        scale_range: tuple[float, float] = (0.5, 1.5),
        scale_prob: float = 1.0,
        enlarge: bool = True,
        place: str = 'window',
    ):
        self.crop_size = (crop_size, crop_size) if isinstance(crop_size, int) else tuple(crop_size)
        self.scale_range = tuple(scale_range)
        if min(self.crop_size) < 1:
            raise ValueError(f'crop_size={crop_size!r}, expected positive pixels')
        if not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise ValueError(f'scale_range={scale_range!r}, expected 0 < low <= high')
        if not 0 <= scale_prob <= 1:
            raise ValueError(f'scale_prob={scale_prob!r}, expected a probability')
        if place not in PLACES:
            raise ValueError(f'place={place!r}, expected one of {list(PLACES)}')
        self.scale_prob = scale_prob
        self.enlarge = enlarge
        self.place = place

    def transform(self, results: dict) -> dict:
        _no_pixel_targets(results)
        crop_h, crop_w = self.crop_size
        img = results['img']
        height, width = img.shape[:2]
        scale = self._draw_scale()
        if self.enlarge:
            scale = max(scale, crop_h / height, crop_w / width)
        else:
            crop_h, crop_w = (
                max(min(crop, round(side * scale)), 1)
                for crop, side in ((crop_h, height), (crop_w, width))
            )
        scale_x = scale_y = scale
        if isinstance(img, EncodedImage):
            sx, sy = img.scale
            reduction = img.reduction(scale * max(sx, sy))
            height, width = img.decoded_size(reduction)
            # From the plan back to the file, and by exactly 1/r from there.
            _move(results, (1 / (sx * reduction), 1 / (sy * reduction)), (height, width))
            scale_x, scale_y = scale * sx * reduction, scale * sy * reduction

        h = min(max(round(crop_h / scale_y), 1), height)
        w = min(max(round(crop_w / scale_x), 1), width)
        y0, x0 = self._draw_place((height, width), (h, w))
        if isinstance(img, EncodedImage):
            results['img'] = img.decode(reduction, (x0, y0, w, h))
        else:
            results['img'] = img[y0 : y0 + h, x0 : x0 + w]
        compose_crop(results, (x0, y0), (h, w))
        _move_fields(results, lambda field, values: field.shift(values, (x0, y0)))
        if 'points' in results:
            _keep(results, self.kept(results, (h, w)))
        _resize(results, (crop_h, crop_w))
        return results

    def kept(self, results: dict, size: tuple[int, int]) -> np.ndarray:
        """Which points stay in the crop, before the window is resized to the crop.

        Args:
            results: All points of the image, in pixels of the window.
            size: ``(h, w)`` of the window.

        Returns:
            ``(m,)`` bool.
        """
        return _inside(results['points'], size)

    @cache_randomness
    def _draw_scale(self) -> float:
        # Where every scale is drawn there is no other draw before it: seeds give the same crops.
        if self.scale_prob < 1 and np.random.rand() >= self.scale_prob:
            return 1.0
        return np.random.uniform(*self.scale_range)

    @cache_randomness
    def _draw_place(self, size: tuple[int, int], window: tuple[int, int]) -> tuple[int, int]:
        """Upper left corner ``(y0, x0)`` of a window of ``(h, w)`` in an image of ``size``."""
        y0, x0 = (
            np.random.randint(side - length + 1)
            if self.place == 'window'
            else min(max(np.random.randint(side) - length // 2, 0), side - length)
            for side, length in zip(size, window, strict=True)
        )
        return y0, x0

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(crop_size={self.crop_size}, scale_range={self.scale_range}, '
            f'scale_prob={self.scale_prob}, enlarge={self.enlarge}, place={self.place!r})'
        )


@TRANSFORMS.register_module(name=['ResizeToLimits', 'LimitSide'])
class ResizeToLimits(BaseTransform):
    """Resize so that the sides of the image keep to limits; the aspect ratio is kept.

    Args:
        longest: The longer side is reduced to this many pixels if it is larger. Defaults to None.
        shortest: The shorter side is raised to this many pixels if it is smaller, without regard
            to ``longest``. A pair ``(low, high)`` brings it into this range, both ways: the
            published rule for UCF-QNRF of the Bayesian loss and DM-Count is (512, 2048).
            Defaults to None.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> results = dict(img=np.zeros((64, 96, 3), np.uint8), points=np.float32([[9.5, 9.5]]))
        >>> results = LoadCrowdImage()(results)
        >>> results = ResizeToLimits(longest=48)(results)
        >>> results['img'].shape, results['points'].tolist()
        ((32, 48, 3), [[4.5, 4.5]])
    """

    def __init__(self, longest: int | None = None, shortest: int | tuple[int, int] | None = None):
        low, high = shortest if isinstance(shortest, Sequence) else (shortest, None)
        for side in (longest, low, high):
            if side is not None and side < 1:
                raise ValueError(
                    f'longest={longest!r}, shortest={shortest!r}, expected positive pixels'
                )
        if low is not None and high is not None and low > high:
            raise ValueError(f'shortest={shortest!r}, expected (low, high)')
        if longest is not None and low is not None and low > longest:
            raise ValueError(f'shortest={shortest} is above longest={longest}')
        self.longest = longest
        self.shortest = shortest
        self._low, self._high = low, high

    def scale_for(self, height: int, width: int) -> float:
        """Scale for an image of this many pixels; 1.0 if it keeps to the limits."""
        scale = 1.0
        if self.longest is not None:
            scale = min(scale, self.longest / max(height, width))
        if self._high is not None:
            scale = min(scale, self._high / min(height, width))
        if self._low is not None:
            scale = max(scale, self._low / min(height, width))
        return scale

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """Size ``(h, w)`` in pixels that an image of this many pixels gets."""
        scale = self.scale_for(height, width)
        return max(round(height * scale), 1), max(round(width * scale), 1)

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        size = self.size_for(height, width)
        if size != (height, width):
            _no_pixel_targets(results)
            _resize(results, size)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(longest={self.longest}, shortest={self.shortest})'


@TRANSFORMS.register_module()
class ResizeToFit(BaseTransform):
    """Enlarge or shrink until the image just fits into a frame; the aspect ratio is kept.

    The C-3-Framework prepares the ShanghaiTech images so, for a frame of 768 x 1024 pixels.

    Args:
        size: Height and width of the frame in pixels.

    Raises:
        ValueError: A side is not positive.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> results = LoadCrowdImage()(dict(img=np.zeros((64, 48, 3), np.uint8)))
        >>> ResizeToFit((96, 128))(results)['img'].shape
        (96, 72, 3)
    """

    def __init__(self, size: Sequence[int]):
        self.size = (size[0], size[1])
        if min(self.size) < 1:
            raise ValueError(f'ResizeToFit: size={size!r}, expected positive pixels')

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        scale = min(self.size[0] / height, self.size[1] / width)
        size = (max(round(height * scale), 1), max(round(width * scale), 1))
        if size != (height, width):
            _no_pixel_targets(results)
            _resize(results, size)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size})'


@TRANSFORMS.register_module()
class ResizeByFactor(BaseTransform):
    """Resize both sides by a factor, rounded to whole pixels.

    Args:
        factor: Positive; above 1 the image is enlarged. STEERER enlarges those of ShanghaiTech by
            2.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> results = dict(img=np.zeros((24, 32, 3), np.uint8), points=np.float32([[4.5, 9.5]]))
        >>> results = ResizeByFactor(2.0)(LoadCrowdImage()(results))
        >>> results['img'].shape, results['points'].tolist()
        ((48, 64, 3), [[9.5, 19.5]])
    """

    def __init__(self, factor: float):
        if not factor > 0:
            raise ValueError(f'factor={factor!r}, expected a positive number')
        self.factor = factor

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        size = tuple(max(round(side * self.factor), 1) for side in (height, width))
        if size != (height, width):
            _no_pixel_targets(results)
            _resize(results, size)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(factor={self.factor})'


@TRANSFORMS.register_module()
class ResizeToMultiple(BaseTransform):
    """Shrink each side to the next lower multiple of ``divisor`` (at least one multiple).

    Instead of padding, for networks that were measured this way, such as the published MCNN
    (divisor 4). The sides are rounded one by one, so the aspect ratio changes by a few pixels.

    Args:
        divisor: Defaults to 32.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> results = LoadCrowdImage()(dict(img=np.zeros((67, 99, 3), np.uint8)))
        >>> ResizeToMultiple(4)(results)['img'].shape
        (64, 96, 3)
    """

    def __init__(self, divisor: int = 32):
        if divisor < 1:
            raise ValueError(f'divisor={divisor!r}, expected a positive number of pixels')
        self.divisor = divisor

    def transform(self, results: dict) -> dict:
        size = tuple(
            max(side // self.divisor, 1) * self.divisor for side in results['img'].shape[:2]
        )
        if size != results['img'].shape[:2]:
            _no_pixel_targets(results)
            _resize(results, size)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(divisor={self.divisor})'


@TRANSFORMS.register_module(name=['RandomFlip', 'RandomHorizontalFlip'])
class RandomFlip(BaseTransform):
    """Flip left to right with probability ``prob`` (default 0.5).

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> results = dict(img=np.zeros((64, 96, 3), np.uint8), points=np.float32([[0, 5]]))
        >>> results = LoadCrowdImage()(results)
        >>> RandomFlip(prob=1.0)(results)['points'].tolist()
        [[95.0, 5.0]]
    """

    def __init__(self, prob: float = 0.5):
        if not 0 <= prob <= 1:
            raise ValueError(f'prob={prob!r}, expected a probability')
        self.prob = prob

    @cache_randomness
    def _draw(self) -> bool:
        return np.random.rand() < self.prob

    def transform(self, results: dict) -> dict:
        if not self._draw():
            return results
        _no_pixel_targets(results)
        results['img'] = cv2.flip(np.asarray(results['img']), 1)
        width = results['img'].shape[1]
        _move_fields(results, lambda field, values: field.flip(values, width))
        compose_flip(results)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'


@TRANSFORMS.register_module(name=['PhotoMetricDistortion', 'PhotometricDistortion'])
class PhotoMetricDistortion(BaseTransform):
    """Random brightness, contrast and saturation, and sometimes grey.

    Args:
        brightness: Largest change, as a share of the full range. Defaults to 0.15.
        contrast: Largest relative change about the mean. Defaults to 0.25.
        saturation: Largest relative change of the distance to grey. Defaults to 0.25.
        gray_prob: Probability of a grey image. Defaults to 0.05.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> results = LoadCrowdImage()(dict(img=np.zeros((4, 6, 3), np.uint8)))
        >>> PhotoMetricDistortion(brightness=0.0)(results)['img'].shape
        (4, 6, 3)
    """

    def __init__(self, brightness=0.15, contrast=0.25, saturation=0.25, gray_prob=0.05):
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.gray_prob = gray_prob

    @cache_randomness
    def _draw(self) -> tuple[float, float, float]:
        shift = 255 * np.random.uniform(-self.brightness, self.brightness)
        gain = 1 + np.random.uniform(-self.contrast, self.contrast)
        saturation = 1 + np.random.uniform(-self.saturation, self.saturation)
        return shift, gain, 0.0 if np.random.rand() < self.gray_prob else saturation

    def transform(self, results: dict) -> dict:
        shift, gain, saturation = self._draw()
        img = np.asarray(results['img'])
        gray = cv2.cvtColor(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        mean = float(gray.mean())
        # gain * (saturation * (img - gray) + gray - mean) + mean + shift, in one saturating pass.
        results['img'] = cv2.addWeighted(
            img, gain * saturation, gray, gain * (1 - saturation), (1 - gain) * mean + shift
        )
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, '
            f'saturation={self.saturation}, gray_prob={self.gray_prob})'
        )


@TRANSFORMS.register_module()
class Pad(BaseTransform):
    """Pad to the right and to the bottom, or on all sides, to multiples of ``size_divisor``.

    The padding belongs to the image from here on (``img_shape`` grows): use it where images are
    smaller than the network needs or before :class:`PartitionByNearestPoint`. For whole images at
    test time the data preprocessor pads the batch and the prediction leaves its padding out.

    Args:
        size_divisor: Defaults to 32.
        pad_val: Value of the new pixels, BGR. Defaults to 0.
        centred: Whether the image stays in the middle, an odd pixel more to the right and to the
            bottom. Defaults to False.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> results = LoadCrowdImage()(dict(img=np.zeros((60, 90, 3), np.uint8)))
        >>> Pad(32)(results)['img'].shape
        (64, 96, 3)
    """

    def __init__(self, size_divisor: int = 32, pad_val: int | tuple = 0, centred: bool = False):
        if size_divisor < 1:
            raise ValueError(f'size_divisor={size_divisor!r}, expected a positive number of pixels')
        self.size_divisor = size_divisor
        self.pad_val = (pad_val,) * 3 if isinstance(pad_val, int) else tuple(pad_val)
        self.centred = centred

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        down, across = -height % self.size_divisor, -width % self.size_divisor
        if down or across:
            _no_pixel_targets(results)
            top, left = (down // 2, across // 2) if self.centred else (0, 0)
            results['img'] = cv2.copyMakeBorder(
                np.asarray(results['img']),
                top,
                down - top,
                left,
                across - left,
                cv2.BORDER_CONSTANT,
                value=self.pad_val,
            )
            # Padding is a crop at a negative offset; seen from before a flip it is at the other
            # side.
            compose_crop(results, (-left, -top), (height + down, width + across))
            _move_fields(results, lambda field, values: field.shift(values, (-left, -top)))
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size_divisor={self.size_divisor}, pad_val={self.pad_val}, '
            f'centred={self.centred})'
        )


@TRANSFORMS.register_module()
class PadToMultiple(Pad):
    """Older name of :class:`Pad`, with its older names of the arguments.

    Args:
        divisor: Defaults to 32.
        pad_value: Defaults to 0.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> results = LoadCrowdImage()(dict(img=np.zeros((60, 90, 3), np.uint8)))
        >>> PadToMultiple(divisor=32)(results)['img'].shape
        (64, 96, 3)
    """

    def __init__(self, divisor: int = 32, pad_value: int | tuple = 0):
        super().__init__(divisor, pad_value)


def _no_pixel_targets(results: dict) -> None:
    """See that nothing has been made for each cell that this transform would not move."""
    if 'gt_partition' in results:
        raise ValueError('PartitionByNearestPoint must come after the last geometric transform')
    if 'gt_maps' in results:
        raise ValueError(
            f'the transform that makes gt_maps ({list(results["gt_maps"])}) must come after the '
            'last geometric transform'
        )


def _move_fields(results: dict, move: Callable[[PointField, np.ndarray], np.ndarray]) -> None:
    """Replace the values of all fields of the points, in place."""
    for key, field in POINT_FIELDS.items():
        if key in results:
            results[key] = move(field, results[key])


def _resize(results: dict, size: tuple[int, int]) -> None:
    """Resize to ``size = (h, w)``, or plan to do so."""
    img = results['img']
    height, width = img.shape[:2]
    if (height, width) == tuple(size):
        return
    encoded = isinstance(img, EncodedImage)
    results['img'] = img.resize(size) if encoded else resize_image(img, size)
    _move(results, (size[1] / width, size[0] / height), size)


def _move(results: dict, scale: tuple[float, float], size: tuple[int, int]) -> None:
    """Move all but the pixels in a resize by ``scale = (sx, sy)`` to ``size = (h, w)``."""
    sx, sy = scale
    if sx == sy == 1:
        return
    _move_fields(results, lambda field, values: field.resize(values, scale))
    compose_resize(results, (sx, sy), size)


def _inside(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which points ``(m, 2)`` lie in an image of ``size = (h, w)``."""
    end = np.array([size[1], size[0]], np.float32) - 0.5
    return ((points >= -0.5) & (points < end)).all(axis=1)


def _keep(results: dict, chosen: np.ndarray) -> None:
    """Drop the points that are not chosen, and what belongs to them."""
    for key in POINT_FIELDS:
        if key in results:
            results[key] = results[key][chosen]
    if 'gt_original' in results:
        original = results['gt_original']
        results['gt_original'] = {key: values[chosen] for key, values in original.items()}
