"""Print the floors of the package and how often they import one another.

The order of the floors is the contract of import-linter in pyproject.toml, the imports are those of
the source; both need ``requirements/lint.txt``. ``--update`` writes the table into a page, in place
of the one between its marks. ::

    python tools/misc/floors.py
    python tools/misc/floors.py --update docs/structure.md
"""

import argparse
import re
from collections import Counter
from pathlib import Path

import grimp
from importlinter import api

from mmcrowd import command_line
from mmcrowd.fileio.files import write_atomic
from mmcrowd.fileio.tables import markdown_table

PYPROJECT = Path(__file__).resolve().parents[2] / 'pyproject.toml'
BEGIN, END = '<!-- floors: begin -->\n', '<!-- floors: end -->\n'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Table of the floors and their imports')
    parser.add_argument('--update', metavar='PAGE', help='Markdown page to write the table into')
    return parser.parse_args(argv)


def read_floors() -> dict[str, int]:
    """Number of the floor of each package of mmcrowd, 0 for the highest."""
    contracts = api.read_configuration(str(PYPROJECT))['contracts_options']
    layers = next(contract['layers'] for contract in contracts if contract['type'] == 'layers')
    packages = [re.findall(r'\w+\.(\w+)', layer) for layer in layers]
    return {name: floor for floor, names in enumerate(packages) for name in names}


def count_imports() -> Counter[tuple[str, str]]:
    """How many imports lead from one package of mmcrowd to another, by (importer, imported)."""
    graph = grimp.build_graph('mmcrowd')
    pairs = (
        (module.split('.')[1], imported.split('.')[1])
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if '.' in module and '.' in imported
    )
    return Counter(pair for pair in pairs if len(set(pair)) == 2)


def make_table(floors: dict[str, int], imports: Counter[tuple[str, str]]) -> str:
    """A row for each package, the highest first, and the packages that it imports in columns."""
    names = [name for name in floors if any(name in pair for pair in imports)]

    def cell(importer: str, imported: str) -> str:
        number = imports[importer, imported]
        if floors[importer] > floors[imported]:
            return f'**{number} UP**' if number else ''
        return str(number or '')

    rows = [
        [str(max(floors.values()) - floors[name]), name, *(cell(name, other) for other in names)]
        for name in names
    ]
    return markdown_table(['floor', 'imports', *names], rows) + '\n'


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    table = make_table(read_floors(), count_imports())
    if not args.update:
        print(table, end='')
        return
    page = Path(args.update).read_text(encoding='utf-8')
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f'{args.update}: expected the lines {BEGIN.strip()} and {END.strip()}')
    write_atomic(args.update, f'{before}{begin}\n{table}\n{end}{after}')


if __name__ == '__main__':
    command_line.run(main)
