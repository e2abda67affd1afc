"""Convert a checkpoint of the published program of PET to one of ``configs/pet``, and back.

The program (github.com/cxliu0/PET) publishes ``SHA_model.pth`` and the like, and writes such files
itself. They hold the same numbers under other names, some of them several times::

    python tools/model_converters/pet_from_published.py SHA_model.pth checkpoints/pet_sha.pth
    python tools/test.py configs/pet/pet_vgg16bn_sha_published.py checkpoints/pet_sha.pth

    python tools/model_converters/pet_from_published.py ours.pth theirs.pth --back

On the way back a convolution that the published network holds and never uses is 0.
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.files import convert_file
from mmcrowd.models.converters.pet import convert, convert_back


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a published PET checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.back:
        text = convert_file(args.src, args.dst, convert_back, target_key='model')
    else:
        text = convert_file(args.src, args.dst, convert, source_key='model')
    print(text)


if __name__ == '__main__':
    command_line.run(main)
