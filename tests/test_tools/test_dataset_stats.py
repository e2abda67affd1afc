import json
import math
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial.distance import cdist

from mmcrowd.analysis.dataset_figure import CLASSES
from mmcrowd.datasets import statistics

REPO = Path(__file__).resolve().parents[2]
PARTS = {'A': [(300, 162413), (182, 78862)], 'B': [(400, 49151), (316, 39121)]}


@pytest.fixture
def tool(load_tool):
    return load_tool('misc/dataset_stats.py')


def run(tool, *args):
    tool.main([*map(str, args), '--workers', '2'])


def read_stats(tool, folder, *args):
    run(tool, *args, '--out-dir', folder)
    return json.loads((folder / 'stats.json').read_text())


def write_own(folder, entries):
    """Files of CrowdDataset from tuples (name, size, split, points, attributes)."""
    data_list = []
    for name, size, split, points, attributes in entries:
        cv2.imwrite(str(folder / f'{name}.png'), np.full((*size, 3), 80, np.uint8))
        entry = dict(img_path=f'{name}.png', split=split, points=points, attributes=attributes)
        data_list.append(entry)
    write_json(folder, data_list)
    return ['--type', 'CrowdDataset', '--data-root', folder]


def write_json(folder, data_list):
    (folder / 'annotations.json').write_text(json.dumps(dict(data_list=data_list)))


def write_shanghaitech(root, num_images=2):
    for split in ('train_data', 'test_data'):
        (root / split / 'images').mkdir(parents=True)
        (root / split / 'ground-truth').mkdir()
        rng = np.random.default_rng(0)
        for k in range(1, num_images + 1):
            img = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
            cv2.imwrite(str(root / split / 'images' / f'IMG_{k}.jpg'), img)
            inner = np.zeros((1, 1), dtype=[('location', 'O')])
            inner[0, 0] = (np.full((k, 2), 3.0),)
            cell = np.empty((1, 1), dtype=object)
            cell[0, 0] = inner
            savemat(root / split / 'ground-truth' / f'GT_IMG_{k}.mat', dict(image_info=cell))
    return root


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


# ------------------------------------------------------------------------------------ numbers


def test_numbers_by_hand(tool, tmp_path, capsys):
    crowd = [[1, 1], [4, 5], [1, 1], [20, 20], [20, 23], [-7, 9]]
    args = write_own(
        tmp_path,
        [
            ('a', (30, 40), 'train', crowd, dict(scene='street', night=True)),
            ('b', (50, 20), 'train', [], dict(scene='park')),
            ('c', (50, 60), 'train', [[5, 5]], dict(scene='street', size=1.5, tags=['x'])),
            ('d', (8, 8), 'val', [[0, 0], [3, 4]], {}),
        ],
    )
    stats = read_stats(tool, tmp_path / 'out', *args, '--splits', 'train', 'val')
    inside = np.array(crowd[:5] + [[0, 9]])
    distances = cdist(inside, inside)
    np.fill_diagonal(distances, np.inf)
    train, val = stats['splits']['train'], stats['splits']['val']
    assert train == dict(
        images=3,
        unlabelled=0,
        with_nobody=1,
        points=7,
        count=dict(min=0, median=1, mean=pytest.approx(7 / 3), max=6),
        shorter_side=dict(min=20, median=30, max=50),
        longer_side=dict(min=40, median=50, max=60),
        nearest_neighbour=pytest.approx(np.median(distances.min(axis=1))),
        same_place=1,
        outside=1,
    )
    assert (val['points'], val['nearest_neighbour'], val['outside']) == (2, 5.0, 0)
    groups = stats['groups']
    assert list(groups) == ['people in an image', 'scene', 'night']
    assert groups['scene'] == {
        'street': dict(train=dict(images=2, points=7), val=dict(images=0, points=0)),
        'park': dict(train=dict(images=1, points=0), val=dict(images=0, points=0)),
    }
    assert groups['people in an image']['0']['train'] == dict(images=1, points=0)
    assert groups['people in an image']['1–100']['val'] == dict(images=1, points=2)

    out, table = capsys.readouterr().out, (tmp_path / 'out' / 'stats.md').read_text()
    assert table.strip() in out and f'{tmp_path / "out"}: stats.md, stats.json, stats.png' in out
    rows = [row.split('|')[1:-1] for row in table.splitlines() if row.startswith('|')]
    rows = {name.strip(): cells for name, *cells in rows}
    cells = [cell.strip() for cell in rows['count: min / median / mean / max']]
    assert cells == ['0 / 1 / 2.3 / 6', '2 / 2 / 2 / 2']
    assert [cell.strip() for cell in rows['street']] == ['2 / 7', '0 / 0']
    assert min(cv2.imread(str(tmp_path / 'out' / 'stats.png')).shape[:2]) > 800


