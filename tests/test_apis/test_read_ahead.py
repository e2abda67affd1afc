"""Items read in a thread."""

import itertools
import threading
from threading import Event

import pytest

from mmcrowd.apis.read_ahead import read_ahead


def test_all_items_in_order():
    assert list(read_ahead(iter(range(50)), 1, Event())) == list(range(50))


def test_no_more_than_the_places_are_read_ahead():
    taken = []

    def source():
        for number in range(20):
            taken.append(number)
            yield number

    for number in read_ahead(source(), 3, Event()):
        # Three wait, and the thread holds one.
        assert len(taken) <= number + 1 + 3 + 1
    assert len(taken) == 20


def test_the_newest_are_kept():
    dropped, full = [], Event()

    def source():
        yield from range(10)
        full.set()

    ahead = read_ahead(source(), 2, Event(), newest=True, on_drop=lambda: dropped.append(1))
    first = next(ahead)
    assert full.wait(10)
    rest = list(ahead)
    assert rest == [8, 9] or first in (8, 9)
    assert len(dropped) + len(rest) + 1 == 10


def test_errors_come_after_the_items_before():
    def source():
        yield 1
        raise KeyError('broken')

    ahead = read_ahead(source(), 5, Event())
    assert next(ahead) == 1
    with pytest.raises(KeyError, match='broken'):
        next(ahead)


def test_it_ends_when_it_is_stopped_while_the_source_is_silent():
    stopped, silent = Event(), Event()

    def source():
        yield 1
        threading.Timer(0.05, stopped.set).start()
        silent.wait(0.5)
        yield 2

    assert list(read_ahead(source(), 5, stopped)) == [1]


def test_a_closed_reader_leaves_no_thread():
    before = set(threading.enumerate())  # those of other tests may wait for a network
    ahead = read_ahead(itertools.count(), 2, Event())
    next(ahead)
    assert [thread.name for thread in set(threading.enumerate()) - before] == ['read ahead']
    ahead.close()
    assert not set(threading.enumerate()) - before
