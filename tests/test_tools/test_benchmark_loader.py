import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from mmcrowd.analysis.benchmarks.loader import make_forms
from mmcrowd.engine.config import read_config

from .cli import REPO

CONFIG = REPO / 'configs' / 'pml_hrnet_qnrf.py'


@pytest.fixture
def tool(load_tool):
    """The script; OpenCV and torch get back the threads that it takes from them."""
    threads = cv2.getNumThreads(), torch.get_num_threads()
    yield load_tool('analysis_tools/benchmark_loader.py')
    cv2.setNumThreads(threads[0])
    torch.set_num_threads(threads[1])


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(2):
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f'{k}.jpg'), cv2.resize(small, (400, 300)))
    return tmp_path


def test_ratios_and_memory(tool, images, monkeypatch, capsys):
    argv = ['benchmark', str(images), '--sizes', '800x600', '640x560', '--photos', '1']
    argv += ['--rounds', '1', '--entries', '6', '--entry-points', '4', '--batch-size', '2']
    argv += ['--batches', '1', '--workers', '1', '2']
    monkeypatch.setattr(sys, 'argv', argv)
    tool.main()
    times, memory = capsys.readouterr().out.split('\n\n')
    # MMEngine's log may come first.
    rows = [line.split() for line in times.splitlines() if 'mmengine' not in line]
    assert rows[0][-2:] == ['plain/whole', 'plain/lazy']
    assert [row[0] for row in rows[1:]] == ['800x600', '640x560']
    for row in rows[1:]:
        _, bits, _, plain, whole, lazy, *ratios = map(float, ['0', *row[1:]])
        assert abs(bits - 2.5) < 0.3
        np.testing.assert_allclose(ratios, [whole / plain, lazy / plain], rtol=0.02)
    rows = [line.split() for line in memory.splitlines()[1:]]
    assert [row[:2] for row in rows] == [[f, w] for f in ('whole', 'lazy') for w in '12']
    assert all(float(row[2]) > 1 for row in rows) and all(len(row) == 5 for row in rows[1::2])


def test_forms_see_the_same_crop(images):
    """What is timed side by side does the same: crops differ by the way of resizing only."""
    cfg = read_config(CONFIG)
    init_default_scope('mmcrowd')
    path = images / 'photo.jpg'
    y, x = np.mgrid[:2000, :3000] / 100
    photo = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], -1) * 90 + 120
    cv2.imwrite(str(path), photo.astype(np.uint8))
    points = np.random.default_rng(0).uniform(0, (2999, 1999), (50, 2)).astype(np.float32)
    forms = make_forms(cfg)
    for form in ('whole', 'lazy'):
        load = forms[form].keywords['pipeline'].transforms[0]
        assert load.lazy == (form == 'lazy')
    crops = {}
    for form, call in forms.items():
        np.random.seed(3)
        if form != 'decode':
            crops[form], index = call(dict(img_path=str(path), points=points))
            assert crops[form].shape == (3, 512, 512) and index.shape[-2:] == (256, 256)
    # "plain" and "lazy" draw the window in pixels of the file, "whole" in those it is resized to.
    assert (crops['lazy'] - crops['plain']).abs().mean() < 0.02 * crops['plain'].std()
    assert abs(crops['whole'].std() / crops['plain'].std() - 1) < 0.2


def test_no_images(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['benchmark', str(tmp_path)])
    with pytest.raises(FileNotFoundError, match=r'no \*\.jpg'):
        tool.main()
