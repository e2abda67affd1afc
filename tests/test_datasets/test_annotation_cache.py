import copy
import dataclasses
import enum
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger

from mmcrowd.datasets.annotation_cache import AnnotationCache, encode_plain, user_cache_dir

ANNOTATIONS = [
    dict(size=np.array([4, 5]), points=np.float32([[1, 2], [3, 4]]), blur=np.array([0, 1])),
    dict(size=np.array([6, 7])),
    dict(size=np.array([8, 9]), points=np.zeros((0, 2), np.float32)),
]


@pytest.fixture
def log(monkeypatch):
    lines = []
    logger = MMLogger.get_instance('cache')
    for level in ('info', 'warning'):
        monkeypatch.setattr(logger, level, lines.append)
    return lines


@pytest.fixture
def sources(tmp_path):
    files = [tmp_path / name for name in ('a.jpg', 'a.mat')]
    for file in files:
        file.write_text('1')
    return files


def same(found, wanted) -> bool:
    return len(found) == len(wanted) and all(
        a.keys() == b.keys()
        and all(a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k]) for k in b)
        for a, b in zip(found, wanted, strict=True)
    )


def test_comes_back_as_it_was(tmp_path, sources, log):
    path = tmp_path / 'deep' / 'down' / 'x'
    assert AnnotationCache(path, sources).load() is None
    AnnotationCache(path, sources).save(ANNOTATIONS)
    assert same(AnnotationCache(path, sources).load(), ANNOTATIONS)
    assert [file.name for file in path.parent.iterdir()] == ['x']
    assert not log


@pytest.mark.parametrize(
    'change',
    [
        lambda files: files[0].write_text('12'),
        lambda files: os.utime(files[1], (1, 1)),
        lambda files: files[1].unlink(),
        lambda files: files.append(Path(__file__)),
        lambda files: files.reverse(),
    ],
)
def test_a_change_of_the_files_makes_it_outdated(tmp_path, sources, log, change):
    AnnotationCache(tmp_path / 'x', sources).save(ANNOTATIONS)
    change(sources)
    assert AnnotationCache(tmp_path / 'x', sources).load() is None
    assert len(log) == 1 and 'changed' in log[0]


def test_a_change_while_parsing_is_noticed_at_the_next_start(tmp_path, sources):
    cache = AnnotationCache(tmp_path / 'x', sources)
    sources[0].write_text('other')
    cache.save(ANNOTATIONS)
    assert AnnotationCache(tmp_path / 'x', sources).load() is None


def test_damage_is_told_and_written_over(tmp_path, sources, log):
    path = tmp_path / 'x'
    AnnotationCache(path, sources).save(ANNOTATIONS)
    whole = path.read_bytes()
    cut = [whole[:size] for size in (0, 1, 31, 32, 63, 64, 65, len(whole) - 1)]
    flipped = [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(0, len(whole), 7)]
    for content in [*cut, *flipped, b'text', whole + b'x']:
        log.clear()
        path.write_bytes(content)
        assert AnnotationCache(path, sources).load() is None
        assert len(log) == 1 and str(path) in log[0] and 'damaged' in log[0]
    AnnotationCache(path, sources).save(ANNOTATIONS)
    assert same(AnnotationCache(path, sources).load(), ANNOTATIONS)


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, sources, log):
    (tmp_path / 'file').write_text('')
    cache = AnnotationCache(tmp_path / 'file' / 'x', sources)
    assert cache.load() is None
    cache.save(ANNOTATIONS)
    assert len(log) == 2 and 'Cannot read' in log[0] and 'cache=False' in log[1]


def test_an_interrupted_write_leaves_what_was_there(tmp_path, sources, log, monkeypatch):
    path = tmp_path / 'folder' / 'x'
    AnnotationCache(path, sources).save(ANNOTATIONS)

    def full(*args):
        raise OSError('no space left')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', full)
        AnnotationCache(path, sources).save(ANNOTATIONS[:1])
    assert 'no space left' in log[0]
    assert same(AnnotationCache(path, sources).load(), ANNOTATIONS)
    assert [file.name for file in path.parent.iterdir()] == ['x']


