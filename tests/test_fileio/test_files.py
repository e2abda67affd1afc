from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrowd.fileio.files import file_name, read_json, write_atomic


def test_whole_files(tmp_path):
    path = tmp_path / 'new' / 'a.json'
    write_atomic(path, '{"a": "ä"}')
    assert read_json(path) == {'a': 'ä'}
    write_atomic(path, b'[1]')
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


@given(st.text(st.characters(exclude_categories=['Cs'])))
def test_no_two_texts_have_one_file_name(text):
    name = file_name(text)
    assert unquote_to_bytes(name).decode() == text
    assert not set(name) & set('/\\:*?"<>| \n\0') and not name.endswith('.')
