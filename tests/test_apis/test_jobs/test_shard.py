"""Each image of a job is counted once."""

import io
import json
import os
import shutil
import signal
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from filelock import FileLock

from mmcrowd.apis.jobs import JobImages, count_shard, shard_of_process
from mmcrowd.apis.jobs.parts import ShardFiles
from tests.testing.killed_job import (
    StoppedImages,
    draw_images,
    find_faults,
    kill_and_go_on,
    times_counted,
    tiny_counter,
)


@pytest.fixture(scope='module')
def counter(tmp_path_factory):
    return tiny_counter(tmp_path_factory.mktemp('tiny'))


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp('drawn')
    draw_images(folder, 40)
    return folder


@pytest.fixture
def photos(tmp_path, drawn):
    """Twelve images in two folders."""
    folder = tmp_path / 'photos'
    for k, path in enumerate(sorted(drawn.rglob('*.png'))[:12]):
        target = folder / 'ab'[k % 2] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def records(out_dir, kind='part'):
    lines = [line for path in out_dir.glob(f'{kind}-*.jsonl') for line in path.open('rb')]
    return [json.loads(line) for line in lines]


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*.png')}


def test_two_shards_then_three(counter, photos, tmp_path):
    out = tmp_path / 'out'
    whole = counter(photos, recursive=True)['predictions']
    first = count_shard(counter, JobImages([photos]), out, (0, 2))
    assert times_counted(out).total() == first['images'] > 0
    stopped = StoppedImages([photos])
    stopped.number = 6
    handler = signal.getsignal(signal.SIGTERM)
    second = count_shard(counter, stopped, out, (1, 2))
    assert second['signal'] == signal.SIGTERM and signal.getsignal(signal.SIGTERM) == handler
    assert 0 < first['images'] + second['images'] < 12
    assert [path.name for path in out.glob('summary-*')] == ['summary-00000-of-00002.json']
    three = [count_shard(counter, JobImages([photos]), out, (k, 3)) for k in range(3)]
    found = records(out)
    assert Counter(r['path'] for r in found) == Counter(names(photos))
    assert sum(s['images'] for s in three) == 12 - first['images'] - second['images']
    assert sum(s['done_before'] for s in three) == first['images'] + second['images']
    assert [json.loads(p.read_bytes()) for p in sorted(out.glob('summary-*'))] == three
    # They are what the inferencer gives.
    fields = ('width', 'height', 'count', 'points', 'scores', 'notes')
    plain = {Path(p['img_path']).relative_to(photos).as_posix(): p for p in whole}
    for record in found:
        status = os.stat(photos / record['path'])
        assert (record['size'], record['mtime_ns']) == (status.st_size, status.st_mtime_ns)
        assert all(record[name] == plain[record['path']][name] for name in fields)
    assert sum(s['count'] for s in (first, second, *three)) == pytest.approx(
        sum(p['count'] for p in whole)
    )


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_kills(counter, drawn, tmp_path):
    """Real processes; the long form is ``python -m tests.testing.killed_job``."""
    out = tmp_path / 'out'
    seen = kill_and_go_on(counter, drawn, out, kills=2, step=1500)
    assert [each['shard'] for each in seen] == ['0/2', '1/2', '0/3', '1/3', '2/3']
    assert 0 < seen[0]['bytes'] <= seen[1]['bytes'] < seen[2]['bytes']
    # Any process of torch has some hundred MiB; a wrong unit would be 1024 times as much or less.
    assert all(50 < each['mib'] < 5000 for each in seen)
    assert times_counted(out) == Counter(names(drawn))


def test_faults_of_a_job():
    """What the long form fails for."""

    def faults(peaks, **times):
        return find_faults([dict(mib=mib) for mib in peaks], Counter(times), 2)

    assert faults([500, 549, 550], a=1, b=1) == []
    assert faults([500, 551, 550], a=1, b=1) == ['memory grew from 500 to 551 MiB']
    for times in (dict(a=1), dict(a=1, b=2), dict(a=1, b=1, c=1)):
        (fault,) = faults([500], **times)
        assert f'{sum(n == 1 for n in times.values())} of 2 images counted once' in fault


