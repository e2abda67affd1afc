"""Files that are cut off or damaged: whatever reads them names the file, in one kind of error."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import loadmat, savemat

from mmcrowd.datasets import (
    ImageEntry,
    JHUCrowdDataset,
    NWPUCrowdDataset,
    ShanghaiTechDataset,
    UCFQNRFDataset,
)
from mmcrowd.datasets.annotation_checks import check_annotation
from mmcrowd.datasets.annotation_json import read_annotation_file
from mmcrowd.datasets.benchmark_files import load_mat
from mmcrowd.datasets.jhu_crowd import read_labels
from mmcrowd.datasets.label_formats import read_coco, read_csv, read_cvat
from mmcrowd.datasets.nwpu_crowd import read_list
from mmcrowd.evaluation.formats import nwpu
from mmcrowd.evaluation.image_result import ImageResult, load_results, save_results
from mmcrowd.fileio.files import read_json
from mmcrowd.fileio.images import load_image, read_image_shape
from mmcrowd.fileio.jpeg import open_image
from mmcrowd.fileio.problems import Problems

from ..testing.benchmarks import make_qnrf, save_truth

GROUND_TRUTH = 'ShanghaiTech/part_A/test_data/ground-truth'


def mat_bytes(**variables) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=True)
    return buffer.getvalue()


def truth_bytes() -> bytes:
    """Of ShanghaiTech, compressed, as the benchmark's own files are: damage then never gets as far
    as the arrays, where it can end the process inside SciPy's compiled code."""
    buffer = io.BytesIO()
    save_truth(buffer, np.arange(12.0).reshape(6, 2))
    variables = loadmat(io.BytesIO(buffer.getvalue()))
    return mat_bytes(image_info=variables['image_info'])


def image_bytes(kind: str, **options) -> bytes:
    pixels = np.add.outer(np.arange(20), 3 * np.arange(30))[..., None] * (1, 2, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def results_bytes(folder: Path) -> bytes:
    result = ImageResult(img_id='a', pred_count=2.0, gt_count=1, pred_points=np.ones((2, 2)))
    save_results([result], folder / 'results')
    return (folder / 'results').read_bytes()


HEADS = dict(human_num=2, points=[[1, 2], [3.5, 4]], boxes=[[0, 1, 2, 3], [2, 3, 5, 5]])
OWN = dict(
    metainfo=dict(dataset_name='x'),
    data_list=[dict(img_path='a.png', points=[[1, 2.5]], split='val', ori_shape=[30, 40])],
)
COCO = dict(
    images=[dict(id=0, file_name='a.png', width=30, height=20)],
    annotations=[
        dict(image_id=0, category_id=1, keypoints=[3, 19, 2], bbox=[1, 2, 3, 4]),
        dict(image_id=0, category_id=1, bbox=[1, 2, 3, 4]),
    ],
    categories=[dict(id=1, name='head', keypoints=['top'])],
)
LABELME = dict(
    imagePath='a.png',
    imageWidth=30,
    imageHeight=20,
    shapes=[dict(shape_type='rectangle', label='head', points=[[1, 2], [3, 4.5]])],
)
CVAT = (
    '<?xml version="1.0"?><annotations><image name="a.png" width="30" height="20">'
    '<points label="head" points="1.5,2.5;29.25,19.5"/>'
    '<box label="head" xtl="2" ytl="4" xbr="8" ybr="12"/></image></annotations>'
)


def annotation(dataset):
    """Reads one annotation file of a dataset and checks it, as the dataset does."""
    return lambda path, problems: check_annotation(
        dataset.read_annotation(None, ImageEntry('a.jpg', 'a', ann_path=str(path))), str(path)
    )


@pytest.fixture(scope='module')
def readers(tmp_path_factory):
    """By name: what a sound file holds, and ``read(path, problems)``."""
    folder = tmp_path_factory.mktemp('readers')
    points = np.arange(8.0).reshape(4, 2)
    with_boxes = mat_bytes(annPoints=points, annBoxes=np.ones((4, 4)))

    def text(content) -> bytes:
        return (content if isinstance(content, str) else json.dumps(content)).encode()

    readers = {
        'qnrf.mat': (mat_bytes(annPoints=points), annotation(UCFQNRFDataset)),
        'nwpu.mat': (with_boxes, annotation(NWPUCrowdDataset)),
        'sha.mat': (truth_bytes(), annotation(ShanghaiTechDataset)),
        'nwpu.json': (text(HEADS), annotation(NWPUCrowdDataset)),
        'jhu.txt': (text('5 7 4 6 1 0\n7.5 8 5 6 2 1\n'), annotation(JHUCrowdDataset)),
        'labels.txt': (text('0001,0,street,0,0\n0002,1,rally,1,0\n'), read_labels),
        'train.txt': (text('0001 2 1\n0002 2 2\n'), read_list),
        'test.txt': (text('0001\n0002\n'), read_list),
        'own.json': (text(OWN), lambda path, problems: read_annotation_file(path, '', problems)),
        'coco.json': (text(COCO), read_coco),
        'cvat.xml': (text(CVAT), read_cvat),
        'points.csv': (text('image,x,y,label\na.png,1,2.5,head\nb.png,,,\n'), read_csv),
        'counts.txt': (text('0001 2.5\n0002 3\n'), lambda path, _: nwpu.read_counts(path)),
        'points.txt': (text('0001 1 2 3\n0002 0\n'), lambda path, _: nwpu.read_points(path)),
        'truth.txt': (text('0001 1 2 3 4 5 2\n'), lambda path, _: nwpu.read_truth(path)),
        'results.json': (results_bytes(folder), lambda path, _: load_results(path)),
    }
    for name, kind, options in (
        ('a.jpg', 'JPEG', {}),
        ('progressive.jpg', 'JPEG', dict(progressive=True)),
        ('a.png', 'PNG', {}),
        ('a.bmp', 'BMP', {}),
        ('a.tif', 'TIFF', {}),
        ('a.webp', 'WEBP', {}),
        ('a.ppm', 'PPM', {}),
    ):
        content = image_bytes(kind, **options)
        for read in (load_image, read_image_shape, open_image):
            readers[f'{read.__name__} {name}'] = (
                content,
                lambda path, _, read=read: np.asarray(read(str(path))),
            )
    return readers


def told(read, path: Path, content: bytes) -> bool:
    """Whether the file is refused; an assertion fails unless that is told with its name."""
    path.unlink(missing_ok=True)  # much faster than writing over it
    path.write_bytes(content)
    problems = Problems()
    try:
        read(path, problems)
    except (ValueError, OSError) as problem:
        problems.append(problem)
    for problem in problems:
        assert str(path) in str(problem)
    return bool(problems)


def test_sound_files_are_read(readers, tmp_path):
    for name, (content, read) in readers.items():
        assert not told(read, tmp_path / name.split()[-1], content), name


@pytest.mark.filterwarnings('ignore')  # Pillow's
def test_files_cut_off_anywhere(readers, tmp_path):
    for name, (content, read) in readers.items():
        path = tmp_path / name.split()[-1]
        sizes = range(len(content)) if len(content) < 500 else range(0, len(content), 7)
        refused = [told(read, path, content[:size]) for size in sizes]
        binary = path.suffix == '.mat' or name.startswith('load_image')
        if binary or path.suffix in ('.json', '.xml'):
            assert all(refused), name


def test_a_real_mat_file_cut_off_at_every_length(data_root, tmp_path):
    content = (data_root / GROUND_TRUTH / 'GT_IMG_1.mat').read_bytes()
    for size in range(len(content)):
        assert told(lambda path, _: load_mat(path, 'image_info'), tmp_path / 'a', content[:size])


def test_a_real_file_that_is_cut_off_is_one_of_the_problems(data_root, tmp_path):
    root = make_qnrf(tmp_path, num_images=3)
    content = (data_root / GROUND_TRUTH / 'GT_IMG_1.mat').read_bytes()
    for k, size in ((1, 20), (2, 126)):
        (root / 'Train' / f'img_000{k}_ann.mat').write_bytes(content[:size])
    (root / 'Train' / 'img_0003.jpg').write_bytes(b'damaged')
    with pytest.raises(ValueError) as error:
        UCFQNRFDataset(data_root=str(root), split='trainval')
    head, *lines = str(error.value).splitlines()
    assert '3 problems' in head
    for line, name in zip(lines, ('0001_ann.mat', '0002_ann.mat', '0003.jpg'), strict=True):
        assert f'img_{name}: not a readable' in line


changes = st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=5)


