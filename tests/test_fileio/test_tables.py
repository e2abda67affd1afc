from mmcrowd.fileio.tables import markdown_table


def test_cells_are_texts_and_as_wide_as_they_need():
    long = 'x' * 300
    lines = markdown_table(['name', '[b]'], [['[red]a[/red]', long], ['b', '']]).splitlines()
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert [cells[0], *cells[2:]] == [['name', '[b]'], ['[red]a[/red]', long], ['b', '']]
    assert set(lines[1]) == set('|-') and len({len(line) for line in lines}) == 1


def test_no_row():
    assert len(markdown_table(['a'], []).splitlines()) == 2


def test_numbers_are_to_the_right():
    head, separator, *rows = markdown_table(
        ['', 'points'], [['a', '9'], ['long', '1,234']], numbers=True
    ).splitlines()
    assert separator == '|------|-------:|' and head == '|      | points |'
    assert rows == ['| a    |      9 |', '| long |  1,234 |']