def test_writers_at_once(tmp_path, sources):
    path = tmp_path / 'x'
    AnnotationCache(path, sources).save(ANNOTATIONS)

    def write_and_read(_):
        cache = AnnotationCache(path, sources)
        cache.save(ANNOTATIONS)
        return cache.load()

    with ThreadPoolExecutor(8) as pool:
        assert all(same(found, ANNOTATIONS) for found in pool.map(write_and_read, range(100)))


def test_the_first_process_of_a_machine_writes(tmp_path, sources, monkeypatch):
    monkeypatch.setenv('RANK', '2')
    for rank in '1', '0':
        monkeypatch.setenv('LOCAL_RANK', rank)
        AnnotationCache(tmp_path / rank, sources).save(ANNOTATIONS)
    assert same(AnnotationCache(tmp_path / '0', sources).load(), ANNOTATIONS)
    assert not (tmp_path / '1').exists()


def test_the_user_s_cache_folder(monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', '/somewhere')
    assert user_cache_dir() == Path('/somewhere/mmcrowd/annotations')
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setenv('HOME', '/home/me')
    assert user_cache_dir() == Path('/home/me/.cache/mmcrowd/annotations')
    monkeypatch.setattr(os.path, 'expanduser', lambda path: path)  # nobody's home is known
    assert user_cache_dir() is None


@dataclasses.dataclass
class Rule:
    size: int


class Kind(enum.Enum):
    HEAD = 1
    BODY = 2


DIFFERENT = [
    None,
    True,
    1,
    1.0,
    '1',
    b'1',
    [],
    {},
    set(),
    '',
    [1, 2],
    [12],
    [[1], 2],
    [1, [2]],
    ['1', '2'],
    ['12'],
    ['1; 2'],
    {'a': 1},
    {'a': 2},
    [('a', 1)],
    {1, 2},
    range(2),
    float('nan'),
    float('inf'),
    10**30,
    Path('1'),
    'caf\udce9',
    'caf\ud83d',
    re.compile('a'),
    re.compile('a', re.I),
    np.zeros(2),
    np.zeros(2, np.float32),
    np.zeros((2, 1)),
    np.float32(1),
    np.zeros(2, [('x', 'i4'), ('y', 'i4')]),
    np.zeros(2, [('y', 'i4'), ('x', 'i4')]),
    Rule(1),
    Rule(2),
    Kind.HEAD,
    Kind.BODY,
    {'a': 1, 'b': 2},
    {'b': 2, 'a': 1},
]


def test_different_data_have_different_bytes():
    encoded = [encode_plain(value, 'x') for value in DIFFERENT]
    assert len(set(encoded)) == len(DIFFERENT)
    assert encoded == [encode_plain(copy.deepcopy(value), 'x') for value in DIFFERENT]


def test_equal_data_have_equal_bytes():
    for a, b in (
        ([1, 'x'], (1, 'x')),
        ({'a': [1]}, ConfigDict(a=[1])),
        ({'b', 'a', 'c'}, frozenset('cab')),
        (np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy()),
        ('ab', ''.join(['a', 'b'])),
    ):
        assert encode_plain(a, 'x') == encode_plain(b, 'x')


@pytest.mark.parametrize('value', [object(), print, int, lambda: 0, iter([]), np.array([None])])
def test_what_is_no_plain_data_is_named(value):
    with pytest.raises(TypeError, match=r"x\['a'\]\[1\] is .*, no plain data"):
        encode_plain({'a': [0, value]}, 'x')


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(a=plain, b=plain)
def test_bytes_are_equal_if_and_only_if_the_data_are(a, b):
    assert (encode_plain(a, 'x') == encode_plain(b, 'x')) == (repr(a) == repr(b))
