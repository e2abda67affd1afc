from pathlib import Path

from mmcrowd.fileio.problems import Problems
from mmcrowd.registry import DATASETS

from .annotation_json import ANNOTATION_FILE
from .base_crowd_dataset import BaseCrowdDataset
from .image_entry import ImageEntry


@DATASETS.register_module()
class CrowdDataset(BaseCrowdDataset):
    """Your own images, described by one JSON annotation file.

    The file is in OpenMMLab's annotation format, as :attr:`LAYOUT` shows it.

    ``img_path`` is relative to ``data_root``; a point is ``[x, y]`` in pixels, integer coordinates
    being pixel centres. Optional keys of an image: ``img_id`` (default: the path without its
    ending), ``split`` (``"train"``, ``"val"`` or ``"test"``), ``attributes`` (any labels), and, one
    for each point, ``boxes`` (xyxy), ``sigmas`` (two radii in pixels), ``occlusion`` and ``blur``
    (integers). ``"points": null`` is an image that nobody has annotated. ``ori_shape``, ``[height,
    width]``, is the size that a resized image had once: predictions, their metrics and what is
    written of them are then in pixels of that size.

    An image without a ``split`` is for training. Where no image says ``"val"``, the training images
    are divided by the every-tenth rule of :class:`BaseCrowdDataset`, in the order of the file. A
    file in which no image has a ``split`` is as a whole what ``'test'`` reads.

    Args:
        ann_file: The JSON file, relative to ``data_root`` or absolute.
        data_root: Folder that ``img_path`` is relative to.
        split: See above.
        **kwargs: Arguments of :class:`BaseCrowdDataset`.

    Raises:
        ValueError: For JSON that does not parse or does not fit the format, naming file and entry.

    Examples:
        >>> import json, tempfile
        >>> from PIL import Image
        >>> folder = Path(tempfile.mkdtemp())
        >>> Image.new('RGB', (64, 48)).save(folder / '1.png')
        >>> row = dict(img_path='1.png', points=[[10, 20], [30, 25.5]])
        >>> _ = (folder / 'annotations.json').write_text(json.dumps(dict(data_list=[row])))
        >>> dataset = CrowdDataset(data_root=str(folder), split='trainval', cache=False)
        >>> dataset.get_data_info(0)['points'].tolist()
        [[10.0, 20.0], [30.0, 25.5]]
    """

    LAYOUT = """
    {
      "metainfo": {"dataset_name": "station"},
      "data_list": [
        {"img_path": "images/0001.jpg", "points": [[312.5, 80.0], [330.0, 84.2]]},
        {"img_path": "images/0002.jpg", "points": [], "split": "test"}
      ]
    }
    """

    def __init__(self, ann_file: str = ANNOTATION_FILE, **kwargs):
        super().__init__(ann_file=ann_file, **kwargs)

    def list_images(self, problems: Problems) -> list[ImageEntry]:
        path = Path(self.data_root) / self.ann_file
        if not path.is_file():
            raise self.wrong_root(f'no annotation file {path}')
        return self.list_from_file(path, problems)
