"""Print the floors of the package and how often they import one another.

The order of the floors is the contract of import-linter in pyproject.toml, the imports are those of
the source; both need ``requirements/lint.txt``. ``--update`` writes the table into a page, in place
of the one between its marks. ::

    python tools/misc/floors.py
    python tools/misc/floors.py --update docs/structure.md
"""

import argparse
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.analysis.floors import count_imports, make_table, read_floors, update_page


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Table of the floors and their imports')
    parser.add_argument('--update', metavar='PAGE', help='Markdown page to write the table into')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    pyproject = Path(__file__).resolve().parents[2] / 'pyproject.toml'
    table = make_table(read_floors(pyproject), count_imports())
    if args.update:
        update_page(args.update, table)
    else:
        print(table, end='')


if __name__ == '__main__':
    command_line.run(main)
