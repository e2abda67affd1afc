"""From photos to counts, points, pictures and files."""

import csv
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.structures import InstanceData, PixelData
from PIL import Image

import mmcrowd
from mmcrowd.apis import CrowdInferencer, inferencer, inputs
from mmcrowd.apis.inferencer import model_of, plain_prediction, reduced_sample
from mmcrowd.apis.notes import notes_on_density
from mmcrowd.apis.outputs import PredictionWriter, output_path
from mmcrowd.datasets import SyntheticCrowdDataset
from mmcrowd.evaluation.formats import nwpu
from mmcrowd.fileio.bands import ImageBands
from mmcrowd.fileio.checkpoints import read_checkpoint, save_checkpoint
from mmcrowd.fileio.images import load_image
from mmcrowd.models import LocalMaximum, OTMinimization, SlideInference
from mmcrowd.structures import CrowdDataSample


@pytest.fixture(scope='module')
def counter():
    return CrowdInferencer(device='cpu', show_progress=False)


@pytest.fixture(scope='module')
def photo():
    """A drawn crowd, (80, 96, 3) BGR."""
    dataset = SyntheticCrowdDataset(num_images=1, split='test', seed=1, img_size=(96, 80))
    return dataset.get_data_info(0)['img']


@pytest.fixture
def folder(tmp_path, photo):
    folder = tmp_path / 'photos'
    folder.mkdir()
    for k in range(3):
        cv2.imwrite(str(folder / f'{k}.png'), photo[:, : 96 - 32 * k])
    return folder


# A density of this many persons, whatever the picture.
def fixed(counter, persons):
    """The counter, its network replaced by one that sees so many persons in one corner."""

    def run(inputs, padding_mask=None):
        density = torch.zeros(len(inputs), 1, inputs.shape[2] // 4, inputs.shape[3] // 4)
        density[..., :5, :5] = persons / 25
        return dict(density=density)

    return run


def resident() -> int:
    return int(Path('/proc/self/statm').read_text(encoding='utf-8').split()[1])


@pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='needs the /proc of Linux')
def test_memory_does_not_grow(counter, monkeypatch, tmp_path):
    """Each of 160 photos takes 0.6 MB: if they stayed, it would show."""
    monkeypatch.setattr(counter.model, 'run_network', fixed(counter, 5))
    photos = (np.full((384, 512, 3), k % 256, np.uint8) for k in range(160))
    options = dict(pred_out_dir=tmp_path, pred_formats=['json', 'csv', 'nwpu'])
    pages = []
    for answer in counter.iter(photos, **options):
        assert len(answer['predictions'][0]['points']) == 5
        pages.append(resident())
    assert len(pages) == 160 and pages[-1] < 1.05 * pages[39]


def test_zones(counter, photo, tmp_path):
    halves = {
        'zones': [
            dict(name='left', polygon=[[0, 0], [47.5, 0], [47.5, 80], [0, 80]]),
            dict(name='right', polygon=[[47.5, 0], [96, 0], [96, 80], [47.5, 80]]),
        ]
    }
    (prediction,) = counter(photo, zones=halves)['predictions']
    left, right = prediction['zones']
    assert (left['name'], right['name']) == ('left', 'right')
    assert left['count'] + right['count'] == pytest.approx(prediction['count'], abs=1e-6)
    assert left['num_points'] + right['num_points'] == len(prediction['points'])
    counter(photo, zones=halves, pred_out_dir=tmp_path, pred_formats='csv')
    (row,) = csv.DictReader((tmp_path / 'counts.csv').open(encoding='utf-8'))
    assert json.loads(row['zones']) == prediction['zones']
    path = tmp_path / 'zones.json'
    path.write_text(json.dumps(halves))
    assert counter(photo, zones=path)['predictions'][0]['zones'] == prediction['zones']
    path.write_text('{"zones": [{"name": "line", "polygon": [[0, 0], [9, 9]]}]}')
    with pytest.raises(ValueError, match=r'zones\.json.*line'):
        counter(photo, zones=path)


