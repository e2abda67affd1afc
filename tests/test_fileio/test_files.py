import ast
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrowd.fileio.files import (
    file_name,
    list_tree,
    path_below,
    printable,
    read_json,
    write_atomic,
)

REPO = Path(__file__).parents[2]


def test_whole_files(tmp_path):
    path = tmp_path / 'new' / 'a.json'
    write_atomic(path, '{"a": "ä"}')
    assert read_json(path) == {'a': 'ä'}
    write_atomic(path, b'[1]', sync=True)
    assert read_json(path) == [1]
    assert list(path.parent.iterdir()) == [path]


def test_nothing_half_written_is_left(tmp_path):
    (tmp_path / 'a').mkdir()
    with pytest.raises(OSError):
        write_atomic(tmp_path / 'a', 'text')  # a folder has the name
    with pytest.raises(TypeError):
        write_atomic(tmp_path / 'b', 3)
    assert [path.name for path in tmp_path.iterdir()] == ['a']


def test_json_that_is_none_is_named(tmp_path):
    (tmp_path / 'a.json').write_text('{')
    with pytest.raises(ValueError, match=r'a\.json: not valid JSON'):
        read_json(tmp_path / 'a.json')


# These open no text.
NO_TEXT = ('Image.open', 'av.open', 'os.open', 'tarfile.open')


def test_text_is_read_and_written_in_one_encoding():
    """Left out, the encoding is that of the system's language, which is seldom UTF-8 on Windows."""
    files = [REPO / 'setup.py', *REPO.glob('mmcrowd/**/*.py'), *REPO.glob('tools/**/*.py')]
    assert len(files) > 100
    for path in files:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
            opener = ast.unparse(node.func)
            others = opener in ('Image.open', 'os.open', 'tarfile.open') or opener.endswith(
                'av.open'
            )
            modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            is_text = not others and not {'rb', 'wb', 'ab', 'r+b'} & set(modes)
            if name in ('read_text', 'write_text', 'open') and is_text:
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


@pytest.mark.parametrize(
    ('text', 'name'),
    [
        ('IMG_12', 'IMG_12'),
        ('0001', '0001'),
        ('车站-3', '车站-3'),
        ('a_b/1', 'a_b%2F1'),
        ('a/b_1', 'a%2Fb_1'),
        ('images\\0001', 'images%5C0001'),
        ('C:x', 'C%3Ax'),
        ('100%2F', '100%252F'),
        ('v1.2', 'v1.2'),
        ('end.', 'end%2E'),
        ('..', '%2E%2E'),
        ('a\udce9', 'a%ED%B3%A9'),
        ('', ''),
    ],
)
def test_names_of_files(text, name):
    assert file_name(text) == name


@pytest.mark.parametrize(
    ('text', 'name'),
    [
        ('my gate (1), é', 'my gate (1), é'),
        ('gru\u0308n', 'gru\u0308n'),
        (' a. ', '%20a.%20'),
        ('.a', '%2Ea'),
        ('a/b:c?%', 'a%2Fb%3Ac%3F%25'),
        ('a\nb\0', 'a%0Ab%00'),
        ('a\udce9', 'a%ED%B3%A9'),
    ],
)
def test_names_with_blanks(text, name):
    assert file_name(text, one_word=False) == name


@given(st.text(st.characters(exclude_categories=['Cs'])))
def test_no_two_texts_have_one_file_name(text):
    name = file_name(text)
    assert unquote_to_bytes(name).decode() == text
    assert not set(name) & set('/\\:*?"<>| \n\0') and not name.endswith('.')
    name = file_name(text, one_word=False)
    assert unquote_to_bytes(name).decode() == text
    assert not set(name) & set('/\\:*?"<>|\n\0') and not name.endswith(('.', ' '))


def test_names_that_are_not_utf8(tmp_path):
    assert printable('gr\u00fc\u00df \u4eba') == 'gr\u00fc\u00df \u4eba'
    assert printable('caf\udce9') == 'caf\\udce9'
    write_atomic(tmp_path / 'a', 'caf\udce9 \u00e9')
    assert (tmp_path / 'a').read_bytes() == b'caf\\udce9 \xc3\xa9'


def test_trees(tmp_path):
    root = tmp_path / '.hidden' / 'root'
    for name in ('b/2', 'b/10', 'a/x', '.d/x', 'b/.e/x', '__MACOSX/._x', 'b/._x', 'store/x'):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / 'a' / 'up').symlink_to(root)
    (root / 'a' / 'b').symlink_to(root / 'b')
    (root / 'again').symlink_to(root / 'store')
    (root / 'file').symlink_to(root / 'b' / '2')
    (root / 'broken').symlink_to(root / 'gone')
    (root / 'itself').symlink_to(root / 'itself')
    found = [path.relative_to(root).as_posix() for path in list_tree(root)]
    assert found == ['file', 'a/x', 'b/10', 'b/2', 'store/x']


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(OSError, match='gone'):
        list_tree(tmp_path / 'gone')


@pytest.mark.parametrize('name', ['a.jpg', 'a/b.jpg', 'a\\b.jpg', '..a', 'a..b', '.a', 'xy:z'])
def test_names_below_a_folder(tmp_path, name):
    assert path_below(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    'name', ['', '.', '..', '/a', 'a/', 'a//b', '../a', 'a/../b', 'a\\..\\b', '\\a', 'C:a', 'a\0']
)
def test_names_that_may_lead_out_of_a_folder(tmp_path, name):
    with pytest.raises(ValueError, match='cannot be the name of a file below'):
        path_below(tmp_path, name)
