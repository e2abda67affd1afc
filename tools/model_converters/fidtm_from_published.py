"""Convert a checkpoint of the published program of FIDTM to one of ``configs/fidtm``, and back.

The program (github.com/dk-liang/FIDTM) trains HRNet-W48 with a head of transposed convolutions. Its
``model_best.pth`` files hold the same numbers under other names::

    python tools/model_converters/fidtm_from_published.py model_best.pth checkpoints/fidtm_sha.pth
    python tools/test.py configs/fidtm/fidtm_hrnet_w48_sha.py checkpoints/fidtm_sha.pth

    python tools/model_converters/fidtm_from_published.py ours.pth theirs.pth --back
"""

import argparse
from pathlib import Path

import torch
from checkpoint import save_checkpoint
from published import backwards, read_state_dict, rename

from mmcrowd.models.backbones import HRNetBilinear
from mmcrowd.models.heads import MapHead

# Beginnings of the names: theirs, ours. The first that fits counts.
NAMES = [
    ('last_layer.0.', 'head.mix.0.'),
    ('last_layer.1.', 'head.mix.1.'),
    ('last_layer.3.', 'head.enlarge.0.'),
    ('last_layer.5.', 'head.predict.'),
    ('', 'backbone.'),
]


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/fidtm``.

    Raises:
        ValueError: They are not those of HRNet-W48 with its head; the message names some that are
            missing or unknown.
    """
    result = {rename(name, NAMES): value for name, value in state_dict.items()}
    with torch.device('meta'):
        parts = dict(backbone=HRNetBilinear('w48'), head=MapHead())
    expected = {f'{part}.{name}' for part in parts for name in parts[part].state_dict()}
    missing, unknown = sorted(expected - set(result)), sorted(set(result) - expected)
    if missing or unknown:
        raise ValueError(
            f'not HRNet-W48 with the head of FIDTM: {len(missing)} parameters are missing '
            f'{missing[:3]}, {len(unknown)} are unknown {unknown[:3]}'
        )
    return result


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/fidtm`` the published names.

    Their program loads nothing, and says nothing, unless each begins with ``module.``.
    """
    pairs = backwards(NAMES)
    return {f'module.{rename(name, pairs)}': value for name, value in state_dict.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description='Convert a published FIDTM checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    args = parser.parse_args()
    state_dict = read_state_dict(args.src, 'state_dict')
    try:
        state_dict = convert_back(state_dict) if args.back else convert(state_dict)
    except ValueError as error:
        raise ValueError(f'{args.src}: {error}') from error
    save_checkpoint(state_dict, dict(source=Path(args.src).name), args.dst)
    size = sum(value.numel() for value in state_dict.values())
    print(f'{args.dst}: {len(state_dict)} parameters and buffers, {size:,} numbers')


if __name__ == '__main__':
    main()
