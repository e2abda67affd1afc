"""Procedural crowd scenes: a layout of people on a ground plane, and a renderer that draws it.

The two halves are apart on purpose. :func:`layout_scene` decides where every head is and takes
about a millisecond, so a dataset knows all its points at once; :func:`render_scene` draws a layout
with OpenCV and runs when the image is asked for. Both are pure functions of the scene's seed.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from mmcrowd.registry import DATASETS

from .base_crowd_dataset import BaseCrowdDataset

SPLIT_CODES = dict(train=0, val=1, test=2)
MIN_SIDE = 32

# Proportions of a person; the unit is the height of the head, about a quarter of a metre.
HEAD_METRES = 0.25
HEAD_WIDTH = 0.8
HEAD_TO_FOOT = 6.3  # from the centre of the head to the feet
MIN_HEAD_PIXELS = 4.5  # farther people would be specks
NUM_LOOKS = 11  # numbers that describe the appearance of a person


@DATASETS.register_module()
class SyntheticCrowdDataset(BaseCrowdDataset):
    """Drawn crowds with exact head positions, for demos and tests; nothing is downloaded.

    The scenes have perspective (far people are smaller and denser), people who overlap, clothes,
    hair and hats, objects that look a little like heads, shadows, haze, blur and noise. Counts are
    wide and skewed: about one image in twenty is empty, half have fewer than about fifty people, a
    few have several hundred.

    Image ``k`` depends on ``seed``, ``split``, ``k``, ``img_size`` and ``max_count`` only: it is
    the same in every process, order and subset, and for every ``num_images``. The splits are
    independent streams of images, so there is no ``'trainval'``.

    Each entry has ``points`` (centres of the heads), ``boxes`` (around the heads, hidden parts
    included, clipped to the image) and ``attributes``: ``scene_seed``, ``horizon`` (row of the
    horizon, negative above the image) and ``head_slope`` (a head centred on row ``y`` is
    ``head_slope * (y - horizon)`` pixels high). ``img_path`` is a name, not a file; the image
    itself is ``img``, uint8 ``(h, w, 3)`` BGR, in what :meth:`get_data_info` returns.

    Args:
        num_images: Number of images.
        split: ``'train'``, ``'val'`` or ``'test'``.
        seed: Non-negative seed of the whole dataset.
        img_size: Width and height in pixels, at least 32 each.
        max_count: Largest number of people in an image. A small image may not have room for them.
        cache: Keep each rendered image in memory, 3 bytes per pixel in each loader worker.
        **kwargs: Other arguments of :class:`BaseCrowdDataset`, such as ``pipeline``.

    Raises:
        ValueError: For an argument outside its range.

    Example:
        >>> dataset = SyntheticCrowdDataset(num_images=2, split='test')
        >>> dataset.get_data_info(1)['img'].shape
        (288, 384, 3)
    """

    METAINFO = dict(dataset_name='Synthetic')

    def __init__(
        self,
        num_images: int = 400,
        split: str = 'train',
        seed: int = 0,
        img_size: tuple[int, int] = (384, 288),
        max_count: int = 500,
        cache: bool = False,
        **kwargs,
    ):
        def expect(ok: bool, name: str, value, wanted: str) -> None:
            if not ok:
                raise ValueError(f'SyntheticCrowdDataset: {name}={value!r}, expected {wanted}')

        def is_int(value, low: int) -> bool:
            return isinstance(value, (int, np.integer)) and value >= low

        expect(split in SPLIT_CODES, 'split', split, f'one of {tuple(SPLIT_CODES)}')
        expect(is_int(num_images, 1), 'num_images', num_images, 'an integer of at least 1')
        expect(is_int(seed, 0), 'seed', seed, 'an integer of at least 0')
        expect(is_int(max_count, 1), 'max_count', max_count, 'an integer of at least 1')
        is_size = isinstance(img_size, (tuple, list)) and len(img_size) == 2
        expect(
            is_size and all(is_int(side, MIN_SIDE) for side in img_size),
            'img_size',
            img_size,
            f'(width, height), integers of at least {MIN_SIDE}',
        )
        self.num_images = num_images
        self.seed = seed
        self.img_size = tuple(img_size)
        self.max_count = max_count
        self._cache: dict[str, np.ndarray] | None = {} if cache else None
        # Annotations are drawn anew faster than they are read.
        super().__init__(split=split, cache=False, **kwargs)

    def list_images(self, problems: list[Exception]) -> list[dict]:
        data_list = []
        for k in range(self.num_images):
            scene = self._layout((self.seed, SPLIT_CODES[self.split], k))
            img_id = f'{self.split}_{k:05d}'
            data_list.append(
                dict(
                    img_id=img_id,
                    img_path=f'synthetic/{img_id}',
                    annotation=dict(points=scene.points, boxes=scene.boxes),
                    size=self.img_size[::-1],
                    attributes=dict(
                        scene_seed=scene.seed, horizon=scene.horizon, head_slope=scene.slope
                    ),
                )
            )
        return data_list

    def image_paths(self) -> list[str]:
        """None: the images are drawn."""
        return []

    def get_data_info(self, idx: int) -> dict:
        """Entry ``idx`` with its rendered image ``img``, uint8 ``(h, w, 3)`` BGR."""
        info = super().get_data_info(idx)
        img = None if self._cache is None else self._cache.get(info['img_id'])
        if img is None:
            img = render_scene(self._layout(info['attributes']['scene_seed']))
            if self._cache is not None:
                self._cache[info['img_id']] = img
        # Transforms may write into the image.
        info['img'] = img if self._cache is None else img.copy()
        return info

    def _layout(self, scene_seed: tuple[int, int, int]) -> 'CrowdScene':
        return layout_scene(scene_seed, self.img_size, self.max_count)


@dataclass(frozen=True)
class CrowdScene:
    """Where everything is: all that :func:`render_scene` needs.

    People and objects stand on one ground plane. The height of a head that is centred on row
    ``y`` is ``slope * (y - horizon)`` pixels.

    Attributes:
        seed: Non-negative integers that seed the pixels.
        size: Width and height of the image in pixels.
        horizon: Row of the horizon; negative if the camera looks down and sees no sky.
        slope: Growth of the height of a head per row.
        points: Centres of the heads, float32 ``(m, 2)`` xy, far ones first.
        looks: Appearance of each person, numbers in [0, 1), ``(m, NUM_LOOKS)``.
        props: Objects ``(k, 4)``: kind, x and y of the foot, a number in [0, 1) for the look.
    """

    seed: tuple[int, ...]
    size: tuple[int, int]
    horizon: float
    slope: float
    points: np.ndarray
    looks: np.ndarray
    props: np.ndarray

    @property
    def head_heights(self) -> np.ndarray:
        """Height of each head in pixels, float32 ``(m,)``."""
        return (self.slope * (self.points[:, 1] - self.horizon)).astype(np.float32)

    @property
    def boxes(self) -> np.ndarray:
        """Boxes around the heads, clipped to the image, float32 ``(m, 4)`` xyxy."""
        half = self.head_heights[:, None] * np.float32([HEAD_WIDTH / 2, 0.5])
        corners = np.stack([self.points - half, self.points + half], axis=1)
        return np.clip(corners, np.float32(-0.5), np.float32(self.size) - 0.5).reshape(-1, 4)

    @property
    def first_row(self) -> float:
        """Row of the farthest heads."""
        return max(0.0, self.horizon + MIN_HEAD_PIXELS / self.slope)

    @property
    def skyline(self) -> int:
        """Row where the ground ends; 0 if it fills the image."""
        return int(self.foot_row(self.first_row)) if self.horizon > 0 else 0

    def foot_row(self, head_row):
        """Row of the feet of a person whose head is centred on ``head_row``."""
        return head_row + HEAD_TO_FOOT * self.slope * (head_row - self.horizon)

    def metre(self, foot_row):
        """Pixels per metre for what stands on row ``foot_row``."""
        head = self.slope * (foot_row - self.horizon) / (1 + HEAD_TO_FOOT * self.slope)
        return head / HEAD_METRES


# ------------------------------------------------------------------------------------ layout


def layout_scene(seed: tuple[int, ...], size: tuple[int, int], max_count: int) -> CrowdScene:
    """Choose a camera, a number of people and where they stand.

    Args:
        seed: Non-negative integers; the layout is a pure function of them and the rest.
        size: Width and height of the image in pixels.
        max_count: Largest number of people.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    # One scene in twenty is empty; the others are a little fuller than log-uniform.
    empty = rng.random() < 0.05
    wanted = min(max_count, int((max_count + 1) ** rng.random() ** 0.7))
    wanted = 0 if empty else wanted

    smallest = 2.3 * MIN_HEAD_PIXELS
    near = max(smallest, height * math.exp(rng.uniform(math.log(0.036), math.log(0.085))))
    looks_down, horizon, far = rng.random() < 0.45, rng.uniform(0.06, 0.3), rng.uniform(0, 0.6)
    while True:  # a crowd that does not fit is seen from farther away
        if looks_down:  # heads have `far` of the near size at the upper edge of the image
            far_head = max(MIN_HEAD_PIXELS, far * near)
            slope = (near - far_head) / height
            horizon_row = -far_head / slope
        else:
            far_head = MIN_HEAD_PIXELS
            horizon_row = horizon * height
            slope = near / (height - horizon_row)
        capacity = 0.5 * width / slope * (1 / far_head - 1 / near)
        if capacity > wanted or near == smallest:
            break
        near = max(smallest, 0.9 * near)

    none = np.zeros((0, 2), np.float32)
    scene = CrowdScene(tuple(seed), tuple(size), horizon_row, slope, none, none, none)
    points = _place_people(rng, scene, wanted)
    looks = rng.random((len(points), NUM_LOOKS), dtype=np.float32)
    scene = replace(scene, points=points, looks=looks)
    return replace(scene, props=_place_props(rng, scene))


