"""The command mmcrowd video, as a user runs it."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import cv2
import pytest

from mmcrowd import cli
from mmcrowd.apis import video_reader
from mmcrowd.apis.zoo import find_entry
from tests.testing.videos import send_stream, serve, write_video

av = pytest.importorskip('av')

REPO = Path(__file__).parents[2]
ZONES = dict(
    zones=[
        dict(name='left', polygon=[[0, 0], [31.5, 0], [31.5, 48], [0, 48]]),
        dict(name='right', polygon=[[31.5, 0], [64, 0], [64, 48], [31.5, 48]]),
    ]
)


@pytest.fixture
def mmcrowd(monkeypatch, capsys):
    """Function that runs the command: what it prints, its exit status, and its last words."""
    monkeypatch.setattr(video_reader, 'wait_before', lambda failures: 0.01)

    def run(*argv):
        monkeypatch.setattr(sys, 'argv', ['mmcrowd', 'video', *map(str, argv)])
        status = None
        try:
            cli.main()
        except SystemExit as end:
            status = end.code
        return *capsys.readouterr(), status

    return run


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Five seconds, half a second apart."""
    folder = tmp_path_factory.mktemp('video')
    return write_video(folder / 'gate.mp4', [k / 2 for k in range(10)], gop=4)


def rows_of(path):
    with Path(path).open(encoding='utf-8', newline='') as file:
        return list(csv.reader(file))


