import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmcrowd.files import read_json, write_whole

REPO = Path(__file__).parents[1]


def test_whole_files(tmp_path):
    path = tmp_path / 'new' / 'a.json'
    write_whole(path, '{"a": "ä"}')
    assert read_json(path) == {'a': 'ä'}
    write_whole(path, b'[1]')
    assert read_json(path) == [1]
    assert list(path.parent.iterdir()) == [path]


def test_nothing_half_written_is_left(tmp_path):
    (tmp_path / 'a').mkdir()
    with pytest.raises(OSError):
        write_whole(tmp_path / 'a', 'text')  # a folder has the name
    with pytest.raises(TypeError):
        write_whole(tmp_path / 'b', 3)
    assert [path.name for path in tmp_path.iterdir()] == ['a']


def test_json_that_is_none_is_named(tmp_path):
    (tmp_path / 'a.json').write_text('{')
    with pytest.raises(ValueError, match=r'a\.json: not valid JSON'):
        read_json(tmp_path / 'a.json')


def test_text_is_read_and_written_in_one_encoding():
    """Left out, the encoding is that of the system's language, which is seldom UTF-8 on Windows."""
    files = [REPO / 'setup.py', *REPO.glob('mmcrowd/**/*.py'), *REPO.glob('tools/**/*.py')]
    assert len(files) > 100
    for path in files:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
            # Image.open opens no text.
            of_image = ast.unparse(node.func) == 'Image.open'
            if name in ('read_text', 'write_text', 'open') and not of_image:
                given = {word.arg for word in node.keywords}
                assert 'encoding' in given, f'{path}:{node.lineno} {ast.unparse(node)}'


def test_the_package_can_be_built_in_another_encoding():
    environment = dict(os.environ, LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')
    done = subprocess.run(
        [sys.executable, 'setup.py', '--name'],
        cwd=REPO,
        env=environment,
        capture_output=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout.split()[-1:]) == (0, [b'mmcrowd']), done.stderr
