"""Labels of each tool, written by hand, against coordinates computed by hand."""

import importlib
import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmcrowd.datasets import CrowdDataset
from mmcrowd.datasets.label_formats import conversion
from mmcrowd.fileio.images import load_image

CONVERTERS = Path(__file__).resolve().parents[2] / 'tools' / 'dataset_converters'
WIDTH, HEIGHT = 30, 20


@pytest.fixture(scope='module')
def tool():
    """The command, imported as Python finds it when it is run as a script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(CONVERTERS)
        yield importlib.import_module('convert_annotations')


@pytest.fixture
def convert(tool, tmp_path):
    """Function that converts labels of ``tmp_path`` for the images of ``tmp_path/images``."""

    def convert(kind, labels, *options):
        out = tmp_path / 'out' / 'annotations.json'
        args = [kind, tmp_path / labels, tmp_path / 'images', '--out', out, *options]
        tool.main(list(map(str, args)))
        return read(out)

    return convert


def read(out: Path) -> dict[str, list]:
    """The points by the name of the image, as the dataset gives them, whatever the split."""
    content = json.loads(out.read_text(encoding='utf-8'))
    for entry in content['data_list']:
        entry.pop('split', None)
    everything = out.with_name('everything.json')
    everything.write_text(json.dumps(content))
    dataset = CrowdDataset(
        data_root=str(out.parent),
        ann_file=everything.name,
        split='test',
        cache=False,
        serialize_data=False,  # collects garbage, half a second each time
    )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return {Path(info['img_path']).name: info['points'].tolist() for info in infos}


def photos(root: Path, *names: str) -> None:
    for name in names:
        path = root / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (WIDTH, HEIGHT)).save(path)


def size(width=WIDTH, height=HEIGHT) -> dict:
    return dict(width=width, height=height)


def write_json(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding='utf-8')


HEAD = dict(id=1, name='head', keypoints=['top'])
CAR = dict(id=2, name='car')


def coco(root: Path, annotations: list, names=('a.png',), categories=(HEAD, CAR)) -> None:
    images = [dict(id=k, file_name=name, **size()) for k, name in enumerate(names)]
    content = dict(images=images, annotations=annotations, categories=list(categories))
    write_json(root / 'coco.json', content)


def labelme(path: Path, shapes: list, image='a.png', width=WIDTH, height=HEIGHT) -> None:
    shapes = [dict(shape_type=kind, label=label, points=points) for kind, label, points in shapes]
    content = dict(imagePath=image, imageWidth=width, imageHeight=height, shapes=shapes)
    write_json(path, content)


def cvat(root: Path, images: dict[str, str], **kwargs) -> None:
    shape = ' '.join(f'{key}="{value}"' for key, value in size(**kwargs).items())
    body = ''.join(f'<image name="{n}" {shape}>{s}</image>' for n, s in images.items())
    text = f'<?xml version="1.0"?><annotations><version>1.1</version>{body}</annotations>'
    (root / 'cvat.xml').write_text(text)


def mixed_coco(root: Path) -> None:
    photos(root, 'a.png', 'b.png')
    annotations = [
        dict(image_id=0, category_id=1, keypoints=[10.5, 5.25, 2], bbox=[0, 0, 9, 9]),
        dict(image_id=0, category_id=1, bbox=[2, 4, 6, 8]),
        dict(image_id=0, category_id=2, bbox=[0, 0, 4, 4]),
        dict(image_id=1, category_id=2, bbox=[0, 0, 4, 4]),
    ]
    coco(root, annotations, ['a.png', 'b.png'])


def test_coco_keypoints_and_boxes(convert, tmp_path, capsys):
    mixed_coco(tmp_path)
    points = convert('coco', 'coco.json', '--label', 'head')
    assert points == {'a.png': [[10, 4.75], [4.5, 7.5]], 'b.png': []}
    text = capsys.readouterr().out
    assert '2 images, 2 points, 0 to 2 in an image, 1 images with nobody' in text
    assert 'nobody: ../images/b.png' in text
    assert 'labels: head 2' in text and 'left out: car 2' in text
    entries = json.loads((tmp_path / 'out/annotations.json').read_text())['data_list']
    assert all(set(entry) == {'img_path', 'points'} for entry in entries)


def test_coco_boxes_are_kept_where_all_shapes_are_boxes(convert, tmp_path):
    mixed_coco(tmp_path)
    points = convert('coco', 'coco.json', '--label', 'head', '--boxes')
    assert points == {'a.png': [[4, 4], [4.5, 7.5]], 'b.png': []}
    entries = json.loads((tmp_path / 'out/annotations.json').read_text())['data_list']
    boxes = [[-0.5, -0.5, 8.5, 8.5], [1.5, 3.5, 7.5, 11.5]]
    assert [entry['boxes'] for entry in entries] == [boxes, []]


def test_coco_one_of_several_keypoints(convert, tmp_path):
    photos(tmp_path, 'a.png')
    person = dict(id=1, name='person', keypoints=['foot', 'nose'])
    annotation = dict(image_id=0, category_id=1, keypoints=[3, 19, 2, 4.5, 2.5, 1])
    coco(tmp_path, [annotation], categories=[person])
    assert convert('coco', 'coco.json', '--keypoint', 'nose') == {'a.png': [[4, 2]]}
    for options, message in (
        ((), r"2 keypoints; say which .*--keypoint NAME .*\['foot', 'nose'\]"),
        (('--keypoint', 'ear'), r"no keypoint 'ear', the file has \['foot', 'nose'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            convert('coco', 'coco.json', '--force', *options)


def test_labelme_points_and_rectangles(convert, tmp_path):
    photos(tmp_path, 'a.png', 'day/b.png', 'c.png')
    shapes = [
        ('point', 'head', [[0.5, 0.5]]),
        ('rectangle', 'head', [[10, 12], [4, 6]]),
        ('polygon', 'road', [[0, 0], [1, 1], [2, 0]]),
    ]
    labelme(tmp_path / 'labels' / 'a.json', shapes, '..\\images\\a.png')
    # Found beside its labels, and by its name alone.
    labelme(tmp_path / 'images' / 'day' / 'b.json', [('point', 'head', [[3, 4]])], 'b.png')
    (tmp_path / 'images' / 'day' / 'b.json').rename(tmp_path / 'labels' / 'b.json')
    labelme(tmp_path / 'labels' / 'c.json', [], '/home/somebody/c.png')
    (tmp_path / 'images' / 'day' / 'b.png').rename(tmp_path / 'images' / 'b.png')
    assert convert('labelme', 'labels', '--label', 'head') == {
        'a.png': [[0, 0], [6.5, 8.5]],
        'b.png': [[2.5, 3.5]],
        'c.png': [],  # a saved file without shapes says so
    }


def test_labelme_beside_images_of_one_name(convert, tmp_path):
    photos(tmp_path, 'one/a.png', 'two/a.png')
    for k, folder in enumerate(('one', 'two')):
        labelme(tmp_path / 'images' / folder / 'a.json', [('point', 'x', [[k + 0.5, 1.5]])])
    convert('labelme', 'images')
    entries = json.loads((tmp_path / 'out/annotations.json').read_text())['data_list']
    assert entries == [
        dict(img_path='../images/one/a.png', points=[[0, 1]]),
        dict(img_path='../images/two/a.png', points=[[1, 1]]),
    ]


@pytest.mark.parametrize('name', ['cam2/a.png', 'cam2\\a.png', './cam2/../cam3/a.png'])
def test_another_folder_is_another_image(convert, tmp_path, name):
    photos(tmp_path, 'a.png')
    coco(tmp_path, [dict(image_id=0, bbox=[1, 2, 3, 4])], [name])
    with pytest.raises(ValueError) as raised:
        convert('coco', 'coco.json')
    there = f'no image {name!r} in {tmp_path / "images"}; a.png there is not in the folder'
    assert there in str(raised.value) and 'a.png: image without labels' in str(raised.value)
    # Nor does an image that is missing in a split file.
    coco(tmp_path, [dict(image_id=0, bbox=[1, 2, 3, 4])], ['a.png'])
    (tmp_path / 'splits.csv').write_text(f'image,split\n{name},val\n')
    with pytest.raises(ValueError, match=r'splits\.csv:2: .* is no labelled image'):
        convert('coco', 'coco.json', '--split-by', str(tmp_path / 'splits.csv'))


@pytest.mark.parametrize(
    'name, alone',
    [
        ('cam2/a.png', 0),
        ('cam2\\a.png', 0),
        ('.\\cam2\\a.png', 0),
        ('images/cam2/a.png', 0),
        ('images\\cam2\\a.png', 0),
        ('/home/somebody/cam2/a.png', 1),
        ('C:\\Users\\me\\a.png', 1),
        ('C:a.png', 1),
        ('\\\\server\\share\\a.png', 1),
        ('../other/a.png', 1),
        ('cam2/../../a.png', 1),
        ('s3://bucket/cam2/a.png', 1),
    ],
)
def test_paths_of_other_systems_and_computers(convert, tmp_path, capsys, name, alone):
    photos(tmp_path, 'cam2/a.png', 'a.png')
    (tmp_path / 'images' / ('cam2' if alone else '') / 'a.png').unlink()
    coco(tmp_path, [dict(image_id=0, bbox=[1, 2, 3, 4])], [name])
    assert convert('coco', 'coco.json') == {'a.png': [[2, 3.5]]}
    text = capsys.readouterr().out
    assert ('1 images were found by their names alone' in text) == bool(alone)


def test_absolute_paths_that_are_right_are_not_counted(convert, tmp_path, capsys):
    photos(tmp_path, 'cam2/a.png')
    name = str(tmp_path / 'images' / 'cam2' / 'a.png')
    coco(tmp_path, [dict(image_id=0, bbox=[1, 2, 3, 4])], [name])
    assert convert('coco', 'coco.json') == {'a.png': [[2, 3.5]]}
    assert 'names alone' not in capsys.readouterr().out


def test_images_below_links(convert, tmp_path):
    """Links to folders are followed, in a circle too, and no image counts twice."""
    photos(tmp_path, 'own/x0.png')
    store = tmp_path / 'store'
    (tmp_path / 'images' / 'own').rename(store)
    photos(tmp_path, 'x1.png', 'x2.png')
    for name in ('x1', 'x2'):
        (tmp_path / 'images' / f'{name}.png').rename(store / f'{name}.png')
    (tmp_path / 'images' / 'train').symlink_to(store)
    (store / 'circle').symlink_to(tmp_path / 'images')
    (store / 'itself').symlink_to(store)
    (store / 'nowhere').symlink_to(tmp_path / 'gone')
    (tmp_path / 'points.csv').write_text('image,x,y\ntrain/x0.png,1,1\ntrain/x1.png,1,1\n')
    with pytest.raises(ValueError) as raised:
        convert('csv', 'points.csv')
    assert str(raised.value).splitlines()[1:] == [
        f'- {tmp_path}/images/train/x2.png: image without labels; see --skip-unlabelled'
    ]
    # The same photos by another path.
    (tmp_path / 'images' / 'again').symlink_to(store)
    (tmp_path / 'points.csv').write_text(
        'image,x,y\ntrain/x0.png,1,1\nagain/x1.png,2,2\ntrain/itself/x2.png,3,3\n'
    )
    assert convert('csv', 'points.csv') == {
        'x0.png': [[1, 1]],
        'x1.png': [[2, 2]],
        'x2.png': [[3, 3]],
    }


def test_labels_below_links_and_hidden_ones(convert, tmp_path):
    photos(tmp_path, 'a.png', 'b.png')
    labelme(tmp_path / 'store' / 'a.json', [('point', 'x', [[1.5, 1.5]])], 'a.png')
    labelme(tmp_path / 'labels' / 'b.json', [('point', 'x', [[2.5, 2.5]])], 'b.png')
    (tmp_path / 'labels' / 'more').symlink_to(tmp_path / 'store')
    (tmp_path / 'store' / 'circle').symlink_to(tmp_path / 'labels')
    for name in ('._a.json', '.ipynb_checkpoints/a-checkpoint.json', '__MACOSX/a.json'):
        for folder in ('labels', 'store', 'images'):
            path = tmp_path / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b'\0\5\x16\7')
            path.with_suffix('.png').write_bytes(b'')
    assert convert('labelme', 'labels') == {'a.png': [[1, 1]], 'b.png': [[2, 2]]}


def test_labels_in_subfolders_mean_the_images_in_theirs(convert, tmp_path, capsys):
    photos(tmp_path, 'a.png', 'cam2/a.png', 'b.png')
    for name, x in (('a', 1.5), ('cam2/a', 2.5), ('cam2/b', 3.5)):
        path = tmp_path / 'labels' / f'{name}.json'
        labelme(path, [('point', 'x', [[x, 1.5]])], f'{name[-1]}.png')
    convert('labelme', 'labels')
    entries = json.loads((tmp_path / 'out' / 'annotations.json').read_text())['data_list']
    assert {entry['img_path']: entry['points'] for entry in entries} == {
        '../images/a.png': [[1, 1]],
        '../images/cam2/a.png': [[2, 1]],
        '../images/b.png': [[3, 1]],
    }
    assert '1 images were found by their names alone' in capsys.readouterr().out  # b


def test_a_hidden_folder_that_is_given_is_read(tool, tmp_path):
    root = tmp_path / '.cache' / '__MACOSX'
    photos(root, 'a.png')
    labelme(root / '.labels' / 'a.json', [('point', 'x', [[1.5, 1.5]])], 'a.png')
    out = root / 'annotations.json'
    tool.main(['labelme', str(root / '.labels'), str(root / 'images'), '--out', str(out)])
    assert read(out) == {'a.png': [[1, 1]]}
    (root / 'images' / 'new.png').write_bytes(b'')
    with pytest.raises(ValueError, match=r'new\.png: image without labels'):
        tool.main(
            ['labelme', str(root / '.labels'), str(root / 'images'), '--out', str(out), '--force']
        )


def test_cvat_points_and_boxes(convert, tmp_path):
    photos(tmp_path, 'a.png', 'b.png')
    shapes = (
        '<points label="head" points="1.5,2.5;29.25,19.5"/>'
        '<box label="head" xtl="2" ytl="4" xbr="8" ybr="12"/>'
        '<polygon label="road" points="0,0;1,1;2,0"/>'
    )
    cvat(tmp_path, {'images/a.png': shapes, 'b.png': '<polygon label="road" points="0,0"/>'})
    assert convert('cvat', 'cvat.xml', '--label', 'head') == {
        'a.png': [[1, 2], [28.75, 19], [4.5, 7.5]],
        'b.png': [],
    }


def test_csv(convert, tmp_path):
    photos(tmp_path, 'a.png', 'b.png')
    text = (
        '\ufeffimage,x,y,label\na.png,1,2,head\nb.png,,,\na.png, 3.25 ,4,head\n,,,\na.png,9,9,car\n'
    )
    (tmp_path / 'points.csv').write_text(text, encoding='utf-8')
    points = convert('csv', 'points.csv', '--label', 'head')
    assert points == {'a.png': [[1, 2], [3.25, 4]], 'b.png': []}


def write_all(root: Path, points: list) -> None:
    """The same numbers in all four formats."""
    annotations = [dict(image_id=0, keypoints=[x, y, 2]) for x, y in points]
    coco(root, annotations, categories=())
    labelme(root / 'labels' / 'a.json', [('point', 'head', [[x, y]]) for x, y in points])
    pairs = ';'.join(f'{x!r},{y!r}' for x, y in points)
    cvat(root, {'a.png': f'<points label="head" points="{pairs}"/>' if points else ''})
    rows = ''.join(f'a.png,{x!r},{y!r}\n' for x, y in points) or 'a.png,,\n'
    (root / 'points.csv').write_text(f'image,x,y\n{rows}')


FILES = dict(coco='coco.json', labelme='labels', cvat='cvat.xml', csv='points.csv')


@pytest.mark.parametrize('kind', FILES)
@pytest.mark.parametrize('origin, shift', [(None, 0.5), ('corner', 0.5), ('centre', 0)])
def test_origin(convert, tmp_path, kind, origin, shift):
    photos(tmp_path, 'a.png')
    write_all(tmp_path, [(7, 5), (1.5, 2.5)])
    if origin is None and kind == 'csv':
        shift = 0
    options = () if origin is None else ('--origin', origin)
    points = convert(kind, FILES[kind], *options)['a.png']
    assert points == [[7 - shift, 5 - shift], [1.5 - shift, 2.5 - shift]]


coordinate = st.floats(0, 1, allow_subnormal=False)


@settings(max_examples=15)
@given(points=st.lists(st.tuples(coordinate, coordinate), max_size=5))
def test_any_points_in_any_format(tool, points):
    points = [(x * (WIDTH - 0.01), y * (HEIGHT - 0.01)) for x, y in points]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        photos(root, 'a.png')
        write_all(root, points)
        for kind, name in FILES.items():
            args = [kind, root / name, root / 'images', '--out', root / f'out/{kind}.json']
            tool.main([*map(str, args), '--origin', 'corner', '--empty-is-nobody'])
            found = np.reshape(read(root / f'out/{kind}.json')['a.png'], (-1, 2))
            wanted = np.reshape(points, (-1, 2)) - 0.5
            np.testing.assert_allclose(found, wanted, rtol=0, atol=0.0006)


def rotated_photo(path: Path, orientation: int, spot: tuple[int, int]) -> None:
    """A black photo with one white pixel, which viewers turn as ``orientation`` says."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[spot[1], spot[0]] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path, exif=exif, quality=100, subsampling=0)


