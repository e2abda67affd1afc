"""Draws a scene with OpenCV: ground, sky, shadows, people, objects, and the photograph of it all.

Runs when the image is asked for. A pure function of the scene and its seed.
"""

import cv2
import numpy as np

from .props import PROPS, prop_extent
from .scene import HEAD_WIDTH, NUM_LOOKS, CrowdScene

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
    people = PeoplePainter(rng, canvas, scene, sun)
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
        for wide in [prop_extent(kind)[0] * scene.metre(y)]
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


class PeoplePainter:
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
        """Draw person ``i`` of the scene."""
        self._draw_body(i)
        self.draw_head(i)

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

    def draw_head(self, i: int) -> None:
        """Draw the neck, head, hair, face and hat of person ``i``."""
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


class Brush:
    """Draws in metres around the foot of an object, y down."""

    def __init__(self, canvas: np.ndarray, x: float, y: float, metre: float):
        self.canvas, self.foot, self.metre = canvas, np.array([x, y]), metre

    def ball(self, x, y, a, b, colour, start=0, end=360) -> None:
        """Filled ellipse around (x, y) with half axes a and b; angles in degrees."""
        centre = _fixed(self.foot + np.multiply((x, y), self.metre)).tolist()
        axes = [max(1, round(half * self.metre * FIXED)) for half in (a, b)]
        colour = np.asarray(colour).tolist()
        cv2.ellipse(self.canvas, centre, axes, 0, start, end, colour, -1, cv2.LINE_AA, SHIFT)

    def shape(self, corners, colour) -> None:
        """Filled convex polygon."""
        corners = _fixed(self.foot + np.multiply(corners, self.metre))
        cv2.fillConvexPoly(self.canvas, corners, np.asarray(colour).tolist(), cv2.LINE_AA, SHIFT)

    @staticmethod
    def bright_colour(rng: np.random.Generator) -> np.ndarray:
        """One of the brighter colours of clothes, BGR."""
        return CLOTHES[rng.integers(8, len(CLOTHES))]

    def bar(self, x0, y0, x1, y1, colour) -> None:
        """Filled rectangle between two corners."""
        self.shape([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)


def _draw_prop(canvas: np.ndarray, scene: CrowdScene, prop: np.ndarray) -> None:
    kind, x, y, look = prop.tolist()
    rng = np.random.default_rng((*scene.seed, 2, int(look * 2**24)))
    colour = CLOTHES[rng.integers(len(CLOTHES))] * rng.uniform(0.8, 1.05)
    PROPS[int(kind)][0](Brush(canvas, x, y, scene.metre(y)), rng, colour)