@pytest.mark.filterwarnings('ignore')
def test_damaged_files(readers, tmp_path):
    @settings(max_examples=60)
    @given(changes=changes)
    def check(changes):
        for name, (content, read) in readers.items():
            if name.startswith(('load_image', 'open_image')):
                continue  # a damaged size may ask for all of the memory
            damaged = bytearray(content)
            for place, value in changes:
                damaged[int(place * len(damaged))] = value
            told(read, tmp_path / name.split()[-1], bytes(damaged))

    check()


@pytest.mark.parametrize('content', [b'[' * 100_000, b'{"a":' * 100_000, b'1' * 5000, b'\0'])
def test_json_that_breaks_the_parser(tmp_path, content):
    (tmp_path / 'a.json').write_bytes(content)
    for read in (read_json, load_results):
        with pytest.raises(ValueError, match=r'a\.json: not'):
            read(tmp_path / 'a.json')


@pytest.mark.parametrize('encoding', ['none-such', 'gb2312', 'rot13'])
def test_xml_in_an_unknown_encoding(readers, tmp_path, encoding):
    text = CVAT.replace('<?xml version="1.0"?>', f'<?xml version="1.0" encoding="{encoding}"?>')
    assert told(readers['cvat.xml'][1], tmp_path / 'cvat.xml', text.encode())


def test_lists_with_a_byte_order_mark(tmp_path):
    (tmp_path / 'train.txt').write_text('0001 2 1\n', encoding='utf-8-sig')
    assert read_list(tmp_path / 'train.txt', Problems()) == [('0001', dict(luminance=2, level=1))]


def test_damage_inside_a_compressed_variable(tmp_path):
    """Of which SciPy's reader sees nothing, or that makes it end the process."""
    content = bytearray(mat_bytes(annPoints=np.arange(8.0).reshape(4, 2)))
    for place in range(136, len(content)):
        damaged = content.copy()
        damaged[place] ^= 1
        path = tmp_path / 'a.mat'
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r'a\.mat: not a readable MATLAB 5 file'):
            load_mat(path, 'annPoints')