def test_unrotated_points_are_turned_with_the_photo(convert, tmp_path):
    spot = (4, 13)
    rows = ''
    for k in range(1, 9):
        rotated_photo(tmp_path / 'images' / f'{k}.jpg', k, spot)
        rows += f'{k}.jpg,{spot[0]},{spot[1]}\n'
    (tmp_path / 'points.csv').write_text('image,x,y\n' + rows)
    points = convert('csv', 'points.csv', '--unrotated')
    seen = set()
    for k in range(1, 9):
        img = load_image(str(tmp_path / 'images' / f'{k}.jpg')).sum(axis=2)
        y, x = np.unravel_index(img.argmax(), img.shape)
        assert points[f'{k}.jpg'] == [[x, y]]
        seen.add((x, y))
    assert len(seen) == 8


def test_unrotated_boxes_are_turned(convert, tmp_path):
    rotated_photo(tmp_path / 'images' / 'a.jpg', 6, (0, 0))  # shown 20 wide and 30 high
    coco(tmp_path, [dict(image_id=0, bbox=[2, 4, 6, 8])], ['a.jpg'])
    # The clockwise turn puts (x, y), from the corner, at (20 - y, x).
    points = convert('coco', 'coco.json', '--unrotated', '--empty-is-nobody')
    assert points == {'a.jpg': [[20 - 8 - 0.5, 5 - 0.5]]}
    (entry,) = json.loads((tmp_path / 'out/annotations.json').read_text())['data_list']
    assert entry['boxes'] == [[8 - 0.5, 2 - 0.5, 16 - 0.5, 8 - 0.5]]


