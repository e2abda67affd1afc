"""What a visitor of the page has: pictures, their counts, points and zones."""

import base64
import csv
import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import cv2
import numpy as np
from mmengine.structures import InstanceData

from mmcrowd.apis.inferencer import CrowdInferencer, plain_prediction
from mmcrowd.apis.inputs import decode_photo
from mmcrowd.apis.outputs import COLUMNS, csv_row
from mmcrowd.apis.zones import count_in_zones, parse_zones
from mmcrowd.fileio.files import file_name, printable
from mmcrowd.fileio.images import resize_image
from mmcrowd.models.counters.base_counter import locate
from mmcrowd.models.localizers import LocalMaximum
from mmcrowd.models.localizers.local_maximum import PEAK_THRESHOLD
from mmcrowd.structures import CrowdDataSample
from mmcrowd.visualization.drawing import draw_outline, point_radius
from mmcrowd.visualization.palette import TRUTH_COLOR

OWN, MAXIMA = 'own', 'maxima'  # localizers: that of the model, and local maxima of its density
THRESHOLD = PEAK_THRESHOLD  # of local maxima, in persons per cell

THUMB = 96  # longer side, in pixels


class Limits(NamedTuple):
    """What the page takes.

    Attributes:
        file_bytes: Bytes of a file. Defaults to 32 MB.
        pixels: Pixels of a picture. Defaults to 64 million.
        pictures: Pictures of a visitor at one time. Defaults to 50.
        seconds: After so long without a count the pictures of a visitor are removed, and his files
            so long after they came. Defaults to an hour.
        heic: Whether HEIC is read. Defaults to whether pillow-heif is installed.
    """

    file_bytes: int = 32_000_000
    pixels: int = 64_000_000
    pictures: int = 50
    seconds: int = 3600
    heic: bool = find_spec('pillow_heif') is not None


class PointRule(NamedTuple):
    """Where the points come from.

    Attributes:
        localizer: :data:`OWN` or :data:`MAXIMA`.
        threshold: Of the latter, in persons per cell.
    """

    localizer: str = OWN
    threshold: float = THRESHOLD


