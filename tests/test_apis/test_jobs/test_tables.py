"""The parts of a job as tables."""

import csv
import json

import pytest

from mmcrowd.apis.jobs import write_tables
from mmcrowd.apis.jobs.keys import image_key
from mmcrowd.apis.jobs.parts import ShardFiles


def record(k, **kwargs):
    return dict(
        path=f'{k}.jpg', member=None, size=k, mtime_ns=10**18 + k, width=4, height=3, count=k / 4,
        notes=[], points=[[k + 0.25, 1.5]] * (k % 3), scores=[0.5] * (k % 3),
    ) | kwargs  # fmt: skip


def write(out, index, count, records, errors=(), finish=True):
    with ShardFiles(out, index, count) as files:
        for kind, items in (('write', records), ('write_error', errors)):
            for item in items:
                key = image_key(item['path'], item['member'], item['size'], item['mtime_ns'])
                getattr(files, kind)(key, item)
        if finish:
            files.finish({})


@pytest.fixture
def job(tmp_path):
    """Parts of two numbers of shards, an image in two of them, and odd values."""
    out = tmp_path / 'out'
    odd = record(3, path='a,"b"\udce9.jpg', notes=['one', 'two'], zones=[dict(name='é', count=1.0)])
    errors = [dict(path=name, member=None, size=9, mtime_ns=9, error='bad') for name in 'xy']
    write(out, 0, 1, [record(0), odd, record(5)], errors, finish=False)
    write(out, 0, 2, [record(5), record(6, member='m.png', mtime_ns=None)])
    with_mended = [{**record(8), 'path': 'x', 'size': 9, 'mtime_ns': 9}]
    write(out, 1, 2, with_mended, errors)
    return out


EXPECTED = dict(images=5, count=(0 + 3 + 5 + 6 + 8) / 4, bad=1, duplicates=1)


def test_csv(job):
    assert write_tables(job, ['csv']) == EXPECTED
    assert json.loads((job / '_SUCCESS').read_text()) == EXPECTED
    header, *rows = csv.reader((job / 'counts.csv').open(encoding='utf-8', newline=''))
    assert ','.join(header) == 'path,member,size,mtime_ns,width,height,count,points,notes,zones'
    assert [row[0] for row in rows] == ['0.jpg', 'a,"b"\\udce9.jpg', '5.jpg', '6.jpg', 'x']
    assert rows[1][2:9] == ['3', str(10**18 + 3), '4', '3', '0.75', '0', 'one; two']
    assert json.loads(rows[1][9]) == [dict(name='é', count=1.0)] and rows[0][9] == ''
    assert rows[3][1:4] == ['m.png', '6', '']
    assert not list(job.glob('*.partial'))


def test_parquet(job):
    parquet = pytest.importorskip('pyarrow.parquet')
    assert write_tables(job, ['parquet', 'csv']) == EXPECTED
    rows = parquet.read_table(job / 'counts.parquet').to_pylist()
    assert [row['count'] for row in rows] == [0, 0.75, 1.25, 1.5, 2]
    assert rows[2]['points'] == [dict(x=5.25, y=1.5, score=0.5)] * 2
    assert rows[1]['notes'] == ['one', 'two'] and rows[1]['path'] == 'a,"b"\\udce9.jpg'
    assert json.loads(rows[1]['zones']) == [dict(name='é', count=1.0)]
    assert rows[3]['member'] == 'm.png' and rows[3]['mtime_ns'] is None
    assert rows[0]['key'] == image_key('0.jpg', None, 0, 10**18).hex()


def test_only_of_a_job_that_has_ended(job, tmp_path):
    write_tables(job, ['csv'])
    write(job, 1, 2, [], finish=False)  # it starts again
    assert not (job / '_SUCCESS').exists()
    with pytest.raises(ValueError, match='the job has not ended'):
        write_tables(job, ['csv'])
    assert write_tables(job, ['csv'], incomplete=True) == EXPECTED
    assert not (job / '_SUCCESS').exists()
    # The shard of another number that ran before does not end the job of this one.
    write(job, 0, 3, [])
    with pytest.raises(ValueError, match='the job has not ended'):
        write_tables(job, ['csv'])
    with pytest.raises(FileNotFoundError, match='no parts of a job'):
        write_tables(tmp_path / 'other', ['csv'])
    with pytest.raises(ValueError, match="format 'xml'"):
        write_tables(job, ['xml'])


def test_a_table_appears_whole_or_not_at_all(job):
    write_tables(job, ['csv'])
    before = (job / 'counts.csv').read_bytes()
    write(job, 1, 2, [record(9, notes=None)])
    with pytest.raises(TypeError):
        write_tables(job, ['csv'])
    assert (job / 'counts.csv').read_bytes() == before
    assert not list(job.glob('*.partial')) and not (job / '_SUCCESS').exists()
