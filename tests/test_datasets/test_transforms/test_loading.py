import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from mmcrowd.datasets.transforms.loading import LoadCrowdImage
from mmcrowd.fileio.images import load_image, read_image_header, read_image_shape
from mmcrowd.fileio.jpeg import EncodedImage, open_image


@pytest.fixture
def picture():
    img = np.zeros((40, 60, 3), np.uint8)
    img[:20, :30] = (200, 30, 10)  # BGR: blue in the upper left
    img[20:, 30:] = (10, 200, 30)
    return img


def test_load_starts_the_meta_information(tmp_path, picture):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), picture)
    results = LoadCrowdImage()(dict(img_path=str(path), points=np.zeros((0, 2), np.float32)))
    np.testing.assert_array_equal(results['img'], picture)
    assert results['ori_shape'] == results['img_shape'] == (40, 60)
    assert (results['scale_factor'], results['crop_offset']) == ((1.0, 1.0), (0.0, 0.0))
    assert results['flip'] is False


def test_rendered_image_is_taken_as_it_is(picture):
    assert LoadCrowdImage()(dict(img=picture, img_path='none'))['img'] is picture


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_rotation(tmp_path, picture, orientation):
    path = tmp_path / 'a.jpg'
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture[..., ::-1]).save(path, quality=95, exif=exif)
    img = load_image(path)
    assert read_image_shape(path) == img.shape[:2]
    assert img.shape[:2] == ((40, 60) if orientation < 5 else (60, 40))
    # Where the stored upper left corner (blue) must be seen.
    corner = {
        1: (5, 5),
        2: (5, -5),
        3: (-5, -5),
        4: (-5, 5),
        5: (5, 5),
        6: (5, -5),
        7: (-5, -5),
        8: (-5, 5),
    }
    assert img[corner[orientation]][0] > 150


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', 'CMYK', 'I;16'])
def test_every_mode_becomes_three_channels(tmp_path, picture, mode):
    path = tmp_path / ('a.jpg' if mode == 'CMYK' else 'a.png')
    if mode == 'I;16':
        cv2.imwrite(str(path), picture[..., 0].astype(np.uint16) * 256)
    else:
        Image.fromarray(picture[..., ::-1]).convert(mode).save(path)
    img = load_image(path)
    assert img.shape == (40, 60, 3) and img.dtype == np.uint8
    if mode in ('L', 'I;16'):
        assert (img == img[..., :1]).all()
    assert read_image_shape(path) == (40, 60)


def test_one_pixel(tmp_path):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.full((1, 1, 3), 7, np.uint8))
    assert load_image(path).tolist() == [[[7, 7, 7]]]


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'gone\.jpg'):
        load_image(tmp_path / 'gone.jpg')
    with pytest.raises(FileNotFoundError, match=r'gone\.jpg'):
        read_image_shape(tmp_path / 'gone.jpg')


def test_more_pixels_than_can_be_decoded(tmp_path):
    """A header of some bytes that promises 40,000 x 40,000 pixels."""
    path = tmp_path / 'a.png'
    Image.new('L', (4, 4)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (40000).to_bytes(4, 'big') * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, 'big')
    path.write_bytes(content)
    for read in (load_image, read_image_shape):
        with pytest.raises(ValueError, match=r'a\.png: not a readable image'):
            read(str(path))


@pytest.mark.parametrize('ending', ['jpg', 'png'])
@pytest.mark.parametrize('share', [0.3, 0.9, 0.99])
def test_truncated_file_is_named(tmp_path, ending, share):
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    path = tmp_path / f'cut.{ending}'
    cv2.imwrite(str(path), noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=rf'cut\.{ending}.*cut off'):
        load_image(path)


def test_truncated_file_with_a_whole_thumbnail(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    _, thumbnail = cv2.imencode('.jpg', noise[:16, :16])
    exif = b'Exif\x00\x00' + thumbnail.tobytes()
    path = tmp_path / 'cut.jpg'
    Image.fromarray(noise).save(path, exif=exif)
    content = path.read_bytes()
    assert content.count(b'\xff\xd9') >= 2
    assert load_image(path).shape == (80, 80, 3)
    path.write_bytes(content[:-100])
    with pytest.raises(ValueError, match='cut off'):
        load_image(path)


@pytest.mark.parametrize('quality', [30, 95])
@pytest.mark.parametrize('progressive', [False, True])
def test_bytes_behind_the_image_do_not_matter(tmp_path, quality, progressive):
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    path = tmp_path / 'motion.jpg'
    Image.fromarray(noise).save(path, quality=quality, progressive=progressive)
    content = path.read_bytes()
    path.write_bytes(content + b'film\xff\xda\xff\xc0 and more')
    assert load_image(path).shape == (80, 80, 3)
    path.write_bytes(content[:-2])
    with pytest.raises(ValueError, match='cut off'):
        load_image(path)


@pytest.mark.parametrize('content', [b'', b'not an image', b'\x00' * 100])
def test_other_bytes_are_named(tmp_path, content):
    path = tmp_path / 'text.jpg'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'text\.jpg: not a readable image'):
        load_image(path)
    with pytest.raises(ValueError, match=r'text\.jpg: not a readable image'):
        read_image_shape(path)


