"""Image files that are read band by band."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmcrowd.fileio.bands import open_bands
from mmcrowd.fileio.images import load_image

pytest.importorskip('pyvips')

SIZE = 700, 130


@pytest.fixture(scope='module')
def picture():
    """Blurred noise, (700, 130, 3) RGB."""
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.float32)
    blurred = 128 + 6 * (cv2.GaussianBlur(noise, (0, 0), 3) - 128)
    return blurred.clip(0, 255).astype(np.uint8)


def save(picture, path, mode='RGB', **kwargs):
    Image.fromarray(picture).convert(mode).save(path, **kwargs)
    return path


FILES = {
    'a.jpg': dict(quality=90),
    '444.jpg': dict(quality=90, subsampling=0),
    'progressive.jpg': dict(progressive=True),
    'grey.jpg': dict(mode='L'),
    'a[1].tif': dict(),
    'lzw.tiff': dict(compression='tiff_lzw'),
    'grey.tif': dict(mode='L'),
    'tiles.tif': dict(tiffinfo={322: 64, 323: 64}),
}


@pytest.mark.parametrize('name', FILES)
def test_windows_have_the_pixels_of_the_whole(picture, tmp_path, name):
    path = save(picture, tmp_path / name, **FILES[name])
    whole, bands = load_image(str(path)), open_bands(path, 1000, 10**6)
    assert bands.shape == whole.shape == (*SIZE, 3)
    # In order, again, passing over more rows than are read at once, back to the top, and all.
    for top, bottom in ((0, 60), (0, 60), (40, 100), (650, 700), (10, 20), (0, 700)):
        for left, right in ((0, 50), (30, 130)):
            window = bands.read(slice(top, bottom), slice(left, right))
            assert np.array_equal(window, whole[top:bottom, left:right])
    assert np.array_equal(np.asarray(bands), whole)
    small = bands.reduced(70)
    assert small.shape == (70, 13, 3)
    expected = cv2.resize(whole, (13, 70), interpolation=cv2.INTER_AREA)
    # Another filter: Lanczos. The pixels themselves differ by 50 on average.
    assert np.abs(small.astype(int) - expected).mean() < 10


def test_no_more_than_a_band_is_kept(picture, tmp_path):
    bands = open_bands(save(picture, tmp_path / 'a.jpg'), 0, 10**6)
    for top in range(0, 700, 50):
        bands.read(slice(max(top - 10, 0), top + 50), slice(0, 8))
        assert len(bands._band) <= 60


OTHERS = {
    'a.png': dict(),
    'cmyk.jpg': dict(mode='CMYK'),
    'alpha.tif': dict(mode='RGBA'),
    'float.tif': dict(mode='F'),
    'turned.tif': dict(tiffinfo={274: 6}),
    'pages.tif': dict(save_all=True, append_images=[Image.new('RGB', (9, 9))]),
}


@pytest.mark.parametrize('name', OTHERS)
def test_other_files_are_left_to_other_readers(picture, tmp_path, name):
    mode = OTHERS[name].get('mode', 'RGB')
    given = picture[..., 0] if mode == 'F' else picture
    path = save(given, tmp_path / name, **OTHERS[name])
    assert open_bands(path, 1000, 10**6) is None


def test_turned_small_and_large_files(picture, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_bands(save(picture, tmp_path / 'turned.jpg', exif=exif), 0, 10**6) is None
    path = save(picture, tmp_path / 'a.jpg')
    pixels = SIZE[0] * SIZE[1]
    assert open_bands(path, pixels, 10**6) is None
    assert open_bands(path, 0, pixels - 1) is None
    assert open_bands(path, pixels - 1, pixels) is not None


def test_damaged_files(picture, tmp_path):
    (tmp_path / 'text.jpg').write_bytes(b'\xff\xd8 text')
    assert open_bands(tmp_path / 'text.jpg', 0, 10**6) is None
    content = save(picture, tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'cut.jpg').write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match='cut.jpg: image file is cut off'):
        open_bands(tmp_path / 'cut.jpg', 0, 10**6)
    # The directory is in front, so that only the pixels are missing.
    content = save(picture, tmp_path / 'a.tif').read_bytes()
    (tmp_path / 'cut.tif').write_bytes(content[: len(content) - 3 * 130 * 100])
    bands = open_bands(tmp_path / 'cut.tif', 0, 10**6)
    with pytest.raises(ValueError, match='cut.tif: not a readable image'):
        np.asarray(bands)
