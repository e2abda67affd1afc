"""The command ``mmcrowd``: the parser of its commands, which are in :mod:`mmcrowd.commands`."""

import argparse
import ast
import sys
from importlib import import_module
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.version import __version__

COMMANDS = Path(__file__).parent / 'commands'


def main() -> None:
    """Run the command line; an error of the input ends it with one sentence."""
    command_line.run(_main)


def _main() -> None:
    command, arguments = parse(sys.argv[1:])
    import_module(f'mmcrowd.commands.{command}').run(arguments)


def parse(argv: list[str]) -> tuple[str, argparse.Namespace]:
    """Parse a command line.

    Args:
        argv: What follows ``mmcrowd``.

    Returns:
        Name of the command, and its arguments.
    """
    parser = argparse.ArgumentParser('mmcrowd', description='Count people in pictures')
    parser.add_argument('--version', action='version', version=f'mmcrowd {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    wanted = next((word for word in argv if not word.startswith('-')), None)
    for name, text in help_lines().items():
        command = commands.add_parser(name, help=text, description=text)
        if name == wanted:  # the others need not even be imported
            import_module(f'mmcrowd.commands.{name}').add_arguments(command)
    args = parser.parse_args(argv)
    return args.command, args


def help_lines() -> dict[str, str]:
    """The commands and their ``HELP``, read from the files without importing them."""
    lines = {}
    for path in sorted(COMMANDS.glob('[a-z]*.py')):
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == 'HELP':
                lines[path.stem] = ast.literal_eval(node.value)
    return lines
