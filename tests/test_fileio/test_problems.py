import pytest

from mmcrowd.fileio.problems import Problems


def test_nothing_is_wrong():
    problems = Problems()
    with problems.collect():
        pass
    problems.raise_if_any('title')
    assert not problems and list(problems) == [] and problems.counted == '0 problems'


def test_one_error_for_all():
    problems = Problems()
    missing = FileNotFoundError('a: not there')
    problems.append(missing)
    with problems.collect():
        raise ValueError('b: bad')
    problems.append('c: bad')
    assert next(iter(problems)) is missing and [str(p) for p in problems][1:] == [
        'b: bad',
        'c: bad',
    ]
    with pytest.raises(ValueError) as error:
        problems.raise_if_any(f'Set: {problems.counted} in it')
    assert str(error.value) == 'Set: 3 problems in it:\n- a: not there\n- b: bad\n- c: bad'


@pytest.mark.parametrize('error', [FileNotFoundError('a'), PermissionError('a'), ValueError('a')])
def test_kind_of_the_error(error):
    problems = Problems()
    problems.append(error)
    kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
    with pytest.raises(kind, match='^1 problem:\n- a$') as raised:
        problems.raise_if_any(problems.counted)
    assert type(raised.value) is kind


@pytest.mark.parametrize('number, last', [(3, '- 2'), (4, '- and 1 more'), (10, '- and 7 more')])
def test_the_first_ones_are_named(number, last):
    problems = Problems(limit=3)
    for k in range(number):
        problems.append(str(k))
    with pytest.raises(ValueError) as error:
        problems.raise_if_any('title')
    lines = str(error.value).splitlines()
    assert lines[:4] == ['title:', '- 0', '- 1', '- 2'] and lines[-1] == last


def test_other_errors_are_not_collected():
    problems = Problems()
    with pytest.raises(TypeError), problems.collect():
        raise TypeError('a bug')
    assert not problems