def test_size_tells_of_the_rotation(convert, tmp_path):
    rotated_photo(tmp_path / 'images' / 'a.jpg', 6, (0, 0))
    labelme(tmp_path / 'labels' / 'a.json', [], 'a.jpg')
    with pytest.raises(
        ValueError, match=r'a\.json: labelled as 30 x 20 .*before the EXIF .*--unro'
    ):
        convert('labelme', 'labels')
    labelme(tmp_path / 'labels' / 'a.json', [], 'a.jpg', width=HEIGHT, height=WIDTH)
    with pytest.raises(ValueError, match='labelled as 20 x 30 .*leave out --unrotated'):
        convert('labelme', 'labels', '--unrotated')
    assert convert('labelme', 'labels') == {'a.jpg': []}


def test_points_up_to_a_pixel_outside_are_moved_inside(convert, tmp_path, capsys):
    photos(tmp_path, 'a.png')
    (tmp_path / 'points.csv').write_text('image,x,y\na.png,-1.4,5\na.png,29.5,20.4\na.png,1,1\n')
    points = convert('csv', 'points.csv')
    assert points == {'a.png': [[0, 5], [29, 19], [1, 1]]}
    assert '2 points up to 1 pixel outside were moved inside' in capsys.readouterr().out


BAD_COCO_ANNOTATIONS = [
    (dict(image_id=0, keypoints=[float('nan'), 1, 2]), r'\[nan, 1\], expected finite numbers'),
    (dict(image_id=0, keypoints=['1', 1, 2]), r"\['1', 1\], expected finite numbers"),
    (dict(image_id=0, keypoints=[1, 2]), '"keypoints" is no list'),
    (dict(image_id=0, keypoints=[0, 0, 0]), 'visibility 0'),
    (dict(image_id=0, keypoints=[32.1, 5, 2]), r'\[31.6, 4.5\] lies outside .* 30 x 20'),
    (dict(image_id=0, keypoints=[5, -1.1, 2]), r'\[4.5, -1.6\] lies outside'),
    (dict(image_id=0, bbox=[1, 2, 3]), r'bbox=\[1, 2, 3\], expected \[x, y, width, height\]'),
    (dict(image_id=0, bbox=[1, 2, 0, 4]), r'\[1, 2, 1, 6\] .*no area'),
    (dict(image_id=0, bbox=[1, 2, None, 4]), r'\[1, 2, None, 4\], expected finite'),
    (dict(image_id=0, bbox=[1, 2, 10**400, 4]), 'expected finite'),
    (dict(image_id=0, bbox=[1, 2, 3, 4], iscrowd=1), 'iscrowd=1'),
    (dict(image_id=0), 'bbox=None'),
    (dict(image_id=7, bbox=[1, 2, 3, 4]), 'no "image_id" of one of the images'),
    (dict(image_id=[0]), 'no "image_id"'),
    ('x', 'no "image_id"'),
]


