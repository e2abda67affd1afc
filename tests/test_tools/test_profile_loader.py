import sys

import pytest

CONFIG = 'mmcrowd::pml_mcnn_shb'


def run(load_tool, monkeypatch, *argv):
    monkeypatch.setattr(sys, 'argv', ['profile', *map(str, argv)])
    load_tool('analysis_tools/profile_loader.py').main()


def test_real_images(load_tool, monkeypatch, data_root, capsys):
    options = ['--cfg-options', 'train_dataloader.batch_size=2']
    root = data_root / 'ShanghaiTech' / 'part_B'
    run(load_tool, monkeypatch, CONFIG, '--num-images', 3, '--data-root', root, '--step', *options)
    lines = capsys.readouterr().out.splitlines()
    start = lines.index(f'{CONFIG}, 2 batches of 2')
    rows = [line.split(' | ') for line in lines[start + 3 :] if line.startswith('| ')]
    assert [row[0] for row in rows][:3] == [
        '| ShanghaiTechDataset',
        '| LoadCrowdImage',
        '| RandomScaleCrop',
    ]
    assert rows[-1][0] == '| data preprocessor'
    assert sum(float(row[2].split()[0]) for row in rows) == pytest.approx(100, abs=len(rows) / 2)
    rate = float(lines[-2].removeprefix('A worker makes ').split()[0])
    in_workers = sum(float(row[1]) for row in rows[:-1])
    assert rate == pytest.approx(1e3 / in_workers, rel=0.05)
    assert lines[-1].startswith('A training step with ') and lines[-1].endswith(' workers.')


def test_large_photos(load_tool, monkeypatch, data_root, capsys):
    sources = data_root / 'ShanghaiTech' / 'part_A' / 'test_data' / 'images'
    argv = ['--photos', '800x600', '--sources', sources, '--num-images', 2]
    run(load_tool, monkeypatch, CONFIG, *argv, '--cfg-options', 'train_dataloader.batch_size=1')
    out = capsys.readouterr().out
    assert '| CrowdDataset | ' in out and '| PartitionByNearestPoint | ' in out
    assert 'training step' not in out


def test_photos_need_sources(load_tool, monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(load_tool, monkeypatch, CONFIG, '--photos', '800x600')
    assert '--photos and --sources go together' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(load_tool, monkeypatch, CONFIG, '--photos', '3000', '--sources', tmp_path)
    assert '--photos 3000, expected a size' in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match=r'no \*\.jpg'):
        run(load_tool, monkeypatch, CONFIG, '--photos', '800x600', '--sources', tmp_path)
