"""Count the images of an archive, by shards that may be killed; as `mmcrowd infer` does."""

import argparse

from mmcrowd import command_line
from mmcrowd.commands import infer


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=infer.HELP)
    infer.add_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    infer.run(parse_args(argv))


if __name__ == '__main__':
    command_line.run(main)