def _rows(rng: np.random.Generator, first: float, last: float, n: int) -> np.ndarray:
    """Rows below the horizon with density ~ 1 / row^2: the far ground is seen compressed."""
    return 1 / (1 / first + rng.random(n) * (1 / last - 1 / first))


def _place_people(rng: np.random.Generator, scene: CrowdScene, wanted: int) -> np.ndarray:
    """Up to ``wanted`` heads ``(m, 2)`` in groups, queues and masses, sorted from far to near."""
    width, height = scene.size
    first, last = scene.first_row - scene.horizon, height - 1 - scene.horizon
    # On row r below the horizon a pixel is side / r metres wide and the depth is reach / r metres.
    side = HEAD_METRES / scene.slope
    reach = 1.1 * width * side

    clusters = 1 + rng.poisson(min(6.0, wanted / 12))
    rows = _rows(rng, first, last, clusters)
    centres = np.stack([rng.uniform(-0.5, 0.5, clusters) * width * side, np.full(clusters, reach)])
    centres = (centres / rows).T
    spread = np.exp(rng.uniform(math.log(0.5), math.log(4.0), clusters))
    stretch = np.exp(rng.uniform(0, 1.2, clusters))
    angle = rng.uniform(0, math.pi, clusters)
    axes = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    share = rng.dirichlet(np.full(clusters, 1.5))
    loners = rng.choice([0.05, 0.3, 0.8])

    points = np.zeros((0, 2))
    for _ in range(10):
        n = 2 * (wanted - len(points)) + 4
        which = rng.choice(clusters, n, p=share)
        along = rng.standard_normal(n) * (spread * stretch)[which]
        across = rng.standard_normal(n) * (spread / stretch)[which]
        ground = centres[which] + along[:, None] * axes[which]
        ground += across[:, None] * axes[which, ::-1] * (1, -1)
        row = reach / np.maximum(ground[:, 1], 1e-3)
        x = ground[:, 0] * row / side + (width - 1) / 2
        alone = rng.random(n) < loners
        row = np.where(alone, _rows(rng, first, last, n), row)
        x = np.where(alone, rng.uniform(0, width - 1, n), x)
        inside = (x >= 0) & (x <= width - 1) & (row >= first) & (row <= last)
        new = np.stack([x, row + scene.horizon], axis=1)[inside]
        points = _thin_out(np.concatenate([points, new]), scene)[:wanted]
        if len(points) == wanted:
            break
        spread = spread * 1.4  # those who found no room stand farther out
    return points[np.argsort(points[:, 1], kind='stable')].astype(np.float32)


