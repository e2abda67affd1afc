"""Convert the weights of the published program of Switch-CNN to a checkpoint of its configs.

The program (github.com/val-iisc/crowd-counting-scnn) keeps its three columns and its switch in
four pickles of arrays, in one folder for each stage of the training::

    python tools/model_converters/switch_cnn_from_published.py \
        src/models/coupled_train checkpoints/switch_cnn_sha.pth
    python tools/test.py configs/switch_cnn/switch_cnn_sha_coupled.py checkpoints/switch_cnn_sha.pth

Without the file of the switch the result has the columns only, for ``load_from``.
"""

import argparse
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.fileio.checkpoints import save_checkpoint
from mmcrowd.models.converters.switch_cnn import convert


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert published weights of Switch-CNN')
    parser.add_argument('src', help='folder with the pickles of one stage')
    parser.add_argument('dst', help='checkpoint to write, .pth')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    state_dict = convert(args.src)
    save_checkpoint(state_dict, dict(source=Path(args.src).name), args.dst)
    size = sum(value.numel() for value in state_dict.values())
    switch = 'with' if 'head.predict_switch.bias' in state_dict else 'without'
    print(f'{args.dst}: three columns {switch} switch, {size:,} parameters')


if __name__ == '__main__':
    command_line.run(main)
