"""The floors of the package and how often they import one another.

To read them needs grimp and import-linter, see ``requirements/lint.txt``.
"""

import re
from collections import Counter
from pathlib import Path

from mmcrowd.fileio.files import write_atomic
from mmcrowd.fileio.tables import markdown_table

BEGIN, END = '<!-- floors: begin -->\n', '<!-- floors: end -->\n'


def read_floors(config: str | Path) -> dict[str, int]:
    """Number of the floor of each package of mmcrowd, 0 for the highest.

    Args:
        config: The ``pyproject.toml`` with the contracts of import-linter.
    """
    from importlinter import api

    contracts = api.read_configuration(str(config))['contracts_options']
    layers = next(contract['layers'] for contract in contracts if contract['type'] == 'layers')
    packages = [re.findall(r'\w+\.(\w+)', layer) for layer in layers]
    return {name: floor for floor, names in enumerate(packages) for name in names}


def count_imports() -> Counter[tuple[str, str]]:
    """How many imports lead from one package of mmcrowd to another, by (importer, imported)."""
    import grimp

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


def update_page(path: str | Path, table: str) -> None:
    """Write a table into a page, in place of what stands between its two marks.

    Raises:
        ValueError: The page lacks a mark.
    """
    page = Path(path).read_text(encoding='utf-8')
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f'{path}: expected the lines {BEGIN.strip()} and {END.strip()}')
    write_atomic(path, f'{before}{begin}\n{table}\n{end}{after}')
