"""Photos from wherever they are, good and bad."""

import io
import runpy
import sys
import zlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import pytest
from PIL import Image

from mmcrowd.apis import inputs
from mmcrowd.apis.inputs import (
    decode_photo,
    find_photos,
    number_of_photos,
    read_photo,
    unique_names,
)
from mmcrowd.fileio.images import load_image
from mmcrowd.version import __version__


@pytest.fixture(scope='module')
def picture():
    """Smooth, so that JPEG keeps it: (24, 32, 3) RGB."""
    y, x = np.mgrid[:24, :32]
    return np.stack([8 * x, 10 * y, 255 - 4 * (x + y)], 2).clip(0, 255).astype(np.uint8)


def encode(picture, ending='png', mode='RGB', **kwargs):
    buffer = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(buffer, ending, **kwargs)
    return buffer.getvalue()


def names(inputs, **kwargs):
    return [photo.name for photo in find_photos(inputs, **kwargs)]


def read(inputs):
    (photo,) = find_photos(inputs)
    return read_photo(photo)


# -------------------------------------------------------------------------------------- finding


@pytest.fixture
def folder(tmp_path):
    for name in (
        'b/2.jpg',
        'b/10.jpg',
        'b/10.png',
        'a.JPG',
        '.hidden.jpg',
        'notes.txt',
        'c/d/1.jpg',
    ):
        path = tmp_path / 'photos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / 'photos'


def test_a_folder(folder):
    assert names(folder) == ['a']
    below = ['a', 'b/2', 'b/10.jpg', 'b/10.png', 'c/d/1']
    assert names(str(folder), recursive=True) == below
    assert [p.path for p in find_photos(folder)] == [str(folder / 'a.JPG')]


def test_links_in_a_circle(folder):
    (folder / 'b' / 'up').symlink_to(folder)
    assert len(names(folder, recursive=True)) == 5


def test_patterns(folder):
    assert names(f'{folder}/b/*') == ['2', '10.jpg', '10.png']
    assert names(f'{folder}/**/*.jpg') == ['b/2', 'b/10', 'c/d/1']
    (folder / 'x[1].jpg').touch()
    assert names(folder / 'x[1].jpg') == ['x[1]']  # there is a file of this name


def test_patterns_in_a_list(folder, monkeypatch):
    """They are called like the folder that is searched; its name is part of paths of results."""
    assert names([f'{folder}/b/*.jpg']) == ['b/2', 'b/10']
    assert names([f'{folder}/*/*.png', f'{folder}/b/2.*']) == ['photos/10', 'b/2']
    monkeypatch.chdir(folder / 'b')
    assert names(['*.png']) == ['b/10']


def test_lists(folder):
    given = [
        folder / 'b',
        np.zeros((2, 2), np.uint8),
        folder / 'a.JPG',
        folder / 'b' / '2.jpg',
        b'x',
    ]
    assert names(given) == ['b/2', 'b/10.jpg', 'b/10.png', 'image_1', 'a', '2', 'image_4']
    assert names([folder / 'b' / '2.jpg'] * 3) == ['2.jpg', '2.jpg-2', '2.jpg-3']
    assert unique_names(['a', 'a', 'a-2']) == ['a', 'a-3', 'a-2']


def test_iterators_and_sets_keep_names(folder):
    array = np.zeros((2, 2), np.uint8)
    paths = [folder / 'a.JPG', folder / 'b' / '2.jpg', str(folder / 'b' / '10.jpg')]
    assert names(iter(paths)) == ['a', '2', '10']
    assert names(set(paths)) == names(dict.fromkeys(paths).keys()) == ['a', '2', '10']
    assert names(path for path in [folder / 'b']) == ['b/2', 'b/10.jpg', 'b/10.png']
    twice = iter([paths[1], paths[1], paths[1], folder / 'b' / '10.jpg', folder / 'b' / '10.png'])
    assert names(twice) == ['2', '2.jpg', '2.jpg-2', '10', '10.png']
    # What has no name has its number.
    assert names(iter([paths[1], array, array, paths[1]])) == ['2', '1', '2-2', '2.jpg']
    assert names(iter([array, array, array, paths[1]])) == ['0', '1', '2', '2.jpg']


