"""Convert a checkpoint of the published program of ZIP to one of ``configs/zip``, and back.

The program (github.com/Yiming-M/EBC-ZIP) publishes five sizes; the three smallest, ZIP-P, ZIP-N
and ZIP-T, are networks of ``configs/zip``. Their files hold the same numbers under other names::

    python tools/model_converters/zip_from_published.py best_mae.pth checkpoints/zip_n_sha.pth
    python tools/test.py configs/zip/zip_n_sha.py checkpoints/zip_n_sha.pth

    python tools/model_converters/zip_from_published.py ours.pth theirs.pth --back

The result has the bin centres of the file, whatever the config says.
"""

import argparse
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint
from mmcrowd.models.converters.zip import convert, convert_back


def main() -> None:
    parser = argparse.ArgumentParser(
        description='Convert a published ZIP-P, ZIP-N or ZIP-T checkpoint'
    )
    parser.add_argument('src', help='checkpoint of the published program, .pth')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    parser.add_argument('--back', action='store_true', help='from ours to theirs')
    args = parser.parse_args()
    state_dict = load_state_dict(args.src, 'state_dict' if args.back else 'weights')
    try:
        state_dict = convert_back(state_dict) if args.back else convert(state_dict)
    except ValueError as error:
        raise ValueError(f'{args.src}: {error}') from error
    save_checkpoint(state_dict, dict(source=Path(args.src).name), args.dst)
    size = sum(value.numel() for value in state_dict.values())
    print(f'{args.dst}: {len(state_dict)} parameters and buffers, {size:,} numbers')


if __name__ == '__main__':
    command_line.run(main)