def test_all_problems_of_coco_are_told_together(convert, tmp_path):
    photos(tmp_path, 'a.png')
    coco(tmp_path, [annotation for annotation, _ in BAD_COCO_ANNOTATIONS])
    with pytest.raises(ValueError) as raised:
        convert('coco', 'coco.json')
    text = str(raised.value)
    assert text.startswith(f'{len(BAD_COCO_ANNOTATIONS)} problems, nothing is written')
    for k, (_, message) in enumerate(BAD_COCO_ANNOTATIONS):
        assert re.search(rf'coco\.json: annotations\[{k}\]: .*{message}', text)
    assert not (tmp_path / 'out').exists()


def test_images_that_do_not_fit(convert, tmp_path):
    photos(tmp_path, 'a.png', 'd.png', 'd.jpg', 'size.png', 'new.png', '._a.png')
    (tmp_path / 'images' / 'broken.png').write_text('no image')
    shapes = '<points label="head" points="1,1"/>'
    images = dict.fromkeys(('gone.png', 'a.png', './a.png', 'd.png', 'd.jpg', 'broken.png'), shapes)
    cvat(tmp_path, images)
    text = (tmp_path / 'cvat.xml').read_text()
    extra = f'<image name="size.png" width="20" height="30">{shapes}</image><image width="3"/>'
    (tmp_path / 'cvat.xml').write_text(text.replace('</annotations>', extra + '</annotations>'))
    with pytest.raises(ValueError) as raised:
        convert('cvat', 'cvat.xml')
    for message in (
        r"image\[0\]: no image 'gone.png' in .*images",
        r'image\[2\]: .*images/a.png is there twice, also in .*image\[1\]',
        r'd\.jpg: named as .*d\.png but for the ending',
        r'broken\.png: not a readable image',
        r'image\[6\]: labelled as 20 x 30 pixels; .*size\.png has 30 x 20',
        r"image\[7\]: no image ''",
        r'new\.png: image without labels; see --skip-unlabelled',
    ):
        assert re.search(message, str(raised.value)), message
    assert str(raised.value).startswith('7 problems')


