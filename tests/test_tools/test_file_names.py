"""Names of folders and files that are not UTF-8, as on a share of an older system."""

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from mmcrowd.datasets import (
    BaseCrowdDataset,
    CrowdDataset,
    JHUCrowdDataset,
    NWPUCrowdDataset,
    ShanghaiTechDataset,
    UCFCC50Dataset,
    UCFQNRFDataset,
)
from mmcrowd.datasets.annotation_json import write_annotation_file
from mmcrowd.evaluation.formats import nwpu
from mmcrowd.evaluation.image_result import ImageResult, save_results
from mmcrowd.registry import VISUALIZERS
from mmcrowd.structures import CrowdDataSample

from ..testing.benchmarks import make_cc50, make_jhu, make_nwpu, make_part, make_qnrf

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='names of files are text on this system'
)
NAME = os.fsdecode(b'caf\xe9')  # Latin-1
ESCAPED = 'caf\\udce9'


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / NAME
    path.mkdir()
    return path


@pytest.fixture
def make(folder):
    """Function that makes a data set, where OpenCV can write, and moves it into the folder."""

    def make(builder, name='data', **kwargs):
        builder(folder.parent / name, **kwargs)
        return (folder.parent / name).rename(folder / name)

    return make


def write_own(root: Path) -> Path:
    """Two images of which both names are Latin-1 too, one of nobody."""
    root.mkdir()
    for name in (f'{NAME}1.png', f'{NAME}2.png'):
        (root / name).write_bytes(cv2.imencode('.png', np.zeros((20, 30, 3), np.uint8))[1])
    rows = [dict(img_path=f'{NAME}{k}.png', points=[[1, 2]] * (2 - k)) for k in (1, 2)]
    write_annotation_file(root / 'annotations.json', rows)
    return root


@pytest.mark.parametrize(
    'dataset, builder',
    [
        (UCFQNRFDataset, make_qnrf),
        (JHUCrowdDataset, make_jhu),
        (NWPUCrowdDataset, make_nwpu),
        (ShanghaiTechDataset, make_part),
        (UCFCC50Dataset, make_cc50),
        (CrowdDataset, write_own),
    ],
)
def test_load_and_cache(folder, make, monkeypatch, dataset, builder):
    kwargs = dict(data_root=str(make(builder)), split='trainval', cache_dir=str(folder / 'cache'))
    wanted = [info['points'] for info in map(dataset(**kwargs).get_data_info, range(2))]

    def refuse(*args):
        raise AssertionError('parsed')

    monkeypatch.setattr(BaseCrowdDataset, 'read_entry', refuse)
    found = [info['points'] for info in map(dataset(**kwargs).get_data_info, range(2))]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_check_and_count(folder, make, load_tool, capsys):
    tool = load_tool('misc/dataset_stats.py')
    root = make(make_qnrf, num_images=3).rename(folder / NAME)
    args = ['--type', 'UCFQNRFDataset', '--data-root', str(root), '--workers', '1']
    tool.main([*args, '--check', '--splits', 'trainval', 'test'])
    assert 'No problems' in capsys.readouterr().out

    tool.main([*args, '--splits', 'trainval', '--out-dir', str(folder / 'stats')])
    out = capsys.readouterr().out
    assert f'# UCFQNRFDataset, {ESCAPED}' in out and f'{ESCAPED}/stats: stats.md' in out
    assert len(list((folder / 'stats').iterdir())) == 3
    assert ESCAPED in (folder / 'stats' / 'stats.md').read_text(encoding='utf-8')

    (root / 'Train' / 'img_0001.jpg').write_bytes(b'')
    savemat(root / 'Train' / 'img_0002_ann.mat', dict(other=1))
    with pytest.raises(SystemExit):
        tool.main([*args, '--check', '--splits', 'trainval'])
    out = capsys.readouterr().out
    assert '2 problems:' in out and f'{ESCAPED}/Train/img_0001.jpg: not a readable' in out


def test_prepare_and_convert(folder, make, load_tool, monkeypatch, capsys):
    tool = load_tool('dataset_converters/prepare.py')
    root, copy = make(make_qnrf, num_images=10), folder / 'copy'
    tool.main(['qnrf', '--data-root', str(root), '--out', str(copy), '--workers', '1'])
    assert f'Complete: {folder.parent}/{ESCAPED}/copy' in capsys.readouterr().out
    assert len(UCFQNRFDataset(data_root=str(copy), split='trainval')) == 10

    converter = load_tool('dataset_converters/convert_annotations.py')
    images = make(write_own, 'photos')
    labels = dict(images=[], annotations=[])
    for k in (1, 2):
        labels['images'].append(dict(id=k, file_name=f'{NAME}{k}.png', width=30, height=20))
    (folder / 'coco.json').write_text(json.dumps(labels))
    out = folder / 'out' / 'annotations.json'
    converter.main(
        ['coco', str(folder / 'coco.json'), str(images), '--out', str(out), '--empty-is-nobody']
    )
    assert f'nobody: ../photos/{ESCAPED}1.png' in capsys.readouterr().out
    dataset = CrowdDataset(data_root=str(out.parent), split='test')
    assert dataset.get_data_info(0)['img_id'] == f'../photos/{NAME}1'


def test_pictures_and_pages(folder, load_tool, monkeypatch, capsys):
    visualizer = VISUALIZERS.build(
        dict(
            type='CrowdVisualizer',
            name='names',
            vis_backends=[dict(type='LocalVisBackend')],
            save_dir=str(folder.parent / 'plain'),
        )
    )

    picture = np.zeros((20, 30, 3), np.uint8)
    visualizer.add_datasample(NAME, picture, CrowdDataSample(gt_count=1))
    files = (folder.parent / 'plain').rglob('*.png')
    assert [path.name for path in files] == [f'{ESCAPED}_0.png']
    visualizer.add_datasample('x', picture, CrowdDataSample(), out_file=str(folder / 'x.png'))
    assert (folder / 'x.png').is_file()

    results = [ImageResult(img_id=NAME, pred_count=2.0, gt_count=1)]
    save_results(results, folder / 'results.json')
    tool = load_tool('analysis_tools/analyze_errors.py')
    command = ['analyze_errors.py', str(folder / 'results.json'), '--out', str(folder / 'a.html')]
    monkeypatch.setattr(sys, 'argv', command)
    tool.main()
    assert f'{ESCAPED}/a.html: 1 images' in capsys.readouterr().out
    assert ESCAPED in (folder / 'a.html').read_text(encoding='utf-8')
    nwpu.write_counts({NAME: 2.0}, folder / 'count.txt')
    assert nwpu.read_counts(folder / 'count.txt') == {ESCAPED: 2.0}
