import sys

import cv2
import numpy as np
import pytest

from mmcrowd.evaluation.image_result import ImageResult, save_results


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/analyze_errors.py')


def run(tool, monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', ['analyze_errors', *map(str, args)])
    tool.main()


def test_page_of_saved_results(tool, tmp_path, monkeypatch, capsys):
    for i in range(3):
        cv2.imwrite(str(tmp_path / f'IMG_{i}.jpg'), np.full((30, 40, 3), 99, np.uint8))
    results = [
        ImageResult(
            img_id=f'IMG_{i}',
            pred_count=1,
            gt_count=1,
            pred_points=[(5.0, 5.0)],
            gt_points=[(5.0, 5.0 + 2 * i)],
            gt_sigmas=[(1.0, 3.0)],
        )
        for i in range(3)
    ]
    save_results(results, tmp_path / 'run.json')
    out = tmp_path / 'new' / 'errors.html'
    images = ('--image-root', tmp_path)
    run(tool, monkeypatch, tmp_path / 'run.json', '--out', out, '--worst', 2, *images)
    page = out.read_text(encoding='utf-8')
    assert '<h1>Errors: run</h1>' in page and '<dd>1.0000</dd>' in page
    assert page.count('<img src="data:') == 2
    assert f'{out}: 3 images, ' in capsys.readouterr().out

    run(
        tool,
        monkeypatch,
        tmp_path / 'run.json',
        '--out',
        out,
        '--radius',
        'sigma_l',
        '--title',
        'x',
    )
    page = out.read_text(encoding='utf-8')
    assert '<h1>x</h1>' in page and '<dd>0.6667</dd>' in page


def test_bad_radius(tool, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(tool, monkeypatch, 'results.json', '--radius', 'wide')
    assert "'wide', expected pixels or one of sigma_s, sigma_l" in capsys.readouterr().err