def scene(height, width, gray=False):
    """A smooth picture away from black and white, where the mean of what is clipped is another; one
    without colour has nothing to lose to subsampled colours."""
    rng = np.random.default_rng(0)
    small = rng.uniform(50, 205, (height // 6 + 2, width // 6 + 2, 3)).astype(np.float32)
    if gray:
        small[...] = small[..., :1]
    img = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(img, 0, 255).astype(np.uint8)


def write_jpeg(path, img, mode='RGB', orientation=None, **kwargs):
    """Save BGR pixels as JPEG; the path as a string."""
    if orientation is not None:
        kwargs['exif'] = Image.Exif()
        kwargs['exif'][0x0112] = orientation
    Image.fromarray(img[..., ::-1]).convert(mode).save(path, 'JPEG', quality=95, **kwargs)
    return str(path)


def box_mean(img, r):
    """Mean of each cell of r x r pixels; those at the edge are filled up with the last pixel."""
    height, width = img.shape[:2]
    img = np.pad(img.astype(float), ((0, -height % r), (0, -width % r), (0, 0)), mode='edge')
    return img.reshape(img.shape[0] // r, r, img.shape[1] // r, r, 3).mean((1, 3))


@pytest.mark.parametrize('size', [(64, 96), (61, 83), (67, 81), (9, 7), (1, 1), (30, 1001)])
@pytest.mark.parametrize('progressive', [False, True])
@pytest.mark.parametrize(
    'mode, subsampling, gray, tolerance',
    [('L', 0, True, 1.6), ('RGB', 2, True, 2), ('RGB', 0, False, 7), ('CMYK', 0, False, 4)],
)
def test_reduced_pixels_are_means(tmp_path, size, progressive, mode, subsampling, gray, tolerance):
    path = write_jpeg(
        tmp_path / 'a.jpg',
        scene(*size, gray),
        mode,
        subsampling=subsampling,
        progressive=progressive,
    )
    image, full = open_image(path), load_image(path)
    assert image.shape == (*size, 3)
    for r in (1, 2, 4, 8):
        expected = box_mean(full, r)
        reduced = image.decode(r)
        assert reduced.shape == expected.shape
        error = np.abs(reduced - expected)
        # Of a cell that is only partly inside, the other part is what the encoder made of it.
        assert error[: size[0] // r, : size[1] // r].max(initial=0) <= (tolerance if r > 1 else 0)
        assert error.max() <= 3 * tolerance


@pytest.mark.parametrize('subsampling', [0, 2])
@pytest.mark.parametrize('r', [2, 4, 8])
def test_reduced_pixels_keep_their_place(tmp_path, r, subsampling):
    y, x = np.mgrid[:301, :403]
    for cx, cy in ((123.3, 77.7), (255.5, 200.0), (380.0, 290.0)):
        dot = 250 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 6**2))
        img = np.repeat(dot.astype(np.uint8)[..., None], 3, axis=2)
        path = write_jpeg(tmp_path / 'a.jpg', img, subsampling=subsampling)
        weight = open_image(path).decode(r)[..., 0].astype(float)
        weight[weight < 4] = 0
        row, column = np.mgrid[: weight.shape[0], : weight.shape[1]]
        centre = [(column * weight).sum(), (row * weight).sum()] / weight.sum()
        if cy < 280:  # the last one is cut by the edge
            np.testing.assert_allclose(
                centre, ((cx + 0.5) / r - 0.5, (cy + 0.5) / r - 0.5), atol=0.05
            )


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('size', [(64, 96), (60, 90), (61, 83)])
def test_reduction_of_rotated_images(tmp_path, orientation, size):
    path = write_jpeg(tmp_path / 'a.jpg', scene(*size, gray=True), orientation=orientation)
    image, full = open_image(path), load_image(path)
    assert image.shape == full.shape == (*read_image_shape(path), 3)
    np.testing.assert_array_equal(np.asarray(image), full)
    # Cut cells stay at the right and at the bottom, or there are none.
    strongest = {(64, 96): 8, (60, 90): 2, (61, 83): 1}[size] if orientation > 1 else 8
    assert image.reduction(0.1) == strongest
    assert np.abs(image.decode(strongest) - box_mean(full, strongest)).max() < 2
    assert image.header.height_at is None or orientation == 1


def test_reduction_is_not_coarser_than_the_scale(tmp_path):
    image = open_image(write_jpeg(tmp_path / 'a.jpg', scene(65, 96)))
    scales = (2, 1, 0.51, 0.5, 0.26, 0.25, 0.13, 0.125, 0.01)
    assert [image.reduction(scale) for scale in scales] == [1, 1, 1, 2, 2, 4, 4, 8, 8]
    assert image.reduction(0.01, whole_cells=True) == 1


@pytest.mark.parametrize('size', [(160, 96), (157, 83)])
@pytest.mark.parametrize(
    'mode, kwargs, stops',
    [
        ('RGB', dict(subsampling=2), True),
        ('RGB', dict(subsampling=1), True),
        ('RGB', dict(subsampling=0), True),
        ('L', dict(), True),
        ('RGB', dict(progressive=True), False),
        ('CMYK', dict(), False),
    ],
)
def test_window_is_that_of_the_whole(tmp_path, capfd, size, mode, kwargs, stops):
    """Exactly, though what lies below is not decoded, and without a word of the decoder."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    image = open_image(write_jpeg(tmp_path / 'a.jpg', noise, mode, **kwargs))
    assert (image.header.height_at is not None) == stops
    for r in (1, 2, 4, 8):
        whole = image.decode(r)
        height, width = whole.shape[:2]
        for _ in range(12):
            y0, x0 = rng.integers(height), rng.integers(width)
            h, w = rng.integers(1, height - y0 + 1), rng.integers(1, width - x0 + 1)
            window = image.decode(r, (x0, y0, w, h))
            np.testing.assert_array_equal(window, whole[y0 : y0 + h, x0 : x0 + w])
    assert capfd.readouterr().err == ''


def test_rows_below_the_window_are_not_read(tmp_path):
    path = write_jpeg(tmp_path / 'a.jpg', scene(400, 64))
    image = open_image(path)
    expected = image.decode(1, (0, 0, 64, 50))
    middle = len(image.content) * 3 // 4
    image.content = image.content[:middle] + bytes(len(image.content) - middle)
    np.testing.assert_array_equal(image.decode(1, (0, 0, 64, 50)), expected)


def png(img):
    return cv2.imencode('.png', img)[1].tobytes()


def tiff(img, orientation):
    out = io.BytesIO()
    Image.fromarray(img).save(out, 'TIFF', tiffinfo={0x0112: orientation})
    return out.getvalue()


def jpeg(img, **kwargs):
    out = io.BytesIO()
    write_jpeg(out, img, **kwargs)
    return out.getvalue()


READABLE = {
    'colour.jpg': lambda img: jpeg(img),
    'progressive.jpg': lambda img: jpeg(img, progressive=True),
    'cmyk.jpg': lambda img: jpeg(img, mode='CMYK'),
    'gray.jpg': lambda img: jpeg(img, mode='L'),
    'turned.jpg': lambda img: jpeg(img, orientation=6),
    'one_pixel.jpg': lambda img: jpeg(img[:1, :1]),
    'long.jpg': lambda img: jpeg(np.tile(img, (5, 334, 1))[:200, :20000]),
    'sixteen_bits.png': lambda img: png(img.astype(np.uint16) * 256 + 255),
    'alpha.png': lambda img: png(np.dstack([img, np.arange(60, dtype=np.uint8) + 0 * img[..., 0]])),
    'gray.png': lambda img: png(img[..., 0]),
    'damaged_data.jpg': lambda img: damage(jpeg(scene(40, 60)), -200, 20, 0),
    'damaged_exif.jpg': lambda img: jpeg(img, exif=b'Exif\0\0no TIFF'),
    'turned_by_xmp.jpg': lambda img: jpeg(img, xmp=XMP),
    'turned.tif': lambda img: tiff(img, 6),
}
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
UNREADABLE = {
    'empty.jpg': lambda img: b'',
    'text.jpg': lambda img: b'not an image',
    'cut.jpg': lambda img: jpeg(img)[:-30],
    'cut.png': lambda img: png(img)[:-30],
    'header_only.jpg': lambda img: jpeg(img)[:100],
    'damaged_codes.jpg': lambda img: damage(jpeg(img), jpeg(img).index(b'\xff\xc4') + 5, 16, 255),
}


def damage(content, at, length, value):
    return content[:at] + bytes([value] * length) + content[at:][length:]


@pytest.mark.parametrize('name', READABLE)
def test_lazy_pixels_are_the_same(tmp_path, picture, name):
    path = tmp_path / name
    path.write_bytes(READABLE[name](picture))
    plain = LoadCrowdImage()(dict(img_path=str(path)))
    lazy = LoadCrowdImage(lazy=True)(dict(img_path=str(path)))
    for key in ('ori_shape', 'img_shape', 'scale_factor', 'crop_offset', 'flip'):
        assert lazy[key] == plain[key]
    assert isinstance(lazy['img'], EncodedImage) == name.endswith('.jpg')
    assert lazy['img'].shape == plain['img'].shape
    np.testing.assert_array_equal(np.asarray(lazy['img']), plain['img'])
    if name in ('sixteen_bits.png', 'alpha.png'):
        np.testing.assert_array_equal(plain['img'], picture)


@pytest.mark.parametrize('name', READABLE)
def test_size_from_the_header_is_that_of_the_pixels(tmp_path, picture, name):
    path = tmp_path / name
    path.write_bytes(READABLE[name](picture))
    assert read_image_shape(path) == load_image(path).shape[:2]


def exif_block(byte_order, value, kind=3, count=1):
    """EXIF data with nothing but an orientation, of TIFF type ``kind``."""
    order = '<' if byte_order == b'II' else '>'
    field = {1: 'B3x', 2: 'B3x', 3: 'H2x', 4: 'I', 7: 'B3x', 8: 'h2x', 11: 'f'}[kind]
    head = struct.pack(f'{order}HIHHHI', 42, 8, 1, 0x0112, kind, count)
    return byte_order + head + struct.pack(order + field, value) + bytes(4)


@pytest.mark.parametrize('byte_order', [b'II', b'MM'])
@pytest.mark.parametrize('orientation', [0, 9, 42, 65535])
def test_other_orientations_count_as_one(tmp_path, picture, byte_order, orientation):
    plain, path = jpeg(picture), tmp_path / 'a.jpg'
    path.write_bytes(jpeg(picture, exif=b'Exif\0\0' + exif_block(byte_order, orientation)))
    wanted = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_COLOR)
    assert read_image_header(path) == ('JPEG', (40, 60), 1)
    for img in (load_image(path), open_image(path)):
        np.testing.assert_array_equal(np.asarray(img), wanted)
    # Nor does it spoil what upright images are spared.
    assert open_image(path).header.height_at is not None


@pytest.mark.filterwarnings('ignore')  # Pillow's
@pytest.mark.parametrize('byte_order', [b'II', b'MM'])
@pytest.mark.parametrize('kind', [1, 2, 3, 4, 7, 8, 11])
@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('orientation', [2, 6, 8])
def test_one_orientation_whatever_its_type(tmp_path, picture, byte_order, kind, count, orientation):
    """OpenCV and Pillow differ in these: EXIF's orientation is one number of type 3."""
    block = exif_block(byte_order, orientation, kind, count)
    path = tmp_path / 'a.jpg'
    path.write_bytes(jpeg(picture, exif=b'Exif\0\0' + block))
    header, plain = read_image_header(path), load_image(path)
    assert header.orientation in (1, orientation) and header.size == plain.shape[:2]
    np.testing.assert_array_equal(np.asarray(open_image(path)), plain)
    stored = cv2.imdecode(np.frombuffer(jpeg(picture), np.uint8), cv2.IMREAD_COLOR)
    turned = {1: stored, 2: stored[:, ::-1], 6: np.rot90(stored, -1), 8: np.rot90(stored)}
    np.testing.assert_array_equal(plain, turned[header.orientation])


@pytest.mark.parametrize('blocks, orientation', [((6, 1), 6), ((1, 6), 1), ((None, 6), 6)])
def test_the_first_of_several_exif_segments(tmp_path, picture, blocks, orientation):
    content = jpeg(picture)
    segments = [b'Exif\0\0' + (exif_block(b'MM', b) if b else b'') for b in blocks]
    marked = b''.join(b'\xff\xe1' + struct.pack('>H', len(s) + 2) + s for s in segments)
    path = tmp_path / 'a.jpg'
    path.write_bytes(content[:2] + marked + content[2:])
    assert read_image_header(path).orientation == orientation
    plain = load_image(path)
    assert plain.shape[:2] == read_image_shape(path)
    np.testing.assert_array_equal(np.asarray(open_image(path)), plain)


@pytest.mark.parametrize('place', ['before', 'behind', 'text', 'compressed'])
def test_orientation_of_a_png(tmp_path, picture, place):
    """In its own chunk it counts; in the text that ImageMagick writes, OpenCV does not look."""

    def chunk(kind, content):
        check = struct.pack('>I', zlib.crc32(kind + content))
        return struct.pack('>I', len(content)) + kind + content + check

    content, block = png(picture), exif_block(b'MM', 6)
    profile = b'\nexif\n%8d\n' % (len(block) + 6) + (b'Exif\0\0' + block).hex().encode() + b'\n'
    added = {
        'text': chunk(b'tEXt', b'Raw profile type exif\0' + profile),
        'compressed': chunk(b'zTXt', b'Raw profile type exif\0\0' + zlib.compress(profile)),
    }.get(place, chunk(b'eXIf', block))
    at = content.index(b'IEND' if place == 'behind' else b'IDAT') - 4
    path = tmp_path / 'a.png'
    path.write_bytes(content[:at] + added + content[at:])
    orientation = 1 if place in ('text', 'compressed') else 6
    assert read_image_header(path) == ('PNG', load_image(path).shape[:2], orientation)


@pytest.mark.parametrize('orientation', [3, 6])
@pytest.mark.parametrize('missing', range(1, 26))
def test_exif_cut_short_turns_all_windows_or_none(tmp_path, picture, orientation, missing):
    """Pillow and OpenCV may differ in what they make of it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / 'a.jpg'
    path.write_bytes(jpeg(picture, exif=exif.tobytes()[:-missing]))
    plain = load_image(path)
    image = open_image(path)
    height, width = image.shape[:2]
    for y0 in (0, height - 4):
        try:
            window = (
                np.asarray(image)[y0 : y0 + 4]
                if not isinstance(image, EncodedImage)
                else (image.decode(1, (0, y0, width, 4)))
            )
        except ValueError as error:
            assert 'a.jpg' in str(error)
        else:
            np.testing.assert_array_equal(window, plain[y0 : y0 + 4])


@pytest.mark.parametrize('name', UNREADABLE)
def test_lazy_errors_are_the_same(tmp_path, picture, name):
    path = tmp_path / name
    path.write_bytes(UNREADABLE[name](picture))
    with pytest.raises(ValueError, match=name) as plain:
        load_image(path)
    with pytest.raises(ValueError, match=name) as lazy:
        np.asarray(open_image(path))
    with pytest.raises(ValueError, match=name):
        image = open_image(path)
        image.decode(1, (0, 0, 5, 5))
    assert str(lazy.value) == str(plain.value)


def test_another_size_than_in_the_header_is_named(tmp_path):
    image = open_image(write_jpeg(tmp_path / 'a.jpg', scene(40, 60)))
    image.header = image.header._replace(size=(40, 57), height_at=None)
    with pytest.raises(ValueError, match=r'a\.jpg: decoded at 1/2 to \(20, 30\)'):
        image.decode(2)


def ends_by_walking(content):
    """Whether the markers, one after the other, lead to an end mark: all bytes are looked at."""
    i = 2
    while i + 1 < len(content):
        code = content[i + 1]
        if content[i] != 0xFF or code in (0, 1, 0xFF) or 0xD0 <= code <= 0xD7:
            i += 1
        elif code == 0xD9:
            return True
        else:
            i += 2 + int.from_bytes(content[i + 2 : i + 4], 'big')
    return False


@pytest.mark.parametrize('progressive', [False, True])
@pytest.mark.parametrize('restart', [0, 2])
def test_every_cut_is_found(tmp_path, progressive, restart):
    path = tmp_path / 'a.jpg'
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    thumbnail = cv2.imencode('.jpg', noise[:8, :8])[1].tobytes()
    exif = b'Exif\0\0' + thumbnail
    content = jpeg(noise, exif=exif, progressive=progressive, restart_marker_blocks=restart)
    # A comment before the last scan that has what looks like an end mark.
    at = content.rindex(b'\xff\xda')
    content = content[:at] + b'\xff\xfe\x00\x04\xff\xd9' + content[at:]
    for end in [*range(4, len(content), 23), *range(len(content) - 4, len(content) + 1)]:
        for behind in (b'', b'film\xff\xda\xff\xc0') if end == len(content) else (b'',):
            cut = content[:end] + behind
            path.write_bytes(cut)
            try:
                open_image(path)
                found = False
            except ValueError as error:
                found = 'cut off' in str(error)
            assert found == (not ends_by_walking(cut)), end
    assert ends_by_walking(content)
