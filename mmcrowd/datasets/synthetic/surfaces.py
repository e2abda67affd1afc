"""Draws pictures of nobody: the surfaces and small round things that look like a crowd from afar.

Each function fills a canvas, uint8 ``(h, w, 3)`` BGR, in place; ``size`` is the
typical size in pixels of what it draws, ``rng`` chooses everything else.
"""

from collections.abc import Callable

import cv2
import numpy as np

SHIFT = 4  # fixed-point coordinates of 1/16 pixel
SIZES = (3.0, 40.0)  # pixels, of the things that are drawn


def draw_surface(seed: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """Draw a picture of nobody.

    Args:
        seed: Non-negative integers; equal ones give equal pictures.
        size: Width and height in pixels.

    Returns:
        uint8 ``(h, w, 3)`` BGR.

    Examples:
        >>> draw_surface((0, 0, 1), (96, 64)).shape
        (64, 96, 3)
    """
    rng = np.random.default_rng(seed)
    width, height = size
    canvas = np.empty((height, width, 3), np.uint8)
    surface = SURFACES[rng.integers(len(SURFACES))]
    surface(canvas, float(np.exp(rng.uniform(*np.log(SIZES)))), rng)
    return _photograph(canvas, rng)


def _photograph(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Uneven light, the blur of the lens and the noise of the sensor."""
    height, width = canvas.shape[:2]
    light = cv2.resize(_random(rng, (2, 2), 0.6, 1.25), (width, height))[..., None]
    canvas = canvas * light
    blur = rng.uniform(0, 1.5)
    if blur > 0.4:
        canvas = cv2.GaussianBlur(canvas, (0, 0), blur)
    if rng.random() < 0.2:  # in black and white
        canvas = np.repeat(canvas.mean(axis=2, keepdims=True), 3, axis=2)
    canvas = canvas + rng.uniform(0, 8) * rng.standard_normal(canvas.shape, np.float32)
    return np.rint(canvas.clip(0, 255)).astype(np.uint8)


# ----------------------------------------------------------------------------------- surfaces


def _pebbles(canvas: np.ndarray, size: float, rng: np.random.Generator) -> None:
    canvas[:] = _colour(rng, 20, 90)
    tint = _colour(rng, 90, 190)
    for place, radius in _scatter(canvas, size, 3.0, rng):
        axes = radius * rng.uniform(0.6, 1.1, 2)
        angle = rng.uniform(0, 180)
        colour = tint * rng.uniform(0.5, 1.3) + rng.normal(0, 10, 3)
        _ellipse(canvas, place, axes, angle, 0.55 * colour)
        _ellipse(canvas, place - 0.15 * radius, 0.82 * axes, angle, colour)


def _balls(canvas: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Fruit, coins, bottle tops: round, shaded, with a highlight, heaped or apart."""
    canvas[:] = _colour(rng, 20, 230)
    tint = _colour(rng, 30, 220)
    for place, radius in _scatter(canvas, size, rng.uniform(0.3, 2.5), rng):
        colour = (tint + rng.normal(0, 25, 3)).clip(0, 255)
        _ellipse(canvas, place + 0.2 * radius, (radius, radius), 0, 0.4 * canvas[0, 0])  # shadow
        for share in (1.0, 0.8, 0.55):
            centre = place - 0.25 * radius * (1 - share)
            _ellipse(
                canvas, centre, (share * radius, share * radius), 0, colour * (1.3 - share / 2)
            )
        _ellipse(canvas, place - 0.35 * radius, (0.18 * radius, 0.12 * radius), 45, (240, 240, 240))


def _stones(canvas: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Gravel, rubble, ore: broken edges, faces that are lit each in its way."""
    canvas[:] = _colour(rng, 10, 70)
    tint = _colour(rng, 80, 190)
    contrast = rng.uniform(0.1, 0.4)
    for place, radius in _scatter(canvas, size, rng.uniform(1.0, 4.0), rng):
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(5, 9)))
        reach = radius * rng.uniform(0.7, 1.25, len(angles))
        corners = place + reach[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
        ridge = place + radius * rng.uniform(-0.4, 0.4, 2)
        colour = tint * rng.uniform(0.75, 1.2) + rng.normal(0, 6, 3)
        middle = len(corners) // 2
        _polygon(canvas, place + 1.12 * (corners - place) + 0.08 * size, 0.4 * colour)  # shadow
        _polygon(canvas, corners, colour * (1 + contrast))
        for face in (corners[: middle + 1], np.roll(corners, -middle, 0)[:2]):
            _polygon(canvas, [*face, ridge], colour * rng.uniform(1 - contrast, 1 + contrast))


def _coins(canvas: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Coins, medals, buttons, seals: discs with a rim and something stamped on them."""
    height, width = canvas.shape[:2]
    size = float(np.clip(2 * size, 10, 90))
    light, dark = _colour(rng, 90, 230), _colour(rng, 10, 200)
    slope = cv2.resize(_random(rng, (2, 2), 0.4, 1.4), (width, height))[..., None]
    relief, mask = np.zeros((2, height, width), np.float32)
    step = size * rng.uniform(1.05, 2.2)
    for y in np.arange(0.5 * step, height + step, step):
        for x in np.arange(rng.uniform(0, 1) * step, width + step, step):
            place = np.array([x, y]) + rng.normal(0, 0.08, 2) * step
            radius = size / 2 * rng.uniform(0.75, 1.2)
            _ellipse(mask, place, (radius, radius * rng.uniform(0.9, 1)), 0, (rng.uniform(0.7, 1),))
            for share, level in ((1.0, 1.0), (rng.uniform(0.75, 0.95), 0.5)):
                _ellipse(relief, place, (share * radius, share * radius), 0, (level,))
            for _ in range(rng.integers(2, 14)):
                spot = place + 0.35 * radius * rng.standard_normal(2).clip(-1.5, 1.5)
                axes = radius * rng.uniform(0.04, 0.4, 2)
                _ellipse(relief, spot, axes, rng.uniform(0, 180), (rng.uniform(0.4, 1.3),))
    relief = cv2.GaussianBlur(relief, (0, 0), max(0.02 * size, 0.5))
    angle = rng.uniform(0, 2 * np.pi)
    slopes = cv2.Sobel(relief, -1, 1, 0), cv2.Sobel(relief, -1, 0, 1)
    shade = np.cos(angle) * slopes[0] + np.sin(angle) * slopes[1]
    metal = light * (1 + rng.uniform(0.1, 0.6) * shade[..., None])
    mask = mask[..., None]
    canvas[:] = (mask * metal + (1 - mask) * dark * slope).clip(0, 255)


def _blades(canvas: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Grass, straw, fur: strokes of about one direction."""
    tint = _colour(rng, 40, 170)
    canvas[:] = 0.5 * tint
    lean = rng.uniform(0, np.pi)
    for place, length in _scatter(canvas, size, 6.0, rng):
        angle = rng.normal(lean, 0.4)
        tip = place + 1.5 * length * np.array([np.cos(angle), np.sin(angle)])
        colour = tint * rng.uniform(0.4, 1.6) + rng.normal(0, 12, 3)
        thickness = max(round(length / 8), 1)
        cv2.line(canvas, _fixed(place), _fixed(tip), _bgr(colour), thickness, cv2.LINE_AA, SHIFT)


def _leaves(canvas: np.ndarray, size: float, rng: np.random.Generator) -> None:
    tint = _colour(rng, 30, 160)
    canvas[:] = 0.4 * tint
    for place, radius in _scatter(canvas, size, 4.0, rng):
        colour = tint * rng.uniform(0.4, 1.6) + rng.normal(0, 10, 3)
        _ellipse(canvas, place, (radius, 0.4 * radius), rng.uniform(0, 180), colour)


def _stars(canvas: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Lights on a dark ground: a night sky, a town from above, drops."""
    canvas[:] = _colour(rng, 0, 30)
    for place, radius in _scatter(canvas, size, rng.uniform(0.02, 0.3), rng):
        axes = radius * rng.uniform(0.1, 0.6) * np.array([1, rng.uniform(0.3, 1)])
        _ellipse(canvas, place, axes, rng.uniform(0, 180), _colour(rng, 90, 255))
    glow = cv2.GaussianBlur(canvas, (0, 0), max(0.15 * size, 0.6))
    canvas[:] = cv2.addWeighted(glow, 1, canvas, 0.5, 0)


def _bricks(canvas: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Bricks, tiles, windows of a house: boxes in rows."""
    height, width = canvas.shape[:2]
    canvas[:] = _colour(rng, 60, 200)
    tint = _colour(rng, 40, 200)
    step = np.array([size * rng.uniform(0.8, 3.0), size]) + 4
    gap = rng.uniform(0.05, 0.45) * step.min()
    offset = rng.choice([0.0, 0.5])
    for row in range(int(height / step[1]) + 2):
        for column in range(-1, int(width / step[0]) + 2):
            corner = step * np.array([column + offset * (row % 2), row])
            colour = tint * rng.uniform(0.8, 1.2) + rng.normal(0, 6, 3)
            end = corner + step - gap
            cv2.rectangle(canvas, _fixed(corner), _fixed(end), _bgr(colour), -1, cv2.LINE_AA, SHIFT)


def _text(canvas: np.ndarray, size: float, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    ground, ink = _colour(rng, 180, 255), _colour(rng, 0, 110)
    if rng.random() < 0.3:
        ground, ink = ink, ground
    canvas[:] = ground
    scale = max(size, 8) / 22  # letters of 22 pixels have the scale 1
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX]))
    letters = np.array(list('aaabcdeeeefghiiklmnnoooprrssstttuuvwxyz   ,.0123'))
    length = int(width / (14 * scale)) + 4
    for y in np.arange(30 * scale, height + 30 * scale, 34 * scale):
        line = ''.join(rng.choice(letters, length))
        where = (int(rng.uniform(0, 20 * scale)), int(y))
        cv2.putText(
            canvas, line, where, font, scale, _bgr(ink), max(round(1.6 * scale), 1), cv2.LINE_AA
        )


def _weave(canvas: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Cloth, netting, corrugated sheets, ripples: products of waves."""
    height, width = canvas.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    bend = 2 * size * _grain_of((height, width), 6 * size, rng)
    waves = []
    for angle in rng.uniform(0, np.pi) + np.array([0, rng.uniform(0.4, 1.6)]):
        phase = (x * np.cos(angle) + y * np.sin(angle) + bend) * (2 * np.pi / size)
        waves.append(np.sin(phase))
    share = 0.5 + 0.5 * (waves[0] * waves[1] if rng.random() < 0.6 else waves[0])
    canvas[:] = _mixed(share, rng)


def _grain(canvas: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Sky, concrete, sand, bark: noise with more of the coarse."""
    height, width = canvas.shape[:2]
    share = sum(
        _grain_of((height, width), size * 2.0**octave, rng) * 1.6**octave for octave in range(4)
    )
    share = 0.5 + 0.2 * share * rng.uniform(0.2, 1.5)
    if rng.random() < 0.3:  # brushed, like bark or metal
        share = cv2.GaussianBlur(share, (0, 0), sigmaX=0.1, sigmaY=size)
    canvas[:] = _mixed(np.clip(share, 0, 1), rng)


SURFACES: tuple[Callable[[np.ndarray, float, np.random.Generator], None], ...] = (
    _pebbles,
    _balls,
    _stones,
    _coins,
    _blades,
    _leaves,
    _stars,
    _bricks,
    _text,
    _weave,
    _grain,
)


# -------------------------------------------------------------------------------- small parts


def _scatter(canvas: np.ndarray, size: float, cover: float, rng: np.random.Generator):
    """Places ``(2,)`` xy and radii of things that cover the canvas ``cover`` times."""
    height, width = canvas.shape[:2]
    number = min(int(cover * height * width / (np.pi * (size / 2) ** 2)) + 1, 6000)
    places = rng.uniform(-0.5 * size, 0.5 * size, (number, 2))
    places += rng.uniform(0, 1, (number, 2)) * (width, height)
    return zip(places, size / 2 * rng.uniform(0.6, 1.3, number), strict=True)


def _grain_of(shape: tuple[int, int], size: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise ``shape`` of deviation about 1, with spots of ``size`` pixels."""
    small = tuple(max(int(side / size) + 2, 2) for side in shape)
    noise = rng.standard_normal(small, np.float32)
    return cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC)


def _mixed(share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two colours ``(h, w, 3)``, the first where ``share`` ``(h, w)`` is 1."""
    return share[..., None] * _colour(rng, 60, 240) + (1 - share[..., None]) * _colour(rng, 10, 200)


def _random(rng: np.random.Generator, shape, low: float, high: float) -> np.ndarray:
    return rng.uniform(low, high, shape).astype(np.float32)


def _colour(rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """A colour that is grey rather than gaudy, float64 ``(3,)`` BGR."""
    grey = rng.uniform(low, high)
    return (grey + rng.uniform(-1, 1, 3) * rng.choice([8, 25, 60])).clip(low, high)


def _bgr(colour: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.clip(colour, 0, 255))


def _fixed(place: np.ndarray) -> tuple[int, int]:
    return round(place[0] * 2**SHIFT), round(place[1] * 2**SHIFT)


def _ellipse(canvas: np.ndarray, centre, axes, angle: float, colour) -> None:
    size = _fixed(np.maximum(axes, 0.3))
    cv2.ellipse(canvas, _fixed(centre), size, angle, 0, 360, _bgr(colour), -1, cv2.LINE_AA, SHIFT)


def _polygon(canvas: np.ndarray, corners, colour) -> None:
    points = np.rint(np.asarray(corners) * 2**SHIFT).astype(np.int32)
    cv2.fillPoly(canvas, [points], _bgr(colour), cv2.LINE_AA, SHIFT)
