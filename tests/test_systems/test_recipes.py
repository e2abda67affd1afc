"""The recipes of docs/large_jobs.md that hand the work to an engine, word for word."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet
import pytest

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / 'docs' / 'large_jobs.md').read_text(encoding='utf-8')


def recipe(name: str) -> str:
    """The Python code below the line that ends in the name of the engine."""
    found = re.search(rf'{name}:\n\n```python\n(.*?)```', PAGE, re.DOTALL)
    assert found, name
    return found[1]


@pytest.fixture
def folder(tmp_path, data_root):
    """Two photos and a bad one, and where the recipe runs."""
    photos = data_root / 'ShanghaiTech' / 'part_B' / 'test_data' / 'images'
    (tmp_path / 'photos' / 'more').mkdir(parents=True)
    for name, path in (('IMG_1.jpg', 'a.jpg'), ('IMG_2.jpg', 'more/b.jpg')):
        img = cv2.imread(str(photos / name))
        cv2.imwrite(str(tmp_path / 'photos' / path), cv2.resize(img, (256, 192)))
    (tmp_path / 'photos' / 'bad.jpg').write_text('no photo')
    return tmp_path


def run(code: str, folder: Path) -> dict[str, tuple[float, str]]:
    """Counts and errors by name, after the recipe has run as a script there."""
    script = folder / 'recipe.py'
    script.write_text(code, encoding='utf-8')
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-4000:]
    rows = pyarrow.parquet.read_table(folder / 'counts').to_pylist()
    return {Path(row['path']).name: (row['count'], row['error']) for row in rows}


def check(rows: dict[str, tuple[float, str]], folder: Path) -> None:
    """Each photo once, with the count of the inferencer; the bad one with the reason."""
    from mmcrowd import CrowdInferencer

    inferencer = CrowdInferencer(show_progress=False)
    assert sorted(rows) == ['a.jpg', 'b.jpg', 'bad.jpg']
    for path in ('a.jpg', 'more/b.jpg'):
        (expected,) = inferencer(str(folder / 'photos' / path))['predictions']
        count, error = rows[Path(path).name]
        assert count == pytest.approx(expected['count'], rel=1e-4) and not error
    count, error = rows['bad.jpg']
    assert (count is None or np.isnan(count)) and error


@pytest.mark.skipif(not importlib.util.find_spec('ray'), reason='Ray is not installed')
def test_ray(folder):
    check(run(recipe('Ray Data'), folder), folder)


@pytest.mark.skipif(not importlib.util.find_spec('pyspark'), reason='PySpark is not installed')
@pytest.mark.skipif(not shutil.which('java'), reason='there is no Java for Spark')
def test_spark(folder):
    check(run(recipe('Spark'), folder), folder)


def test_recipes_compile():
    for name in ('Ray Data', 'Spark'):
        compile(recipe(name), name, 'exec')
