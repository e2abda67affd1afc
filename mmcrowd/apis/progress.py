"""How far a run is: a bar on a terminal, a line now and then elsewhere. Both go to stderr."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS = 30.0  # between two lines

T = TypeVar('T')


def track(items: Iterable[T], total: int | None = None, seconds: float = SECONDS) -> Iterator[T]:
    """Hand items on and show how many have been done.

    Args:
        items: What is gone through.
        total: How many there will be, if known.
        seconds: Time between two lines where stderr is no terminal. Defaults to 30.
    """
    if sys.stderr.isatty():
        columns = (TextColumn('Counting'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield from progress.track(items, total=total)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            of_all = '' if total is None else f' of {total}'
            rate = done / (now - start)
            print(f'{done}{of_all} images, {rate:.2g} a second', file=sys.stderr, flush=True)
