import json

import cv2
import numpy as np
import pytest

from mmcrowd.analysis import pipeline_recorder
from mmcrowd.datasets import SeededSamples
from mmcrowd.engine.config import read_config
from mmcrowd.registry import DATASETS

CONFIG = """
default_scope = 'mmcrowd'
custom_imports = dict(imports=['mmcrowd'])
randomness = dict(seed=5)
pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=32),
    dict(type='RandomFlip'),
    dict(type='PhotoMetricDistortion'),
    dict(type='PartitionByNearestPoint', stride=2),
    dict(type='PackCrowdInputs'),
]
own = dict(type='CrowdDataset', data_root={root!r}, split='trainval', pipeline=pipeline)
train_dataloader = dict(dataset={train})
test_dataloader = dict(
    dataset=dict(own, test_mode=True, pipeline=[dict(type='LoadCrowdImage')]))
"""
STAGES = [
    'LoadCrowdImage',
    'RandomScaleCrop',
    'RandomFlip',
    'PhotoMetricDistortion',
    'PartitionByNearestPoint',
    'PackCrowdInputs',
]


@pytest.fixture
def tool(load_tool):
    return load_tool('misc/browse_dataset.py')


@pytest.fixture
def config(tmp_path):
    return make_config(tmp_path)


@pytest.fixture
def stages(monkeypatch):
    """What the tool draws: names and results of the stages."""
    drawn = []
    draw_stage = pipeline_recorder.draw_stage

    def record(name, results, **kwargs):
        drawn.append((name, results['inputs'] if 'inputs' in results else results['img'], results))
        return draw_stage(name, results, **kwargs)

    monkeypatch.setattr(pipeline_recorder, 'draw_stage', record)
    return drawn


def make_config(folder, train='own', sizes=((60, 90), (60, 90), (70, 40))):
    """A config of noise images with five points each, but the second, which has none."""
    rng = np.random.default_rng(0)
    entries = []
    for k, (height, width) in enumerate(sizes):
        img = cv2.resize(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8), (width, height))
        cv2.imwrite(str(folder / f'{k}.png'), img)
        points = rng.random((0 if k == 1 else 5, 2)) * (width, height) - 0.5
        entries.append(dict(img_path=f'{k}.png', img_id=f'a/{k}', points=points.tolist()))
    (folder / 'annotations.json').write_text(json.dumps(dict(data_list=entries)))
    path = folder / 'config.py'
    path.write_text(CONFIG.format(root=str(folder), train=train))
    return path


def run(tool, config, out, *args):
    tool.main([str(config), '--out-dir', str(out), *map(str, args)])
    return sorted(path.name for path in out.iterdir())


def make_trainer(config):
    """Function of seed, epoch and index: what the trainer's loader gets."""
    dataset = DATASETS.build(read_config(config).train_dataloader.dataset)

    def expected(seed, epoch, index):
        samples = SeededSamples(dataset, seed)
        samples.set_epoch(epoch)
        return samples([index])[0]

    return expected


def same(sample, other) -> bool:
    a, b = sample['data_samples'], other['data_samples']
    return (
        sample['inputs'].equal(other['inputs'])
        and a.gt_instances.points.equal(b.gt_instances.points)
        and a.gt_partition.index.equal(b.gt_partition.index)
        and a.metainfo == b.metainfo
    )


# ------------------------------------------------------------------------------------- random


@pytest.mark.parametrize(
    'mode, seed, epoch', [('pipeline', 5, 0), ('pipeline', 2, 7), ('transformed', 5, 7)]
)
def test_pictures_are_what_the_trainer_sees(tool, config, stages, tmp_path, mode, seed, epoch):
    options = ['--mode', mode, '--epoch', epoch] + (['--seed', seed] if seed != 5 else [])
    run(tool, config, tmp_path / 'out', '--index', 2, 0, *options)
    packed = [results for name, _, results in stages if name == 'PackCrowdInputs']
    expected = make_trainer(config)
    for sample, index in zip(packed, (2, 0), strict=True):
        assert same(sample, expected(seed, epoch, index))
        assert not same(sample, expected(seed, epoch + 1, index))


def test_the_generator_is_left_as_it_was(tool, config, tmp_path):
    np.random.seed(3)
    run(tool, config, tmp_path / 'out', '--index', 0)
    left = np.random.rand()
    np.random.seed(3)
    assert left == np.random.rand()


@pytest.mark.parametrize(
    'train, index',
    [
        ("dict(type='RepeatDataset', times=4, dataset=own)", 5),
        ("dict(type='ConcatDataset', datasets=[dict(own, indices=2), own])", 4),
    ],
)
def test_wrapped_datasets(tool, stages, tmp_path, train, index):
    config = make_config(tmp_path, train)
    names = run(tool, config, tmp_path / 'out', '--index', 0, index, '--epoch', 3)
    assert names == ['train_00000_a_0.jpg', f'train_{index:05d}_a_2.jpg']
    packed = [results for name, _, results in stages if name == 'PackCrowdInputs']
    expected = make_trainer(config)
    for sample, place in zip(packed, (0, index), strict=True):
        assert same(sample, expected(5, 3, place))


