import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrowd.fileio.numerals import (
    is_integer,
    is_number,
    parse_integer,
    parse_number,
    parse_numbers,
)

# Each of them is a number for Python's int or float, or for NumPy.
TYPOS = [
    '1_2',
    '+3',
    ' 3',
    '3\n',
    '１２',
    '٣',
    '1\u00a0',
    'nan',
    'inf',
    '-Infinity',
    '1e999',
    '1_0.5',
]


@pytest.mark.parametrize('text', [*TYPOS, '', '-', '.', 'e5', '1e', '0x10', '1,5', '1.2.3', '--1'])
def test_what_is_none(text):
    assert not is_number(text) and not is_integer(text)
    with pytest.raises(ValueError, match='is no finite number'):
        parse_number(text)
    with pytest.raises(ValueError, match='is no whole number'):
        parse_integer(text)


@pytest.mark.parametrize('text', ['1e5', '1.0', '-.5', '2.', '1E-3'])
def test_what_is_no_whole_number(text):
    assert not is_integer(text)
    value = parse_number(text)
    assert type(value) is float and value == float(text)


@given(st.integers())
def test_whole_numbers(value):
    for parsed in (parse_integer(str(value)), parse_number(str(value))):
        assert type(parsed) is int and parsed == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number(value):
    assert parse_number(repr(value)) == value


@given(st.lists(st.text('0123.e-_１', max_size=4), max_size=4))
def test_many_are_as_each_of_them(texts):
    bad = next((text for text in texts if not is_number(text)), None)
    if bad is None:
        assert parse_numbers(texts).tolist() == [parse_number(text) for text in texts]
    else:
        with pytest.raises(ValueError, match=re.escape(f'{bad!r} is no finite number')):
            parse_numbers(texts)


@pytest.mark.parametrize('bad', ['9' * 400, ''])
def test_digits_that_are_no_finite_number(bad):
    with pytest.raises(ValueError, match=f"^'{bad}' is no finite number"):
        parse_numbers(['1', bad])


@given(st.text('0123456789.eE+-_ na１', max_size=8))
def test_never_more_than_python_reads(text):
    if is_number(text):
        assert math.isfinite(float(text)) and text.isascii() and '_' not in text