@dataclass
class Counted:
    """A picture that has been counted.

    Attributes:
        name: Unique among those of the visitor.
        path: The file that was uploaded.
        sample: Its prediction, on the host.
        own_points: The points of the network's own localizer.
        origin: Where the answer comes from, see :meth:`~mmcrowd.apis.CrowdInferencer.origin`.
        model: Name of the model and its test errors.
        seconds: From the file to the answer.
        layers: ``picture``, ``density`` and ``thumb`` as data URLs, and ``scale``; they stay the
            same while points and zones change.
        zones: ``name`` and ``polygon`` of each, ``[x, y]`` in pixels of the original frame.
        rule: Where the points come from.
    """

    name: str
    path: Path
    sample: CrowdDataSample
    own_points: InstanceData | None
    origin: dict[str, str | None]
    model: str
    seconds: float
    layers: dict[str, Any]
    zones: list[dict[str, Any]] = field(default_factory=list)
    rule: PointRule = field(default_factory=PointRule)

    def locate(self, rule: PointRule) -> None:
        """Take the points by another rule, from the density that is there."""
        if rule.localizer == OWN:
            points = self.own_points
        elif 'pred_density' in self.sample:
            density, stride = self.sample.pred_density.density[0], self.sample.density_stride
            localizer = LocalMaximum(threshold=rule.threshold)
            points = locate(localizer, dict(density=density), stride, self.sample)
        else:
            raise ValueError(
                'This model finds points without a density, so it has no local maxima.'
            )
        if points is not None:
            self.sample.pred_instances = points
        self.rule = rule
        self.set_zones(self.zones)

    def set_zones(self, zones: Sequence[Mapping[str, Any]]) -> None:
        """Take these zones in place of those that are there, and count in them.

        Raises:
            ValueError: See :func:`~mmcrowd.apis.zones.parse_zones`; the old zones stay.
        """
        counts: list[dict[str, Any]] = []
        if zones:
            counts = count_in_zones(parse_zones(self.zones_file(zones), 'drawing'), self.sample)
        self.zones = [dict(name=str(z['name']), polygon=z['polygon']) for z in zones]
        self.sample.set_metainfo(dict(zones=counts))

    def zones_file(self, zones: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Zones as the content of a JSON file, see ``docs/zones.md``."""
        height, width = self.sample.ori_shape
        return dict(width=int(width), height=int(height), zones=list(zones))

    @property
    def prediction(self) -> dict[str, Any]:
        """As :class:`~mmcrowd.apis.CrowdInferencer` gives it."""
        prediction = plain_prediction(self.sample) | self.origin
        if self.rule.localizer == MAXIMA:
            prediction['localizer'] = LocalMaximum.__name__
        if not self.zones:
            prediction.pop('zones', None)
        return prediction

    def answer(self) -> dict[str, Any]:
        """What the page shows, but for the layers."""
        prediction = self.prediction
        # The radius on the picture as it is shown, in pixels of the original.
        shown = max(self.layers['size'])
        unit = max(prediction['width'], prediction['height']) / shown
        points = np.array(prediction['points'], np.float64).reshape(-1, 2)
        counts = prediction.pop('zones', [])
        zones = [{**count, **zone} for count, zone in zip(counts, self.zones, strict=True)]
        return dict(
            prediction,
            radius=round(point_radius(points / unit, shown) * unit, 2),
            model=self.model,
            seconds=round(self.seconds, 2),
            zones=zones,
        )


@dataclass
class Session:
    """The pictures of one visitor, and which of them is shown.

    Attributes:
        pictures: In the order in which they were added.
        shown: Number of the picture that is shown.
    """

    pictures: list[Counted] = field(default_factory=list)
    shown: int = 0

    @property
    def current(self) -> Counted | None:
        """The picture that is shown, if there is any."""
        return self.pictures[self.shown] if self.shown < len(self.pictures) else None

    def find(self, name: str) -> Counted | None:
        """The picture of this name, if it is still there.

        What a visitor clicks at is named, not numbered: he may not see yet what has changed.
        """
        return next((picture for picture in self.pictures if picture.name == name), None)

    def add(
        self,
        path: Path,
        name: str,
        counter: CrowdInferencer,
        model: str,
        rule: PointRule,
        limits: Limits,
    ) -> Counted:
        """Count a picture, and show it.

        Args:
            path: Its file.
            name: What the visitor calls it.
            counter: Counts it.
            model: What the page says of the model.
            rule: Where the points come from.
            limits: What is taken.

        Raises:
            ValueError: It is no picture, or too large, or there are too many.
        """
        name = printable(PurePath(name.replace('\\', '/')).name) or 'picture'
        if len(self.pictures) >= limits.pictures:
            raise ValueError(f'{name}: there are {limits.pictures} pictures already, remove some')
        counted = count_file(path, name, counter, model, limits)
        counted.name = self._free_name(PurePath(name).stem)
        counted.sample.set_metainfo(dict(img_id=counted.name))
        if 'pred_density' in counted.sample:
            counted.locate(rule)
        self.pictures.append(counted)
        self.shown = len(self.pictures) - 1
        return counted

    def count_again(
        self, counter: CrowdInferencer, model: str, rule: PointRule, limits: Limits
    ) -> Iterator[str]:
        """Count all pictures by another model; zones stay.

        Yields:
            What could not be counted any more, as a sentence, or an empty text, for each picture.
        """
        for old in list(self.pictures):
            try:
                new = count_file(old.path, old.name, counter, model, limits)
            except (OSError, ValueError) as error:
                yield str(error)
                continue
            new.sample.set_metainfo(dict(img_id=old.name))
            new.zones = old.zones
            new.locate(rule if 'pred_density' in new.sample else PointRule())
            # Others may have been removed meanwhile, and this one, too.
            self.pictures[:] = [new if each is old else each for each in self.pictures]
            yield ''

    def choose(self, name: str) -> None:
        """Show another picture."""
        if (number := self._number(name)) is not None:
            self.shown = number

    def remove(self, name: str) -> None:
        """Remove a picture. Its file may be that of another one, too, and stays for its time."""
        if (number := self._number(name)) is not None:
            self.pictures.pop(number)
            self.shown = min(self.shown - (number < self.shown), max(len(self.pictures) - 1, 0))

    def _number(self, name: str) -> int | None:
        numbers = (number for number, each in enumerate(self.pictures) if each.name == name)
        return next(numbers, None)

    def rows(self) -> list[dict[str, Any]]:
        """A line of the table for each picture."""
        return [
            dict(
                name=picture.name,
                count=float(picture.sample.pred_count),
                notes=picture.sample.notes,
                thumb=picture.layers['thumb'],
                shown=number == self.shown,
            )
            for number, picture in enumerate(self.pictures)
        ]

    def export(self, kind: str, counter: CrowdInferencer) -> tuple[str, bytes]:
        """A file to save.

        Args:
            kind: ``'picture'``, ``'json'`` and ``'zones'`` of the picture that is shown, ``'csv'``
                of all.
            counter: Draws the picture.

        Returns:
            Its name, and its content.

        Raises:
            ValueError: There is no picture, or no such kind.
            FileNotFoundError: The picture's file has been removed meanwhile.
        """
        picture = self.current
        if picture is None:
            raise ValueError('There is no picture to save.')
        stem = file_name(picture.name)
        if kind == 'json':
            content = json.dumps(picture.prediction, ensure_ascii=False)
            return f'{stem}.json', content.encode()
        if kind == 'zones':
            content = json.dumps(picture.zones_file(picture.zones), ensure_ascii=False, indent=1)
            return f'{stem}_zones.json', content.encode()
        if kind == 'csv':
            text = io.StringIO()
            writer = csv.writer(text)
            writer.writerow(COLUMNS)
            writer.writerows(csv_row(each.prediction) for each in self.pictures)
            return 'counts.csv', text.getvalue().encode()
        if kind == 'picture':
            return f'{stem}.png', draw_picture(picture, counter)
        raise ValueError(f'kind={kind!r}, expected picture, json, csv or zones')

    def _free_name(self, stem: str) -> str:
        taken, name, number = {each.name for each in self.pictures}, stem, 1
        while name in taken:
            number += 1
            name = f'{stem}-{number}'
        return name


def count_file(
    path: Path, name: str, counter: CrowdInferencer, model: str, limits: Limits
) -> Counted:
    """Count the picture of a file; arguments and errors are those of :meth:`Session.add`."""
    start = time.perf_counter()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(
            f'{name}: the file was removed after {limits.seconds // 60} minutes; add it again'
        ) from None
    if len(content) > limits.file_bytes:
        raise ValueError(
            f'{name}: {len(content) / 1e6:.1f} MB, expected at most {limits.file_bytes / 1e6:g} MB'
        )
    try:
        img, notes = decode_photo(content, name, limits.pixels)
    except ValueError as error:
        # Visitors can install nothing.
        if not limits.heic and 'pip install pillow-heif' in str(error):
            raise ValueError(
                f'{name}: HEIC is not read here; expected JPEG, PNG, TIFF or WebP'
            ) from None
        raise
    (result,) = counter.iter(img, return_datasamples=True)
    sample = result['predictions'][0].cpu()
    sample.set_metainfo(dict(img_id=name, notes=notes + sample.notes))
    picture, density, scale = counter.visualizer.draw_layers(
        name, cv2.cvtColor(img, cv2.COLOR_BGR2RGB), sample
    )
    longer = max(picture.shape[:2])
    height, width = (max(side * THUMB // longer, 1) for side in picture.shape[:2])
    thumb = resize_image(picture, (height, width))
    layers = dict(
        picture=data_url(picture, '.jpg'),
        density=None if density is None else data_url(density, '.png'),
        thumb=data_url(thumb, '.jpg'),
        scale=scale,
        size=picture.shape[:2],
    )
    seconds = time.perf_counter() - start
    own_points = sample.get('pred_instances')
    return Counted(name, path, sample, own_points, counter.origin(), model, seconds, layers)


def draw_picture(picture: Counted, counter: CrowdInferencer) -> bytes:
    """The picture with points, density and zones, as ``mmcrowd count`` draws it, a PNG file."""
    if not picture.path.is_file():
        raise FileNotFoundError(f'{picture.name}: its file was removed meanwhile; add it again')
    img = cv2.cvtColor(decode_photo(picture.path.read_bytes(), picture.name).img, cv2.COLOR_BGR2RGB)
    for zone in picture.zones:
        corners = np.array(zone['polygon'], np.float64)
        draw_outline(img, corners, TRUTH_COLOR, max(2, max(img.shape) // 400))
    panels = counter.visualizer.add_datasample(picture.name, img, picture.sample, draw_gt=False)
    return encode(panels, '.png')


def encode(picture: np.ndarray, ending: str) -> bytes:
    """The file of a picture, RGB or RGBA uint8."""
    code = cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    options = {'.jpg': [cv2.IMWRITE_JPEG_QUALITY, 88], '.png': [cv2.IMWRITE_PNG_COMPRESSION, 2]}
    return cv2.imencode(ending, cv2.cvtColor(picture, code), options[ending])[1].tobytes()


def data_url(picture: np.ndarray, ending: str) -> str:
    """A picture inside a page, so that no file has to be served."""
    kind = {'.jpg': 'jpeg', '.png': 'png'}[ending]
    return f'data:image/{kind};base64,{base64.b64encode(encode(picture, ending)).decode()}'