def _thin_out(points: np.ndarray, scene: CrowdScene) -> np.ndarray:
    """Drop every point too close to an earlier one, so that each head can be recognised.

    Two heads may overlap: they need 0.9 of a head's height between them sideways, or 0.62 of it
    in y, where the near head stands lower and covers only the chin of the far one.
    """
    order = np.argsort(points[:, 1], kind='stable')
    x, y = points[order].T
    head = scene.slope * (y - scene.horizon)
    # Pairs (a, b) that are near in y: b runs over the points that follow a.
    count = np.searchsorted(y, y + 0.65 * head, side='right') - np.arange(len(y)) - 1
    a = np.repeat(np.arange(len(y)), count)
    b = a + 1 + np.arange(len(a)) - np.repeat(np.cumsum(count) - count, count)
    close = ((x[a] - x[b]) / 0.9) ** 2 + ((y[a] - y[b]) / 0.62) ** 2 < head[a] ** 2
    pairs = np.sort(np.stack([order[a[close]], order[b[close]]], axis=1), axis=1)
    keep = [True] * len(points)
    for early, late in pairs[np.lexsort(pairs.T[::-1])].tolist():
        if keep[early]:
            keep[late] = False
    return points[keep]


def _place_props(rng: np.random.Generator, scene: CrowdScene) -> np.ndarray:
    """Objects ``(k, 4)`` among the people, none in front of somebody's head."""
    width, height = scene.size
    n = rng.poisson(7)
    first = scene.foot_row(scene.first_row) - scene.horizon
    last = max(1.15 * height - scene.horizon, 1.1 * first)
    kind, x = rng.integers(len(PROPS), size=n), rng.uniform(0, width, n)
    y = scene.horizon + _rows(rng, first, last, n)
    feet, head = scene.foot_row(scene.points[:, 1]), scene.head_heights
    kept = []
    for prop in np.stack([kind, x, y, rng.random(n)], axis=1):
        wide, high = np.array(_extent(prop[0])) * scene.metre(prop[2])
        beside = abs(scene.points[:, 0] - prop[1]) > 0.5 * wide + head
        above = prop[2] - scene.points[:, 1] > high + head
        if (beside | above | (feet > prop[2])).all():
            kept.append(prop)
    return np.array(kept, np.float32).reshape(-1, 4)


# ----------------------------------------------------------------------------------- drawing

# Things are drawn on a canvas of twice the size, in fixed-point coordinates of 1/16 pixel.
SCALE = 2
SHIFT = 4
FIXED = SCALE << SHIFT  # units of the canvas in a pixel of the image