def test_unlabelled_is_not_nobody(convert, tmp_path):
    photos(tmp_path, 'a.png', 'b.png', 'c.png')
    shapes = '<points label="head" points="1.5,1.5"/>'
    cvat(tmp_path, {'a.png': shapes, 'b.png': '<tag label="done"/>'})
    with pytest.raises(ValueError) as raised:
        convert('cvat', 'cvat.xml')
    assert 'c.png: image without labels' in str(raised.value)
    assert 'b.png has no shapes; --empty-is-nobody' in str(raised.value)
    assert convert('cvat', 'cvat.xml', '--skip-unlabelled') == {'a.png': [[1, 1]]}
    points = convert('cvat', 'cvat.xml', '--force', '--skip-unlabelled', '--empty-is-nobody')
    assert points == {'a.png': [[1, 1]], 'b.png': []}
    with pytest.raises(ValueError, match=r'^1 problem, .*\n- .*c\.png: image without labels'):
        convert('cvat', 'cvat.xml', '--force', '--empty-is-nobody')
    cvat(tmp_path, {})
    with pytest.raises(ValueError, match='no labelled image'):
        convert('cvat', 'cvat.xml', '--force', '--skip-unlabelled')


@pytest.mark.parametrize(
    'kind, text, message',
    [
        ('coco', '{', r'coco\.json: not valid JSON'),
        ('coco', '[]', r'coco\.json: not COCO'),
        ('coco', '{"images": []}', 'not COCO, expected "images" and "annotations"'),
        (
            'coco',
            '{"images": [3], "annotations": []}',
            r'images\[0\]: expected an object with "id"',
        ),
        (
            'coco',
            json.dumps(dict(images=[dict(id=1, file_name='a.png')] * 2, annotations=[])),
            r'images\[1\]: id 1 is there twice',
        ),
        ('cvat', '<annotations>', r'cvat\.xml: not valid XML'),
        ('cvat', '<annotations><track/></annotations>', 'without tracks'),
        ('csv', 'a.png;1;2\n', r"points\.csv:1: header \['a.png;1;2'\], expected image,x,y"),
        ('csv', '', r'points\.csv:1: header \[\]'),
        ('csv', 'image,x,y\na.png,1\n', r'points\.csv:2: 2 cells, expected 3'),
        ('csv', 'image,x,y\na.png,1,\n', r"points\.csv:2: \[1, ''\], expected finite"),
        ('csv', 'image,x,y\na.png,nan,1\n', r"points\.csv:2: \['nan', 1\], expected finite"),
        ('csv', 'image,x,y\na.png,1_2,1\n', r"points\.csv:2: \['1_2', 1\], expected finite"),
        ('csv', 'image,x,y\na.png,１２,1\n', r"points\.csv:2: \['１２', 1\], expected finite"),
        ('csv', 'image,x,y\na.png,1,+2\n', r"points\.csv:2: \[1, '\+2'\], expected finite"),
        ('csv', 'image,x,y\na.png,1,1e999\n', r"points\.csv:2: \[1, '1e999'\], expected finite"),
        (
            'cvat',
            '<annotations><image name="a.png"><points points="1_2,3"/></image></annotations>',
            r"image\[0\] \(a\.png\), points\[0\]: \['1_2', 3\], expected finite",
        ),
        ('csv', 'image,x,y\na.png,1,1\na.png,,\n', r'points\.csv:2: a\.png has points and a row'),
    ],
)
def test_files_that_do_not_fit(convert, tmp_path, kind, text, message):
    photos(tmp_path, 'a.png')
    (tmp_path / FILES[kind]).write_text(text, encoding='utf-8')
    with pytest.raises(ValueError, match=message):
        convert(kind, FILES[kind])