def test_zones_that_do_not_fit_one_photo(counter, folder, tmp_path):
    zones = dict(zones=[dict(name='gate', polygon=[[0, 0], [60, 0], [60, 40]])])
    out = dict(zones=zones, vis_out_dir=tmp_path / 'out', pred_out_dir=tmp_path / 'out')
    with pytest.warns(UserWarning, match='1 images could not be read'):
        answer = counter(folder, on_error='skip', **out)
    assert [p['name'] for p in answer['predictions']] == ['0', '1']
    (error,) = answer['errors']
    assert error['name'] == '2' and error['img_path'] == str(folder / '2.png')
    assert error['error'].startswith(f"{folder}/2.png: zones: zone 'gate' has the corner (60, 0)")
    written = {path.name for path in (tmp_path / 'out').iterdir()}
    assert written == {'0.png', '0.json', '1.png', '1.json'}
    with pytest.raises(ValueError, match=r'2\.png: zones: zone .* outside the image of 32 x 80'):
        counter(folder, zones=zones)


def test_a_large_photo_goes_through_in_tiles(counter, photo, monkeypatch):
    seen = []
    run_network = counter.model.run_network

    def run(inputs, padding_mask=None):
        seen.append(tuple(inputs.shape[-2:]))
        return run_network(inputs, padding_mask)

    monkeypatch.setattr(counter.model, 'run_network', run)
    monkeypatch.setattr(counter.model.inference, 'min_pixels', 0)
    monkeypatch.setattr(counter.model.inference, 'crop_size', (64, 64))
    monkeypatch.setattr(counter.model.inference, 'halo', 0)
    (sample,) = counter(photo, return_datasamples=True)['predictions']
    assert len(seen) == 4 and sum(height * width for height, width in seen) == 80 * 96
    assert sample.pred_density.density.shape == (1, 20, 24)
    assert sample.pred_count == pytest.approx(sample.pred_density.density.sum().item())


def test_out_of_memory_once(counter, photo, monkeypatch):
    inference, run = counter.model.inference, counter.model.run_network
    for name, value in dict(min_pixels=10**6, crop_size=(32, 32), halo=0).items():
        monkeypatch.setattr(inference, name, value)
    monkeypatch.setattr(inference, '_is_halved', False)
    sizes = []

    def run_in_little_memory(inputs, padding_mask=None):
        sizes.append(tuple(inputs.shape[2:]))
        if len(sizes) == 1:
            raise torch.OutOfMemoryError('tried to allocate 2 GiB')
        return run(inputs, padding_mask)

    monkeypatch.setattr(counter.model, 'run_network', run_in_little_memory)
    with pytest.warns(UserWarning, match=r'out of memory, .* tiles of \(32, 32\)'):
        (found,) = counter(photo)['predictions']
    assert sizes[0] == (80, 96) and len(sizes) == 10 and max(sizes[1:]) == (32, 32)
    (again,) = counter(photo)['predictions']
    assert found == again and len(sizes) == 19 and found['count'] > 0


@pytest.mark.parametrize('size', [(1, 1), (200, 1)])
def test_the_smallest_photos(counter, photo, size):
    (prediction,) = counter(cv2.resize(photo, size), return_vis=True)['predictions']
    assert (prediction['width'], prediction['height']) == size
    assert 0 <= prediction['count'] < 5


