import hashlib

import numpy as np
from mmcv.transforms import BaseTransform

from mmcrowd.registry import TRANSFORMS
from mmcrowd.structures.point_fields import POINT_FIELDS


@TRANSFORMS.register_module()
class AnnotationNoise(BaseTransform):
    """Move the annotated points, to see how a loss bears wrong annotations.

    The noise is part of the annotation and no augmentation: how far a point is moved depends on
    ``seed`` and the ``img_id`` of its image alone, and so is the same in every epoch, worker and
    resumed run. With one seed, more noise of a kind moves each point further in the same direction.

    Place it before everything that is drawn at random or made for each cell, and after
    :class:`LoadCrowdImage`, which keeps the truth as annotated: ``gt_original``, and so what
    metrics compare with, is never moved. Lengths are in pixels of the image as it comes here, so
    that behind :class:`ResizeToLimits` a prepared copy and the images as downloaded have the same
    noise.

    A coordinate that would leave the pixel centres of the image stops at the outermost one; an
    image keeps its number of points. Boxes move with their points and are not cut at the image.
    Sigmas and the other :data:`~mmcrowd.structures.point_fields.POINT_FIELDS` stay as they are. An
    unlabelled image passes.

    Required keys: ``img``, ``img_id`` and what :class:`LoadCrowdImage` adds.

    Args:
        uniform: Each coordinate is moved by a uniformly drawn length of at most this share of the
            height of the image (fig. 4a of Lin, Wan and Chan, ICLR 2025). Defaults to 0.
        disc: Each point is moved to a place drawn uniformly from the disc of this radius around it,
            in pixels (their fig. 4b, where the place is a whole pixel). Defaults to 0.
        seed: Not negative. Defaults to 0.

    Raises:
        ValueError: If both kinds or a negative value is given, there is no ``img_id``, or the
            transform is not at its place in the pipeline.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> points = np.full((3, 2), 50, np.float32)
        >>> results = dict(img=np.zeros((100, 100, 3), np.uint8), img_id='1', points=points)
        >>> results = AnnotationNoise(disc=4)(LoadCrowdImage()(results))
        >>> bool((np.linalg.norm(results['points'] - points, axis=1) < 4).all())
        True
        >>> results['gt_original']['points'].tolist()
        [[50.0, 50.0], [50.0, 50.0], [50.0, 50.0]]
    """

    def __init__(self, uniform: float = 0.0, disc: float = 0.0, seed: int = 0):
        given = f'uniform={uniform!r}, disc={disc!r}, seed={seed!r}'
        if not (0 <= uniform < np.inf and 0 <= disc < np.inf and seed >= 0):
            raise ValueError(f'AnnotationNoise: {given}, expected none of them negative')
        if uniform and disc:
            raise ValueError(f'AnnotationNoise: {given}, expected one kind of noise')
        self.uniform = uniform
        self.disc = disc
        self.seed = seed

    def transform(self, results: dict) -> dict:
        if 'points' not in results:
            return results
        self._check_place(results)
        points = results['points']
        height, width = results['img'].shape[:2]
        limit = np.array([width - 1, height - 1])
        # A point beyond the outermost centre, but in its pixel, does not go any further out.
        moved = (points + self._draw(results['img_id'], len(points), height)).clip(
            np.minimum(points, 0), np.maximum(points, limit)
        )
        offsets = (points - moved).astype(np.float32)
        for key, field in POINT_FIELDS.items():
            if key in results:
                results[key] = field.shift(results[key], offsets)
        return results

    def _draw(self, img_id: str, number: int, height: int) -> np.ndarray:
        """Moves ``(number, 2)`` in pixels, along x and y."""
        digest = hashlib.sha256(str(img_id).encode()).digest()
        rng = np.random.default_rng([self.seed, int.from_bytes(digest, 'little')])
        first, second = rng.random((2, number))
        if self.disc:
            # The area within a distance grows with its square.
            radius, angle = self.disc * np.sqrt(first), 2 * np.pi * second
            return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        return self.uniform * height * (2 * np.stack([first, second], 1) - 1)

    @staticmethod
    def _check_place(results: dict) -> None:
        where = results.get('img_path')
        if 'gt_original' not in results:
            raise ValueError(
                f'AnnotationNoise ({where}) must come after LoadCrowdImage, which keeps the truth '
                'as annotated'
            )
        if 'img_id' not in results:
            raise ValueError(
                f'AnnotationNoise ({where}): the image has no img_id, by which its noise is drawn'
            )
        whole = np.multiply(results['ori_shape'], results['scale_factor'][::-1])
        if (
            results['flip']
            or tuple(results['crop_offset']) != (0, 0)
            or not np.allclose(results['img_shape'], whole, rtol=0, atol=0.5)
            or 'gt_partition' in results
            or 'gt_maps' in results
        ):
            raise ValueError(
                f'AnnotationNoise ({where}) must come before crops, flips, padding and what is '
                'made for each cell'
            )

    def __repr__(self) -> str:
        return f'{type(self).__name__}(uniform={self.uniform}, disc={self.disc}, seed={self.seed})'