def test_labelme_files_that_do_not_fit(convert, tmp_path):
    photos(tmp_path, 'a.png')
    shapes = [('circle', 'x', [[1, 1], [2, 2]]), ('point', 'x', [[1, 1], [2, 2]])]
    labelme(tmp_path / 'labels' / 'a.json', [*shapes, ('point', 'x', [1, 2])])
    write_json(tmp_path / 'labels' / 'other.json', dict(data_list=[]))
    (tmp_path / 'labels' / 'broken.json').write_text('{')
    with pytest.raises(ValueError) as raised:
        convert('labelme', 'labels')
    for message in (
        r"a\.json: shapes\[0\]: shape_type='circle', expected \"point\" or \"rectangle\"",
        r'a\.json: shapes\[1\]: points=\[\[1, 1\], \[2, 2\]\], expected 1 \[x, y\] for a point',
        r'a\.json: shapes\[2\]: points=\[1, 2\]',
        r'other\.json: not LabelMe',
        r'broken\.json: not valid JSON',
    ):
        assert re.search(message, str(raised.value)), message
    with pytest.raises(ValueError, match='no folder with .json files'):
        convert('labelme', 'images')


def test_unknown_label(convert, tmp_path):
    mixed_coco(tmp_path)
    with pytest.raises(
        ValueError, match=r"\['heads'\] is nowhere, the labels are \['car', 'head'\]"
    ):
        convert('coco', 'coco.json', '--label', 'head', 'heads')


