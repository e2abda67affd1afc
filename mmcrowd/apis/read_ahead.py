"""Read in a thread of its own, so that who waits can be stopped, and what is live stays fresh."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from threading import Condition, Event, Thread
from typing import TypeVar

T = TypeVar('T')

# Seconds after which a wait looks whether it is to end; a signal does not end it.
_LOOK = 0.1
# Seconds that a thread gets to end; one that waits for a network is left to its timeout.
_JOIN = 1.0


def read_ahead(
    items: Iterable[T],
    places: int,
    stopped: Event,
    newest: bool = False,
    on_drop: Callable[[], None] | None = None,
) -> Generator[T, None, None]:
    """Hand items on that a thread takes from their source.

    Args:
        items: The source. All of its code runs in the thread.
        places: Items that may wait at a time.
        stopped: When it is set, the iteration ends, without the items that wait.
        newest: Where all places are taken, leave out the oldest item, in place of waiting: for
            sources that do not wait. Defaults to False.
        on_drop: Called for each item that is left out. Defaults to None.

    Raises:
        Exception: What the source raises, after the items before.

    Examples:
        >>> list(read_ahead(range(5), 2, Event()))
        [0, 1, 2, 3, 4]
    """
    waiting: deque[T] = deque()
    change = Condition()
    ended = False
    failure: BaseException | None = None

    def work() -> None:
        nonlocal ended, failure
        try:
            for item in items:
                with change:
                    while len(waiting) >= places and not stopped.is_set():
                        if newest:
                            waiting.popleft()
                            if on_drop is not None:
                                on_drop()
                        else:
                            change.wait(_LOOK)
                    if stopped.is_set():
                        break
                    waiting.append(item)
                    change.notify_all()
                # Not kept until the next one is there.
                del item
        except BaseException as error:  # handed on, whatever it is
            failure = error
        finally:
            with change:
                ended = True
                change.notify_all()

    thread = Thread(target=work, name='read ahead', daemon=True)
    thread.start()
    try:
        while not stopped.is_set():
            with change:
                while not waiting and not ended and not stopped.is_set():
                    change.wait(_LOOK)
                if stopped.is_set():
                    return
                if not waiting:
                    break
                item = waiting.popleft()
                change.notify_all()
            yield item
            del item
        if failure is not None:
            raise failure
    finally:
        stopped.set()
        thread.join(_JOIN)
