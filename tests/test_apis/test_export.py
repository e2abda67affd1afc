"""Counters as ONNX files and programs of torch.export, float32 and INT8."""

import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmcrowd import cli
from mmcrowd.analysis.benchmarks.exported import make_forms, time_forms
from mmcrowd.apis import CrowdInferencer
from mmcrowd.apis.agreement import as_batch, compare, require_agreement
from mmcrowd.apis.export import (
    ConstantPaddingConv2d,
    ExportNetwork,
    export_onnx,
    export_program,
    metadata_of,
    resizing_of,
)
from mmcrowd.apis.jobs.shard import digest_of
from mmcrowd.apis.quantization import calibration_crops, quantized_nodes
from mmcrowd.commands import export
from mmcrowd.datasets import SyntheticCrowdDataset
from mmcrowd.datasets.transforms import (
    LoadCrowdImage,
    PackCrowdInputs,
    Pad,
    ResizeByFactor,
    ResizeToFit,
    ResizeToLimits,
    ResizeToMultiple,
)
from mmcrowd.fileio.checkpoints import save_checkpoint
from mmcrowd.models import LocalMaximum, OnnxInference
from mmcrowd.models.localizers.local_maximum import PEAK_THRESHOLD
from mmcrowd.registry import MODELS
from tests.testing.installed import closure, link_installed

onnx = pytest.importorskip('onnx', reason='needs requirements/export.txt')
onnxruntime = pytest.importorskip('onnxruntime', reason='needs requirements/export.txt')

DEMO = Path(__file__).parents[2] / 'demo' / 'count_onnx.py'

# The first stages of EfficientNet-Lite0, with kernels of 3 and 5.
MODEL = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[120.0, 110.0, 100.0],
        std=[60.0, 61.0, 62.0],
        bgr_to_rgb=True,
        pad_size_divisor=8,
    ),
    backbone=dict(type='EfficientNetLite0', out_indices=(2, 3)),
    neck=dict(type='TopDownFusion', in_channels=[24, 40], out_channels=8, norm_cfg=dict(type='BN')),
    head=dict(type='DensityHead', in_channels=8, mid_channels=(8,), in_stride=4, out_stride=2),
    loss=dict(type='PMLLoss'),
)


def build(**changes):
    with DefaultScope.overwrite_default_scope('mmcrowd'):
        return MODELS.build({**copy.deepcopy(MODEL), **changes})


@pytest.fixture(scope='module')
def counter():
    """A counter with drawn parameters, whose densities are neither zero nor flat."""
    torch.manual_seed(0)
    counter = build()
    with torch.no_grad():
        for layer in counter.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.2)
                layer.running_var.uniform_(0.5, 1.5)
                layer.weight.uniform_(0.8, 1.2)
                layer.bias.normal_(0, 0.2)
        counter.head.predict.weight.normal_(0, 0.02)
        counter.head.predict.bias.fill_(0.02)
    return counter.eval()


def drawn(height, width, seed=0):
    """A drawn crowd ``(height, width, 3)``, BGR."""
    dataset = SyntheticCrowdDataset(
        num_images=1, split='test', seed=seed, img_size=(max(width, 96), max(height, 96))
    )
    return np.ascontiguousarray(dataset.get_data_info(0)['img'][:height, :width])


def command(*words):
    name, args = cli.parse(['export', *map(str, words)])
    assert name == 'export'
    export.run(args)


@pytest.fixture(scope='module')
def folder(counter, tmp_path_factory):
    """What a user has: a config, a checkpoint, photos."""
    folder = tmp_path_factory.mktemp('export')
    Config(dict(model=MODEL)).dump(folder / 'config.py')
    save_checkpoint(counter.state_dict(), {}, folder / 'counter.pth')
    (folder / 'photos').mkdir()
    for k, (height, width) in enumerate(((96, 120), (80, 72))):
        cv2.imwrite(str(folder / 'photos' / f'{k}.png'), drawn(height, width, k))
    return folder