def splits_of(root: Path) -> list:
    entries = json.loads((root / 'out/annotations.json').read_text())['data_list']
    return [(Path(entry['img_path']).name, entry['split']) for entry in entries]


def test_splits(convert, tmp_path, capsys):
    photos(tmp_path, 'train/p2.png', 'train/p10.png', 'test/p3.png')
    names = ('train/p10.png', 'train/p2.png', 'test/p3.png')
    rows = ''.join(f'{name},1,1\n' for name in names)
    (tmp_path / 'points.csv').write_text(f'image,x,y\n{rows}')
    convert('csv', 'points.csv', '--split-by', 'folder')
    assert splits_of(tmp_path) == [('p3.png', 'test'), ('p2.png', 'train'), ('p10.png', 'train')]
    text = capsys.readouterr().out
    assert 'splits: train 2, val 0, test 1' in text and 'WARNING: 2 training images' in text

    table = tmp_path / 'splits.csv'
    table.write_text('image,split\ntrain/p2.png,val\n')
    convert('csv', 'points.csv', '--force', '--split-by', str(table))
    assert splits_of(tmp_path) == [('p3.png', 'train'), ('p2.png', 'val'), ('p10.png', 'train')]
    assert 'WARNING' not in capsys.readouterr().out

    table.write_text('image,split\np2.png,val\ntrain/p2.png,dev\n')
    with pytest.raises(ValueError) as raised:
        convert('csv', 'points.csv', '--force', '--split-by', str(table))
    assert "splits.csv:2: 'p2.png' is no labelled image" in str(raised.value)
    assert "splits.csv:3: split 'dev', expected train, val or test" in str(raised.value)
    (tmp_path / 'images' / 'test').rename(tmp_path / 'images' / 'trial')
    (tmp_path / 'points.csv').write_text(f'image,x,y\n{rows}'.replace('test/', 'trial/'))
    with pytest.raises(ValueError, match=r'trial/p3\.png: not below a folder train, val or test'):
        convert('csv', 'points.csv', '--force', '--split-by', 'folder')