def test_files_that_are_open(tmp_path, picture):
    content = encode(picture)
    path = tmp_path / 'a b.png'
    path.write_bytes(content)
    buffer = io.BytesIO()
    buffer.write(content)  # at its end now
    with path.open('rb') as file, path.open() as text:
        photos = list(find_photos([file, buffer]))
        assert [photo.name for photo in photos] == ['a b', 'image_1']
        assert [photo.path for photo in photos] == [str(path), None]
        assert names(file) == ['a b'] and number_of_photos(file) == 1
        for given in (file, buffer, io.BytesIO(content), memoryview(content)):
            for _ in range(2):
                assert np.array_equal(read(given).img, picture[..., ::-1])
        with pytest.raises(ValueError, match='a b.png: TextIOWrapper, expected a binary file'):
            read(text)
    with pytest.raises(ValueError, match='a b.png: not a readable image .*closed file'):
        read(file)


def test_home(folder, monkeypatch):
    monkeypatch.setenv('HOME', str(folder))
    monkeypatch.setenv('USERPROFILE', str(folder))
    for given in ('~/a.JPG', Path('~/a.JPG'), ['~/a.JPG'], '~/*.JPG', iter(['~/a.JPG'])):
        assert [photo.path for photo in find_photos(given)] == [str(folder / 'a.JPG')]


def test_an_iterator_is_read_one_by_one():
    taken = []

    def images():
        for k in range(3):
            taken.append(k)
            yield np.zeros((2, 2), np.uint8)

    photos = find_photos(images())
    assert next(photos).name == '0' and taken == [0]


def test_number_of_photos(folder):
    assert [number_of_photos(given) for given in ('none.jpg', b'', None)] == [1, 1, 1]
    assert number_of_photos(iter([])) is None
    assert number_of_photos(['a.jpg', 'b.jpg']) == number_of_photos({'a.jpg', 'b.jpg'}) == 2
    assert number_of_photos(folder) == number_of_photos(str(folder)) == 1
    assert number_of_photos(folder, recursive=True) == 5
    assert number_of_photos(f'{folder}/b/*') == 3
    assert number_of_photos([folder, f'{folder}/b/*.jpg', b'', folder / 'c']) == 4


@pytest.mark.parametrize(
    'given, message',
    [
        ('{}/none.jpg', 'no image, folder or matching file: .*none.jpg'),
        ('{}/b/*.gif', r'no image matches .*b/\*.gif'),
        ('{}/*.txt', r'no image matches .*, but other files do, such as notes.txt; .* .avif'),
        ('file://{}/a.JPG', 'file://.*: a URL of file, expected one of http or https, or a path'),
        ('s3://a/*.jpg', 'a URL of s3'),
        ('{}/c', r'c: no image in it \(.avif'),
    ],
)
def test_nothing_there(folder, given, message):
    with pytest.raises(FileNotFoundError, match=message):
        names(given.format(folder))


def test_what_is_not_there_is_passed_over(folder):
    missing = []
    given = [folder / 'none.jpg', folder / 'a.JPG', folder / 'c', f'{folder}/*.gif', folder / 'b']
    photos = find_photos(given, on_missing=lambda *told: missing.append(told))
    assert [photo.name for photo in photos] == ['a', 'b/2', 'b/10.jpg', 'b/10.png']
    assert [item for _, item, _ in missing] == [given[0], given[2], given[3]]
    assert missing[0][0] == 'none' and 'none.jpg' in str(missing[0][2])


@pytest.mark.parametrize('given', [3, None, [3]])
def test_no_image_at_all(given):
    with pytest.raises(TypeError, match='is no image; expected a path, URL, folder'):
        names(given)


# -------------------------------------------------------------------------------------- reading


def test_every_way_gives_the_same_pixels(tmp_path, picture):
    content = encode(picture)
    (tmp_path / 'a.png').write_bytes(content)
    bgr = picture[..., ::-1]
    ways = [tmp_path / 'a.png', str(tmp_path / 'a.png'), content, bytearray(content), bgr]
    for way in (*ways, Image.fromarray(picture)):
        img, notes = read(way)
        assert np.array_equal(img, bgr) and img.flags.c_contiguous and not notes


