"""A training that is killed and resumed is that of one go, bit for bit."""

import signal
import sys

import pytest

from tests.testing import kills

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='has no SIGKILL')


@pytest.mark.parametrize(
    'by_epoch, moments',
    [
        # In a step; with half a checkpoint written.
        (True, [('step', 6), ('file', 4)]),
        # In the middle of an epoch; in validation.
        (False, [('step', 6), ('val', 3)]),
    ],
    ids=['checkpoints by epoch', 'checkpoints by step'],
)
def test_bit_for_bit(tmp_path, by_epoch, moments):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    assert kills.run(whole, by_epoch) == 0, (whole / 'output.txt').read_text()
    for moment in moments:
        code = kills.run(killed, by_epoch, *moment)
        assert code == -signal.SIGKILL, (killed / 'output.txt').read_text()
    assert kills.run(killed, by_epoch) == 0, (killed / 'output.txt').read_text()
    assert list(kills.differences(whole, killed)) == []
