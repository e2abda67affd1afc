"""The tests that docs/reliability.md and docs/distributed.md name are there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
DOCS = TESTS.parent / 'docs'


def require_test(file, name):
    assert re.search(rf'^def {name}\(', (TESTS / file).read_text(), re.MULTILINE), (file, name)


@pytest.mark.parametrize(
    'page, head, number',
    [('reliability.md', '| fault |', 40), ('distributed.md', '| option |', 10)],
    ids=['reliability', 'distributed'],
)
def test_every_row_names_a_test(page, head, number):
    table = (DOCS / page).read_text().partition(head)[2].partition('\n\n')[0]
    rows = re.findall(r'^\| (?!\*\*)(.+) \| (.*) \| `(\S+)::(\w+)` \|$', table, re.MULTILINE)
    assert len(rows) >= number
    for _, _, file, name in rows:
        require_test(file, name)
    assert len(re.findall(r'^\| (?!\*\*|---)', table, re.MULTILINE)) == len(rows)


def test_tests_in_sentences():
    text = (DOCS / 'distributed.md').read_text()
    names = re.findall(r'`(test_\S+\.py)::(\w+)`', text)
    assert len(names) > 10
    for file, name in names:
        require_test(file, name)
