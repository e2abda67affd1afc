"""Print a config as a run sees it, with all that it inherits and the overrides laid over it.

What is printed is a config file again. ::

    python tools/misc/print_config.py pml_hrnet_qnrf
    python tools/misc/print_config.py configs/pml_vgg16_shb.py \\
        --cfg-options model.precision=bf16 > mine.py
"""

import argparse

from mmengine.config import DictAction

from mmcrowd import command_line
from mmcrowd.apis.zoo import config_of
from mmcrowd.engine.config import no_notices, read_config


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Print a config with all that it inherits')
    parser.add_argument('config', help='config file, mmcrowd::NAME or name in the zoo')
    parser.add_argument('--data-root', help='folder of the data set, as downloaded or prepared')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='key=value overrides'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with no_notices():
        cfg = read_config(config_of(args.config), args.cfg_options, args.data_root)
    print(cfg.pretty_text, end='')


if __name__ == '__main__':
    command_line.run(main)
