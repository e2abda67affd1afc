"""Objects that stand among the people, for :func:`~.painter.render_scene`.

A function draws its object with a :class:`~.painter.Brush`, in metres around the foot, y down;
``rng`` chooses its details and ``colour`` is BGR.
"""

import math

import numpy as np


def _bollard(brush, rng, colour) -> None:
    brush.bar(-0.1, -0.8, 0.1, 0, 0.8 * colour)
    brush.ball(0, -0.85, 0.14, 0.14, colour)


def _lamp(brush, rng, colour) -> None:
    brush.bar(-0.05, -4, 0.05, 0, (60, 62, 60))
    brush.ball(0, -4, 0.24, 0.24, (215, 235, 240))


def _tree(brush, rng, colour) -> None:
    brush.bar(-0.14, -2.4, 0.14, 0, (45, 60, 80))
    green = np.array([50, 95, 75]) * rng.uniform(0.7, 1.3)
    for _ in range(28):
        radius, angle = 1.25 * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
        x, y = radius * math.cos(angle), radius * math.sin(angle)
        brush.ball(x, y - 3.4, 0.5, 0.42, green * (1 - 0.25 * y) * rng.uniform(0.85, 1.15))


def _bush(brush, rng, colour) -> None:
    for _ in range(12):
        green = np.array([50, 100, 70]) * rng.uniform(0.6, 1.3)
        brush.ball(rng.uniform(-0.55, 0.55), rng.uniform(-0.7, -0.2), 0.28, 0.26, green)


def _car(brush, rng, colour) -> None:
    for x in (-1.3, 1.3):
        brush.ball(x, -0.3, 0.34, 0.34, (30, 30, 30))
    brush.bar(-2.1, -0.95, 2.1, -0.3, colour)
    brush.shape([(-1.5, -0.9), (-0.9, -1.5), (0.8, -1.5), (1.4, -0.9)], 0.9 * colour)
    brush.shape([(-1.25, -0.92), (-0.8, -1.4), (0.7, -1.4), (1.1, -0.92)], (95, 85, 75))


def _parasol(brush, rng, colour) -> None:
    brush.bar(-0.04, -2.4, 0.04, 0, (70, 80, 90))
    brush.ball(0, -1.75, 1.4, 0.7, colour, 180, 360)
    brush.ball(0, -1.75, 0.5, 0.7, np.minimum(1.25 * colour + 15, 255), 180, 360)


def _balloons(brush, rng, colour) -> None:
    brush.bar(-0.02, -2, 0.02, 0, (120, 120, 120))
    for _ in range(7):
        bright = brush.bright_colour(rng)
        brush.ball(rng.uniform(-0.4, 0.4), rng.uniform(-2.5, -1.9), 0.13, 0.16, bright)


def _board(brush, rng, colour) -> None:
    brush.bar(-0.05, -1.4, 0.05, 0, (70, 70, 70))
    brush.bar(-1.2, -2.6, 1.2, -1.3, colour)
    for y in (-2.4, -2.1, -1.8, -1.5):
        brush.bar(-1, y, rng.uniform(0, 1), y + 0.12, 255 - colour)


def _bin(brush, rng, colour) -> None:
    brush.bar(-0.28, -0.9, 0.28, 0, (60, 75, 60))
    brush.ball(0, -0.9, 0.3, 0.12, (45, 50, 48))


def _stall(brush, rng, colour) -> None:
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


def prop_extent(kind: float) -> tuple[float, float]:
    """Width and height in metres of an object, by its index in :data:`PROPS`."""
    return PROPS[int(kind)][1:]
