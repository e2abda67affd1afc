"""Which images belong to a split."""

from collections.abc import Sequence
from typing import TypeVar

from .image_entry import ImageEntry

SPLITS = ('train', 'val', 'trainval', 'test')
GIVEN_SPLITS = ('train', 'val', 'test')  # those that an annotation file may name
T = TypeVar('T')


def select_by_position(images: Sequence[T], split: str) -> list[T]:
    """The part of the official training images that belongs to a split.

    Args:
        images: All of them in their order, by which every tenth is for validation.
        split: One of :data:`SPLITS`; of ``'trainval'`` and ``'test'`` are all images given.

    Examples:
        >>> select_by_position(range(1, 22), 'val')
        [10, 20]
    """
    if split in ('trainval', 'test'):
        return list(images)
    is_val = split == 'val'
    return [image for i, image in enumerate(images) if (i % 10 == 9) == is_val]


def select_by_mark(entries: Sequence[ImageEntry], split: str) -> list[ImageEntry]:
    """The images of a split among all of an annotation file, which may say their splits.

    An image that says none is for training. Where no image is for validation, the training images
    are divided by position; where no image says anything, all of them are.
    """
    given = {entry.split for entry in entries} - {None}
    if not given:
        return select_by_position(entries, split)
    if 'val' not in given and split != 'test':
        train = [entry for entry in entries if (entry.split or 'train') == 'train']
        return select_by_position(train, split)
    wanted = ('train', 'val') if split == 'trainval' else (split,)
    return [entry for entry in entries if (entry.split or 'train') in wanted]