@pytest.mark.parametrize('batch_size', [1, 2])
def test_a_file_whose_damage_shows_while_it_is_counted(
    counter, photo, tmp_path, monkeypatch, batch_size
):
    pytest.importorskip('pyvips')
    large = np.tile(photo, (2, 2, 1))
    paths = [tmp_path / f'{name}.tif' for name in 'abc']
    for path in paths:
        Image.fromarray(large).save(path)
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[: len(content) - large.size // 2])
    for name, value in dict(min_pixels=0, crop_size=(96, 96), halo=32).items():
        monkeypatch.setattr(counter.model.inference, name, value)
    monkeypatch.setattr(counter.model, 'localizer', LocalMaximum())
    monkeypatch.setattr(inferencer, 'MAX_PIXELS', 192 * 160 - 1)
    with pytest.raises(ValueError, match=r'b\.tif: not a readable image'):
        counter(paths, batch_size=batch_size)
    with pytest.warns(UserWarning, match='1 images could not be read'):
        answer = counter(paths, batch_size=batch_size, on_error='skip')
    assert [each['name'] for each in answer['predictions']] == ['a', 'c']
    (error,) = answer['errors']
    assert error['name'] == 'b' and error['img_path'] == str(paths[1])
    assert 'not a readable image' in error['error']
    with pytest.warns(UserWarning, match='1 images could not be read'):
        assert counter(paths[1:2], on_error='skip')['predictions'] == []


def test_a_file_that_is_read_in_bands_counts_as_the_whole(counter, photo, tmp_path, monkeypatch):
    pytest.importorskip('pyvips')
    path = tmp_path / 'photo.jpg'
    Image.fromarray(np.tile(photo, (2, 2, 1))).save(path)
    for name, value in dict(min_pixels=0, crop_size=(96, 96), halo=32).items():
        monkeypatch.setattr(counter.model.inference, name, value)
    monkeypatch.setattr(counter.model, 'localizer', LocalMaximum())
    out = dict(return_datasamples=True, return_vis=True)
    whole = counter(load_image(str(path)), **out)
    largest = []
    read = ImageBands.read
    monkeypatch.setattr(
        ImageBands,
        'read',
        lambda self, rows, columns: (
            largest.append(rows.stop - rows.start) or read(self, rows, columns)
        ),
    )
    monkeypatch.setattr(inferencer, 'MAX_PIXELS', 192 * 160 - 1)
    windows = counter(load_image(str(path)), return_datasamples=True)['predictions'][0]
    assert not largest
    assert torch.equal(windows.pred_density.density, whole['predictions'][0].pred_density.density)
    found = counter(path, **out)
    assert len(largest) > 10 and max(largest) == 96
    (a,), (b,) = whole['predictions'], found['predictions']
    assert torch.equal(a.pred_density.density, b.pred_density.density)
    assert a.pred_count == b.pred_count
    assert torch.equal(a.pred_instances.points, b.pred_instances.points)
    assert len(a.pred_instances.points) > 0
    assert a.notes == b.notes and b.img_path == str(path)
    assert np.abs(whole['visualization'][0].astype(int) - found['visualization'][0]).mean() < 2
    # A pipeline that resizes needs the pixels.
    load, pack = counter.pipeline.transforms
    resize = dict(type='mmcrowd.ResizeToLimits', longest=96)
    monkeypatch.setattr(counter, 'pipeline', Compose([load, resize, pack]))
    (resized,) = counter(path, return_datasamples=True)['predictions']
    assert resized.img_shape == (80, 96)


def test_a_prediction_at_another_size():
    sample = CrowdDataSample(
        metainfo=dict(ori_shape=(40, 80), scale_factor=(0.5, 0.5), img_shape=(20, 40)),
        pred_instances=InstanceData(points=torch.tensor([[-0.5, -0.5], [79.5, 39.5]])),
    )
    reduced = reduced_sample(sample, (10, 40))
    assert reduced.ori_shape == (10, 40) and reduced.scale_factor == (1.0, 2.0)
    assert reduced.pred_instances.points.tolist() == [[-0.5, -0.5], [39.5, 9.5]]
    assert sample.pred_instances.points[1, 0] == 79.5


def test_pixels_that_pillow_would_refuse(counter, photo, tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / 'a.png'), photo)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 80 * 96 // 2 - 1)
    monkeypatch.setattr(inferencer, 'LIMIT', 80 * 96 - 2)
    monkeypatch.setattr(inputs, 'LIMIT', 80 * 96 - 2)
    with pytest.raises(ValueError, match='a.png: .* limit .*; see max_pixels, --max-pixels'):
        counter(tmp_path / 'a.png', max_pixels=80 * 96 - 2)
    assert counter(tmp_path / 'a.png', max_pixels=80 * 96)['predictions'][0]['width'] == 96
    assert Image.MAX_IMAGE_PIXELS == 80 * 96 // 2 - 1


def test_it_is_found_where_it_is_looked_for():
    assert mmcrowd.CrowdInferencer is CrowdInferencer
    assert 'CrowdInferencer' in dir(mmcrowd) and 'pml_hrnet_qnrf' in mmcrowd.list_models()