@pytest.fixture(scope='module')
def printed(folder):
    """The lines of the command that wrote ``counter.onnx`` and ``counter_int8.onnx``."""
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr(export, 'print', lines.append, raising=False)
        command(
            *(folder / 'counter.onnx', '--model', folder / 'config.py'),
            *('--weights', folder / 'counter.pth', '--int8', folder / 'photos'),
            *('--crops', 4, '--crop-size', 64),
        )
    return lines


@pytest.fixture(scope='module')
def plain(folder, printed):
    return folder / 'counter.onnx'


@pytest.fixture(scope='module')
def quantized(folder, printed):
    return folder / 'counter_int8.onnx'


@pytest.fixture(scope='module')
def with_peaks(counter, folder):
    path = folder / 'peaks.onnx'
    export_onnx(counter, path, 'a name', peak_threshold=0.02)
    return path


def normalised(image, divisor=8):
    """The input of the network by plain NumPy."""
    height, width = image.shape[:2]
    padded = np.zeros((1, 3, height + -height % divisor, width + -width % divisor), np.float32)
    values = (image[..., ::-1] - np.float32([120, 110, 100])) / np.float32([60, 61, 62])
    padded[0, :, :height, :width] = values.transpose(2, 0, 1)
    return padded


# ---------------------------------------------------------------------------------------- ONNX


