"""Copies of benchmarks with resized images, read by the same classes as what was downloaded."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from mmcrowd.datasets import (
    JHUCrowdDataset,
    NWPUCrowdDataset,
    ShanghaiTechDataset,
    UCFCC50Dataset,
    UCFQNRFDataset,
    resized_copy,
)
from mmcrowd.datasets.transforms import LoadCrowdImage, PackCrowdInputs, ResizeToLimits
from mmcrowd.engine.config import read_config, set_data_root
from mmcrowd.evaluation import ImageResult
from mmcrowd.registry import DATASETS

from ..testing.benchmarks import make_cc50, make_jhu, make_nwpu, make_part, make_qnrf

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
FIELDS = ('points', 'boxes', 'sigmas', 'occlusion', 'blur')


@pytest.fixture
def prepare(load_tool, tmp_path):
    """Run the tool on ``tmp_path/data``; returns the copy."""
    tool = load_tool('dataset_converters/prepare.py')

    def run(*args):
        out = tmp_path / 'copy'
        folders = ['--data-root', str(tmp_path / 'data'), '--out', str(out), '--workers', '2']
        tool.main([*args, *folders])
        return str(out)

    run.tool = tool
    return run


def original(info: dict) -> ImageResult:
    """Truth in the original frame, as metrics see it after the pipeline."""
    sample = PackCrowdInputs()(LoadCrowdImage()(dict(info)))['data_samples'].to_dict()
    return ImageResult.from_sample(dict(sample, pred_count=0.0))


@pytest.mark.parametrize(
    'name, make, dataset_type',
    [
        ('qnrf', make_qnrf, UCFQNRFDataset),
        ('jhu', make_jhu, JHUCrowdDataset),
        ('nwpu', make_nwpu, NWPUCrowdDataset),
        ('sha', make_part, ShanghaiTechDataset),
    ],
)
def test_copy_is_the_dataset_in_smaller_pixels(tmp_path, prepare, capsys, name, make, dataset_type):
    make(tmp_path / 'data')
    copy_root = prepare(name, '--longest', '33')
    assert 'Complete' in capsys.readouterr().out
    for split in ('train', 'val', 'trainval', 'test'):
        source = dataset_type(data_root=str(tmp_path / 'data'), split=split)
        copy = dataset_type(data_root=copy_root, split=split)
        assert len(copy) == len(source) and copy.num_outside == 0
        for k in range(len(source)):
            a, b = source.get_data_info(k), copy.get_data_info(k)
            assert (a['img_id'], a['attributes']) == (b['img_id'], b['attributes'])
            assert [key in a for key in FIELDS] == [key in b for key in FIELDS]
            x, y = original(a), original(b)
            assert y.ori_shape == x.ori_shape and cv2.imread(b['img_path']).shape[1] == 33
            for key in ('gt_points', 'gt_boxes', 'gt_sigmas'):
                wanted, got = getattr(x, key), getattr(y, key)
                assert (wanted is None) == (got is None)
                if wanted is not None:
                    np.testing.assert_allclose(got, wanted, atol=0.01)
            for key in ('occlusion', 'blur'):
                assert key not in a or np.array_equal(a[key], b[key])


def test_pixels_are_those_of_the_transform(tmp_path, prepare):
    make_qnrf(tmp_path / 'data', num_images=10)
    copy = UCFQNRFDataset(data_root=prepare('qnrf', '--longest', '40'), split='test')
    source = UCFQNRFDataset(data_root=str(tmp_path / 'data'), split='test')
    for k in range(10):
        got = LoadCrowdImage()(copy.get_data_info(k))
        wanted = ResizeToLimits(longest=40)(LoadCrowdImage()(source.get_data_info(k)))
        assert got['img'].shape == wanted['img'].shape
        # But for JPEG's losses: noise is what it does worst.
        assert np.abs(got['img'].astype(int) - wanted['img']).mean() < 16
        np.testing.assert_allclose(got['points'], wanted['points'], atol=1e-3)


def test_default_folders_are_those_of_the_configs(tmp_path, prepare, monkeypatch):
    monkeypatch.setenv('MMCROWD_DATA_ROOT', str(tmp_path))
    make_qnrf(tmp_path / 'UCF-QNRF_ECCV18')
    prepare.tool.main(['qnrf', '--workers', '1'])
    cfg = read_config(CONFIGS / 'pml_vgg19_qnrf.py')
    init_default_scope('mmcrowd')
    info = DATASETS.build(cfg.test_dataloader.dataset).get_data_info(0)
    assert info['img_path'] == str(tmp_path / 'prepared' / 'UCF-QNRF_ECCV18/test/img_0001.jpg')


def test_folds_of_a_copy(tmp_path, prepare):
    make_cc50(tmp_path / 'data')
    root = prepare('ucf_cc_50')
    for fold, seed, split in ((0, 0, 'test'), (3, 0, 'train'), (2, 7, 'val')):
        kwargs = dict(fold=fold, seed=seed, split=split)
        source = UCFCC50Dataset(data_root=str(tmp_path / 'data'), **kwargs)
        copy = UCFCC50Dataset(data_root=root, **kwargs)
        ids = [[d.get_data_info(k)['img_id'] for k in range(len(d))] for d in (source, copy)]
        assert ids[0] == ids[1]


def test_images_of_folds_keep_their_natural_order(tmp_path, prepare):
    make_cc50(tmp_path / 'data')
    root = Path(prepare('ucf_cc_50'))
    path = root / 'annotations.json'
    ids = [entry['img_id'] for entry in json.loads(path.read_text())['data_list']]
    assert ids == [str(k) for k in range(1, 51)]
    # Ids of a copy are what its file says, not necessarily numbers.
    path.write_text(path.read_text().replace('"img_id": "50"', '"img_id": "last_50"'))
    out = tmp_path / 'second'
    prepare.tool.main(['ucf_cc_50', '--data-root', str(root), '--out', str(out)])
    content = json.loads((out / 'annotations.json').read_text())
    assert [entry['img_id'] for entry in content['data_list']] == [*ids[:-1], 'last_50']


def test_unchanged_images_are_copied_and_turned_ones_are_turned(tmp_path, prepare):
    root = make_qnrf(tmp_path / 'data', num_images=10)
    source = root / 'Test' / 'img_0001.jpg'
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down: the size does not tell it
    Image.open(source).save(source, exif=exif, quality=95)
    copy = UCFQNRFDataset(data_root=prepare('qnrf', '--rule', 'none'), split='test')
    turned, plain = (copy.get_data_info(k)['img_path'] for k in range(2))
    assert 'ori_shape' not in copy.get_data_info(0)
    with open(plain, 'rb') as file:
        assert file.read() == (root / 'Test' / 'img_0002.jpg').read_bytes()
    assert not Image.open(turned).getexif()
    difference = cv2.imread(turned).astype(int) - cv2.imread(str(source))
    assert np.abs(difference).mean() < 16


def test_goes_on_where_it_was_interrupted(tmp_path, prepare, monkeypatch):
    root = make_qnrf(tmp_path / 'data', num_images=10)
    broken = root / 'Test' / 'img_0003.jpg'
    content = broken.read_bytes()
    broken.write_bytes(content[:-20])
    with pytest.raises(ValueError, match=r'1 images not copied.*\n- .*img_0003\.jpg.*cut off'):
        prepare('qnrf', '--longest', '33')
    out = tmp_path / 'copy'
    assert not (out / 'annotations.json').exists() and not list(out.rglob('*.partial'))
    times = {path: path.stat().st_mtime_ns for path in out.rglob('*.jpg')}
    assert len(times) == 19
    broken.write_bytes(content)
    prepare('qnrf', '--longest', '33')
    assert len(list(out.rglob('*.jpg'))) == 20 and not list(out.rglob('*.partial'))
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())

    with pytest.raises(ValueError, match='choose another --out'):
        prepare('qnrf', '--longest', '40')


def test_copy_of_a_copy_is_of_the_same_original(tmp_path, prepare):
    make_qnrf(tmp_path / 'data')
    first = prepare('qnrf', '--longest', '33')
    second = str(tmp_path / 'second')
    prepare.tool.main(['qnrf', '--longest', '20', '--data-root', first, '--out', second])
    a, b = (
        UCFQNRFDataset(data_root=root, split='val').get_data_info(0) for root in (first, second)
    )
    assert original(b).ori_shape == original(a).ori_shape == (40, 60)
    np.testing.assert_allclose(original(b).gt_points, original(a).gt_points, atol=0.01)


def test_a_changed_source_is_copied_again(tmp_path, prepare):
    root = make_qnrf(tmp_path / 'data', num_images=10)
    out = prepare('qnrf', '--longest', '33')
    black = np.zeros((40, 60, 3), np.uint8)
    cv2.imwrite(str(root / 'Train' / 'img_0001.jpg'), black)
    prepare('qnrf', '--longest', '33')
    info = UCFQNRFDataset(data_root=out, split='train').get_data_info(0)
    assert cv2.imread(info['img_path']).max() < 8


def dark(path):
    """Whether a copied image is black."""
    return cv2.imread(str(path)).max() < 8


def test_a_source_that_becomes_older_is_copied_again(tmp_path, prepare, capsys):
    """A damaged photo is extracted again from an archive, with the time that it has there."""
    root = make_qnrf(tmp_path / 'data', num_images=10)
    source, copied = root / 'Train' / 'img_0002.jpg', tmp_path / 'copy/trainval/img_0002.jpg'
    sound = source.read_bytes()
    cv2.imwrite(str(source), np.zeros((40, 60, 3), np.uint8))
    prepare('qnrf', '--longest', '33')
    assert dark(copied)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / 'copy').rglob('*.jpg')}
    source.write_bytes(sound)
    os.utime(source, (10**9, 10**9))
    capsys.readouterr()
    prepare('qnrf', '--longest', '33')
    assert not dark(copied) and '1 images were copied from other files' in capsys.readouterr().out
    del times[copied]
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert len(UCFQNRFDataset(data_root=str(tmp_path / 'copy'), split='trainval')) == 10
    prepare('qnrf', '--longest', '33')
    assert 'other files' not in capsys.readouterr().out


def test_a_change_between_two_interrupted_runs_is_seen(tmp_path, prepare, monkeypatch):
    """Whatever the moment: what is there is never of another source than written down."""
    root = make_qnrf(tmp_path / 'data', num_images=10)
    sources = sorted(root.rglob('*.jpg'))
    out = Path(prepare('qnrf', '--longest', '33'))
    for source in sources[:3]:
        cv2.imwrite(str(source), np.zeros((40, 60, 3), np.uint8))
        os.utime(source, (10**9, 10**9))

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    # Before the new state is written down, and after it.
    for name in ('write_atomic', 'ProcessPoolExecutor'):
        with monkeypatch.context() as patch:
            patch.setattr(resized_copy, name, stop)
            with pytest.raises(KeyboardInterrupt):
                prepare('qnrf', '--longest', '33')
        assert not (out / 'annotations.json').exists()
        assert len(list(out.rglob('*.jpg'))) == 17
        with pytest.raises(FileNotFoundError):
            UCFQNRFDataset(data_root=str(out), split='test')
    prepare('qnrf', '--longest', '33')
    assert sum(map(dark, out.rglob('*.jpg'))) == 3


def test_a_copy_of_an_older_version_is_made_anew(tmp_path, prepare, capsys):
    make_qnrf(tmp_path / 'data', num_images=10)
    out = Path(prepare('qnrf', '--longest', '33'))
    path = out / 'prepare.json'
    manifest = json.loads(path.read_text())
    assert len(manifest.pop('sources')) == 20
    path.write_text(json.dumps(manifest))
    stale = out / 'test' / 'img_0001.jpg'
    cv2.imwrite(str(stale), np.zeros((22, 33, 3), np.uint8))
    prepare('qnrf', '--longest', '33')
    assert not dark(stale) and '20 images were copied from other' in capsys.readouterr().out


def test_a_damaged_copy_is_made_anew(tmp_path, prepare):
    make_qnrf(tmp_path / 'data', num_images=10)
    out = Path(prepare('qnrf', '--longest', '33'))
    damaged = out / 'test' / 'img_0001.jpg'
    content = damaged.read_bytes()
    damaged.write_bytes(b'')
    prepare('qnrf', '--longest', '33')
    assert damaged.read_bytes() == content


def test_ids_of_a_copy_that_lead_out_of_the_folder(tmp_path, prepare):
    make_qnrf(tmp_path / 'data', num_images=10)
    root = Path(prepare('qnrf', '--longest', '33'))
    path, out = root / 'annotations.json', tmp_path / 'deep' / 'second'
    content = json.loads(path.read_text())
    before = sorted(tmp_path.rglob('*'))
    for img_id in ('../../../OUTSIDE', '../test/img_0001'):
        content['data_list'][3]['img_id'] = img_id
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError) as raised:
            prepare.tool.main(['qnrf', '--data-root', str(root), '--out', str(out)])
        assert f"'{img_id}.jpg' cannot be the name of a file below {out}" in str(raised.value)
        assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize('folds', [False, True])
@pytest.mark.parametrize(
    'img_id', ['/tmp/OUTSIDE', 'a/../../OUTSIDE', '..\\OUTSIDE', 'C:\\OUTSIDE', '\\\\s\\OUTSIDE']
)
def test_ids_that_lead_out_of_the_folder_on_some_system(folds, img_id):
    class Dataset:
        def __len__(self):
            return 1

        def get_data_info(self, idx):
            return dict(img_id=img_id, img_path='a.jpg')

    splits = dict(val=Dataset(), trainval=Dataset(), test=Dataset())
    with pytest.raises(ValueError, match='OUTSIDE.* cannot be the name of a file below out'):
        resized_copy.list_jobs(splits, Path('out'), folds)


def test_a_copy_that_differs_is_not_finished(tmp_path, prepare, monkeypatch):
    make_qnrf(tmp_path / 'data', num_images=10)
    make_entry = resized_copy.make_entry

    def lose_a_point(*args):
        entry = make_entry(*args)
        return dict(entry, points=entry['points'][1:])

    monkeypatch.setattr(resized_copy, 'make_entry', lose_a_point)
    with pytest.raises(RuntimeError, match=r'img_0010.*expected 10'):
        prepare('qnrf')
    assert not (tmp_path / 'copy' / 'annotations.json').exists()


def test_other_benchmarks_and_folders_are_refused(tmp_path, prepare):
    make_qnrf(tmp_path / 'data', num_images=10)
    root = prepare('qnrf')
    with pytest.raises(ValueError, match="dataset_type='UCFQNRFDataset', expected 'JHUCrowd"):
        JHUCrowdDataset(data_root=root)
    (tmp_path / 'copy' / 'prepare.json').unlink()
    with pytest.raises(ValueError, match='is not empty'):
        prepare('qnrf')


@pytest.mark.parametrize(
    'args, message',
    [
        (['--rule', 'bl', '--longest', '100'], 'exclude'),
        (['--rule', 'nwpu'], 'qnrf has pml, pet, bl, dmc, none'),
        (['--quality', '0'], 'expected 1 to 100'),
        (['--workers', '0'], 'expected 1 or more'),
        (['--longest', '0'], 'expected positive pixels'),
        (['--longest', '20', '--shortest', '30', '40'], 'shortest=[30, 40] is above longest=20'),
    ],
)
def test_bad_options(prepare, capsys, args, message):
    with pytest.raises(SystemExit):
        prepare.tool.parse_args(['qnrf', *args])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    'args, size',
    [((), (1152, 1536)), (('--rule', 'bl'), (2048, 2731)), (('--longest', '9'), (7, 9))],
)
def test_rules(load_tool, args, size):
    tool = load_tool('dataset_converters/prepare.py')
    limits = tool.parse_args(['qnrf', *args]).limits
    assert ResizeToLimits(**limits).size_for(3000, 4000) == size


def test_a_folder_of_hidden_files_is_empty(tmp_path, prepare):
    make_qnrf(tmp_path / 'data', num_images=10)
    (tmp_path / 'copy').mkdir()
    (tmp_path / 'copy' / '.DS_Store').touch()
    assert len(UCFQNRFDataset(data_root=prepare('qnrf'), split='test')) == 10


def test_limits_are_written_down(tmp_path, prepare):
    make_nwpu(tmp_path / 'data')
    out = prepare('nwpu', '--longest', '33')
    with open(f'{out}/annotations.json', encoding='utf-8') as file:
        content = json.load(file)
    assert content['metainfo'] == dict(
        dataset_name='NWPU-Crowd', dataset_type='NWPUCrowdDataset', limits=dict(longest=33)
    )
    unlabelled = [entry for entry in content['data_list'] if entry['split'] == 'test']
    assert unlabelled and all(entry['points'] is None for entry in unlabelled)


def test_one_option_names_the_folder(tmp_path):
    dataset = dict(type='UCFQNRFDataset', data_root='prepared')
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=dataset)),
            val_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=[dataset, dataset])),
            test_dataloader=dict(dataset=dataset),
        )
    )
    set_data_root(cfg, 'downloaded')
    assert str(cfg).count('downloaded') == 4 and 'prepared' not in str(cfg)
    with pytest.raises(ValueError, match="data_root='x': no dataset"):
        set_data_root(Config(dict(test_dataloader=dict(dataset=dict(type='Drawn')))), 'x')
