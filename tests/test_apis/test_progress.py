"""How far a run is, where there is no terminal."""

import io
import sys

import pytest

from mmcrowd.apis.progress import track


@pytest.mark.parametrize('total, first', [(None, '1 images, '), (2, '1 of 2 images, ')])
def test_lines(capsys, total, first):
    assert list(track(iter('ab'), total, seconds=0)) == ['a', 'b']
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].startswith(first) and lines[0].endswith(' a second')


def test_no_lines_before_their_time(capsys):
    assert list(track(iter('ab'))) == ['a', 'b']
    assert capsys.readouterr().err == ''


def test_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, 'stderr', Terminal())
    assert list(track(iter('ab'), 2)) == ['a', 'b']
    assert 'Counting' in sys.stderr.getvalue()