def test_nothing_is_overwritten_or_left_half_written(convert, tmp_path, monkeypatch):
    photos(tmp_path, 'a.png')
    (tmp_path / 'points.csv').write_text('image,x,y\na.png,1,1\n')
    out = tmp_path / 'out'
    convert('csv', 'points.csv')
    before = (out / 'annotations.json').read_text()
    (tmp_path / 'points.csv').write_text('image,x,y\na.png,2,2\n')
    with pytest.raises(FileExistsError, match=r'annotations\.json exists; --force'):
        convert('csv', 'points.csv')

    def refuse(**kwargs):
        raise ValueError('refused')

    with monkeypatch.context() as patch:
        patch.setattr(conversion, 'CrowdDataset', refuse)
        with pytest.raises(ValueError, match='refused'):
            convert('csv', 'points.csv', '--force')
    (out / 'everything.json').unlink()
    assert [path.name for path in out.iterdir()] == ['annotations.json']
    assert (out / 'annotations.json').read_text() == before
    assert convert('csv', 'points.csv', '--force') == {'a.png': [[2, 2]]}


def test_arguments(tool, tmp_path, capsys):
    photos(tmp_path, 'a.png')
    labels, images = tmp_path / 'points.csv', tmp_path / 'images'
    with pytest.raises(FileNotFoundError, match=r'no file of labels .*points\.csv'):
        tool.main(['csv', str(labels), str(images)])
    labels.write_text('image,x,y\na.png,1,1\n')
    with pytest.raises(FileNotFoundError, match='no folder of images .*points.csv'):
        tool.main(['csv', str(labels), str(labels)])
    with pytest.raises(FileNotFoundError, match='no folder of labels .*points.csv'):
        tool.main(['labelme', str(labels), str(images)])
    with pytest.raises(ValueError, match='lies among the labels'):
        tool.main(['csv', str(labels), str(images), '--out', str(labels), '--force'])
    with pytest.raises(ValueError, match='lies among the labels'):
        tool.main(['labelme', str(images), str(images), '--out', str(images / 'a' / 'out.json')])
    with pytest.raises(SystemExit):
        tool.main(['csv', str(labels), str(images), '--boxes'])
    assert '--keypoint and --boxes are for coco' in capsys.readouterr().err
    assert labels.read_text().startswith('image,x,y')