def test_a_broken_last_line(counter, photos, tmp_path):
    out = tmp_path / 'out'
    count_shard(counter, JobImages([photos]), out)
    (part,) = out.glob('part-*')
    part.write_bytes(part.read_bytes()[:-50])
    summary = count_shard(counter, JobImages([photos]), out)
    assert (summary['images'], summary['done_before']) == (1, 11) and summary['cut_bytes'] > 50
    assert times_counted(out) == Counter(names(photos))
    # That of another number of shards is not its to mend; what is whole is known.
    part.write_bytes(part.read_bytes()[:-50])
    summary = count_shard(counter, JobImages([photos]), out, (0, 2))
    summary = {
        key: summary[key] + value
        for key, value in count_shard(counter, JobImages([photos]), out, (1, 2)).items()
        if key in ('images', 'done_before')
    }
    assert summary == dict(images=1, done_before=11)


def test_lines_that_are_no_records(counter, photos, tmp_path):
    out = tmp_path / 'out'
    count_shard(counter, JobImages([photos]), out)
    (part,) = out.glob('part-*')
    lines = part.read_bytes().splitlines(True)
    lines[3] = bytes(len(lines[3]) - 1) + b'\n'
    part.write_bytes(b''.join(lines))
    with pytest.warns(UserWarning, match='1 lines are no records'):
        assert count_shard(counter, JobImages([photos]), out)['images'] == 1


def test_bad_images(counter, photos, tmp_path):
    out = tmp_path / 'out'
    (photos / 'text.png').write_text('text')
    (photos / 'empty.jpg').touch()
    (photos / 'gone.jpg').symlink_to('nothing.jpg')
    summary = count_shard(counter, JobImages([photos]), out)
    assert (summary['images'], summary['bad'], summary['signal']) == (12, 3, None)
    errors = {r['path']: r for r in records(out, 'errors')}
    assert errors.keys() == {'text.png', 'empty.jpg', 'gone.jpg'}
    assert errors['text.png']['error'] == f'{photos}/text.png: not a readable image (4 bytes)'
    assert 'No such file' in errors['gone.jpg']['error'] and errors['gone.jpg']['size'] is None
    again = count_shard(counter, JobImages([photos]), out)
    assert [again[k] for k in ('images', 'bad', 'bad_before', 'done_before')] == [0, 0, 3, 12]
    retried = count_shard(counter, JobImages([photos]), out, retry_bad=True)
    assert (retried['bad'], len(records(out, 'errors'))) == (3, 6)
    # An image that has become another one is tried without request.
    (photos / 'nothing.jpg').write_bytes(next(photos.glob('a/*.png')).read_bytes())
    assert count_shard(counter, JobImages([photos]), out)['images'] == 2


def test_an_archive_and_a_list_with_duplicates(counter, photos, tmp_path):
    out = tmp_path / 'out'
    files = sorted(photos.rglob('*.png'))
    with tarfile.open(tmp_path / 's.tar', 'w') as tar:
        for path in files:
            tar.add(path, path.name)
        tar.add(files[0], files[0].name)  # packed again
        broken = tarfile.TarInfo('bad.jpg')
        broken.size = 3
        tar.addfile(broken, io.BytesIO(b'bad'))
    (tmp_path / 'list.txt').write_text(f's.tar\n{files[0]}\n./photos/a/{files[0].name}\ns.tar\n')
    images = JobImages([], [tmp_path / 'list.txt'])
    shards = [count_shard(counter, images, out, (k, 2)) for k in range(2)]
    found = records(out)
    # The file and its copies in the archive are two images, whatever number of times they are met.
    expected = Counter(
        [('s.tar', path.name) for path in files] + [(f'photos/a/{files[0].name}', None)]
    )
    assert Counter((r['path'], r['member']) for r in found) == expected
    assert sum(s['duplicates'] for s in shards) == 1 + 14 + 1
    (error,) = records(out, 'errors')
    assert error['member'] == 'bad.jpg' and f'{tmp_path}/s.tar/bad.jpg: not' in error['error']
    by_name = {r['member']: r['count'] for r in found}
    assert by_name[files[0].name] == by_name[None]


