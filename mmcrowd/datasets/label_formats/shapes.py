"""What all formats have in common: images with the shapes that somebody has drawn on them."""

from dataclasses import dataclass, field
from pathlib import Path

from mmcrowd.fileio.numerals import is_number, parse_number


@dataclass
class Shape:
    """What was drawn for one person.

    Attributes:
        where: File and entry, for messages.
        label: Its class; empty if the file has none.
        values: ``(x, y)`` for a point, ``(x0, y0, x1, y1)`` for a box, as the file has them: not
            necessarily numbers.
        problem: Why it is neither of the two, if so.
    """

    where: str
    label: str = ''
    values: tuple = ()
    problem: str = ''


@dataclass
class LabelledImage:
    """An image and its shapes.

    Attributes:
        where: File and entry, for messages.
        name: The image, as the file names it.
        size: ``(width, height)`` of the image, as the file has it; None if it does not say.
        shapes: One for each person, and others.
        says_nobody: Without shapes: whether somebody has said that the image shows nobody, and not
            merely left it out.
        folder: Folder that ``name`` may be relative to, besides the folder of the images.
    """

    where: str
    name: str
    size: tuple | None = None
    shapes: list[Shape] = field(default_factory=list)
    says_nobody: bool = False
    folder: Path | None = None


def are_numbers(values) -> bool:
    """Whether all are finite numbers of pixels, no strings nor NaN."""
    return all(type(value) in (int, float) and abs(value) < 1e9 for value in values)


def has_types(entry, **types) -> bool:
    """Whether ``entry`` is a dict with these keys, of these types."""
    return isinstance(entry, dict) and all(isinstance(entry.get(k), t) for k, t in types.items())


def number_or_text(text: str | None) -> int | float | str | None:
    """The number that the text says, else the text, for the message."""
    return text if text is None or not is_number(text) else parse_number(text)


def size_or_none(width, height) -> tuple | None:
    """``(width, height)``, or None unless both are there."""
    return None if width is None or height is None else (width, height)
