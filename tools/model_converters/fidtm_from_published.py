"""Convert a checkpoint of the published program of FIDTM to one of ``configs/fidtm``, and back.

The program (github.com/dk-liang/FIDTM) trains HRNet-W48 with a head of transposed convolutions. Its
``model_best.pth`` files hold the same numbers under other names::

    python tools/model_converters/fidtm_from_published.py model_best.pth checkpoints/fidtm_sha.pth
    python tools/test.py configs/fidtm/fidtm_hrnet_w48_sha.py checkpoints/fidtm_sha.pth

    python tools/model_converters/fidtm_from_published.py ours.pth theirs.pth --back
"""

import argparse
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint
from mmcrowd.models.converters.fidtm import convert, convert_back


def main() -> None:
    parser = argparse.ArgumentParser(description='Convert a published FIDTM checkpoint')
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    args = parser.parse_args()
    state_dict = load_state_dict(args.src, 'state_dict')
    try:
        state_dict = convert_back(state_dict) if args.back else convert(state_dict)
    except ValueError as error:
        raise ValueError(f'{args.src}: {error}') from error
    save_checkpoint(state_dict, dict(source=Path(args.src).name), args.dst)
    size = sum(value.numel() for value in state_dict.values())
    print(f'{args.dst}: {len(state_dict)} parameters and buffers, {size:,} numbers')


if __name__ == '__main__':
    command_line.run(main)
