"""Problems of many files, reported in one error."""

import contextlib
from collections.abc import Iterator

MAX_NAMED = 20


class Problems:
    """What is wrong with some files, one error for each thing, in the order of discovery.

    Whoever reads many files collects what is wrong with single ones and goes on, so that all is
    known after one run.

    Args:
        limit: How many problems :meth:`raise_if_any` names. Defaults to 20.

    Examples:
        >>> problems = Problems(limit=1)
        >>> with problems.collect():
        ...     raise ValueError('a.txt: no number')
        >>> problems.append('b.txt: no number')
        >>> len(problems), problems.counted
        (2, '2 problems')
        >>> problems.raise_if_any(f'{problems.counted} in the labels')
        Traceback (most recent call last):
        ValueError: 2 problems in the labels:
        - a.txt: no number
        - and 1 more
    """

    def __init__(self, limit: int = MAX_NAMED):
        self.limit = limit
        self._found: list[Exception] = []

    def append(self, problem: Exception | str) -> None:
        """Add a problem; a text becomes a ValueError."""
        self._found.append(ValueError(problem) if isinstance(problem, str) else problem)

    @contextlib.contextmanager
    def collect(self) -> Iterator[None]:
        """Add the ValueError or OSError that the block raises, which then goes on after it."""
        try:
            yield
        except (ValueError, OSError) as problem:
            self.append(problem)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Exception]:
        return iter(self._found)

    @property
    def counted(self) -> str:
        """Their number in words, such as ``'1 problem'``."""
        return f'{len(self)} problem{"" if len(self) == 1 else "s"}'

    def raise_if_any(self, title: str) -> None:
        """Raise one error for all problems, if there are any.

        Args:
            title: First line of the message, without its colon.

        Raises:
            FileNotFoundError: All problems are of this kind.
            ValueError: Any other problems.
        """
        if not self._found:
            return
        lines = [f'{title}:', *(f'- {problem}' for problem in self._found[: self.limit])]
        if len(self) > self.limit:
            lines.append(f'- and {len(self) - self.limit} more')
        only_missing = all(isinstance(problem, FileNotFoundError) for problem in self)
        raise (FileNotFoundError if only_missing else ValueError)('\n'.join(lines))
