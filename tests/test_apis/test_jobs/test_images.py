"""Images of a job are found, whatever their names, without a list of them."""

import io
import os
import sys
import tarfile
import tracemalloc

import pytest

from mmcrowd.apis.jobs.images import ImageFile, JobImages, TarMember, Unreadable

ODD = ['a b.jpg', 'a[1].jpg', '#c%20.JPG', 'new\nline.png', '日本.webp', '-x.jpg', "it's.png"]


def write(folder, *names, content=b'x'):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def pack(path, *names, mode='w'):
    with tarfile.open(path, mode) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 600
            tar.addfile(info, io.BytesIO(name.encode().ljust(600)))


def paths(*args, **kwargs):
    found = list(JobImages(*args, **kwargs))
    return sorted((item.path, item.member) if item.member else item.path for item in found)


def test_a_folder(tmp_path):
    write(tmp_path, *ODD, 'sub/deep/d.tiff', 'notes.txt', '.thumbs/e.jpg', 'sub/._f.jpg')
    (tmp_path / 'folder.jpg').mkdir()
    write(tmp_path, 'folder.jpg/g.gif')
    assert paths([tmp_path]) == sorted([*ODD, 'sub/deep/d.tiff', 'folder.jpg/g.gif'])
    by_pattern = ['sub/deep/d.tiff', 'folder.jpg/g.gif', *ODD]
    assert paths([f'{tmp_path}/**/*.*']) == sorted(by_pattern)
    (item,) = JobImages([tmp_path / 'a[1].jpg'])
    status = os.stat(tmp_path / 'a[1].jpg')
    assert item == ImageFile('a[1].jpg', str(tmp_path / 'a[1].jpg'))
    assert item.version() == (1, status.st_mtime_ns)


@pytest.mark.skipif(sys.platform != 'linux', reason='names of any bytes are those of Linux')
def test_names_that_are_no_text(tmp_path):
    write(tmp_path, os.fsdecode(b'\xe9t\xe9.jpg'))
    assert paths([tmp_path]) == ['\udce9t\udce9.jpg']
    (tmp_path / 'list.txt').write_bytes(b'\xe9t\xe9.jpg\r\n')
    assert paths([], [tmp_path / 'list.txt']) == ['\udce9t\udce9.jpg']


@pytest.mark.skipif(sys.platform == 'win32', reason='links need rights there')
def test_links(tmp_path):
    write(tmp_path, 'a/1.jpg', 'b/2.jpg')
    (tmp_path / 'a' / 'up').symlink_to(tmp_path)
    (tmp_path / 'a' / 'b').symlink_to(tmp_path / 'b')
    (tmp_path / 'gone.jpg').symlink_to(tmp_path / 'nothing')
    (tmp_path / 'self.jpg').symlink_to('self.jpg')
    os.mkfifo(tmp_path / 'pipe.jpg')
    assert paths([tmp_path]) == [
        *('a/1.jpg', 'a/b/2.jpg', 'b/2.jpg', 'gone.jpg', 'pipe.jpg', 'self.jpg')
    ]
    found = {item.path: item for item in JobImages([tmp_path])}
    for name in ('gone.jpg', 'self.jpg'):
        with pytest.raises(OSError):
            found[name].version()
    with pytest.raises(ValueError, match=r'pipe\.jpg: not a regular file'):
        found['pipe.jpg'].version()


def test_roots(tmp_path, monkeypatch):
    write(tmp_path, 'one/x/1.jpg', 'two/x/1.jpg')
    one, two = tmp_path / 'one', tmp_path / 'two'
    assert paths([one]) == ['x/1.jpg']
    assert paths([one, two]) == ['one/x/1.jpg', 'two/x/1.jpg']
    assert paths([one], root=tmp_path) == ['one/x/1.jpg']
    outside = f'{two}/x/1.jpg'.replace(os.sep, '/')
    assert paths([one, two], root=one) == sorted([outside, 'x/1.jpg'])
    monkeypatch.chdir(tmp_path)
    assert paths(['one/x/1.jpg']) == ['1.jpg']
    assert paths(['*/x/*.jpg']) == ['one/x/1.jpg', 'two/x/1.jpg']


