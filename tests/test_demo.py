"""The script that `make demo` begins with; demo/count_onnx.py is tested with the export."""

import json
import re
import runpy
from pathlib import Path

import cv2

DEMO = Path(__file__).parents[1] / 'demo' / 'count_drawn_crowd.py'


def test_a_drawn_crowd_is_counted(tmp_path, capsys):
    main = runpy.run_path(str(DEMO))['main']
    main(str(tmp_path / 'demo'))
    count, drawn = re.search(
        r'crowd\.png: count ([\d.]+) after [\d.]+ s; (\d+) people were drawn',
        capsys.readouterr().out,
    ).groups()
    out = tmp_path / 'demo' / 'counted'
    prediction = json.loads((out / 'crowd.json').read_text(encoding='utf-8'))
    assert f'{prediction["count"]:.1f}' == count and int(drawn) > 0
    assert cv2.imread(str(out / 'crowd.png')) is not None
