import json

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmcrowd.apis.zones import count_in_zones, parse_zones, read_zones
from mmcrowd.structures import CrowdDataSample, to_original_frame


def make_prediction(height, width, scale=1.0, stride=4, flip=False, seed=0):
    """A density with the cells of an image (height, width) resized by the scale, and points."""
    rng = np.random.default_rng(seed)
    img_shape = (int(height * scale), int(width * scale))
    sample = CrowdDataSample(
        metainfo=dict(
            img_id='IMG_1',
            ori_shape=(height, width),
            img_shape=img_shape,
            scale_factor=(img_shape[1] / width, img_shape[0] / height),
            flip=flip,
            density_stride=stride,
        )
    )
    cells = [-(-side // stride) for side in img_shape]
    density = torch.from_numpy(rng.exponential(0.3, (1, *cells))).float()
    sample.pred_density = PixelData(density=density)
    sample.pred_count = density.sum(dtype=torch.float64).item()
    points = np.concatenate((rng.uniform(0, (width - 1, height - 1), (40, 2)), [[0, 0]]))
    sample.pred_instances = InstanceData(points=torch.from_numpy(points), scores=torch.ones(41))
    return sample


def rectangle(x0, y0, x1, y1):
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def parts_of(width, height):
    """Four zones around one point, of which two have slanted sides, that part an image."""
    x, y = 0.37 * width, 0.61 * height
    return dict(
        zones=[
            dict(name='top left', polygon=[[0, 0], [0.2 * width, 0], [x, y], [0, y]]),
            dict(name='top right', polygon=[[0.2 * width, 0], [width, 0], [width, y], [x, y]]),
            dict(name='low left', polygon=[[0, y], [x, y], [0.5 * width, height], [0, height]]),
            dict(
                name='low right',
                polygon=[[x, y], [width, y], [width, height], [0.5 * width, height]],
            ),
        ]
    )


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('size, scale', [((48, 64), 1), ((50, 67), 1), ((97, 131), 0.51)])
def test_zones_that_part_the_image_add_up(size, scale, flip):
    sample = make_prediction(*size, scale, flip=flip)
    results = count_in_zones(parse_zones(parts_of(size[1], size[0])), sample)
    assert sum(zone['count'] for zone in results) == pytest.approx(sample.pred_count, abs=1e-6)
    assert sum(zone['num_points'] for zone in results) == 41
    json.dumps(results)


@pytest.mark.parametrize('edges', [(0, 0, 67, 50), (0, 0, 66, 49), (-0.5, -0.5, 66.5, 49.5)])
def test_the_edges_of_the_image_are_meant_however_they_are_given(edges):
    sample = make_prediction(50, 67)
    (zone,) = count_in_zones(parse_zones(dict(zones=[dict(polygon=rectangle(*edges))])), sample)
    assert zone['count'] == pytest.approx(sample.pred_count, abs=1e-6)
    assert zone == dict(name='0', count=zone['count'], num_points=41)


def test_cells_count_by_their_share_of_area_inside_the_image():
    sample = CrowdDataSample(
        metainfo=dict(img_id=1, ori_shape=(6, 6), img_shape=(6, 6), density_stride=4)
    )
    # The cells on the right and below are half inside the image.
    sample.pred_density = PixelData(density=torch.tensor([[[8.0, 4.0], [2.0, 1.0]]]))
    # Pixels 2 to 4 of all rows: half of the left cells and half of what the image has of the right.
    strip = dict(polygon=rectangle(1.5, 0, 4.5, 6))
    (zone,) = count_in_zones(parse_zones(dict(zones=[strip])), sample)
    assert zone['count'] == pytest.approx((8 + 4 + 2 + 1) / 2)
    assert zone['num_points'] is None
    # Rows 3 to 5, without the pixel (4, 4): that is a quarter of the 1 person in four pixels.
    area = dict(polygon=rectangle(0, 2.5, 6, 6), holes=[rectangle(3.5, 3.5, 4.5, 4.5)])
    (zone,) = count_in_zones(parse_zones(dict(zones=[area])), sample)
    assert zone['count'] == pytest.approx(8 / 4 + 4 / 4 + 2 + 1 - 1 / 4)


def test_density_is_that_of_the_input_frame():
    sample = make_prediction(40, 60, scale=0.5, flip=True)
    density = torch.zeros_like(sample.pred_density.density)
    density[0, 1, 2] = 3
    sample.pred_density = PixelData(density=density)
    corners = np.array([[7.5, 3.5], [11.5, 7.5]])  # of cell (1, 2) in the input frame
    (x1, y0), (x0, y1) = to_original_frame(corners, sample.metainfo).tolist()
    zones = [
        dict(name='cell', polygon=rectangle(x0, y0, x1, y1)),
        dict(name='a third', polygon=rectangle(x0, y0, (2 * x0 + x1) / 3, y1)),
        dict(name='elsewhere', polygon=rectangle(1, 1, x0, 39)),
    ]
    results = count_in_zones(parse_zones(dict(zones=zones)), sample)
    assert [zone['count'] for zone in results] == pytest.approx([3, 1, 0])


def test_geojson_with_holes_and_several_parts(tmp_path):
    donut = [rectangle(0, 0, 30, 30), rectangle(10, 10, 20, 20)]
    island = [rectangle(12, 12, 18, 18)]
    features = [
        dict(
            type='Feature',
            properties=dict(name='target'),
            geometry=dict(
                type='MultiPolygon',
                coordinates=[[ring + ring[:1] for ring in part] for part in (donut, island)],
            ),
        ),
        dict(
            type='Feature',
            id='right',
            properties=None,
            geometry=dict(type='Polygon', coordinates=[rectangle(40, 0, 60, 30)]),
        ),
    ]
    path = tmp_path / 'zones.json'
    content = dict(type='FeatureCollection', features=features, width=60, height=30)
    path.write_text(json.dumps(content))
    zones = read_zones(path)
    assert [zone.name for zone in zones.zones] == ['target', 'right']
    target, right = zones.zones
    assert target.area == 30 * 30 - 10 * 10 + 6 * 6
    points = np.array([[5, 5], [11, 11], [15, 15], [50, 5], [35, 5]])
    assert target.holds(points).tolist() == [True, False, True, False, False]
    assert right.holds(points).tolist() == [False, False, False, True, False]
    assert parse_zones(features[1]).zones[0].name == 'right'
    assert parse_zones(features[1]['geometry']).zones[0].name == '0'


def test_zones_without_a_name():
    """null is what other programs write for a name that is missing."""
    own = [dict(name=None, polygon=SQUARE), dict(polygon=SQUARE), dict(name='', polygon=SQUARE)]
    assert [zone.name for zone in parse_zones(dict(zones=own)).zones] == ['0', '1', '']
    geometry = dict(type='Polygon', coordinates=[SQUARE])
    features = [
        dict(type='Feature', id=id, properties=dict(name=None), geometry=geometry)
        for id in ('left', None, None)
    ]
    zones = parse_zones(dict(type='FeatureCollection', features=features))
    assert [zone.name for zone in zones.zones] == ['left', '1', '2']


@pytest.mark.parametrize('known', [{}, dict(width=64, height=48)])
@pytest.mark.parametrize('on_ground', [False, True])
def test_a_zone_beyond_the_edge(known, on_ground):
    zones = [dict(name='edge', polygon=[[-0.9, 0], [0, 0], [0, 40], [-0.9, 40]])]
    content = dict(zones=zones, **known)
    if on_ground:
        content['ground'] = dict(pixels=rectangle(0, 0, 50, 30), metres=rectangle(0, 0, 10, 6))
    with pytest.raises(ValueError, match="zones: zone 'edge' has no area inside the image of 64 x"):
        count_in_zones(parse_zones(content), make_prediction(48, 64))


def test_the_text_of_a_file_is_no_path():
    for text in (' {"zones": []}', '[' * 5000):
        with pytest.raises(ValueError, match='zones: a text of JSON, expected the path of a file'):
            read_zones(text)


def test_whole_sizes_may_be_written_as_floats():
    content = dict(zones=[dict(polygon=SQUARE)], width=64.0, height=48)
    assert parse_zones(content).size == (48, 64)
    with pytest.raises(ValueError, match='width=64.5 and height=48, expected both, in whole'):
        parse_zones(dict(content, width=64.5))


def test_zones_follow_the_size_of_the_image():
    content = dict(parts_of(67, 50), width=67, height=50)
    sample = make_prediction(100, 133)  # 67 x 50 is its half, rounded up
    results = count_in_zones(parse_zones(content), sample)
    assert sum(zone['count'] for zone in results) == pytest.approx(sample.pred_count, abs=1e-6)
    with pytest.raises(ValueError, match='67 x 50 pixels, but the image has 160 x 100'):
        count_in_zones(parse_zones(content), make_prediction(100, 160))


def test_people_per_square_metre():
    # A ground that is seen as it is, five pixels to the metre.
    ground = dict(pixels=rectangle(-0.5, -0.5, 49.5, 29.5), metres=rectangle(0, 0, 10, 6))
    zones = [dict(name='left', polygon=rectangle(0, 0, 24.5, 30))]
    content = dict(zones=zones, ground=ground, width=50, height=30)
    for sample in (make_prediction(30, 50), make_prediction(60, 100)):
        (zone,) = count_in_zones(parse_zones(content), sample)
        assert zone['square_metres'] == pytest.approx(30)
        assert zone['per_square_metre'] == pytest.approx(zone['count'] / 30)


def test_points_are_counted_without_a_density():
    sample = make_prediction(48, 64)
    del sample.pred_density
    results = count_in_zones(parse_zones(parts_of(64, 48)), sample)
    assert [zone['count'] for zone in results] == [zone['num_points'] for zone in results]
    del sample.pred_instances
    with pytest.raises(KeyError, match="'IMG_1': count_in_zones needs pred_density"):
        count_in_zones(parse_zones(parts_of(64, 48)), sample)


SQUARE = rectangle(1, 1, 5, 5)


@pytest.mark.parametrize(
    'zone, message',
    [
        (dict(polygon=[[1, 1], [5, 5], [5, 1], [1, 5]]), r'crosses.*\(1, 1\) to \(5, 5\) and \(5'),
        (dict(polygon=[[1, 1], [5, 5], [1, 1]]), '2 different corners, expected at least 3'),
        (dict(polygon=[[1, 1], [2, 2], [5, 5], [3, 3]]), 'no area'),
        (dict(polygon=rectangle(1, 1, 12, 5)), r'corner \(12, 1\) outside the image of 10 x 8'),
        (dict(polygon=rectangle(1, -2, 5, 5)), r'corner \(1, -2\) outside'),
        (dict(polygon=SQUARE, holes=[rectangle(6, 6, 7, 7)]), 'a hole lies outside'),
        (dict(polygon=SQUARE, holes=[rectangle(4, 4, 7, 7)]), 'sides .* cross'),
        (dict(polygon=SQUARE, holes=[rectangle(2, 2, 4, 4)] * 2), 'holes overlap'),
        (dict(polygon=SQUARE, holes=3), 'holes is 3, expected a list'),
        (dict(polygon=[1, 2, 3]), r'\[1, 2, 3\], expected a list of \[x, y\]'),
        (dict(polygon=[[1, 1], [float('nan'), 1], [3, 3]]), 'expected finite numbers'),
    ],
)
def test_bad_polygons(zone, message):
    content = dict(zones=[dict(name='gate', **zone)], width=10, height=8)
    with pytest.raises(ValueError, match=f"square.json: zone 'gate'.*{message}"):
        parse_zones(content, 'square.json')


GEOMETRY = dict(type='MultiPolygon', coordinates=[[SQUARE], [rectangle(2, 2, 3, 3)]])
GROUND = dict(pixels=[[0, 8], [10, 8], [6, 4], [4, 4]], metres=rectangle(0, 0, 3, 9))


@pytest.mark.parametrize(
    'content, message',
    [
        ([], 'list, expected an object with "zones", or GeoJSON'),
        (dict(zones=[]), 'no zone'),
        (dict(zones=[3]), 'zone 0 is 3, expected an object with "polygon"'),
        (dict(zones=[dict(name='a', polygon=SQUARE)] * 2), "several zones have the name 'a'"),
        (dict(zones=[dict(polygon=SQUARE)], width=10), 'width=10 and height=None, expected both'),
        (dict(type='Point', coordinates=[1, 2]), "zone '0' has the type 'Point'"),
        (dict(type='Polygon', coordinates=3), "zone '0': coordinates="),
        (GEOMETRY, "zone '0': its polygons overlap"),
        (dict(type='FeatureCollection', features=[3]), 'feature 0 is 3, expected an object'),
        (
            dict(type='Feature', properties=[1], geometry=GEOMETRY),
            r'feature 0: properties is \[1\], expected an object',
        ),
        (dict(type='Feature', geometry='x'), "feature 0: geometry is 'x', expected an object"),
        (dict(zones=[dict(polygon=SQUARE)], ground=3), 'ground=3, expected "pixels" and "metres"'),
        (
            dict(zones=[dict(polygon=SQUARE)], ground=dict(GROUND, metres=SQUARE[:3])),
            'the ground has 4 pixels and 3 metres',
        ),
        (
            dict(zones=[dict(polygon=SQUARE)], ground=dict(GROUND, metres=[[0, 0]] * 4)),
            'ground: .* three of the four points lie on one line',
        ),
        # The sides of the ground meet at y = 4 - 4 / 4 * 1 ... above the zone's upper corners.
        (
            dict(zones=[dict(name='sky', polygon=rectangle(1, 0, 9, 7))], ground=GROUND),
            "zone 'sky' reaches beyond the horizon",
        ),
    ],
)
def test_bad_files(content, message):
    with pytest.raises(ValueError, match=f'file.json: {message}'):
        parse_zones(content, 'file.json')
