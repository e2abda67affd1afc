"""Files of JSON lines grow by whole lines."""

import json
import os
from pathlib import Path

import pytest

from mmcrowd.fileio import json_lines
from mmcrowd.fileio.json_lines import JsonLinesWriter, repair_lines, whole_lines


@pytest.mark.parametrize(
    'content, kept',
    [
        (b'', b''),
        (b'{}\n', b'{}\n'),
        (b'{}\n{"a": 1', b'{}\n'),
        (b'{"a": 1', b''),
        (b'{}\n' + b'\0' * 300, b'{}\n'),
        (b'{}\n\n' + b'x' * 12, b'{}\n\n'),
    ],
)
@pytest.mark.parametrize('block', [1, 5, 2**16])
def test_repair(tmp_path, monkeypatch, content, kept, block):
    monkeypatch.setattr(json_lines, '_BLOCK', block)
    path = tmp_path / 'a.jsonl'
    path.write_bytes(content)
    assert b''.join(whole_lines(path)) == kept and path.read_bytes() == content
    assert repair_lines(path) == len(content) - len(kept)
    assert path.read_bytes() == kept


def test_each_record_is_one_write_and_there_at_once(tmp_path):
    path = tmp_path / 'a.jsonl'
    records = [{'path': 'a\udce9\n"', 'k': 0}, {'k': 1}]
    with JsonLinesWriter(path) as writer:
        for number, record in enumerate(records, start=1):
            writer.write(record)
            assert path.read_bytes().count(b'\n') == number
        with pytest.raises(ValueError):
            writer.write({'count': float('nan')})
    assert [json.loads(line) for line in whole_lines(path)] == records


def test_fsync(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, 'fsync', lambda file: synced.append(os.fstat(file).st_size))
    clock = iter([0.0, 4.0, 5.0, 5.0, 9.0, 9.5])
    monkeypatch.setattr(json_lines.time, 'monotonic', lambda: next(clock))
    with JsonLinesWriter(tmp_path / 'a.jsonl', sync_seconds=5) as writer:
        for _ in range(3):
            writer.write({})
        assert synced == [6]
    assert synced == [6, 9]


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path):
    resource = pytest.importorskip('resource')
    path = tmp_path / 'a.jsonl'
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with JsonLinesWriter(path) as writer:
        writer.write({'k': 1})
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
            with pytest.raises(OSError) as error:
                writer.write({'text': 'x' * 100})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert Path(error.value.filename) == path and path.read_bytes() == b'{"k": 1}\n'
        writer.write({'k': 2})
    assert path.read_bytes() == b'{"k": 1}\n{"k": 2}\n'
