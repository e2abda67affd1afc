"""Files of labelling tools: COCO, LabelMe, CVAT and CSV.

A reader returns the images with the shapes that its file has, and nothing is thrown away yet: the
labels to keep are chosen, numbers checked and coordinates moved by
:func:`~mmcrowd.datasets.label_formats.conversion.convert`. What does not fit the format is appended
to the :class:`~mmcrowd.fileio.problems.Problems` of the caller; a file that cannot be read at all
is a ``ValueError``.
"""

from .coco import read_coco
from .csv import read_csv
from .cvat import read_cvat
from .labelme import read_labelme
from .shapes import LabelledImage, Shape

__all__ = ['LabelledImage', 'Shape', 'read_coco', 'read_csv', 'read_cvat', 'read_labelme']