@pytest.mark.parametrize('part', PARTS)
def test_counts_of_the_benchmark(tool, data_root, tmp_path, part):
    root = data_root / 'ShanghaiTech' / f'part_{part}'
    args = ('--type', 'ShanghaiTechDataset', '--data-root', root, '--splits', 'trainval', 'test')
    stats = read_stats(tool, tmp_path, *args)
    splits = stats['splits']
    assert [(s['images'], s['points']) for s in splits.values()] == PARTS[part]
    assert stats['title'] == f'ShanghaiTechDataset, part_{part}'
    for k, split in enumerate(splits):
        of_class = [row[split] for row in stats['groups']['people in an image'].values()]
        sums = [sum(n[key] for n in of_class) for key in ('images', 'points')]
        assert tuple(sums) == PARTS[part][k]
    if part == 'B':
        assert splits['test']['longer_side'] == dict(min=1024, median=1024, max=1024)
        assert splits['test']['shorter_side'] == dict(min=768, median=768, max=768)


def test_images_without_annotation_and_splits_that_are_one(tool, tmp_path):
    root = tmp_path / 'nwpu'
    (root / 'images').mkdir(parents=True)
    (root / 'jsons').mkdir()
    lists = dict(train=['0001 2 0', '0002 1 1'], val=['0003 0 1'], test=['0004', '0005'])
    for name, rows in lists.items():
        (root / f'{name}.txt').write_text('\n'.join(rows))
    for k in range(1, 6):
        cv2.imwrite(str(root / 'images' / f'000{k}.jpg'), np.zeros((9, 9, 3), np.uint8))
    for k in range(1, 4):
        content = dict(human_num=k - 1, points=[[3, 3]] * (k - 1), boxes=[[1, 1, 5, 5]] * (k - 1))
        (root / 'jsons' / f'000{k}.json').write_text(json.dumps(content))
    args = ('--type', 'NWPUCrowdDataset', '--data-root', root)
    stats = read_stats(tool, tmp_path / 'out', *args)
    test = stats['splits']['test']
    assert (test['images'], test['unlabelled'], test['with_nobody'], test['points']) == (2, 2, 0, 0)
    assert test['count'] is None and test['nearest_neighbour'] is None
    assert list(stats['groups']['luminance']) == ['0', '1', '2']
    assert stats['groups']['level']['1']['val'] == dict(images=1, points=2)

    # Configs of this benchmark test on val.
    config = REPO / 'configs' / 'pml_vgg19_nwpu.py'
    stats = read_stats(tool, tmp_path / 'out', config, '--data-root', root)
    assert list(stats['splits']) == ['train', 'val, test'] and stats['title'] == 'pml_vgg19_nwpu'


def test_the_rarest_values_are_told_together():
    def image(scene):
        return statistics.ImageFacts((1, 1), np.zeros((2, 2)), np.zeros(0), dict(scene=scene))

    scenes = [f's{k:02d}' for k in range(15) for _ in range(20 - k)]
    splits = dict(train=[image(s) for s in scenes], val=[image('s14')])
    grouped = statistics.group(splits, CLASSES)['scene']
    assert list(grouped) == [f's{k:02d}' for k in range(11)] + ['4 others']
    rest = sum(20 - k for k in range(11, 15))
    assert grouped['4 others'] == dict(
        train=dict(images=rest, points=2 * rest), val=dict(images=1, points=2)
    )


@pytest.mark.parametrize(
    'count, name', [(0, '0'), (1, '1–100'), (100, '1–100'), (101, '101–500'), (5001, '> 5,000')]
)
def test_class_of_the_count(count, name):
    assert statistics.count_class(np.zeros((count, 2)), CLASSES) == name
    assert statistics.count_class(None, CLASSES) is None