def number_of_pictures(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_file(mmcrowd, video, tmp_path):
    (tmp_path / 'zones.json').write_text(json.dumps(ZONES))
    out_dir = tmp_path / 'out'
    out, err, status = mmcrowd(
        *(video, '--out-dir', out_dir, '--zones', tmp_path / 'zones.json', '--device', 'cpu')
    )
    assert status is None
    header, *rows = rows_of(out_dir / 'gate.csv')
    assert header == ['time_s', 'count', 'left', 'right']
    assert [float(row[0]) for row in rows] == [0, 1, 2, 3, 4]
    lines = [
        f'0:0{k}.0: count {float(row[1]):.1f}, left {float(row[2]):.1f}, right {float(row[3]):.1f}'
        for k, row in enumerate(rows)
    ]
    assert [line.split('; note')[0] for line in out.splitlines()] == lines
    # Each note once.
    assert out.count('trained on') == 1
    assert find_entry('default').test_errors() in err and '5 samples, mean ' in err
    assert number_of_pictures(out_dir / 'gate.mp4') == 5
    assert sorted(p.name for p in out_dir.iterdir()) == ['gate.csv', 'gate.mp4', 'gate.png']
    assert all(f'wrote {path}' in err for path in out_dir.iterdir())


def test_what_is_printed(mmcrowd, video):
    table, _, _ = mmcrowd(video, '--csv', '--end', '2.5')
    header, *rows = csv.reader(table.splitlines())
    assert header == ['time_s', 'count'] and [row[0] for row in rows] == ['0.000', '1.000', '2.000']
    out, _, _ = mmcrowd(video, '--json', '--rate', 'all', '--start', '3.9')
    answers = [json.loads(line) for line in out.splitlines()]
    assert [each['time_s'] for each in answers] == [4.0, 4.5]
    assert {'count', 'points', 'notes', 'width'} <= answers[0].keys() and 'name' not in answers[0]


def test_a_file_that_is_cut_short(mmcrowd, video, tmp_path):
    path = tmp_path / 'cut.mkv'
    write_video(path, [k / 2 for k in range(10)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    out, err, status = mmcrowd(path, '--out-dir', tmp_path / 'out', '--rate', 'all')
    assert status == 1 and err.count('cut short, it ends at') == 1
    number = len(out.splitlines())
    assert 0 < number < 10 and len(rows_of(tmp_path / 'out' / 'cut.csv')) == number + 1
    assert number_of_pictures(tmp_path / 'out' / 'cut.mp4') == number


def test_bad_input(mmcrowd, video, tmp_path):
    out, _, status = mmcrowd(tmp_path / 'none.mp4')
    assert status == f'mmcrowd: error: no video file {tmp_path}/none.mp4' and not out
    assert 'camera 97 does not open' in mmcrowd('97')[2]
    for rate in ('fast', '0', '-1', 'nan', 'inf'):
        _, err, status = mmcrowd(video, f'--rate={rate}')
        assert status == 2 and f'\'{rate}\', expected a number above 0 or "all"' in err
    out, _, status = mmcrowd(video, '--start', '100')
    assert status == f'mmcrowd: error: {video}: start=100 lies behind the end, 4.5 s' and not out
    assert 'camera 97 does not open' in mmcrowd('/dev/video97')[2]
    assert "name='' (--name), expected" in mmcrowd(video, '--out-dir', tmp_path, '--name', '')[2]


@pytest.mark.parametrize('link', [False, True])
def test_the_video_is_not_written_over(mmcrowd, video, tmp_path, monkeypatch, link):
    monkeypatch.chdir(tmp_path)
    source = Path('gate.mp4')
    source.write_bytes(video.read_bytes())
    given, out_dir = source, '.'
    if link:
        Path('films').mkdir()
        (Path('films') / 'gate.mkv').symlink_to(tmp_path / 'gate.mp4')
        given, out_dir = Path('films') / 'gate.mkv', tmp_path
    out, err, status = mmcrowd(given, '--out-dir', out_dir)
    assert status.startswith('mmcrowd: error: ') and status.endswith(
        'gate.mp4 is the video that is counted and would be written over: choose another folder '
        'or name (--out-dir, --name)'
    )
    assert not out and not err and source.read_bytes() == video.read_bytes()
    assert not list(tmp_path.glob('*.csv'))
    # Without the overlay nothing is in the way.
    assert mmcrowd(f'file://{tmp_path}/gate.mp4', '--out-dir', '.', '--no-overlay')[2] is None
    assert Path('gate.csv').is_file() and source.read_bytes() == video.read_bytes()


def test_results_of_a_stream_are_not_written_over(mmcrowd, tmp_path):
    piece = write_video(tmp_path / 'a.ts', [k / 2 for k in range(4)]).read_bytes()
    out = tmp_path / 'out'
    with serve(lambda handler, number: send_stream(handler, piece)) as (address, _):
        options = ('--out-dir', out, '--no-overlay', '--tries', 0)
        assert 'given up' in mmcrowd(f'{address}/one/101', *options)[2]
        before = (out / '101.csv').read_bytes()
        printed, err, status = mmcrowd(f'{address}/two/101', *options)
        assert f'error: {out}/101.csv is there already' in status and '--name' in status
        assert not printed and not err and (out / '101.csv').read_bytes() == before
        assert 'given up' in mmcrowd(f'{address}/two/101', *options, '--name', 'two: 101')[2]
    assert len(rows_of(out / 'two%3A 101.csv')) > 1
    assert (out / '101.csv').read_bytes() == before


def test_a_live_stream_until_sigterm(mmcrowd, tmp_path):
    piece = write_video(tmp_path / 'a.ts', [k / 2 for k in range(4)]).read_bytes()

    def answer(handler, number):
        if number < 2:
            send_stream(handler, piece)
            return
        # Silence, until the reader has gone.
        os.kill(os.getpid(), signal.SIGTERM)
        handler.send_response(200)
        handler.end_headers()
        handler.rfile.read(1)

    with serve(answer) as (address, _):
        out, err, status = mmcrowd(f'{address}/live', '--csv', '--out-dir', tmp_path / 'out')
    assert status == 128 + signal.SIGTERM and 'stopped by SIGTERM' in err
    assert len(re.findall('try 1 of 8', err)) == 2
    header, *rows = rows_of(tmp_path / 'out' / 'live.csv')
    assert header == ['time_s', 'clock', 'count'] and [header, *rows] == list(
        csv.reader(out.splitlines())
    )
    assert 1 <= len(rows) <= 4
    assert datetime.fromisoformat(rows[0][1]).tzinfo is not None
    assert number_of_pictures(tmp_path / 'out' / 'live.mp4') == len(rows)


def test_ctrl_c(tmp_path):
    """A real one, to a process of its own: all files are whole."""
    path = write_video(tmp_path / 'long.mp4', [k / 25 for k in range(500)], size=(32, 48))
    command = [sys.executable, '-c', 'from mmcrowd.cli import main; main()', 'video', str(path)]
    command += ['--rate', 'all', '--device', 'cpu', '--out-dir', str(tmp_path / 'out')]
    process = subprocess.Popen(
        command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)  # of someone who cannot wait
    rest, err = process.communicate(timeout=120)
    lines += rest.splitlines()
    assert process.returncode == 128 + signal.SIGINT, err
    assert 'Traceback' not in err and 'stopped by SIGINT' in err
    assert 3 <= len(lines) < 500
    assert len(rows_of(tmp_path / 'out' / 'long.csv')) == len(lines) + 1
    assert number_of_pictures(tmp_path / 'out' / 'long.mp4') == len(lines)
    assert cv2.imread(str(tmp_path / 'out' / 'long.png')) is not None
    assert len(list((tmp_path / 'out').iterdir())) == 3
