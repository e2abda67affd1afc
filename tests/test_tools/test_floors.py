"""The table of the floors and its page."""

import pytest

pytest.importorskip('grimp', reason='needs requirements/lint.txt')

PAGE = 'Before.\n<!-- floors: begin -->\n| old |\n<!-- floors: end -->\nAfter.\n'


def cells(table):
    """By row and column what the table says."""
    header, _, *rows = ([cell.strip() for cell in line.split('|')[1:-1]] for line in table)
    return {row[1]: dict(zip(header, row, strict=True)) for row in rows}


def test_imports_of_the_package(load_tool, capsys):
    load_tool('misc/floors.py').main([])
    out = capsys.readouterr().out
    table = cells(out.splitlines())
    assert int(table['models']['ops']) > 10 and table['ops']['models'] == ''
    assert int(table['analysis']['floor']) > int(table['engine']['floor']) > 0
    assert table['registry']['floor'] == '0'
    assert 'UP' not in out


def test_written_into_a_page(load_tool, tmp_path, capsys):
    page = tmp_path / 'page.md'
    page.write_text(PAGE)
    tool = load_tool('misc/floors.py')
    tool.main(['--update', str(page)])
    once = page.read_text()
    tool.main(['--update', str(page)])
    assert page.read_text() == once and capsys.readouterr().out == ''
    lines = once.splitlines()
    assert lines[0] == 'Before.' and lines[-1] == 'After.' and '| old |' not in lines
    assert 'models' in cells(line for line in lines if line.startswith('|'))
    page.write_text('No marks.')
    with pytest.raises(ValueError, match=r'page\.md: expected the lines <!-- floors: begin'):
        tool.main(['--update', str(page)])
