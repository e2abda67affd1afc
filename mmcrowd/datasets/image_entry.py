from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(eq=False)
class ImageEntry(Mapping):
    """What a dataset knows of an image before its annotation is read.

    :meth:`BaseCrowdDataset.list_images` makes one for each image of the split. It can also be read
    as a mapping, ``entry['ann_path']``, of what it has.

    Attributes:
        img_path: The image file.
        img_id: Name of the image, unique in the split.
        ann_path: File of its annotation. Defaults to None: there is no file that has it.
        annotation: The annotation, if it is known already: then it is not read. An empty one is
            that of an image whose annotation is not published. Defaults to None.
        attributes: The benchmark's labels of the image. Defaults to none.
        num_points: Number of points that the benchmark names, to be compared with those of the
            annotation. Defaults to None.
        size: Height and width in pixels, if known without the file. Defaults to None.
        ori_shape: For a resized copy, height and width of the image as downloaded. Defaults to
            None.
        split: What an annotation file says: ``'train'``, ``'val'`` or ``'test'``. Defaults to None.
        source: Name of the annotation in messages. Defaults to None: ``ann_path``, or ``img_path``.
        extra: Values of a subclass' own, for its ``read_annotation`` and for transforms. They are
            in what ``get_data_info`` returns. Defaults to none.

    Examples:
        >>> entry = ImageEntry('images/1.jpg', '1', ann_path='labels/1.txt')
        >>> entry.ann_path, dict(entry)['img_id'], 'size' in entry
        ('labels/1.txt', '1', False)
    """

    img_path: str
    img_id: str
    ann_path: str | None = None
    annotation: dict | None = None
    attributes: dict = field(default_factory=dict)
    num_points: int | None = None
    size: tuple[int, int] | None = None
    ori_shape: tuple[int, int] | None = None
    split: str | None = None
    source: str | None = None
    extra: dict = field(default_factory=dict)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> 'ImageEntry':
        """The entry of a mapping; keys that are no attributes become ``extra``."""
        if isinstance(given, cls):
            return given
        names = {one.name for one in fields(cls)}
        extra = {key: value for key, value in given.items() if key not in names}
        known = {key: value for key, value in given.items() if key in names}
        return cls(**known, **(dict(extra=extra) if extra else {}))

    def _as_dict(self) -> dict[str, Any]:
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != 'extra'}
        return {**{key: value for key, value in values.items() if value is not None}, **self.extra}

    def __getitem__(self, key: str) -> Any:
        return self._as_dict()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._as_dict())

    def __len__(self) -> int:
        return len(self._as_dict())

    def where(self) -> str:
        """Name of the annotation in messages."""
        return self.source or self.ann_path or self.img_path

    def to_data_info(self, annotation: dict) -> dict[str, Any]:
        """What ``get_data_info`` returns of the image, with the arrays of its annotation."""
        kept = ('img_path', 'img_id', 'ann_path', 'attributes', 'ori_shape')
        values = {key: getattr(self, key) for key in kept if getattr(self, key) is not None}
        return {**values, **self.extra, **annotation}

    def to_cache_key(self) -> dict[str, Any]:
        """What its annotation depends on besides its files."""
        dropped = {'img_path', 'ann_path', 'source'}
        if self.ann_path is not None:
            dropped.add('annotation')  # it changes with that file
        return {key: value for key, value in self._as_dict().items() if key not in dropped}