def test_an_answer(counter, photo):
    answer = counter(photo)
    assert answer['errors'] == answer['visualization'] == []
    (prediction,) = answer['predictions']
    assert json.loads(json.dumps(prediction)) == prediction
    assert (prediction['width'], prediction['height']) == (96, 80)
    assert (prediction['name'], prediction['img_path']) == ('image_0', None)
    sample = counter(photo, return_datasamples=True)['predictions'][0]
    assert isinstance(sample, CrowdDataSample)
    density = sample.pred_density.density
    assert prediction['count'] == pytest.approx(density.sum(dtype=torch.float64).item())
    # The pixels as in a test.
    data = counter.collate_fn([counter.pipeline(dict(img=photo, img_id='a'))])
    with torch.no_grad():
        expected = counter.model.test_step(data)[0].pred_density.density
    assert torch.equal(density, expected)


@pytest.mark.parametrize('persons', [0.2, 7.4, 7.5])
def test_as_many_points_as_the_rounded_count(counter, photo, monkeypatch, persons):
    monkeypatch.setattr(counter.model, 'run_network', fixed(counter, persons))
    (prediction,) = counter(photo)['predictions']
    assert prediction['count'] == pytest.approx(persons, rel=1e-6)
    number = math.floor(prediction['count'] + 0.5)
    assert len(prediction['points']) == len(prediction['scores']) == number
    # All of the density is in the first 20 pixels.
    assert all(0 <= value < 20 for point in prediction['points'] for value in point)


def test_points_of_a_reduced_photo_are_in_the_photo(counter, photo, monkeypatch):
    monkeypatch.setattr(counter.model, 'run_network', fixed(counter, 6))
    large = np.tile(photo, (4, 4, 1))
    (prediction,) = counter(large, max_pixels=96 * 80)['predictions']
    assert (prediction['width'], prediction['height']) == (384, 320)
    assert 'counted at 96 x 80 pixels, the image has 384 x 320' in prediction['notes']
    points = np.array(prediction['points'])
    assert points.max() > 40 and points.max() < 80


def test_localizers(counter, photo):
    assert isinstance(counter.model.localizer, OTMinimization)
    other = CrowdInferencer(device='cpu', localizer=dict(type='LocalMaximum', threshold=9.0))
    assert isinstance(other.model.localizer, LocalMaximum)
    assert other(photo)['predictions'][0]['points'] == []


def test_all_inputs_give_the_same(counter, photo, folder):
    png = cv2.imencode('.png', photo)[1].tobytes()
    several = [folder / '0.png', photo, Image.fromarray(photo[..., ::-1]), png]
    counts = [p['count'] for p in counter(several)['predictions']]
    assert counts == [counter(photo)['predictions'][0]['count']] * 4


def test_batches(counter, photo, folder):
    one = counter([photo, photo, photo])['predictions']
    two = counter([photo, photo, photo], batch_size=2)['predictions']
    assert [p['name'] for p in two] == [p['name'] for p in one]
    assert [p['count'] for p in two] == pytest.approx([p['count'] for p in one], rel=1e-4)
    sizes = [(p['width'], p['height']) for p in counter(folder, batch_size=3)['predictions']]
    assert sizes == [(96, 80), (64, 80), (32, 80)]
    with pytest.raises(ValueError, match='batch_size=0, expected at least 1'):
        counter(photo, batch_size=0)


def test_counts_do_not_depend_on_neighbours(counter, photo, monkeypatch):
    sides = [96, 96, 40, 40, 40, 96, 64]
    photos = [np.ascontiguousarray(photo[:, :side]) for side in sides]
    one = counter(photos)['predictions']
    seen, run = [], counter.model.run_network

    def run_network(batch, padding_mask=None):
        seen.append(len(batch))
        return run(batch, padding_mask)

    monkeypatch.setattr(counter.model, 'run_network', run_network)
    several = counter(photos, batch_size=4)['predictions']
    assert seen == [2, 3, 1, 1]
    assert [p['name'] for p in several] == [p['name'] for p in one]
    assert [p['count'] for p in several] == pytest.approx([p['count'] for p in one], rel=1e-5)


