import pytest

from mmcrowd.fileio.files import read_json, write_atomic


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
