"""Zones of a picture: how many people are in each of them, and how densely they stand."""

import itertools
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mmcrowd.fileio.files import read_json
from mmcrowd.ops.polygons import (
    crosses,
    cumulate,
    find_self_contact,
    fit_homography,
    map_points,
    point_within,
    points_inside,
    polygon_area,
    sides_of,
    sum_inside,
)
from mmcrowd.structures import CrowdDataSample, SampleReader, to_input_frame

# A corner may lie so many pixels beyond the image: x = W is meant for its right edge.
TOLERANCE = 1.0
# Square pixels; what rounding leaves of a zone whose corners all lie on one line.
_NO_AREA = 1e-6

Polygon = list[np.ndarray]


class Zone(NamedTuple):
    """A named part of a picture.

    Attributes:
        name: Its name.
        polygons: Its parts. Each is a list of rings ``(k, 2)``, ``(x, y)`` in pixels of the
            original frame: the outer one, and then its holes.
    """

    name: str
    polygons: list[Polygon]

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which of the points ``(n, 2)`` lie in the zone, by the even-odd rule, ``(n,)`` bool."""
        return np.any([points_inside(points, polygon) for polygon in self.polygons], axis=0)

    @property
    def area(self) -> float:
        """In square pixels."""
        return sum(polygon_area(polygon) for polygon in self.polygons)


class Zones(NamedTuple):
    """The zones of a picture, as :func:`parse_zones` makes and checks them.

    Coordinates are pixels of the original frame, in which the first pixel has its centre at 0 and
    covers [-0.5, 0.5). Corners on the centres of the outermost pixels, or up to one pixel beyond
    the image, are meant for its edges, and :meth:`for_image` moves them there: rectangles from 0
    to the width cover the image just as those from 0 to the width - 1.

    Attributes:
        zones: The zones.
        size: ``(height, width)`` of the picture that they were drawn on; None: that of every image.
        ground: Pixels ``(4, 2)`` and, for each, metres ``(4, 2)`` on a plane, the ground; None:
            areas in square metres are not known.
        source: Where they come from, for the errors.
    """

    zones: list[Zone]
    size: tuple[int, int] | None = None
    ground: tuple[np.ndarray, np.ndarray] | None = None
    source: str = 'zones'

    def for_image(self, size: tuple[int, int]) -> 'Zones':
        """The same zones in an image of ``size = (height, width)`` pixels, up to its edges.

        Raises:
            ValueError: A zone has a corner outside the image, no area inside it, or reaches beyond
                the horizon; or the picture that they were drawn on has other proportions.
        """
        drawn_on = self.size or size
        extent = np.array(drawn_on[::-1], np.float64)
        scale = self._scale(size)

        def move(points: np.ndarray) -> np.ndarray:
            return (points + 0.5) * scale - 0.5

        def fit(ring: np.ndarray, name: str) -> np.ndarray:
            outside = ((ring < -TOLERANCE) | (ring > extent - 1 + TOLERANCE)).any(1)
            if outside.any():
                x, y = ring[outside.argmax()]
                raise ValueError(
                    f'{self.source}: zone {name!r} has the corner ({x:g}, {y:g}) outside the image '
                    f'of {drawn_on[1]} x {drawn_on[0]} pixels'
                )
            ring = np.where(ring <= 0, -0.5, ring)
            return move(np.where(ring >= extent - 1, extent - 0.5, ring))

        zones = [
            Zone(name, [[fit(ring, name) for ring in polygon] for polygon in polygons])
            for name, polygons in self.zones
        ]
        ground = None if self.ground is None else (move(self.ground[0]), self.ground[1])
        fitted = Zones(zones, size, ground, self.source)
        for zone in zones:
            if zone.area < _NO_AREA:
                raise ValueError(
                    f'{self.source}: zone {zone.name!r} has no area inside the image of '
                    f'{drawn_on[1]} x {drawn_on[0]} pixels: all of it lies beyond an edge'
                )
            fitted.square_metres(zone)
        return fitted

    def square_metres(self, zone: Zone) -> float | None:
        """Area of a zone on the ground; None without a ground.

        Raises:
            ValueError: The zone reaches beyond the horizon.
        """
        if self.ground is None:
            return None
        pixels, metres = self.ground
        matrix = fit_homography(pixels, metres)
        try:
            # All on the side of the four points: what is beyond the horizon is mapped, too.
            map_points(matrix, np.concatenate((pixels, *itertools.chain(*zone.polygons))))
        except ValueError:
            raise ValueError(
                f'{self.source}: zone {zone.name!r} reaches beyond the horizon of the ground plane'
            ) from None
        return sum(
            polygon_area([map_points(matrix, ring) for ring in polygon])
            for polygon in zone.polygons
        )

    def _scale(self, size: tuple[int, int]) -> np.ndarray:
        """Factors (x, y) from the picture of the zones to an image of this size."""
        if self.size is None:
            return np.ones(2)
        (height, width), (given_height, given_width) = size, self.size
        # Sides are rounded to whole pixels when an image is resized.
        if abs(width * given_height - height * given_width) > max(given_height, given_width):
            raise ValueError(
                f'{self.source}: the zones were drawn on a picture of {given_width} x '
                f'{given_height} pixels, but the image has {width} x {height}, which is of other '
                'proportions'
            )
        return np.array([width / given_width, height / given_height])


def count_in_zones(zones: Zones, sample: CrowdDataSample) -> list[dict[str, Any]]:
    """How many people of a prediction are in each zone.

    The density of a cell is spread evenly over its part inside the image, and a zone gets the
    share of the area that it covers, so the counts of zones that part an image add up to that of
    the image.

    Args:
        zones: The zones, of a picture with the proportions of the image.
        sample: A prediction, with ``ori_shape``, ``img_shape``, and ``pred_density`` or
            ``pred_instances`` or both.

    Returns:
        A dict for each zone, of plain values: its ``name``; ``count``, the density inside, or, if
        the prediction has no density, the number of points; ``num_points``, the number of
        predicted points inside, None if there are none to count; and, if the ground is known,
        ``square_metres`` and ``per_square_metre``, the count over that area.

    Raises:
        KeyError: The sample lacks what is needed, or has neither density nor points.
        ValueError: See :meth:`Zones.for_image`.
    """
    read = SampleReader(sample, 'count_in_zones')
    height, width = read.value('ori_shape')
    zones = zones.for_image((int(height), int(width)))
    density, points = read.density, read.pred_points
    if density is None and points is None:
        read.require('pred_density')
    if density is not None:
        # Of the outermost cells only the part inside the image is an area.
        stride = read.stride()
        edges = [
            np.append(np.arange(cells) * stride, side) - 0.5
            for cells, side in zip(density.shape, read.value('img_shape'), strict=True)
        ]
        cumulated = cumulate(density)
    results = []
    for zone in zones.zones:
        inside = None if points is None else int(zone.holds(points).sum())
        if density is None:
            count = float(inside or 0)
        else:
            count = sum(
                sum_inside(
                    cumulated, [to_input_frame(ring, read.meta) for ring in polygon], *edges[::-1]
                )
                for polygon in zone.polygons
            )
        result = dict(name=zone.name, count=count, num_points=inside)
        if (area := zones.square_metres(zone)) is not None:
            result.update(square_metres=area, per_square_metre=count / area)
        results.append(result)
    return results


# -------------------------------------------------------------------------------------- reading


def read_zones(path: str | os.PathLike) -> Zones:
    """Read zones from a JSON file, see :func:`parse_zones`."""
    return parse_zones(read_zones_file(path), os.fspath(path))


def read_zones_file(path: str | os.PathLike) -> Any:
    """The content of a JSON file of zones, not checked yet.

    Raises:
        ValueError: The file is no JSON, or its content is given in place of its path.
    """
    text = os.fspath(path)
    if isinstance(text, str) and text.lstrip().startswith(('{', '[')) and not os.path.exists(text):
        raise ValueError(
            'zones: a text of JSON, expected the path of a file, or what json.loads makes of it'
        )
    return read_json(text)


def parse_zones(content: Any, source: str = 'zones') -> Zones:
    """Zones from the content of a JSON file.

    Either of

    - ours: ``zones``, a list of dicts with ``name``, ``polygon`` (a list of ``[x, y]``) and
      optionally ``holes`` (a list of such lists);
    - GeoJSON: a ``FeatureCollection``, ``Feature``, ``Polygon`` or ``MultiPolygon`` whose
      coordinates are pixels; the name of a feature is ``name`` of its properties or its ``id``,
      or else its number.

    Both may have ``width`` and ``height`` of the picture that the zones were drawn on, and
    ``ground``: ``pixels`` and ``metres``, four ``[x, y]`` each.

    Args:
        content: What the file holds.
        source: Name of the file, for the errors. Defaults to ``'zones'``.

    Raises:
        ValueError: The content is none of these; two zones have one name; a ring has fewer than
            three corners, no area, crosses or touches itself or crosses another one of its zone;
            a hole lies outside its polygon, polygons of a zone overlap; a zone lies outside the
            picture; or the points of the ground are not four to four, three of them are on one
            line, or a zone reaches beyond its horizon. Each names file and zone.

    Examples:
        >>> gate = dict(name='gate', polygon=[[0, 0], [4, 0], [4, 4]])
        >>> parse_zones(dict(width=8, height=6, zones=[gate])).zones[0].area
        8.0
    """
    if not isinstance(content, Mapping):
        raise ValueError(
            f'{source}: {type(content).__name__}, expected an object with "zones", or GeoJSON'
        )
    if 'zones' in content:
        zones = [
            _own_zone(zone, i, source) for i, zone in enumerate(_list(content, 'zones', source))
        ]
    else:
        zones = _geojson_zones(content, source)
    if not zones:
        raise ValueError(f'{source}: no zone, expected one or more')
    names = [zone.name for zone in zones]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f'{source}: several zones have the name {twice[0]!r}, expected one')
    zones = [
        Zone(name, _checked_polygons(polygons, f'{source}: zone {name!r}'))
        for name, polygons in zones
    ]
    ground = _ground(content.get('ground'), source)
    checked = Zones(zones, _size(content, source), ground, source)
    if checked.size is not None:
        checked.for_image(checked.size)
    for zone in zones:
        checked.square_metres(zone)
    return checked


def _size(content: Mapping, source: str) -> tuple[int, int] | None:
    height, width = content.get('height'), content.get('width')
    if height is None and width is None:
        return None
    # Other programs write whole numbers as 100.0, too.
    sides: list[Any] = [
        int(n) if isinstance(n, float) and n.is_integer() else n for n in (height, width)
    ]
    if any(type(side) is not int or side < 1 for side in sides):
        raise ValueError(
            f'{source}: width={width!r} and height={height!r}, expected both, in whole pixels'
        )
    return sides[0], sides[1]


def _own_zone(zone: Any, number: int, source: str) -> Zone:
    if not isinstance(zone, Mapping) or 'polygon' not in zone:
        raise ValueError(f'{source}: zone {number} is {zone!r}, expected an object with "polygon"')
    name = _name(number, zone.get('name'))
    where = f'{source}: zone {name!r}'
    rings = [zone['polygon'], *_list(zone, 'holes', where, [])]
    return Zone(name, [[_ring(ring, where) for ring in rings]])


def _geojson_zones(content: Mapping, source: str) -> list[Zone]:
    kind = content.get('type')
    if kind == 'FeatureCollection':
        features = _list(content, 'features', source)
    elif kind == 'Feature':
        features = [content]
    else:
        features = [dict(geometry=content)]
    zones = []
    for number, feature in enumerate(features):
        place = f'{source}: feature {number}'
        feature = _object(feature, place)
        properties = _object(feature.get('properties') or {}, f'{place}: properties')
        geometry = _object(feature.get('geometry') or {}, f'{place}: geometry')
        name = _name(number, properties.get('name'), feature.get('id'))
        where = f'{source}: zone {name!r}'
        kind, coordinates = geometry.get('type'), geometry.get('coordinates', [])
        if kind not in ('Polygon', 'MultiPolygon'):
            raise ValueError(
                f'{where} has the type {kind!r}, expected "zones", or GeoJSON with Polygon or '
                'MultiPolygon'
            )
        try:
            parts = [coordinates] if kind == 'Polygon' else coordinates
            polygons = [[_ring(ring, where) for ring in part] for part in parts]
        except TypeError:
            raise ValueError(f'{where}: coordinates={coordinates!r}, expected rings') from None
        zones.append(Zone(name, polygons))
    return zones


def _name(number: int, *given: Any) -> str:
    """The first name that is given, where null is none, or else the number."""
    return next((str(name) for name in given if name is not None), str(number))


def _object(value: Any, where: str) -> Mapping:
    if not isinstance(value, Mapping):
        raise ValueError(f'{where} is {value!r}, expected an object')
    return value


def _list(content: Mapping, key: str, where: str, default: list | None = None) -> list:
    value = content.get(key, default)
    if not isinstance(value, list):
        raise ValueError(f'{where}: {key} is {value!r}, expected a list')
    return value


def _ring(points: Any, where: str) -> np.ndarray:
    try:
        ring = np.array([(float(x), float(y)) for x, y, *_ in points]).reshape(-1, 2)
    except (TypeError, ValueError):
        raise ValueError(f'{where}: {points!r}, expected a list of [x, y]') from None
    if not np.isfinite(ring).all():
        raise ValueError(f'{where}: {points!r}, expected finite numbers')
    return ring


def _ground(ground: Any, source: str) -> tuple[np.ndarray, np.ndarray] | None:
    if ground is None:
        return None
    if not isinstance(ground, Mapping) or not {'pixels', 'metres'} <= ground.keys():
        raise ValueError(f'{source}: ground={ground!r}, expected "pixels" and "metres"')
    pixels, metres = (
        _ring(ground[key], f'{source}: {key} of the ground') for key in ('pixels', 'metres')
    )
    if len(pixels) != 4 or len(metres) != 4:
        raise ValueError(
            f'{source}: the ground has {len(pixels)} pixels and {len(metres)} metres, expected '
            'four [x, y] each'
        )
    try:
        map_points(fit_homography(pixels, metres), pixels)
    except ValueError as error:
        raise ValueError(f'{source}: ground: {error}') from None
    return pixels, metres


# ------------------------------------------------------------------------------------- checking


def _checked_polygons(polygons: list[Polygon], where: str) -> list[Polygon]:
    """The polygons without repeated corners."""
    if not polygons or not all(polygons):
        raise ValueError(f'{where} has no polygon')
    polygons = [[_checked_ring(ring, where) for ring in polygon] for polygon in polygons]
    for one, other in itertools.combinations(itertools.chain(*polygons), 2):
        starts, ends = sides_of([other])
        for start, end in zip(*sides_of([one]), strict=True):
            met = crosses(start, end, starts, ends)
            if met.any():
                crossed = _side(starts[met.argmax()], ends[met.argmax()])
                raise ValueError(f'{where}: its sides {_side(start, end)} and {crossed} cross')
    for outer, *holes in polygons:
        for hole in holes:
            within = point_within([hole])
            if not points_inside(within, [outer])[0]:
                raise ValueError(f'{where}: a hole lies outside of its polygon')
            if sum(points_inside(within, [each])[0] for each in holes) > 1:
                raise ValueError(f'{where}: its holes overlap')
    for one, other in itertools.permutations(polygons, 2):
        if points_inside(point_within(one), other)[0]:
            raise ValueError(f'{where}: its polygons overlap')
    return polygons


def _checked_ring(ring: np.ndarray, where: str) -> np.ndarray:
    # Closed rings repeat their first corner at the end.
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(1)]
    if len(ring) < 3:
        raise ValueError(f'{where} has {len(ring)} different corners, expected at least 3')
    flat = np.linalg.svd(ring - ring.mean(0), compute_uv=False)
    if flat[1] <= 1e-9 * flat[0]:
        raise ValueError(f'{where} has no area: all corners lie on one line')
    if (contact := find_self_contact(ring)) is not None:
        starts, ends = sides_of([ring])
        first, second = (_side(starts[i], ends[i]) for i in contact)
        raise ValueError(f'{where} crosses or touches itself: its sides {first} and {second}')
    return ring


def _side(start: np.ndarray, end: np.ndarray) -> str:
    return ' to '.join(f'({x:g}, {y:g})' for x, y in (start, end))