def test_nothing_is_kept_and_nothing_is_read_ahead(counter, photo):
    taken = []

    def photos():
        for k in range(100):
            taken.append(k)
            yield photo

    results = counter.iter(photos(), batch_size=2)
    assert not taken
    for _ in range(3):
        next(results)
    assert taken == [0, 1, 2, 3]
    results.close()


def test_files(counter, folder, tmp_path):
    out = tmp_path / 'out'
    formats = ('json', 'csv', 'nwpu')
    answer = counter(folder, pred_out_dir=out, pred_formats=formats, vis_out_dir=out)
    files = {'counts.csv', 'count.txt', 'loc.txt'}
    assert {f.name for f in out.iterdir()} == files | {
        f'{k}.{e}' for k in range(3) for e in ('json', 'png')
    }
    predictions = answer['predictions']
    assert [json.loads((out / f'{k}.json').read_text()) for k in range(3)] == predictions
    rows = list(csv.DictReader((out / 'counts.csv').open(encoding='utf-8')))
    assert [float(row['count']) for row in rows] == [p['count'] for p in predictions]
    assert [int(row['points']) for row in rows] == [len(p['points']) for p in predictions]
    counts, points = nwpu.read_counts(out / 'count.txt'), nwpu.read_points(out / 'loc.txt')
    for p in predictions:
        assert counts[p['name']] == pytest.approx(p['count'], abs=1e-4)
        assert np.array_equal(points[p['name']], np.rint(np.array(p['points']).reshape(-1, 2)))
    assert min(cv2.imread(str(out / '0.png')).shape[:2]) > 400