def test_a_damaged_archive(counter, photos, tmp_path):
    out = tmp_path / 'out'
    # Without further headers, a member of less than 3584 bytes takes 4096.
    with tarfile.open(tmp_path / 's.tar', 'w', format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(photos.rglob('*.png')):
            tar.add(path, path.name)
    content = (tmp_path / 's.tar').read_bytes()
    (tmp_path / 's.tar').write_bytes(content[: 5 * 4096])
    for _ in range(2):
        shards = [
            count_shard(counter, JobImages([tmp_path / 's.tar']), out, (k, 2)) for k in (0, 1)
        ]
        assert {s['signal'] for s in shards} == {None}
    assert len(records(out)) == 5
    about = [r['member'] for r in records(out, 'errors')]
    assert about.count(None) == 1 and len(about) <= 2


def test_one_writer(counter, photos, tmp_path):
    out = tmp_path / 'out'
    with ShardFiles(out, 0, 2):
        with pytest.raises(RuntimeError, match=r'part-00000-of-00002\.jsonl: another process'):
            count_shard(counter, JobImages([photos]), out, (0, 2))
        with pytest.raises(RuntimeError, match='shard 0 of 2, and would count .* shard 1 of 3'):
            count_shard(counter, JobImages([photos]), out, (1, 3))
        assert count_shard(counter, JobImages([photos]), out, (1, 2))['images'] > 0
    assert count_shard(counter, JobImages([photos]), out, (1, 3))['signal'] is None


def test_answers_are_not_mixed(counter, photos, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    count_shard(counter, JobImages([photos / 'a']), out)
    with pytest.raises(ValueError, match=r'job\.json: max_pixels is 12000000 there and 500 now'):
        count_shard(counter, JobImages([photos / 'a']), out, max_pixels=500)
    with pytest.raises(ValueError, match=r'root\.json: .*photos/a there and .*photos now'):
        count_shard(counter, JobImages([photos]), out)
    moved = photos.rename(tmp_path / 'moved')
    summary = count_shard(counter, JobImages([moved / 'a'], root=moved / 'a'), out)
    assert (summary['images'], summary['done_before']) == (0, 6)
    parameter = next(counter.model.parameters())
    monkeypatch.setattr(parameter, 'data', parameter.data + 1)
    with pytest.raises(ValueError, match='weights is'):
        count_shard(counter, JobImages([moved / 'a'], root=moved / 'a'), out)


def test_counts_only_and_zones(counter, photos, tmp_path):
    square = [[0, 0], [31, 0], [31, 31], [0, 31]]
    zones = dict(zones=[dict(name='all', polygon=square)])
    localizer = counter.model.localizer
    count_shard(counter, JobImages([photos]), tmp_path / 'out', points=False, zones=zones)
    assert counter.model.localizer is localizer
    for record in records(tmp_path / 'out'):
        assert 'points' not in record and 'scores' not in record
        assert record['zones'][0]['count'] == pytest.approx(record['count'], abs=1e-6)


def test_an_answer_that_is_no_number(counter, photos, tmp_path, monkeypatch):
    head = next(p for name, p in counter.model.named_parameters() if name.startswith('head'))
    monkeypatch.setattr(head, 'data', head.data * float('nan'))
    for points, reason in ((True, 'density must be finite'), (False, 'the answer is not finite')):
        out = tmp_path / reason
        summary = count_shard(counter, JobImages([photos]), out, points=points)
        assert (summary['images'], summary['bad'], summary['signal']) == (0, 12, None)
        errors = records(out, 'errors')
        assert {r['path'] for r in errors} == names(photos)
        assert all(f'{photos}/{r["path"]}: ' in r['error'] and reason in r['error'] for r in errors)


def test_a_folder_that_disappears(counter, photos, tmp_path):
    class Unmounted(JobImages):
        def __iter__(self):
            for k, item in enumerate(super().__iter__()):
                if k == 4:
                    shutil.rmtree(photos)
                yield item

    with pytest.raises(FileNotFoundError, match='photos: gone or empty now'):
        count_shard(counter, Unmounted([photos]), tmp_path / 'out')
    assert len(records(tmp_path / 'out')) == 4 and not records(tmp_path / 'out', 'errors')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty: no image found'):
        count_shard(counter, JobImages([tmp_path / 'empty']), tmp_path / 'other')


def test_a_network_that_fails_names_the_image(counter, photos, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError('illegal memory access')

    monkeypatch.setattr(counter.model, 'run_network', fail)
    with pytest.warns(UserWarning, match=r'stopped at .*\.png'), pytest.raises(RuntimeError):
        count_shard(counter, JobImages([photos]), tmp_path / 'out')
    assert not FileLock(str(tmp_path / 'out' / '.part-00000-of-00001.lock')).is_locked
    monkeypatch.undo()
    assert count_shard(counter, JobImages([photos]), tmp_path / 'out')['images'] == 12


def test_the_shard_of_a_process():
    assert shard_of_process({'RANK': '2', 'WORLD_SIZE': '3'}) == (2, 3)
    with pytest.raises(ValueError, match='only one of RANK and WORLD_SIZE'):
        shard_of_process({'RANK': '2'})