@pytest.mark.parametrize('size', [(64, 96), (16, 24), (75, 101), (130, 33)])
def test_onnx_runtime_gives_the_answers_of_pytorch(counter, plain, size):
    image = drawn(*size)
    with torch.no_grad():
        expected = counter.test_step(as_batch(image))[0]
    session = onnxruntime.InferenceSession(plain, providers=['CPUExecutionProvider'])
    (density,) = session.run(None, dict(image=normalised(image)))
    density = torch.from_numpy(density[0, 0, : -(-size[0] // 2), : -(-size[1] // 2)])
    assert expected.pred_count > 1
    assert density.sum(dtype=torch.float64).item() == pytest.approx(expected.pred_count, rel=1e-4)
    expected_points, _ = LocalMaximum()(expected.pred_density.density[0], 2)
    points, _ = LocalMaximum()(density, 2)
    assert len(points) and set(map(tuple, points.tolist())) == set(
        map(tuple, expected_points.tolist())
    )


@pytest.mark.parametrize('file', ['plain', 'quantized'])
def test_photos_are_counted_by_the_exported_network(counter, folder, file, request):
    path = request.getfixturevalue(file)
    config, photo = folder / 'config.py', drawn(75, 101)
    options = dict(device='cpu', localizer='LocalMaximum', show_progress=False)
    exported = CrowdInferencer(config, path, **options)
    (found,) = exported(photo)['predictions']
    (expected,) = CrowdInferencer(config, folder / 'counter.pth', **options)(photo)['predictions']
    assert found['count'] == pytest.approx(expected['count'], rel=1e-4 if file == 'plain' else 0.1)
    assert found['count'] != expected['count'] and found['weights'] == path.name
    if file == 'plain':
        assert sorted(found['points']) == sorted(expected['points'])
    # The network that was not asked has drawn parameters, other ones each time.
    assert digest_of(exported) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_export_of_another_model_is_refused(folder, plain, tmp_path):
    other = Config(dict(model=MODEL))
    other.model.data_preprocessor.mean = [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match=r'counter\.onnx: exported with mean=\[.*has \[1\.0, 2\.'):
        CrowdInferencer(other, plain, device='cpu')
    # The file names no model of the zoo, so that it would be run as the default one.
    with pytest.raises(ValueError, match='exported with mean=.*pml_efficientnet_lite0_default has'):
        CrowdInferencer(weights=plain, device='cpu')
    tiles = {'model.inference.crop_size': 512}
    with pytest.raises(ValueError, match=r'as a whole, so that model\.inference\.crop_size'):
        CrowdInferencer(folder / 'config.py', plain, device='cpu', cfg_options=tiles)


def test_the_graph_is_clean(plain):
    model = onnx.load(plain)
    kinds = {node.op_type for node in model.graph.node}
    # Batch normalisation and padding are in the convolutions; nothing branches.
    assert kinds <= {
        *('Conv', 'Clip', 'Relu', 'Add', 'Resize', 'Shape', 'Concat', 'DepthToSpace'),
    }
    assert [each.version for each in model.opset_import if each.domain == ''] == [18]
    sides = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert sides == [
        ['batch', 3, '8*height_8', '8*width_8'],
        ['batch', 1, '4*height_8', '4*width_8'],
    ]
    assert b'/mmcrowd/' not in plain.read_bytes() and not list(plain.parent.glob('*.data'))


def test_what_a_runtime_has_to_know(plain, quantized, with_peaks):
    expected = dict(
        model='counter.pth',
        channel_order='RGB',
        mean='[120.0, 110.0, 100.0]',
        std='[60.0, 61.0, 62.0]',
        divisor='8',
        stride='2',
        resize='[]',
    )
    for path in (plain, quantized):
        metadata = OnnxInference(path).metadata
        assert re.fullmatch(r'\d+\.\d+\.\d+\S*', metadata.pop('mmcrowd_version'))
        assert {key: metadata[key] for key in expected} == expected
        assert 'peak_threshold' not in metadata
    assert OnnxInference(with_peaks).metadata['peak_threshold'] == '0.02'


def test_metadata_of_grey_images_and_of_none():
    gray = dict(type='CrowdDataPreprocessor', to_gray=True, mean=[3], std=[4])
    about = metadata_of(build(data_preprocessor=gray), 'x', None)
    assert (about['channel_order'], about['mean'], about['divisor']) == ('GRAY', '[3.0]', '32')
    about = metadata_of(build(data_preprocessor=dict(type='CrowdDataPreprocessor')), 'x', None)
    assert about['channel_order'] == 'BGR'
    assert (json.loads(about['mean']), json.loads(about['std'])) == ([0] * 3, [1] * 3)


def test_peaks_in_the_graph(counter, with_peaks):
    """A batch of two sizes: the padding of the smaller image takes no part."""
    images = [drawn(64, 96), drawn(45, 70, seed=1)]
    batches = [as_batch(image) for image in images]
    batch = {key: [each[key][0] for each in batches] for key in batches[0]}
    reference = copy.copy(counter)
    reference.localizer = LocalMaximum(0.02, join=False)
    with torch.no_grad():
        data = reference.data_preprocessor(batch)
        samples = reference.predict(data['inputs'], data['data_samples'])
    size = np.array([image.shape[:2] for image in images])
    feed = dict(image=data['inputs'].numpy(), size=size)
    session = onnxruntime.InferenceSession(with_peaks, providers=['CPUExecutionProvider'])
    assert [each.name for each in session.get_outputs()] == ['density', 'peaks']
    densities, peaks = session.run(None, feed)
    for density, mask, sample in zip(densities, peaks, samples, strict=True):
        # The density outside the image is 0, so its sum is the count.
        assert density.sum(dtype=np.float64) == pytest.approx(sample.pred_count, rel=1e-4)
        found = np.argwhere(mask[0])[:, ::-1] * 2 + 0.5
        found = np.minimum(found, np.array(sample.img_shape)[::-1] - 1)
        assert len(found) > 3
        assert set(map(tuple, found)) == set(map(tuple, sample.pred_instances.points.tolist()))


def test_the_comparison_sees_equal_and_other_networks(counter, with_peaks, tmp_path):
    images = [drawn(50, 70)]
    agreement = compare(counter, with_peaks, images)
    require_agreement(agreement, with_peaks)
    assert agreement.images == 1 and agreement.persons > 1 and agreement.points > 3
    other = copy.deepcopy(counter)
    with torch.no_grad():
        other.head.predict.bias += 1e-3
    with pytest.raises(ValueError, match=r'peaks\.onnx: not the answers of the counter'):
        require_agreement(compare(other, with_peaks, images), with_peaks)


def test_a_program_of_torch_export(counter, folder):
    path = folder / 'counter.pt2'
    model = ('--model', folder / 'config.py', '--weights', folder / 'counter.pth')
    command(path, *model, '--peaks', 0.02)
    extra = {'metadata.json': ''}
    program = torch.export.load(str(path), extra_files=extra)
    about = json.loads(extra['metadata.json'])
    assert about == metadata_of(counter, 'counter.pth', 0.02)
    image = torch.from_numpy(normalised(drawn(40, 64)))
    with torch.no_grad():
        density, peaks = program.module()(image, torch.tensor([[40, 64]]))
        expected = counter(image)['density']
    torch.testing.assert_close(density, expected, rtol=1e-4, atol=1e-6)
    assert peaks.dtype == torch.bool and peaks.shape == density.shape and peaks.any()
    require_agreement(compare(counter, path, [drawn(45, 70)]), path)


def test_a_file_that_answers_otherwise_is_not_written(folder, tmp_path, monkeypatch):
    monkeypatch.setattr('mmcrowd.apis.agreement.COUNT_TOLERANCE', -1.0)
    path = tmp_path / 'counter.pt2'
    path.write_bytes(b'before')
    with pytest.raises(ValueError, match=r'counter\.pt2: not the answers of the counter'):
        command(path, '--model', folder / 'config.py', '--weights', folder / 'counter.pth')
    assert [each.name for each in tmp_path.iterdir()] == ['counter.pt2']
    assert path.read_bytes() == b'before'


def test_a_counter_runs_an_exported_network(counter, plain, tmp_path):
    with DefaultScope.overwrite_default_scope('mmcrowd'):
        inference = dict(type='OnnxInference', path=str(plain), threads=1)
        tested = build(inference=inference, localizer=dict(type='LocalMaximum')).eval()
    batch = as_batch(drawn(45, 70))
    with torch.no_grad():
        (expected,) = counter.test_step(copy.deepcopy(batch))
        (found,) = tested.test_step(batch)
    assert found.pred_count == pytest.approx(expected.pred_count, rel=1e-4)
    assert len(found.pred_instances.points) > 3
    with pytest.raises(ValueError, match=r'batch of \(12, 16\) pixels .* multiples of 8'):
        tested.inference(None, torch.zeros(1, 3, 12, 16), [])

    with pytest.raises(FileNotFoundError, match=r'no ONNX file .*absent\.onnx'):
        OnnxInference(tmp_path / 'absent.onnx')
    (tmp_path / 'text.onnx').write_text('no network')
    with pytest.raises(ValueError, match=r'text\.onnx: ONNX Runtime cannot read it'):
        OnnxInference(tmp_path / 'text.onnx')
    foreign = onnx.load(plain)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / 'foreign.onnx')
    with pytest.raises(ValueError, match=r'foreign\.onnx: .*no file of `mmcrowd export`'):
        OnnxInference(tmp_path / 'foreign.onnx')


# ---------------------------------------------------------------------------------------- INT8


def test_the_command_prints_how_the_files_answer(printed):
    first, second = printed
    assert re.search(r'counter\.onnx: 0\.\d MB; 4 images with .* 0 of [1-9]\d* points', first)
    assert re.search(r'counter_int8\.onnx: 0\.\d MB; 4 images with [1-9]', second)


def test_int8_weights_for_each_channel_and_a_float_density(counter, plain, quantized):
    model = onnx.load(quantized)
    values = {each.name: each for each in model.graph.initializer}
    producers = {name: node for node in model.graph.node for name in node.output}
    convs = [node for node in model.graph.node if node.op_type == 'Conv']
    weights = [producers.get(conv.input[1]) for conv in convs]
    assert [weight is None for weight in weights] == [False] * (len(convs) - 1) + [True]
    for weight in filter(None, weights):
        assert weight.op_type == 'DequantizeLinear'
        assert values[weight.input[0]].data_type == onnx.TensorProto.INT8
        assert list(values[weight.input[1]].dims) == [values[weight.input[0]].dims[0]]
        # 7 bits, since processors without VNNI add products of two pairs in 16.
        assert np.abs(onnx.numpy_helper.to_array(values[weight.input[0]]).astype(int)).max() <= 64
    # Near the float network, whose activations have 256 steps now.
    agreement = compare(counter, quantized, [drawn(96, 120)])
    assert 0 < agreement.count_error < 0.1
    names = quantized_nodes(onnx.load(plain).graph)
    assert len(names) == len(set(names)) >= len(convs) - 1


def test_calibration_crops(folder):
    crops = list(calibration_crops(folder / 'photos', number=5, size=75))
    # Of two photos (96, 120) and (80, 72): three and two crops, no larger than the photo.
    assert [crop.shape for crop in crops] == [(75, 75, 3)] * 3 + [(75, 72, 3)] * 2
    photo = drawn(96, 120)
    windows = np.lib.stride_tricks.sliding_window_view(photo, (75, 75, 3))[:, :, 0]
    assert all((windows == crop).all((2, 3, 4)).any() for crop in crops[:3])
    again = calibration_crops(folder / 'photos', number=5, size=75)
    assert all(np.array_equal(*pair) for pair in zip(crops, again, strict=True))
    with pytest.raises(ValueError, match='0 crops of 75 pixels'):
        next(calibration_crops(folder / 'photos', number=0, size=75))


def test_forms_of_the_benchmark_count_alike(counter, plain, quantized):
    forms = make_forms(counter, [plain, quantized])
    half = ['PyTorch fp32, channels last', 'PyTorch bf16']
    assert list(forms) == ['PyTorch fp32', *half, 'counter.onnx', 'counter_int8.onnx']
    image = drawn(64, 96)
    with torch.no_grad():
        counts = [count(image) for count in forms.values()]
        expected = counter.test_step(as_batch(image))[0].pred_count
    assert counts[0] == expected
    assert counts[1] == pytest.approx(expected, rel=1e-4)
    assert counts[3] == pytest.approx(expected, rel=1e-4)
    # Others are near, but not the same network once more.
    assert all(each == pytest.approx(expected, rel=0.1) for each in counts)
    assert len({counts[0], *counts[2:]}) == 4
    costs = time_forms(forms, image, rounds=1)
    assert list(costs) == list(forms) and all(min(cost) > 0 for cost in costs.values())


# -------------------------------------------------------------------------------------- PyTorch


@pytest.mark.parametrize('kernel', [1, 3, 5])
@pytest.mark.parametrize('stride, dilation', [(1, 1), (2, 1), (1, 2), (4, 1)])
def test_constant_padding_is_that_of_tensorflow(kernel, stride, dilation):
    torch.manual_seed(0)
    layer = Conv2dAdaptivePadding(4, 6, kernel, stride, dilation=dilation, groups=2)
    x = torch.randn(2, 4, 8, 20)
    constant = ConstantPaddingConv2d(layer)
    torch.testing.assert_close(constant(x), layer(x))


def test_the_counter_stays_as_it_is(counter):
    before = {key: value.clone() for key, value in counter.state_dict().items()}
    layers = [type(layer) for layer in counter.modules()]
    network = ExportNetwork(counter)
    assert layers == [type(layer) for layer in counter.modules()]
    assert all(torch.equal(before[key], value) for key, value in counter.state_dict().items())
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in network.modules())


# --------------------------------------------------------------------------------------- errors


def test_counters_that_cannot_be_exported(counter, tmp_path):
    by_points = copy.copy(counter)
    by_points.count_from = 'points'
    with pytest.raises(ValueError, match="count_from='points', expected 'density'"):
        export_program(by_points, tmp_path / 'x.pt2', 'x')
    small = dict(MODEL['data_preprocessor'], pad_size_divisor=4)
    with pytest.raises(ValueError, match='pad_size_divisor=4 of the data_preprocessor must be'):
        ExportNetwork(build(data_preprocessor=small))
    masked = copy.deepcopy(counter)
    masked.neck.needs_padding_mask = True
    with pytest.raises(ValueError, match='TopDownFusion needs the mask of the padding'):
        ExportNetwork(masked)
    with pytest.raises(ValueError, match='peak_threshold=-1, expected'):
        ExportNetwork(counter, -1)


def test_names_of_files():
    with pytest.raises(ValueError, match=r'x\.tflite: expected a name that ends in \.onnx or'):
        command('x.tflite')
    with pytest.raises(ValueError, match='--int8 quantizes ONNX files'):
        command('x.pt2', '--int8', 'photo.jpg')
    with pytest.raises(ValueError, match=r'--weights a\.onnx: exported already'):
        command('x.onnx', '--weights', 'a.onnx')


def test_packages_that_are_missing(counter, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match=r"pip install 'mmcrowd\[export\]'"):
        export_onnx(counter, tmp_path / 'x.onnx', 'x')
    (tmp_path / 'x.onnx').touch()
    with pytest.raises(ImportError, match='pip install onnxruntime'):
        OnnxInference(tmp_path / 'x.onnx')


# --------------------------------------------------------------------------------- without torch


@pytest.mark.parametrize('file', ['plain', 'with_peaks'])
def test_the_example_counts_without_pytorch(counter, file, request, folder, tmp_path):
    """In an environment with the three packages that it names, and what these need."""
    path = request.getfixturevalue(file)
    shutil.copy(DEMO, tmp_path)
    packages = closure(['onnxruntime', 'numpy', 'pillow'])
    links = link_installed(packages.values(), tmp_path / 'links')
    assert not {'torch', 'cv2', 'mmengine', 'mmcrowd'} & {each.name for each in links.iterdir()}
    # Without the folders of packages, -S.
    done = subprocess.run(
        [sys.executable, '-S', 'count_onnx.py', path, folder / 'photos' / '1.png'],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(links)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    count, points = re.search(r'1\.png: count ([\d.]+), (\d+) local maxima', done.stdout).groups()
    reference = copy.copy(counter)
    reference.localizer = LocalMaximum(0.02 if file == 'with_peaks' else 0.1, join=False)
    image = cv2.imread(str(folder / 'photos' / '1.png'))
    with torch.no_grad():
        (expected,) = reference.test_step(as_batch(image))
    assert float(count) == pytest.approx(expected.pred_count, abs=0.051)
    assert int(points) == len(expected.pred_instances.points)
    assert int(points) > 3 or file == 'plain'  # whose threshold is that of a trained counter


@pytest.fixture(scope='module')
def demo():
    spec = spec_from_file_location('count_onnx', DEMO)
    demo = module_from_spec(spec)
    spec.loader.exec_module(demo)
    return demo


def test_the_example_reads_pixels_as_the_counter(folder, demo):
    path = folder / 'photos' / '0.png'
    bgr = cv2.imread(str(path))
    pixels, size = demo.read_photo(path, 'BGR', [])
    assert np.array_equal(pixels, bgr) and size.tolist() == [96, 120]
    assert np.array_equal(demo.read_photo(path, 'RGB', [])[0], bgr[..., ::-1])
    gray = build(data_preprocessor=dict(type='CrowdDataPreprocessor', to_gray=True))
    expected = gray.data_preprocessor(as_batch(bgr))['inputs'][0, :, :96, :120].numpy()
    assert np.array_equal(demo.read_photo(path, 'GRAY', [])[0].transpose(2, 0, 1), expected)


RESIZING = (
    ResizeToLimits(longest=60),
    ResizeToLimits(shortest=(40, 70)),
    ResizeToLimits(longest=200, shortest=150),
    ResizeToFit((100, 90)),
    ResizeByFactor(2.0),
    ResizeByFactor(0.37),
    ResizeToMultiple(16),
)


@pytest.mark.parametrize('size', [(96, 120), (123, 75), (1, 5)])
@pytest.mark.parametrize('step', RESIZING, ids=str)
def test_the_example_resizes_as_the_test_pipeline(demo, size, step):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    expected = step(LoadCrowdImage()(dict(img=image)))['img']
    (known,) = json.loads(json.dumps(resizing_of([LoadCrowdImage(), step, PackCrowdInputs()])))
    found = demo.resize(image, demo.size_for(*size, known))
    assert found.shape == expected.shape and np.abs(found - expected).max() <= 1


def test_the_example_counts_at_the_size_of_the_test_pipeline(demo, counter, folder, tmp_path):
    """As CrowdInferencer does, of a config with limits, and with points in pixels of the photo."""
    pipeline = [
        dict(type='LoadCrowdImage'),
        dict(type='ResizeToLimits', longest=100),
        dict(type='ResizeToMultiple', divisor=4),
        dict(type='PackCrowdInputs'),
    ]
    config = dict(model=MODEL, test_dataloader=dict(dataset=dict(pipeline=pipeline)))
    Config(config).dump(tmp_path / 'config.py')
    model = (tmp_path / 'config.py', '--weights', folder / 'counter.pth')
    command(tmp_path / 'limits.onnx', '--peaks', 0.02, '--model', *model)
    photo = folder / 'photos' / '0.png'
    inferencer = CrowdInferencer(
        str(model[0]),
        str(model[2]),
        'cpu',
        localizer=dict(type='LocalMaximum', threshold=0.02, join=False),
    )
    (expected,) = inferencer(photo)['predictions']
    assert 'counted at 100 x 80 pixels, the image has 120 x 96' in expected['notes']
    persons, points = demo.count(onnxruntime.InferenceSession(tmp_path / 'limits.onnx'), photo)
    assert persons == pytest.approx(expected['count'], rel=1e-3)
    assert len(points) > 3
    wanted = sorted(expected['points'])
    assert sorted(points.tolist()) == [pytest.approx(point, abs=0.01) for point in wanted]


def test_steps_that_a_runtime_would_not_do():
    with pytest.raises(ValueError, match='^Pad in the test pipeline: .* cannot be exported'):
        resizing_of([LoadCrowdImage(), Pad(size_divisor=16), PackCrowdInputs()])


@pytest.mark.parametrize(
    'inference', [dict(type='GridInference'), dict(type='OverlapInference', crop_size=(64, 64))]
)
def test_a_counter_that_counts_in_parts_is_not_exported(inference):
    with pytest.raises(ValueError, match=f'inference={inference["type"]} counts an image in parts'):
        ExportNetwork(build(inference=inference))
    ExportNetwork(build(inference=dict(type='SlideInference')))


def test_photos_for_int8_are_looked_for_first(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(export, 'CrowdInferencer', None)
    model = ('--model', folder / 'config.py', '--weights', folder / 'counter.pth')
    with pytest.raises(FileNotFoundError, match='nosuch'):
        command(tmp_path / 'x.onnx', *model, '--int8', folder / 'photos', tmp_path / 'nosuch')
    with pytest.raises(ValueError, match='0 crops of 512 pixels'):
        command(tmp_path / 'x.onnx', *model, '--int8', folder / 'photos', '--crops', 0)


def test_one_threshold_for_maxima(folder):
    _, args = cli.parse(['export', 'x.onnx', '--peaks'])
    assert args.peaks == PEAK_THRESHOLD == 0.1
    assert f'local_maxima(density, threshold={PEAK_THRESHOLD})' in DEMO.read_text(encoding='utf-8')
