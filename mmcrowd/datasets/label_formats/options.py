from dataclasses import dataclass
from pathlib import Path

# Where a format counts pixels from: labelling tools from the corner of the image, so that the
# centre of the first pixel is (0.5, 0.5); a CSV file, like mmcrowd, from that centre.
ORIGINS = dict(coco='corner', labelme='corner', cvat='corner', csv='centre')


@dataclass
class ConversionOptions:
    """What to convert, and how.

    Attributes:
        format: Of the labels: ``'coco'``, ``'labelme'``, ``'cvat'`` or ``'csv'``.
        annotations: File of the labels; for LabelMe a folder of JSON files.
        images: Folder of the images, with its subfolders.
        out: File to write; its folder is the ``data_root`` of the dataset.
        force: Replace the file of ``out``. Defaults to False.
        label: Labels that are persons. Defaults to None, all.
        keypoint: For COCO, name of the keypoint to take, if there are several. Defaults to None.
        boxes: For COCO, take boxes where there are keypoints, too. Defaults to False.
        origin: What (0, 0) is: the ``'corner'`` of the first pixel or its ``'centre'``. Defaults to
            None, what the format says, see :data:`ORIGINS`.
        unrotated: The photos were labelled without their EXIF rotation. Defaults to False.
        empty_is_nobody: Images that a COCO or CVAT file lists without any shape show nobody.
            Defaults to False.
        skip_unlabelled: Leave out images without labels. Defaults to False.
        split_by: ``'folder'``, for the subfolder of ``images`` named train, val or test; or a CSV
            file with the columns image,split. Defaults to None: no image has a split.
    """

    format: str
    annotations: Path
    images: Path
    out: Path
    force: bool = False
    label: list[str] | None = None
    keypoint: str | None = None
    boxes: bool = False
    origin: str | None = None
    unrotated: bool = False
    empty_is_nobody: bool = False
    skip_unlabelled: bool = False
    split_by: str | None = None

    def __post_init__(self):
        self.origin = self.origin or ORIGINS[self.format]