@pytest.mark.parametrize('orientation', [1, 3, 6])
def test_a_file_is_what_training_reads(tmp_path, picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(tmp_path / 'a.jpg', exif=exif)
    img = load_image(str(tmp_path / 'a.jpg'))
    assert np.array_equal(read(tmp_path / 'a.jpg').img, img)
    # Pillow decodes with other rounding.
    opened = read(Image.open(tmp_path / 'a.jpg')).img
    assert opened.shape == img.shape and np.abs(opened.astype(int) - img).mean() < 2


def test_grey_and_16_bits(tmp_path, picture):
    grey = picture[..., 0]
    for given in (grey, grey[..., None], encode(grey, mode='L'), Image.fromarray(grey)):
        assert np.array_equal(read(given).img, np.stack([grey] * 3, 2))
    deep = grey.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / 'a.png'), deep)
    for given in (tmp_path / 'a.png', Image.fromarray(deep)):
        assert np.array_equal(read(given).img[..., 0], grey)
    with pytest.raises(ValueError, match=r'image_0: an array uint16 \(24, 32\), expected uint8'):
        read(deep)
    for ending in ('.png', '.tiff'):
        content = cv2.imencode(ending, picture[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
        assert np.array_equal(read(content).img, picture[..., ::-1])


@pytest.mark.parametrize('bits', [8, 10, 12, 14, 15, 16])
def test_16_bits_that_are_not_used(picture, bits):
    """A file and an image of Pillow give the same."""
    deep = picture.astype(np.uint16) << max(bits - 8, 0)
    deep[-1, -1] = 2**bits - 1
    expected = deep >> (8 if bits > 14 else bits - 8)
    note = [f'values up to {2**bits - 1} of 65535 were taken for {bits} bits, not 16']
    note = note if bits <= 14 else []
    for ending in ('.png', '.tiff'):
        img, notes = read(cv2.imencode(ending, deep[..., ::-1])[1].tobytes())
        assert np.array_equal(img, expected[..., ::-1]) and notes == note
        content = cv2.imencode(ending, deep[..., 0])[1].tobytes()
        for given in (content, Image.fromarray(deep[..., 0]), Image.open(io.BytesIO(content))):
            img, notes = read(given)
            assert np.array_equal(img, np.stack([expected[..., 0]] * 3, 2)) and notes == note


def test_16_bits_that_are_cut_off_or_turned(picture):
    content = cv2.imencode('.png', picture.astype(np.uint16) * 257)[1].tobytes()
    with pytest.raises(ValueError, match='a: '):
        decode_photo(content[: len(content) // 2], 'a')
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0].astype(np.uint16) * 257).save(buffer, 'png', exif=exif)
    img = read(buffer.getvalue()).img
    assert np.array_equal(img[..., 0], np.rot90(picture[..., 0], -1))


def test_cmyk_and_palette(picture):
    for content in (encode(picture, 'jpeg', 'CMYK', quality=95), encode(picture, 'png', 'P')):
        img, notes = read(content)
        assert np.abs(img[..., ::-1].astype(int) - picture).mean() < 20 and not notes


def test_alpha_is_noted(picture):
    alpha = np.full((24, 32, 1), 255, np.uint8)
    solid = np.concatenate((picture, alpha), 2)
    alpha[3, 3] = 0
    clear = np.concatenate((picture, alpha), 2)
    for given, noted in ((solid, False), (clear, True)):
        for way in (encode(given, mode='RGBA'), Image.fromarray(given), given[..., [2, 1, 0, 3]]):
            img, notes = read(way)
            assert np.array_equal(img, picture[..., ::-1])
            assert bool(notes) == noted


def test_animation(picture):
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    buffer = io.BytesIO()
    frames[0].save(buffer, 'gif', save_all=True, append_images=frames[1:])
    img, notes = read(buffer.getvalue())
    assert notes == ['the first of 2 frames was counted']
    assert np.abs(img[..., ::-1].astype(int) - picture).mean() < 20


@pytest.mark.parametrize(
    'content, message',
    [
        (b'', 'a.jpg: the file is empty'),
        (b'no picture, but a text', r'a.jpg: not a readable image \(22 bytes\)'),
        (b'\x89PNG\r\n\x1a\n' + b'\0' * 30, 'a.jpg: not a readable image'),
    ],
)
def test_no_image(tmp_path, content, message):
    (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / 'a.jpg')


def test_a_video_is_no_image(tmp_path):
    (tmp_path / 'film.MP4').write_bytes(b'no picture')
    with pytest.raises(ValueError, match='not a readable image .*; videos are counted by mm'):
        read(tmp_path / 'film.MP4')


@pytest.mark.parametrize('ending', ['jpeg', 'png', 'gif', 'webp'])
def test_cut_off(picture, ending):
    content = encode(picture, ending)
    with pytest.raises(ValueError, match='a: '):
        decode_photo(content[: len(content) // 2], 'a')


def chunk(kind, content):
    """A part of a PNG file."""
    crc = zlib.crc32(kind + content).to_bytes(4, 'big')
    return len(content).to_bytes(4, 'big') + kind + content + crc


def png_of(width, height):
    """A small file that says it is large: rows of zeros, well compressed."""
    header = width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + bytes([1, 0, 0, 0, 0])
    packer = zlib.compressobj(9)
    row = bytes(1 + -(-width // 8))
    rows = b''.join(packer.compress(row) for _ in range(height)) + packer.flush()
    return (
        b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', rows) + chunk(b'IEND', b'')
    )


def test_decompression_bomb():
    content = png_of(30_000, 30_000)
    assert len(content) < 200_000
    with pytest.raises(ValueError, match='a: Image size .900000000 pixels. exceeds limit'):
        decode_photo(content, 'a')


def test_pillow_without_a_limit(monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', None)
    assert runpy.run_path(inputs.__file__)['LIMIT'] > 10**12


def test_errors_of_pillow_get_a_name(tmp_path, picture):
    text = chunk(b'zTXt', b'a\0\0' + zlib.compress(bytes(2**21)))  # a bomb, too
    content = encode(picture)
    with pytest.raises(ValueError, match=r'a: not a readable image \(.*MAX_TEXT_CHUNK'):
        decode_photo(content[:33] + text + content[33:], 'a')
    (tmp_path / 'cut.png').write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r'image_0: not a readable image \('):
        read(Image.open(tmp_path / 'cut.png'))
    with pytest.raises(ValueError, match='image_0: not a readable image .floating-point pixels'):
        read(Image.fromarray(np.zeros((2, 2), np.float32)))


@pytest.mark.filterwarnings('error')
def test_a_hundred_megapixels():
    assert decode_photo(png_of(10_000, 10_000), 'a').img.shape == (10_000, 10_000, 3)


HEIC = b'\0\0\0\x18ftypheic' + bytes(40)


def test_heic_without_its_reader(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    (tmp_path / 'IMG_1.HEIC').write_bytes(HEIC)
    with pytest.raises(ValueError, match='IMG_1.HEIC: .*run `pip install pillow-heif`'):
        read(tmp_path / 'IMG_1.HEIC')


def test_heic(picture):
    pillow_heif = pytest.importorskip('pillow_heif')
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(picture)).save(buffer, quality=95)
    img = read(buffer.getvalue()).img
    assert np.abs(img[..., ::-1].astype(int) - picture).mean() < 8


@pytest.mark.parametrize(
    'img', [np.zeros((2, 2, 3)), np.zeros((2, 2, 2), np.uint8), np.zeros((0, 3), np.uint8)]
)
def test_other_arrays(img):
    with pytest.raises(ValueError, match=r'image_0: an array .* expected uint8 \(H, W, 3\) BGR'):
        read(img)


# ------------------------------------------------------------------------------------------- URLs


@pytest.fixture
def agents():
    """Who has asked the server, in turn."""
    return []


@pytest.fixture
def server(tmp_path, monkeypatch, agents):
    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            agents.append(self.headers['User-Agent'])
            super().do_GET()

    monkeypatch.setenv('no_proxy', '127.0.0.1')
    handler = partial(Handler, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{httpd.server_port}'
        httpd.shutdown()


def test_url(server, agents, tmp_path, picture):
    Path(tmp_path, 'a b.png').write_bytes(encode(picture))
    (photo,) = find_photos(f'{server}/a%20b.png?size=large')
    assert (photo.name, photo.path) == ('a b', f'{server}/a%20b.png?size=large')
    assert np.array_equal(read_photo(photo).img, picture[..., ::-1])
    assert np.array_equal(read(f'HTTP{server[4:]}/a%20b.png').img, picture[..., ::-1])
    assert set(agents) == {f'mmcrowd/{__version__}'}
    with pytest.raises(FileNotFoundError, match='cannot download .*/none.jpg .*404'):
        read(f'{server}/none.jpg')
    assert names(f'{server}/..') == names(server) == ['image_0']


def test_unreachable_url(monkeypatch):
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    with pytest.raises(FileNotFoundError, match='cannot download http://127.0.0.1:9/a.jpg'):
        read('http://127.0.0.1:9/a.jpg')