def test_lists(tmp_path):
    write(tmp_path, 'photos/1.jpg', 'photos/2.dat')
    path = tmp_path / 'list.txt'
    path.write_text(f'photos/1.jpg\n\n./photos/../photos/1.jpg\n{tmp_path}/photos/2.dat\ngone.jpg')
    expected = ['gone.jpg', 'photos/1.jpg', 'photos/1.jpg', 'photos/2.dat']
    assert paths([], [path]) == expected
    path.write_text('1.jpg\n')
    assert paths([], [path], root=tmp_path / 'photos') == ['1.jpg']


@pytest.mark.parametrize('ending', ['tar', 'tar.gz'])
def test_an_archive(tmp_path, ending):
    names = ['a.jpg', 'b/c d.png', 'notes.txt', '.hidden.jpg', 'é.jpg']
    pack(tmp_path / f's.{ending}', *names, mode='w:gz' if ending == 'tar.gz' else 'w')
    content = {}
    for item in JobImages([tmp_path]):
        assert isinstance(item, TarMember) and item.path == f's.{ending}'
        assert item.version() == (600, None)
        content[item.member] = item.source()
        assert not item.tar.members  # it forgets what has passed
    assert content == {name: name.encode().ljust(600) for name in ('a.jpg', 'b/c d.png', 'é.jpg')}


@pytest.mark.parametrize(
    'end, whole', [(512, 0), (1100, 0), (1536, 1), (3 * 1536, 3), (1536 + 9, 1)]
)
def test_an_archive_that_is_cut_off(tmp_path, end, whole):
    path = tmp_path / 's.tar'
    pack(path, 'a.jpg', 'b.jpg', 'c.jpg')
    path.write_bytes(path.read_bytes()[:end])
    *members, last = JobImages([path])
    assert isinstance(last, Unreadable)
    assert str(path) in last.error and 'the archive is damaged' in last.error
    assert len(members) in (whole, whole + 1)
    for item in JobImages([path]):
        if isinstance(item, TarMember) and item.member >= 'abcd'[whole]:
            with pytest.raises(ValueError, match=r's\.tar/.\.jpg: the archive is damaged'):
                item.source()


def test_a_damaged_header_is_not_the_end(tmp_path):
    path = tmp_path / 's.tar'
    pack(path, 'a.jpg', 'b.jpg', 'c.jpg')
    content = bytearray(path.read_bytes())
    content[1536:1600] = b'?' * 64
    path.write_bytes(content)
    first, last = JobImages([path])
    assert first.member == 'a.jpg' and 'no header and no end at byte 1536' in last.error
    path.write_bytes(b'text')
    (only,) = JobImages([path])
    assert isinstance(only, Unreadable)


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root reads everything')
def test_a_folder_without_rights(tmp_path):
    write(tmp_path, 'a/1.jpg', 'b/2.jpg')
    (tmp_path / 'a').chmod(0)
    try:
        found = {item.path: item for item in JobImages([tmp_path])}
    finally:
        (tmp_path / 'a').chmod(0o700)
    assert found.keys() == {'a', 'b/2.jpg'} and 'Permission denied' in found['a'].error


def test_no_list_is_made_of_a_list(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('\n'.join(f'{k:0100d}.jpg' for k in range(3_000)))
    images = iter(JobImages([], [path]))
    next(images)
    tracemalloc.start()
    assert sum(1 for _ in images) == 2_999
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000  # the names alone are 300,000 bytes


def test_bad_arguments(tmp_path):
    for kwargs, message in [
        (dict(inputs=[]), 'no images: name a folder'),
        (dict(inputs=['http://x/a.jpg']), 'download it first'),
    ]:
        with pytest.raises(ValueError, match=message):
            JobImages(**kwargs)
    gone = tmp_path / 'gone'
    for kwargs in (
        dict(inputs=[gone]),
        dict(inputs=[], lists=[gone]),
        dict(inputs=['*'], root=gone),
    ):
        with pytest.raises(FileNotFoundError, match='gone'):
            JobImages(**kwargs)