@pytest.mark.parametrize('on_error', ['raise', 'skip'])
def test_no_result_over_an_input(counter, folder, tmp_path, on_error):
    (folder / 'link.png').symlink_to(folder / '0.png')
    (tmp_path / 'other').symlink_to(folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    ways = [
        (folder / '0.png', folder),
        (folder, folder),
        (folder, tmp_path / 'other'),
        ([folder], tmp_path),
        (f'{folder}/*.png', folder),
        ([folder / '0.png', str(folder / '1.png')], tmp_path / 'other'),
    ]
    for given, out in ways:
        with pytest.raises(ValueError, match=r'\.png: the results of this run would be written'):
            counter.iter(given, vis_out_dir=out, on_error=on_error)
    # The second photo is where the picture of the first would be.
    second = tmp_path / 'second' / '1.png'
    second.parent.mkdir()
    second.write_bytes(before[folder / '1.png'])
    with pytest.raises(ValueError, match='over its own input .*second/1.png'):
        given = [folder / '1.png', second.parent]
        counter.iter(given, vis_out_dir=second.parent, on_error=on_error)
    assert second.read_bytes() == before[folder / '1.png']
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    # Results are replaced by results, and lie beside inputs of other names.
    for _ in range(2):
        counter(folder / '0.png', vis_out_dir=tmp_path / 'out', pred_out_dir=folder)
    assert (folder / '0.png').read_bytes() == before[folder / '0.png']


def test_no_result_over_the_input_of_an_iterator(counter, folder):
    before = (folder / '0.png').read_bytes()
    photos = (inputs.Photo(path.stem, path, str(path)) for path in [folder / '0.png'])
    with pytest.warns(UserWarning, match='0.png: the results of this run would be written'):
        answer = counter(photos, vis_out_dir=folder, on_error='skip')
    assert not answer['predictions'] and (folder / '0.png').read_bytes() == before


def test_no_result_over_json_of_others(counter, folder):
    for name, text in {'0': '{"shapes": []}', '1': 'text'}.items():
        (folder / f'{name}.json').write_text(text)
    with pytest.raises(ValueError, match=r'0\.json: is there and is no prediction of mmcrowd'):
        counter(folder, pred_out_dir=folder, vis_out_dir=folder.parent)
    assert not (folder.parent / '0.png').exists()
    with pytest.warns(UserWarning, match='2 images could not be read'):
        answer = counter(folder, pred_out_dir=folder, on_error='skip')
    assert [error['name'] for error in answer['errors']] == ['0', '1']
    assert (folder / '0.json').read_text() == '{"shapes": []}'
    assert json.loads((folder / '2.json').read_text()) == answer['predictions'][0]


def test_pictures(counter, photo):
    (picture,) = counter(photo, return_vis=True)['visualization']
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    # Two panels of the photo, enlarged.
    assert picture.shape[1] > 2 * 600


def test_unreadable_images(counter, folder):
    (folder / '1.png').write_bytes(b'text')
    with pytest.raises(ValueError, match='1.png: not a readable image'):
        counter(folder)
    with pytest.warns(UserWarning, match='1 images could not be read:\n .*1.png: not a'):
        answer = counter(folder, on_error='skip')
    assert [p['name'] for p in answer['predictions']] == ['0', '2']
    (error,) = answer['errors']
    assert error['name'] == '1' and error['img_path'] == str(folder / '1.png')
    assert 'not a readable image' in error['error']
    with pytest.warns(UserWarning, match='2 images could not be read'):
        answer = counter([folder / 'none.png', folder], on_error='skip')
    assert [p['name'] for p in answer['predictions']] == ['photos/0', 'photos/2']
    assert answer['errors'][0]['img_path'] == str(folder / 'none.png')
    with pytest.raises(ValueError, match="on_error='ignore', expected 'raise' or 'skip'"):
        counter(folder, on_error='ignore')
    with pytest.raises(ValueError, match='unknown argument'):
        counter(folder, on_eror='skip')


def test_notes(counter, photo, monkeypatch):
    monkeypatch.setattr(counter.model, 'run_network', fixed(counter, 6))
    monkeypatch.setattr(counter, 'training_sizes', (90, 100))
    assert counter(photo)['predictions'][0]['notes'] == []
    (prediction,) = counter(np.tile(photo, (2, 2, 1)))['predictions']
    assert prediction['notes'] == ['longer side of 192 pixels, trained on 90 to 100']
    monkeypatch.setattr(counter.model, 'run_network', fixed(counter, 0.2))
    assert counter(photo)['predictions'][0]['notes'] == []  # nobody, rightly

    def faint(inputs, padding_mask=None):
        return dict(density=torch.full((len(inputs), 1, 20, 24), 0.09))

    monkeypatch.setattr(counter.model, 'run_network', faint)
    assert counter(photo)['predictions'][0]['notes'] == [
        '100 % of the count is faint, less than 0.1 persons in 4 x 4 pixels'
    ]


def test_faint_density():
    density = np.full((10, 10), 0.05)
    density[0, :3] = 1
    assert notes_on_density(density) == []  # 4.85 of 7.85 persons
    density[0, 2] = 0.05
    assert notes_on_density(density, 8) == [
        '71 % of the count is faint, less than 0.1 persons in 8 x 8 pixels'
    ]
    assert notes_on_density(density / 10) == []  # nobody
    # Small cells are taken together, and less is in those at the edges.
    assert notes_on_density(np.full((41, 43), 0.04), 2) == []
    assert notes_on_density(np.full((41, 43), 0.0075), 1) == []
    (note,) = notes_on_density(np.full((41, 43), 0.024), 2)
    assert note.endswith('less than 0.1 persons in 4 x 4 pixels')


# -------------------------------------------------------------------------- models and weights


def tiny(**kwargs):
    """A counter of one small network."""
    preprocessor = dict(type='CrowdDataPreprocessor', to_gray=True, mean=[0], std=[255])
    head = dict(type='DensityHead', in_channels=30, mid_channels=(), in_stride=4, out_stride=4)
    loss = dict(type='PMLLoss')
    return Config(
        dict(
            model=dict(
                type='DensityCounter',
                data_preprocessor=preprocessor,
                backbone=dict(type='MCNN'),
                head=head,
                loss=loss,
                **kwargs,
            )
        )
    )


@pytest.fixture
def tiny_weights(tmp_path):
    from mmcrowd.registry import MODELS

    cfg = tiny()
    cfg.model.data_preprocessor.type = 'mmcrowd.CrowdDataPreprocessor'
    path = tmp_path / 'tiny.safetensors'
    save_checkpoint(MODELS.build(cfg.model).state_dict(), dict(sizes=[64, 128]), path)
    return path


def test_a_config_with_weights(tiny_weights, photo):
    counter = CrowdInferencer(tiny(), tiny_weights, device='cpu', show_progress=False)
    assert counter.training_sizes == (64, 128) and counter.weights_entry is None
    assert isinstance(counter.model.localizer, OTMinimization)
    state, given = counter.model.state_dict(), read_checkpoint(tiny_weights)['state_dict']
    assert all(torch.equal(state[key], value) for key, value in given.items())
    assert counter(photo)['predictions'][0]['count'] >= 0
    # Its own localizer stays.
    own = CrowdInferencer(tiny(localizer=dict(type='LocalMaximum')), tiny_weights)
    assert isinstance(own.model.localizer, LocalMaximum)
    named = CrowdInferencer(tiny(), tiny_weights, localizer='LocalMaximum')
    assert isinstance(named.model.localizer, LocalMaximum)


def test_weights_of_another_model(tiny_weights):
    with pytest.raises(ValueError) as error:
        CrowdInferencer(weights=tiny_weights, device='cpu')
    message = str(error.value)
    assert 'tiny.safetensors: weights of another model: ' in message
    assert 'parameters missing (backbone.' in message and 'that it does not have (' in message
    assert len(message) < 900 and '\n' not in message
    CrowdInferencer(weights=tiny_weights, device='cpu', strict=False)


def test_missing_weights(tmp_path):
    with pytest.raises(ValueError, match='a config without weights; name a checkpoint'):
        CrowdInferencer(tiny())
    with pytest.raises(FileNotFoundError, match='no weights .*none.pth: neither a file, nor a URL'):
        CrowdInferencer(tiny(), tmp_path / 'none.pth')
    with pytest.raises(FileNotFoundError, match='pml_mcnn_sha comes without weights'):
        CrowdInferencer('pml_mcnn_sha')
    with pytest.raises(
        ValueError, match="no model 'pml_hrnet_qrnf': .*did you mean pml_hrnet_qnrf"
    ):
        CrowdInferencer('pml_hrnet_qrnf')


def test_names_of_the_default(counter):
    name = 'mmcrowd::pml_efficientnet_lite0_default'
    by_config = CrowdInferencer(name, device='cpu', precision='bf16')
    assert by_config.weights_entry == counter.weights_entry is not None
    assert by_config.model.precision == 'bf16'
    assert counter.model.precision == 'fp32' and not counter.model.training
    with pytest.raises(ValueError, match="precision='fp8'"):
        CrowdInferencer(precision='fp8', device='cpu')


def test_options_of_the_config(counter, tiny_weights):
    options = {'model.inference.crop_size': 1024, 'model.precision': 'bf16'}
    for given in (dict(model='default'), dict(model=tiny(), weights=tiny_weights)):
        model = CrowdInferencer(**given, device='cpu', cfg_options=options).model
        assert isinstance(model.inference, SlideInference)
        assert model.inference.crop_size == (1024, 1024) and model.precision == 'bf16'
    assert counter.model.inference.crop_size == (1280, 1280)
    for key, value, message in (
        ('model.inference.crop_size', 1000, 'crop_size=1000 do not fit: .*multiples of'),
        ('model.inference.size', 1024, "size=1024 do not fit: .*'size'"),
        ('model.inference.type', 'Tiles', 'type=Tiles do not fit: Tiles is not in'),
        ('modle.inference', 1, 'modle.inference changes nothing'),
    ):
        with pytest.raises(ValueError, match=f'--cfg-options .*{message}'):
            CrowdInferencer('default', device='cpu', cfg_options={key: value})


def test_the_alias_as_a_config(counter):
    by_alias = CrowdInferencer('mmcrowd::default', device='cpu')
    assert by_alias.weights_entry == counter.weights_entry
    with pytest.raises(FileNotFoundError, match='no config mmcrowd::defualt'):
        CrowdInferencer('mmcrowd::defualt')


def test_no_model(tmp_path, counter):
    assert CrowdInferencer(None, device='cpu').weights_entry == counter.weights_entry
    assert model_of('default') == counter.weights_entry.name
    path = tmp_path / 'a.safetensors'
    for config, name in (
        ('mmcrowd::bl/bl_vgg19_sha', 'bl_vgg19_sha'),
        # Configs are Python, which a file of weights must not name.
        (f'mmcrowd::{tmp_path}/evil', 'default'),
        (f'{tmp_path}/evil.py', 'default'),
        (None, 'default'),
    ):
        save_checkpoint({'a': torch.ones(1)}, dict(config=config), path)
        assert model_of(path) == name
    with pytest.raises(ValueError, match='safetensors: weights of another model: '):
        CrowdInferencer(weights=path, device='cpu')
    torch.save({'a': torch.ones(1)}, tmp_path / 'a.pth')
    assert model_of(tmp_path / 'a.pth') == 'default'


def test_a_model_that_is_a_file_of_another_kind(tmp_path, monkeypatch):
    (tmp_path / 'notes.txt').touch()
    monkeypatch.chdir(tmp_path)
    for name in ('best.pth', 'https://a/best.pth'):
        with pytest.raises(ValueError, match=rf'^{name}: a checkpoint, .* `weights` \(--weights\)'):
            CrowdInferencer(name)
    with pytest.raises(ValueError, match='notes.txt: no config, expected the ending .py or .yml'):
        CrowdInferencer('notes.txt')


# --------------------------------------------------------------------------------------- outputs


def test_plain_prediction():
    sample = CrowdDataSample(
        metainfo=dict(img_id='a', ori_shape=(4, 6), img_path='x/a.jpg', notes=['n']),
        pred_count=1.25,
        pred_density=PixelData(density=torch.zeros(1, 4, 6)),
        pred_instances=InstanceData(
            points=torch.tensor([[1.234, -0.001]]), scores=torch.tensor([0.123456])
        ),
    )
    assert plain_prediction(sample) == dict(
        name='a',
        img_path='x/a.jpg',
        width=6,
        height=4,
        count=1.25,
        points=[[1.23, 0.0]],
        scores=[0.1235],
        notes=['n'],
    )


def test_output_paths_stay_in_their_folder():
    assert output_path('out', '../../a', '.json').as_posix() == 'out/a.json'


def test_formats_without_a_folder(counter, photo):
    with pytest.raises(ValueError, match=r"pred_formats='csv' without .* pred_out_dir .--out-dir"):
        counter(photo, pred_formats='csv')


def test_where_an_answer_comes_from(counter, photo, tiny_weights, tmp_path):
    out = dict(pred_out_dir=tmp_path, pred_formats=['json', 'csv'])
    (prediction,) = counter(photo, **out)['predictions']
    written = json.loads((tmp_path / 'image_0.json').read_text())
    expected = dict(
        model='pml_efficientnet_lite0_default',
        weights='pml_efficientnet_lite0_default.safetensors',
        localizer='OTMinimization',
        mmcrowd_version=mmcrowd.__version__,
    )
    assert prediction.items() >= expected.items() and written == prediction
    (row,) = csv.DictReader((tmp_path / 'counts.csv').open(encoding='utf-8'))
    assert row['model'] == expected['model']
    other = CrowdInferencer(tiny(), tiny_weights, device='cpu', localizer='LocalMaximum')
    assert other.origin() == dict(
        expected, model='DensityCounter', weights='tiny.safetensors', localizer='LocalMaximum'
    )


def test_an_unknown_format():
    with pytest.raises(ValueError, match="format 'xml', expected any of json, csv, nwpu"):
        PredictionWriter('out', ['xml'])


def test_pictures_of_nobody(counter):
    """Less than one person on average in what only looks like a crowd."""
    data = pytest.importorskip('skimage').data
    sky = np.linspace((240, 200, 140), (250, 230, 210), 480)[:, None].repeat(640, 1)
    pictures = [getattr(data, name)() for name in ('coins', 'hubble_deep_field', 'cell', 'text')]
    pictures += [sky.astype(np.uint8), np.full((480, 640, 3), 150, np.uint8)]
    pictures = [Image.fromarray(picture) for picture in pictures]
    counts = [each['count'] for each in counter(pictures)['predictions']]
    assert np.mean(counts) < 1, counts
