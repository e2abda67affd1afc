"""Print the parameters of a config's network, and its operations for an image of a stated size.

A multiply-add counts as one operation. No weights are loaded. ::

    python tools/analysis_tools/get_flops.py pml_hrnet_qnrf
    python tools/analysis_tools/get_flops.py mmcrowd::zip/zip_p_sha --size 1920 1080 --table
"""

import argparse

from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmcrowd import command_line
from mmcrowd.analysis.complexity import network_complexity
from mmcrowd.apis.zoo import config_of
from mmcrowd.engine.config import read_config, without_pretraining
from mmcrowd.registry import MODELS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Parameters and operations of a network')
    parser.add_argument('config', help='config file, mmcrowd::NAME or name in the zoo')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(1024, 768), metavar=('W', 'H'), help='of the image'
    )
    parser.add_argument(
        '--table',
        type=int,
        nargs='?',
        const=3,
        metavar='DEPTH',
        help='list the modules, to this depth; default of the depth: %(const)s',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='key=value overrides'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(config_of(args.config), args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmcrowd'))
    counter = MODELS.build(without_pretraining(cfg.model))
    width, height = args.size
    found = network_complexity(counter, (height, width), args.table or 1)
    if args.table is not None:
        print(found.table)
    print(f'input       {" x ".join(map(str, found.input_shape))}')
    print(f'parameters  {found.parameters:,} ({found.parameters / 1e6:.2f} M)')
    print(f'FLOPs       {found.flops:,} ({found.flops / 1e9:.2f} G)')
    print(f'activations {found.activations:,} ({found.activations / 1e6:.2f} M)')


if __name__ == '__main__':
    command_line.run(main)