# Colours are BGR, as everywhere in OpenCV. The palettes are sorted roughly from dark to light.
# fmt: off
CLOTHES = np.float32([
    (28, 26, 25), (34, 31, 30), (45, 42, 40), (52, 46, 42), (70, 66, 62), (78, 48, 30),
    (66, 50, 40), (50, 48, 110), (44, 40, 165), (60, 90, 60), (105, 100, 98), (110, 70, 38),
    (95, 90, 110), (80, 95, 150), (150, 110, 70), (90, 110, 140), (70, 140, 190), (125, 105, 150),
    (160, 158, 155), (190, 155, 115), (130, 160, 185), (110, 185, 210), (215, 215, 212),
    (238, 238, 236)])
TROUSERS = np.float32([
    (30, 28, 27), (50, 46, 44), (85, 58, 40), (115, 82, 55), (60, 62, 66), (95, 110, 125),
    (140, 160, 175)])
HAIR = np.float32([
    (18, 17, 18), (24, 24, 28), (26, 32, 45), (32, 48, 70), (60, 90, 125), (95, 140, 170),
    (140, 140, 140)])
SKIN = np.float32([
    (55, 75, 110), (75, 105, 150), (100, 135, 185), (125, 160, 208), (150, 182, 224),
    (165, 195, 232)])
WALLS = np.float32([
    (120, 140, 165), (165, 170, 175), (95, 105, 130), (150, 165, 190), (110, 105, 100)])
GROUNDS = (  # colour, strength of the grain, distance of the lines in metres
    ((98, 96, 95), 0.06, None), ((160, 162, 163), 0.04, 1.5), ((112, 125, 150), 0.05, 0.9),
    ((62, 118, 98), 0.09, None), ((140, 172, 190), 0.05, None), ((92, 94, 96), 0.05, 5.0))

# Outlines of a person of average build in head heights, from the centre of the head, y down.
NECK = np.array([(-0.2, 0.3), (0.2, 0.3), (0.26, 0.75), (-0.26, 0.75)])
TORSO = np.array([
    (-0.24, 0.5), (0.24, 0.5), (0.78, 0.78), (0.9, 1.3), (0.72, 3.4), (-0.72, 3.4), (-0.9, 1.3),
    (-0.78, 0.78)])
SHADE = np.array([(0.1, 0.6), (0.78, 0.78), (0.9, 1.3), (0.72, 3.4), (0.25, 3.4)])
ARM = np.array([(0.82, 0.8), (0.62, 1.2), (0.72, 3.0), (1.0, 3.0)])
RAISED_ARM = np.array([(0.85, 1.1), (0.55, 1.0), (0.62, -0.9), (0.85, -0.9)])
LEGS = np.array([
    (-0.68, 3.2), (0.68, 3.2), (0.6, 6.3), (0.2, 6.3), (0.0, 4.0), (-0.25, 6.3), (-0.65, 6.3)])
LOCKS = np.array([(-0.38, -0.2), (0.38, -0.2), (0.46, 0.85), (-0.46, 0.85)])
BACKPACK = np.array([(-0.5, 0.8), (0.5, 0.8), (0.55, 2.3), (-0.55, 2.3)])
# fmt: on


def render_scene(scene: CrowdScene) -> np.ndarray:
    """Draw a scene: uint8 ``(h, w, 3)`` BGR."""
    rng = np.random.default_rng((*scene.seed, 1))
    width, height = scene.size
    sun = rng.uniform(-1, 1)  # it stands left (-1) to right (1)
    canvas = _draw_background(rng, scene, sun)
    canvas = cv2.resize(canvas, (width * SCALE, height * SCALE), interpolation=cv2.INTER_LINEAR)
    people = _PeoplePainter(rng, canvas, scene, sun)
    feet = np.concatenate([scene.foot_row(scene.points[:, 1]), scene.props[:, 2]])
    for i in np.argsort(feet, kind='stable').tolist():  # from back to front
        if i < len(scene.points):
            people.draw(i)
        else:
            _draw_prop(canvas, scene, scene.props[i - len(scene.points)])
    image = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return _develop(rng, scene, image)


def _fixed(xy) -> np.ndarray:
    """Image coordinates as fixed-point coordinates of the canvas."""
    return np.rint(np.asarray(xy) * FIXED + (FIXED - (1 << SHIFT)) / 2).astype(np.int32)


def _noise(rng: np.random.Generator, size: tuple[int, int], cell: float) -> np.ndarray:
    """Smooth random field ``(h, w)`` in about [-1, 1] with blobs of ``cell`` pixels."""
    coarse = [max(2, round(side / cell) + 1) for side in size[::-1]]
    coarse = rng.random(coarse, dtype=np.float32) * 2 - 1
    return cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)


