"""Time a model in PyTorch beside its exported files, in turn in one process.

From a picture in memory to its count: normalisation, network and sum. The smallest of several
times is printed as a table, wall and CPU time of all threads, and how often it goes into that of
PyTorch in float32. ::

    mmcrowd export default.onnx --int8 FOLDER
    OMP_NUM_THREADS=2 python tools/analysis_tools/benchmark_export.py default.onnx default_int8.onnx
"""

import argparse

import torch

from mmcrowd import command_line
from mmcrowd.analysis.benchmarks.exported import cost_table, make_forms, time_forms
from mmcrowd.apis import CrowdInferencer
from mmcrowd.apis.zoo import DEFAULT
from mmcrowd.datasets import SyntheticCrowdDataset


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time a model beside its exported files')
    parser.add_argument('files', nargs='+', help='.onnx and .pt2 files of `mmcrowd export`')
    parser.add_argument('--model', default=DEFAULT, help='the model that was exported')
    parser.add_argument('--weights', help='its checkpoint; default: that of the zoo')
    parser.add_argument('--size', type=int, nargs=2, default=(1024, 768), metavar=('W', 'H'))
    parser.add_argument('--rounds', type=int, default=10, help='timed calls of each; default: 10')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    inferencer = CrowdInferencer(args.model, args.weights, device='cpu', show_progress=False)
    dataset = SyntheticCrowdDataset(num_images=1, split='test', img_size=tuple(args.size))
    image = dataset.get_data_info(0)['img']
    costs = time_forms(make_forms(inferencer.model, args.files), image, args.rounds)
    width, height = args.size
    print(f'{width} x {height}, {torch.get_num_threads()} threads, {args.rounds} rounds')
    print(cost_table(costs))


if __name__ == '__main__':
    command_line.run(main)
