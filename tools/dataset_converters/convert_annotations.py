"""Convert what a labelling tool has written into the JSON file of ``CrowdDataset``.

Reads COCO (keypoints or boxes), LabelMe, "CVAT for images 1.1" and CSV; the image of each point
must lie in the folder IMAGES. ::

    python tools/dataset_converters/convert_annotations.py coco instances.json photos/images \
        --label person --out photos/annotations.json

Every point is one person; the centre of a box is its point. Coordinates become those of mmcrowd,
where integers are the centres of pixels. An image without shapes counts as one that shows nobody
only if the labels say so, see ``--empty-is-nobody``. All that is wrong is reported together, and
then nothing is written.
"""

import argparse
import os
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.datasets.annotation_json import ANNOTATION_FILE
from mmcrowd.datasets.label_formats.conversion import convert
from mmcrowd.datasets.label_formats.options import ORIGINS, ConversionOptions
from mmcrowd.fileio.files import printable


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert labels for CrowdDataset')
    parser.add_argument('format', choices=ORIGINS, help='of the labels')
    parser.add_argument('annotations', type=Path, help='file; for labelme a folder of .json files')
    parser.add_argument('images', type=Path, help='folder of the images, with its subfolders')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path(ANNOTATION_FILE),
        help='file to write; its folder is the data_root of the dataset; default: %(default)s',
    )
    parser.add_argument('--force', action='store_true', help='replace the file of --out')
    parser.add_argument(
        '--label', nargs='+', metavar='NAME', help='labels that are persons; default: all'
    )
    parser.add_argument('--keypoint', metavar='NAME', help='coco: the keypoint to take, if several')
    parser.add_argument(
        '--boxes', action='store_true', help='coco: take boxes where there are keypoints, too'
    )
    parser.add_argument(
        '--origin',
        choices=('corner', 'centre'),
        help='what (0, 0) is: the corner of the first pixel (default of coco, labelme and cvat) or '
        'its centre (default of csv)',
    )
    parser.add_argument(
        '--unrotated',
        action='store_true',
        help='the photos were labelled without their EXIF rotation: turn the points',
    )
    parser.add_argument(
        '--empty-is-nobody',
        action='store_true',
        help='coco, cvat: images that the file lists without any shape show nobody',
    )
    parser.add_argument(
        '--skip-unlabelled', action='store_true', help='leave out images without labels'
    )
    parser.add_argument(
        '--split-by',
        metavar='HOW',
        help='"folder": the subfolder of IMAGES, named train, val or test; or a CSV file with '
        'the columns image,split, where images that are not named are for training',
    )
    args = parser.parse_args(argv)
    if args.format != 'coco' and (args.keypoint or args.boxes):
        parser.error('--keypoint and --boxes are for coco')
    for name in ('annotations', 'images', 'out'):
        setattr(args, name, Path(os.path.abspath(getattr(args, name))))
    return args


def main(argv: list[str] | None = None) -> None:
    options = ConversionOptions(**vars(parse_args(argv)))
    print(printable(convert(options)))


if __name__ == '__main__':
    command_line.run(main)