def _draw_background(rng: np.random.Generator, scene: CrowdScene, sun: float) -> np.ndarray:
    """Ground with texture, lines and shadows; at its end trees, buildings and sky."""
    colour, grain, lines = GROUNDS[rng.integers(len(GROUNDS))]
    light = 1 + 0.08 * _noise(rng, scene.size, 70) + 0.05 * _noise(rng, scene.size, 14)
    light += grain * _noise(rng, scene.size, 2.2)
    contrast, centre = rng.uniform(-0.2, 0.2), rng.random()
    if lines:
        light += contrast / 255 * _perspective_lines(scene, lines, centre)
    light *= 1 - 0.45 / 255 * _shadows(scene, sun)
    colour = np.array(colour) * rng.uniform(0.75, 1.15) + rng.uniform(-8, 8, 3)
    image = cv2.merge([cv2.convertScaleAbs(light, alpha=c) for c in colour])
    if scene.skyline > 0:
        _draw_skyline(rng, image[: scene.skyline])
    return image


def _perspective_lines(scene: CrowdScene, metres: float, centre: float) -> np.ndarray:
    """Strength 0 to 255 of lines on the ground, ``metres`` apart both ways."""
    width, height = scene.size
    lines = np.zeros((height, width), np.uint8)
    thick = 1 if metres < 2 else 2
    apex = (round(centre * width), round(scene.horizon))
    step = metres * scene.metre(height)
    for k in range(-60, 61):
        cv2.line(lines, apex, (round(apex[0] + k * step), height), 255, thick, cv2.LINE_AA)
    depth = 1.1 * width / scene.metre(height)  # of the lower edge, in metres
    for k in range(60):
        row = scene.horizon + (height - scene.horizon) * depth / (depth + k * metres)
        cv2.line(lines, (0, round(row)), (width, round(row)), 255, thick, cv2.LINE_AA)
    return lines


def _shadows(scene: CrowdScene, sun: float) -> np.ndarray:
    """Strength 0 to 255 of the shadows on the ground."""
    width, height = scene.size
    head, (x, y) = scene.head_heights, scene.points.T
    long = (0.9 + 2 * abs(sun)) * head
    discs = np.stack([x - 2.2 * sun * head, scene.foot_row(y), long, 0.55 * head], axis=1)
    extra = [
        (x - 0.5 * sun * wide, y, 0.6 * wide, 0.15 * wide)
        for kind, x, y, _ in scene.props
        for wide in [_extent(kind)[0] * scene.metre(y)]
    ]
    discs = np.concatenate([discs, np.array(extra).reshape(-1, 4)])
    mask = np.zeros((height, width), np.uint8)
    for x, y, a, b in np.rint(discs * (1 << SHIFT)).astype(int).tolist():
        cv2.ellipse(mask, (x, y), (a, b), 0, 0, 360, 255, -1, cv2.LINE_8, SHIFT)
    return cv2.GaussianBlur(mask, (0, 0), 1 + 0.004 * height)


