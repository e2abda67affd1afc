import numpy as np
import pytest

from mmcrowd.ops.checks import check_at_least, check_choice, check_not_negative, check_positive


class Owner:
    """Has the settings."""


owner = Owner()


@pytest.mark.parametrize(
    'check, wrong, message',
    [
        (lambda v: check_positive(owner, size=v), 0, 'size must be positive, but got 0'),
        (lambda v: check_positive(owner, size=v), np.nan, 'size must be positive, but got nan'),
        (
            lambda v: check_not_negative(owner, size=v),
            -1,
            'size must not be negative, but got -1',
        ),
        (
            lambda v: check_not_negative(owner, size=v),
            np.nan,
            'must not be negative, but got nan',
        ),
        (lambda v: check_at_least(owner, 2, size=v), 1, 'size must be at least 2, but got 1'),
        (lambda v: check_at_least(owner, 2, size=v), 2.5, 'size must be an integer, but got 2.5'),
        (lambda v: check_at_least(owner, 2, size=v), 'a', "size must be an integer, but got 'a'"),
        (lambda v: check_choice(owner, 'ab', size=v), 'c', r"size must be one of \('a', 'b'\)"),
    ],
)
def test_what_is_wrong_is_named(check, wrong, message):
    with pytest.raises(ValueError, match=f'Owner: .*{message}'):
        check(wrong)


def test_what_is_right_passes():
    check_positive(owner, size=1e-9)
    check_not_negative(owner, size=0)
    check_at_least(owner, 2, size=2, least=np.int64(3), owner=4)
    check_choice(owner, ['a'], size='a')
