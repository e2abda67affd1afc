"""Where everybody stands: a layout of people and objects on a ground plane in perspective.

Takes about a millisecond, so a dataset knows all of its points at once. A pure function of the
scene's seed.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from .props import PROPS, prop_extent

# Proportions of a person; the unit is the height of the head, about a quarter of a metre.
HEAD_METRES = 0.25
HEAD_WIDTH = 0.8
HEAD_TO_FOOT = 6.3  # from the centre of the head to the feet
MIN_HEAD_PIXELS = 4.5  # farther people would be specks
NUM_LOOKS = 11  # numbers that describe the appearance of a person


@dataclass(frozen=True)
class CrowdScene:
    """Where everything is: all that :func:`~.painter.render_scene` needs.

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
        wide, high = np.array(prop_extent(prop[0])) * scene.metre(prop[2])
        beside = abs(scene.points[:, 0] - prop[1]) > 0.5 * wide + head
        above = prop[2] - scene.points[:, 1] > high + head
        if (beside | above | (feet > prop[2])).all():
            kept.append(prop)
    return np.array(kept, np.float32).reshape(-1, 4)