# -------------------------------------------------------------------------------------- modes


def test_a_panel_after_each_transform(tool, config, stages, tmp_path, capsys):
    names = run(tool, config, tmp_path / 'out', '--number', 2)
    assert names == ['train_00000_a_0.jpg', 'train_00001_a_1.jpg']
    assert [name for name, _, _ in stages] == 2 * STAGES
    images = [img for _, img, _ in stages]
    assert [img.shape[:2] for img in images[:5]] == [(60, 90)] + 4 * [(32, 32)]
    assert 'gt_partition' in stages[4][2] and 'data_samples' in stages[5][2]
    picture = cv2.imread(str(tmp_path / 'out' / names[0]))
    # Two rows of three panels of 768 pixels.
    assert picture.shape[0] > 2 * 768 and 3 * 768 <= picture.shape[1] < 3 * 800
    out = capsys.readouterr().out
    assert f'{tmp_path / "out"}: 2 of 3 images of train_dataloader, mode pipeline, seed 5' in out


def test_original_is_the_loaded_image(tool, config, stages, tmp_path):
    run(tool, config, tmp_path / 'out', '--mode', 'original')
    assert [(name, img.shape) for name, img, _ in stages] == [
        ('LoadCrowdImage', shape) for shape in ((60, 90, 3), (60, 90, 3), (70, 40, 3))
    ]


def test_another_split_and_options(tool, config, stages, tmp_path):
    options = ('--cfg-options', 'test_dataloader.dataset.indices=1')
    assert run(tool, config, tmp_path / 'out', '--split', 'test', *options) == [
        'test_00000_a_0.jpg'
    ]
    assert [name for name, _, _ in stages] == ['LoadCrowdImage']


def test_extreme_sizes(tool, tmp_path):
    config = make_config(tmp_path, sizes=[(1, 1), (4000, 6000)])
    assert len(run(tool, config, tmp_path / 'out')) == 2
    for path in (tmp_path / 'out').iterdir():
        assert max(cv2.imread(str(path)).shape) < 2500


def test_unlabelled_images(tool, tmp_path):
    root = tmp_path / 'nwpu'
    (root / 'images').mkdir(parents=True)
    cv2.imwrite(str(root / 'images' / '0006.jpg'), np.zeros((40, 60, 3), np.uint8))
    (root / 'test.txt').write_text('0006\n')
    config = tmp_path / 'config.py'
    config.write_text(
        "default_scope = 'mmcrowd'\n"
        "test_dataloader = dict(dataset=dict(type='NWPUCrowdDataset', split='test', "
        f'data_root={str(root)!r}, test_mode=True, '
        "pipeline=[dict(type='LoadCrowdImage'), dict(type='PackCrowdInputs')]))\n"
    )
    names = run(tool, config, tmp_path / 'out', '--split', 'test')
    assert names == ['test_00000_0006.jpg']


def test_real_images(tool, data_root, stages, tmp_path):
    config = tool.Path(tool.__file__).parents[2] / 'configs' / 'pml_vgg19_ucf_cc_50.py'
    options = ('--number', 2, '--data-root', data_root / 'UCF_CC_50')
    names = run(tool, config, tmp_path / 'out', *options)
    assert len(names) == 2 and len(stages) == 10
    loaded, cropped = stages[0][2], stages[-1][2]['data_samples']
    assert len(loaded['points']) > cropped.gt_count > 0


# ------------------------------------------------------------------------------------- errors


def test_what_is_wrong_is_named(tool, config, tmp_path):
    with pytest.raises(ValueError, match='--index 3: the data set has 3 images'):
        run(tool, config, tmp_path / 'out', '--index', 0, 3)
    with pytest.raises(ValueError, match='no val_dataloader'):
        run(tool, config, tmp_path / 'out', '--split', 'val')
    with pytest.raises(ValueError, match='image 0: no transform of its pipeline gives an image'):
        run(tool, config, tmp_path / 'out', '--cfg-options', 'train_dataloader.dataset.pipeline=[]')
    for wrong in (['--number', '0'], ['--epoch', '-1'], ['--number', '2', '--index', '1']):
        with pytest.raises(SystemExit):
            run(tool, config, tmp_path / 'out', *wrong)


def test_a_transform_that_gives_nothing():
    with pytest.raises(ValueError, match="function gave nothing for image '7'"):
        pipeline_recorder.Recorder([lambda results: None], 'pipeline')(dict(img_id='7'))
