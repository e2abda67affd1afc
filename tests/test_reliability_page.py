"""The tests that docs/reliability.md names are there."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / 'docs' / 'reliability.md'


def test_every_row_names_a_test():
    rows = re.findall(
        r'^\| (?!\*\*)(.+) \| (.+) \| `(\S+)::(\w+)` \|$', PAGE.read_text(), re.MULTILINE
    )
    assert len(rows) >= 40
    for _, _, file, name in rows:
        assert re.search(rf'^def {name}\(', (TESTS / file).read_text(), re.MULTILINE), (file, name)
    table = PAGE.read_text().partition('| fault |')[2]
    assert len(re.findall(r'^\| (?!\*\*|---)', table, re.MULTILINE)) == len(rows)
