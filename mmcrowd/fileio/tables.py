"""Tables of text."""

from collections.abc import Iterable, Sequence
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = False
) -> str:
    """Write a table in Markdown, its columns aligned for the eye.

    Args:
        header: Names of the columns.
        rows: Cells of each row, as many as there are columns.
        numbers: Align all columns but the first one to the right. Defaults to False.

    Returns:
        One line for the header, one that separates it, and one per row.

    Examples:
        >>> print(markdown_table(['radius', 'F1'], [['4', '0.25'], ['8', '0.5']]))
        | radius | F1   |
        |--------|------|
        | 4      | 0.25 |
        | 8      | 0.5  |
        >>> print(markdown_table(['', 'images'], [['train', '9'], ['test', '12']], numbers=True))
        |       | images |
        |-------|-------:|
        | train |      9 |
        | test  |     12 |
    """
    table = Table(box=box.MARKDOWN)
    for k, name in enumerate(header):
        is_number = numbers and k > 0
        table.add_column(Text(name), no_wrap=True, justify='right' if is_number else 'left')
    for row in rows:
        table.add_row(*map(Text, row))
    text = StringIO()
    # As wide as the cells need, whatever the width of the terminal, and without its colours.
    console = Console(file=text, width=10_000, color_system=None)
    console.print(table)
    lines = [line.strip() for line in text.getvalue().strip().splitlines()]
    if numbers:
        first, *others = lines[1].strip('|').split('|')
        lines[1] = '|' + '|'.join([first, *(f'{dashes[:-1]}:' for dashes in others)]) + '|'
    return '\n'.join(lines)