def test_wrapped_and_rendered_datasets(tool, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(
        "one = dict(type='SyntheticCrowdDataset', num_images=2, img_size=(64, 48))\n"
        'both = [dict(one), dict(one, seed=1)]\n'
        "joint = dict(type='ConcatDataset', datasets=both)\n"
        "train_dataloader = dict(dataset=dict(type='RepeatDataset', times=3, dataset=joint))\n"
        'val_dataloader = None\n'
    )
    stats = read_stats(tool, tmp_path / 'out', config)
    assert list(stats['splits']) == ['train']
    assert stats['splits']['train']['images'] == 4
    assert stats['splits']['train']['longer_side'] == dict(min=64, median=64, max=64)
    assert list(stats['groups']) == ['people in an image']


# -------------------------------------------------------------------------------------- check


def test_sound_files(tool, tmp_path, capsys):
    root = write_shanghaitech(tmp_path / 'part_B')
    args = ('--type', 'ShanghaiTechDataset', '--data-root', root, '--splits', 'trainval', 'test')
    run(tool, *args, '--check')
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == ('No problems: all annotations read and 4 images decoded of trainval, test.')


def test_all_problems_of_all_splits(tool, tmp_path, capsys):
    root = write_shanghaitech(tmp_path / 'part_B', num_images=6)
    train, test = root / 'train_data', root / 'test_data'
    cut(train / 'images' / 'IMG_1.jpg')
    (train / 'images' / 'IMG_2.jpg').write_bytes(b'text')
    (train / 'ground-truth' / 'GT_IMG_3.mat').unlink()
    (train / 'images' / 'IMG_4.jpg').unlink()
    (test / 'ground-truth' / 'GT_IMG_5.mat').write_bytes(b'damaged')
    cut(test / 'images' / 'IMG_6.jpg', 0.99)
    args = ('--type', 'ShanghaiTechDataset', '--data-root', root)
    with pytest.raises(SystemExit) as stopped:
        run(tool, *args, '--splits', 'train', 'trainval', 'test', '--check')
    assert stopped.value.code == 1
    head, *lines = capsys.readouterr().out.splitlines()
    wanted = [
        ('train, trainval', "1 images without annotation ['IMG_3']"),
        ('train, trainval', "1 annotations without image ['IMG_4']"),
        ('train, trainval', 'IMG_2.jpg: not a readable image'),
        ('test', 'GT_IMG_5.mat: not a readable MATLAB'),
        ('train, trainval', 'IMG_1.jpg: image file is cut off'),
        ('test', 'IMG_6.jpg: image file is cut off'),
    ]
    assert head == '6 problems:' and len(lines) == len(wanted)
    for line, (names, part) in zip(lines, wanted, strict=True):
        assert line.startswith(f'- {names}: ') and part in line


def test_all_problems_of_own_images(tool, tmp_path, capsys):
    names = ('a', 'b', 'c', 'd')
    args = write_own(tmp_path, [(name, (9, 9), 'train', [[1, 2]], {}) for name in names])
    entries = json.loads((tmp_path / 'annotations.json').read_text())['data_list']
    entries[0]['points'] = [[1, 2], [math.nan, 3]]
    entries[1]['img_id'] = 'c'
    write_json(tmp_path, [*entries, dict(img_path='gone.png', points=[])])
    (tmp_path / 'd.png').write_bytes(b'')
    cut(tmp_path / 'c.png')
    with pytest.raises(SystemExit) as stopped:
        run(tool, *args, '--splits', 'trainval', '--check')
    assert stopped.value.code == 1
    out = capsys.readouterr().out
    for part in (
        "img_id must be unique, these 1 are not: ['c']",
        '1 points are not finite, the first is number 1',
        f'no image file {tmp_path / "gone.png"}',
        f'{tmp_path / "d.png"}: not a readable image',
        f'{tmp_path / "c.png"}: ',
    ):
        assert out.count(part) == 1
    assert '5 problems:' in out


def test_a_wrong_folder_is_one_of_the_problems(tool, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(tool, '--type', 'UCFQNRFDataset', '--data-root', tmp_path, '--check')
    out = capsys.readouterr().out
    assert stopped.value.code == 1
    assert '2 problems:' in out and f'- train, val: UCFQNRFDataset: no {tmp_path / "Train"}' in out
    assert f'- test: UCFQNRFDataset: no {tmp_path / "Test"}' in out


def test_an_image_that_is_too_large(tmp_path):
    def chunk(kind, content):
        check = zlib.crc32(kind + content).to_bytes(4, 'big')
        return len(content).to_bytes(4, 'big') + kind + content + check

    header = (70_000).to_bytes(4, 'big') * 2 + b'\x08\x02\x00\x00\x00'
    chunks = ((b'IHDR', header), (b'IDAT', zlib.compress(bytes(9))), (b'IEND', b''))
    content = b''.join(chunk(*each) for each in chunks)
    (tmp_path / 'a.png').write_bytes(b'\x89PNG\r\n\x1a\n' + content)
    problem = statistics.decode(str(tmp_path / 'a.png'))
    assert problem.startswith(f'{tmp_path / "a.png"}: not a readable image (OpenCV')


# -------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    'args, message',
    [
        ([], 'give a config or --type'),
        (['config.py', '--type', 'CrowdDataset'], 'give a config or --type'),
        (['--type', 'CrowdDataset', '--workers', '0'], '--workers 0'),
    ],
)
def test_wrong_arguments(tool, capsys, args, message):
    with pytest.raises(SystemExit):
        tool.main(args)
    assert message in capsys.readouterr().err


def test_a_config_without_these_loaders(tool, tmp_path):
    (tmp_path / 'empty.py').write_text('')
    with pytest.raises(ValueError, match=r'empty\.py has no data loader of train, val, test'):
        run(tool, tmp_path / 'empty.py')