def _draw_skyline(rng: np.random.Generator, image: np.ndarray) -> None:
    """Sky with clouds, buildings and a row of trees, whose feet are on the last row."""
    height, width = image.shape[:2]
    skies = ((195, 160, 120), (225, 215, 205)), ((185, 180, 175), (200, 200, 200))
    high, low = np.array(skies[rng.integers(2)])
    ramp = np.linspace(0, 1, height)[:, None, None]
    clouds = _noise(rng, (width, height), 40) + 0.4 * _noise(rng, (width, height), 12)
    sky = high * (1 - ramp) + low * ramp
    image[:] = np.clip(sky + 40 * np.clip(clouds, 0, 1)[..., None], 0, 255)
    left = -int(rng.integers(0, 30))
    while left < width:
        wide, tall = int(rng.uniform(0.08, 0.3) * width), int(rng.uniform(0.3, 1.2) * height)
        if rng.random() < 0.85:
            _draw_building(rng, image[max(0, height - tall) :, max(0, left) : left + wide])
        left += max(4, wide)
    radius = max(3, height // 10)
    for _ in range(rng.integers(20, 120) if rng.random() < 0.6 else 0):
        centre = (int(rng.integers(width)), height - int(rng.integers(2 * radius)))
        green = np.array((45, 85, 65)) * rng.uniform(0.6, 1.3)
        cv2.circle(image, centre, int(rng.integers(2, radius + 1)), green.tolist(), -1, cv2.LINE_AA)


def _draw_building(rng: np.random.Generator, image: np.ndarray) -> None:
    """A facade with a grid of windows, each lit its own way."""
    wall = WALLS[rng.integers(len(WALLS))] * rng.uniform(0.7, 1.2)
    (dy, dx), height, width = rng.integers(6, 15, 2), *image.shape[:2]
    rows, cols = np.arange(height), np.arange(width)
    light = rng.uniform(0.4, 0.85, (height // dy + 1, width // dx + 1))[rows // dy][:, cols // dx]
    light[rows % dy >= 0.6 * dy] = 1
    light[:, cols % dx >= 0.55 * dx] = 1
    image[:] = np.clip(light[..., None] * wall, 0, 255)


def _develop(rng: np.random.Generator, scene: CrowdScene, image: np.ndarray) -> np.ndarray:
    """Take the photograph: haze, light, colour cast, blur and sensor noise."""
    width, height = scene.size
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    cols = np.arange(width, dtype=np.float32) / width
    haze = rng.uniform(0, 0.35) * np.exp(-3 * np.clip(rows - scene.horizon / height, 0, None))
    slant = rng.uniform(-0.3, 0.3, 2)
    light = 1 + slant[0] * (cols - 0.5) + slant[1] * (rows - 0.5)
    light *= rng.uniform(0.82, 1.15) * (0.6 if rng.random() < 0.1 else 1)
    gain = (light * (1 - haze)).astype(np.float32)
    veil = (light * haze * rng.uniform(150, 210)).astype(np.float32)
    cast = np.clip(rng.normal(1, 0.04, 3), 0.88, 1.12).astype(np.float32)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.75))
    noise = rng.standard_normal((height, width), dtype=np.float32) * np.float32(rng.uniform(1, 6))
    planes = zip(cv2.split(image), cast, strict=True)
    planes = [(plane * gain + veil) * colour + noise for plane, colour in planes]
    return cv2.merge([np.clip(plane, 0, 255).astype(np.uint8) for plane in planes])


def _pick(palette: np.ndarray, u: np.ndarray, brightness) -> np.ndarray:
    """Colours ``(m, 3)`` of a palette chosen by ``u`` in [0, 1), times a brightness ``(m,)``."""
    colours = palette[(u * len(palette)).astype(int)]
    return np.clip(colours * np.reshape(brightness, (-1, 1)), 0, 255)


class _PeoplePainter:
    """Draws the people of a scene one by one, each head over its body.

    Colours and outlines of all people are computed at once; a part is then one OpenCV call.
    """

    def __init__(self, rng, canvas: np.ndarray, scene: CrowdScene, sun: float):
        self.canvas, self.sun = canvas, sun
        self.points, self.head = scene.points, scene.head_heights
        looks = scene.looks if len(scene.looks) else np.zeros((0, NUM_LOOKS), np.float32)
        top, legs, hair, skin, facing, build, hat, length, self.pose, tone, extra = looks.T
        self._choose_colours(rng, top, legs, hair, skin, hat, tone, extra)

        self.turned, toward = np.sin(2 * np.pi * facing), np.cos(2 * np.pi * facing)
        self.has_face, self.has_pack = toward > -0.25, (toward < -0.25) & (extra > 0.7)
        self.has_locks, self.has_cap = length > 0.6, (hat > 0.72) & (hat < 0.82)
        self.has_brim = hat > 0.97
        wide = (0.88 + 0.3 * build) * (1 - 0.22 * self.turned**2)
        self.wide = wide
        hem = np.where((length > 0.75) & (top > 0.4), 1.4, 0.95 + 0.15 * length)
        self.legs = self._outline(LEGS, wide * (0.65 + 0.5 * self.pose))
        self.torso = self._outline(TORSO, wide, hem)
        self.shade = self._outline(SHADE * (-1 if sun > 0 else 1, 1), wide, hem)
        self.arms = [self._outline(ARM * (side, 1), wide) for side in (-1, 1)]
        self.raised = self._outline(RAISED_ARM, wide)
        self.locks, self.pack = self._outline(LOCKS), self._outline(BACKPACK, wide)
        self.neck = self._outline(NECK)
        self.unit = (self.head * FIXED).tolist()
        self.centres = _fixed(self.points).tolist()

    def _choose_colours(self, rng, top, legs, hair, skin, hat, tone, extra) -> None:
        # Some crowds share a colour, as supporters do, and some wear dark winter clothes.
        fans, dark = rng.choice([0, 0.6], p=[0.8, 0.2]), rng.choice([1, 0.6], p=[0.75, 0.25])
        shared = rng.random()
        clothes = _pick(CLOTHES, np.where(tone < fans, shared, top * dark), 0.75 + 0.5 * extra)
        skin_colour = _pick(SKIN, skin, 0.85 + 0.25 * tone)
        # Light hair is rare, and rarer with dark skin.
        hair_colour = _pick(HAIR, hair**1.6 * (0.4 + 0.6 * skin), 0.8 + 0.5 * extra)
        hats = _pick(CLOTHES, (top + 0.5) % 1, 0.8 + 0.4 * tone)
        bald, hood = (hat > 0.82) & (hat < 0.86), (hat > 0.86) & (hat < 0.92)
        hair_colour = np.where(bald[:, None], skin_colour, hair_colour)
        hair_colour = np.where(hood[:, None], hats, hair_colour)
        colours = dict(
            clothes=clothes,
            shade=0.72 * clothes,
            sleeve=0.86 * clothes,
            legs=_pick(TROUSERS, legs, 0.6 + 0.45 * tone),
            skin=skin_colour,
            neck=0.75 * skin_colour,
            features=0.4 * skin_colour,
            hair=hair_colour,
            gloss=np.minimum(1.15 * hair_colour + 14, 255),
            hat=hats,
            straw=np.tile(np.float32([140, 185, 210]), (len(top), 1)),
        )
        self.colours = {name: value.tolist() for name, value in colours.items()}

    def _outline(self, shape: np.ndarray, wide=1.0, hem=1.0) -> np.ndarray:
        """Fixed-point outlines ``(m, k, 2)``, ``wide`` times as wide, lower end ``hem`` as low."""
        wide, hem = np.reshape(wide, (-1, 1)), np.reshape(hem, (-1, 1))
        x = self.points[:, :1] + self.head[:, None] * wide * shape[:, 0]
        down = shape[:, 1] * np.where(shape[:, 1] > 3, hem, 1)
        y = self.points[:, 1:] + self.head[:, None] * down
        return _fixed(np.stack([x, y], axis=-1))

    def _polygon(self, outlines: np.ndarray, i: int, colour: str) -> None:
        colour = self.colours[colour][i]
        cv2.fillConvexPoly(self.canvas, outlines[i], colour, cv2.LINE_AA, SHIFT)

    def _ellipse(self, i, dx, dy, a, b, colour: str, start=0, end=360) -> None:
        """Filled ellipse; offset and half axes in heights of head ``i``."""
        (x, y), unit = self.centres[i], self.unit[i]
        centre = (x + round(dx * unit), y + round(dy * unit))
        axes = (round(a * unit), round(b * unit))
        colour = self.colours[colour][i]
        cv2.ellipse(self.canvas, centre, axes, 0, start, end, colour, -1, cv2.LINE_AA, SHIFT)

    def draw(self, i: int) -> None:
        self._draw_body(i)
        self._draw_head(i)

    def _draw_body(self, i: int) -> None:
        legs = [self.legs[i]]
        cv2.fillPoly(self.canvas, legs, self.colours['legs'][i], cv2.LINE_AA, SHIFT)
        self._polygon(self.torso, i, 'clothes')
        self._polygon(self.shade, i, 'shade')
        hand = 0.86 * self.wide[i]
        self._polygon(self.arms[0], i, 'sleeve')
        if self.pose[i] > 0.97:
            self._polygon(self.raised, i, 'sleeve')
            self._ellipse(i, 0.85 * hand, -0.95, 0.15, 0.2, 'skin')
        else:
            self._polygon(self.arms[1], i, 'sleeve')
        if self.head[i] > 7:
            self._ellipse(i, -hand, 3.05, 0.15, 0.2, 'skin')
            self._ellipse(i, hand, 3.05, 0.15, 0.2, 'skin')
        if self.has_pack[i]:
            self._polygon(self.pack, i, 'hat')

    def _draw_head(self, i: int) -> None:
        size, dx = self.head[i], 0.15 * self.turned[i]
        self._polygon(self.neck, i, 'neck')
        if self.has_locks[i]:
            self._polygon(self.locks, i, 'hair')
        self._ellipse(i, 0, 0, HEAD_WIDTH / 2, 0.5, 'hair')
        if size > 6:
            self._ellipse(i, 0.12 * (1 if self.sun > 0 else -1), -0.24, 0.16, 0.14, 'gloss')
        if self.has_face[i]:
            slim = 0.08 * abs(self.turned[i])
            self._ellipse(i, dx, 0.1, (0.31 if self.has_locks[i] else 0.36) - slim, 0.38, 'skin')
        if self.has_face[i] and size > 9:
            self._ellipse(i, 1.4 * dx - 0.12, 0.04, 0.05, 0.04, 'features')
            self._ellipse(i, 1.4 * dx + 0.12, 0.04, 0.05, 0.04, 'features')
            self._ellipse(i, 1.4 * dx, 0.3, 0.09, 0.03, 'features')
        if self.has_cap[i]:
            self._ellipse(i, 0, -0.08, 0.42, 0.43, 'hat', 180, 360)
            self._ellipse(i, 2 * dx, -0.1, 0.36, 0.08, 'hat')
        elif self.has_brim[i]:
            self._ellipse(i, 0, -0.14, 0.6, 0.15, 'straw')
            self._ellipse(i, 0, -0.18, 0.36, 0.32, 'straw', 180, 360)


# ----------------------------------------------------------------------------------- objects


class _Brush:
    """Draws in metres around the foot of an object, y down."""

    def __init__(self, canvas: np.ndarray, x: float, y: float, metre: float):
        self.canvas, self.foot, self.metre = canvas, np.array([x, y]), metre

    def ball(self, x, y, a, b, colour, start=0, end=360) -> None:
        centre = _fixed(self.foot + np.multiply((x, y), self.metre)).tolist()
        axes = [max(1, round(half * self.metre * FIXED)) for half in (a, b)]
        colour = np.asarray(colour).tolist()
        cv2.ellipse(self.canvas, centre, axes, 0, start, end, colour, -1, cv2.LINE_AA, SHIFT)

    def shape(self, corners, colour) -> None:
        corners = _fixed(self.foot + np.multiply(corners, self.metre))
        cv2.fillConvexPoly(self.canvas, corners, np.asarray(colour).tolist(), cv2.LINE_AA, SHIFT)

    def bar(self, x0, y0, x1, y1, colour) -> None:
        self.shape([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)


def _bollard(brush: _Brush, rng, colour) -> None:
    brush.bar(-0.1, -0.8, 0.1, 0, 0.8 * colour)
    brush.ball(0, -0.85, 0.14, 0.14, colour)


def _lamp(brush: _Brush, rng, colour) -> None:
    brush.bar(-0.05, -4, 0.05, 0, (60, 62, 60))
    brush.ball(0, -4, 0.24, 0.24, (215, 235, 240))


def _tree(brush: _Brush, rng, colour) -> None:
    brush.bar(-0.14, -2.4, 0.14, 0, (45, 60, 80))
    green = np.array([50, 95, 75]) * rng.uniform(0.7, 1.3)
    for _ in range(28):
        radius, angle = 1.25 * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
        x, y = radius * math.cos(angle), radius * math.sin(angle)
        brush.ball(x, y - 3.4, 0.5, 0.42, green * (1 - 0.25 * y) * rng.uniform(0.85, 1.15))


def _bush(brush: _Brush, rng, colour) -> None:
    for _ in range(12):
        green = np.array([50, 100, 70]) * rng.uniform(0.6, 1.3)
        brush.ball(rng.uniform(-0.55, 0.55), rng.uniform(-0.7, -0.2), 0.28, 0.26, green)


def _car(brush: _Brush, rng, colour) -> None:
    for x in (-1.3, 1.3):
        brush.ball(x, -0.3, 0.34, 0.34, (30, 30, 30))
    brush.bar(-2.1, -0.95, 2.1, -0.3, colour)
    brush.shape([(-1.5, -0.9), (-0.9, -1.5), (0.8, -1.5), (1.4, -0.9)], 0.9 * colour)
    brush.shape([(-1.25, -0.92), (-0.8, -1.4), (0.7, -1.4), (1.1, -0.92)], (95, 85, 75))


def _parasol(brush: _Brush, rng, colour) -> None:
    brush.bar(-0.04, -2.4, 0.04, 0, (70, 80, 90))
    brush.ball(0, -1.75, 1.4, 0.7, colour, 180, 360)
    brush.ball(0, -1.75, 0.5, 0.7, np.minimum(1.25 * colour + 15, 255), 180, 360)


def _balloons(brush: _Brush, rng, colour) -> None:
    brush.bar(-0.02, -2, 0.02, 0, (120, 120, 120))
    for _ in range(7):
        bright = CLOTHES[rng.integers(8, len(CLOTHES))]
        brush.ball(rng.uniform(-0.4, 0.4), rng.uniform(-2.5, -1.9), 0.13, 0.16, bright)


def _board(brush: _Brush, rng, colour) -> None:
    brush.bar(-0.05, -1.4, 0.05, 0, (70, 70, 70))
    brush.bar(-1.2, -2.6, 1.2, -1.3, colour)
    for y in (-2.4, -2.1, -1.8, -1.5):
        brush.bar(-1, y, rng.uniform(0, 1), y + 0.12, 255 - colour)


def _bin(brush: _Brush, rng, colour) -> None:
    brush.bar(-0.28, -0.9, 0.28, 0, (60, 75, 60))
    brush.ball(0, -0.9, 0.3, 0.12, (45, 50, 48))


def _stall(brush: _Brush, rng, colour) -> None:
    brush.bar(-1.4, -1, 1.4, 0, 0.7 * colour)
    for x in (-1.3, 1.2):
        brush.bar(x, -2, x + 0.1, 0, (80, 80, 80))
    for k in range(8):  # awning
        a, b = k - 4, k - 3
        stripe = colour if k % 2 else (225, 228, 230)
        brush.shape([(0.3 * a, -2.6), (0.3 * b, -2.6), (0.37 * b, -1.9), (0.37 * a, -1.9)], stripe)


# Width and height in metres. Several objects are as round as a head, and none is one.
PROPS = (
    (_bollard, 0.3, 1.0),
    (_lamp, 0.5, 4.3),
    (_tree, 3.5, 5.1),
    (_bush, 1.7, 1.0),
    (_car, 4.3, 1.5),
    (_parasol, 2.8, 2.5),
    (_balloons, 1.1, 2.7),
    (_board, 2.4, 2.6),
    (_bin, 0.6, 1.1),
    (_stall, 3.0, 2.6),
)


def _extent(kind: float) -> tuple[float, float]:
    return PROPS[int(kind)][1:]


def _draw_prop(canvas: np.ndarray, scene: CrowdScene, prop: np.ndarray) -> None:
    kind, x, y, look = prop.tolist()
    rng = np.random.default_rng((*scene.seed, 2, int(look * 2**24)))
    colour = CLOTHES[rng.integers(len(CLOTHES))] * rng.uniform(0.8, 1.05)
    PROPS[int(kind)][0](_Brush(canvas, x, y, scene.metre(y)), rng, colour)
