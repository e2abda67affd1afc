import cv2
import numpy as np
import pytest
from PIL import Image

from mmcrowd.datasets.transforms.loading import LoadCrowdImage, load_image, read_image_shape


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
