"""From videos to samples, counts and files."""

import csv
import itertools
import json
import re
import sys
import time
import weakref
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmcrowd.apis import (
    CountedFrame,
    CrowdInferencer,
    VideoReader,
    count_video,
    video_outputs,
    video_reader,
)
from mmcrowd.apis.video_outputs import VideoWriter, columns
from mmcrowd.apis.zones import parse_zones
from mmcrowd.datasets import SyntheticCrowdDataset
from tests.testing.videos import number_of, send_stream, serve, write_video

av = pytest.importorskip('av')

# Frames that do not compress.
NOISE = list(np.random.default_rng(0).integers(0, 256, (50, 48, 64, 3), np.uint8))
# Of variable rate: dense, a pause, and dense again.
TIMES = [0, 0.04, 0.08, 0.5, 1.02, 1.3, *(2 + 0.1 * k for k in range(11)), 6.2, 6.5]


def read(source, **options):
    """Times and numbers of the samples, and the lines that are told."""
    lines = []
    reader = VideoReader(source, tell=lines.append, **options)
    frames = [(round(frame.time, 3), number_of(frame.img)) for frame in reader]
    return frames, lines, reader


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits of connections are not sat out."""
    monkeypatch.setattr(video_reader, 'wait_before', lambda failures: 0.01 * failures)


@pytest.fixture(scope='module')
def variable(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp('video') / 'variable.mp4', TIMES)


# -------------------------------------------------------------------------------------- sampling


def expected(times, rate, start=0.0, end=np.inf):
    """For each moment of the grid the first frame from it on, each once, by plain search."""
    chosen = []
    for k in range(1000):
        later = [n for n, t in enumerate(times) if t >= start + k / rate - 1e-9]
        if later and later[0] not in chosen and times[later[0]] < end:
            chosen.append(later[0])
    return [(round(times[n], 3), n) for n in chosen]


@pytest.mark.parametrize(
    'options',
    [
        dict(rate=1),
        dict(rate=2),
        dict(rate=4, start=0.5),
        dict(rate=0.4),
        dict(rate=10, start=1.02, end=2.5),
        dict(rate=1, start=2.05, end=6.2),
        dict(rate=100),
    ],
    ids=str,
)
def test_samples_are_chosen_by_time_stamps(variable, options):
    frames, lines, reader = read(variable, key_frames=False, **options)
    assert frames == expected(TIMES, **options)
    assert lines == [] and reader.problem is None and not reader.is_live


def test_every_frame(variable):
    frames, _, _ = read(variable, rate=None)
    assert frames == [(round(t, 3), n) for n, t in enumerate(TIMES)]
    with pytest.raises(ValueError, match='start=100 lies behind the end, 6.5 s'):
        read(variable, start=100)


@pytest.mark.parametrize('name', ['late.mkv', 'late.ts', 'late.avi'])
def test_other_containers(tmp_path, name):
    """Time begins at the start of the file, whatever its time stamps."""
    times = [k / 25 for k in range(10)] if name.endswith('avi') else TIMES
    path = write_video(tmp_path / name, times, codec='mpeg4')
    frames, lines, reader = read(path, rate=None)
    assert frames == [(pytest.approx(t, abs=2e-3), n) for n, t in enumerate(times)]
    assert lines == [] and reader.problem is None


def test_key_frames_where_they_suffice(tmp_path):
    times = [k / 10 for k in range(40)]
    path = write_video(tmp_path / 'long.mp4', times, gop=5)
    frames, _, reader = read(path, rate=1)
    assert reader.key_frames and frames == [(0.0, 0), (1.0, 10), (2.0, 20), (3.0, 30)]
    frames, lines, reader = read(path, rate=2, start=0.6)
    # Key frames come every half second: too seldom for two samples a second.
    assert not reader.key_frames and frames[:2] == [(0.6, 6), (1.1, 11)]
    frames, lines, reader = read(path, rate=2, start=0.6, key_frames=True)
    assert frames[:2] == [(1.0, 10), (1.5, 15)]
    # The frames after the last key frame are there, too.
    assert lines == [] and reader.problem is None


@pytest.mark.parametrize('codec', ['mpeg4', 'libx264'])
def test_only_key_frames_are_decoded(tmp_path, codec):
    path = write_video(tmp_path / 'long.mp4', [k / 10 for k in range(40)], codec=codec)
    reader = VideoReader(path, rate=None, key_frames=True)
    assert [number_of(frame.img) for frame in reader] == list(range(0, 40, 5))
    with pytest.raises(RuntimeError, match='read once'):
        list(reader)


@pytest.mark.parametrize('rotation', [90, 180, -90])
def test_turned_videos(tmp_path, rotation):
    """As OpenCV turns them."""
    img = np.full((48, 64, 3), 128, np.uint8)
    img[:24, :32], img[:24, 32:], img[24:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    path = write_video(tmp_path / 'turned.mp4', [0, 0.1], [img, img], rotation=rotation)
    capture = cv2.VideoCapture(str(path))
    _, other = capture.read()
    capture.release()
    frame = next(iter(VideoReader(path)))
    assert frame.img.shape == ((48, 64, 3) if rotation == 180 else (64, 48, 3))
    assert frame.img.shape == other.shape and frame.img.flags['C_CONTIGUOUS']
    assert np.abs(frame.img.astype(int) - other).mean() < 3


@pytest.mark.parametrize(
    'ratio, size', [((4, 3), (48, 85)), ((3, 4), (64, 64)), ((1, 50), (48, 64))]
)
def test_pixels_that_are_not_square(tmp_path, ratio, size):
    """A disc is one in the frame, too, but for a header that cannot be."""
    path = tmp_path / 'wide.mp4'
    img = np.zeros((48, 64, 3), np.uint8)
    stretch = ratio[0] / ratio[1]
    cv2.ellipse(img, (32, 24), (round(12 / stretch), 12), 0, 0, 360, (255, 255, 255), -1)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, 'yuv420p'
        stream.codec_context.sample_aspect_ratio = Fraction(*ratio)
        for packet in (*stream.encode(av.VideoFrame.from_ndarray(img, 'bgr24')), *stream.encode()):
            container.mux(packet)
    (frame,) = VideoReader(path)
    assert frame.img.shape == (*size, 3)
    rows, columns = np.nonzero(frame.img[..., 0] > 127)
    if size != (48, 64):
        assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=2)


# --------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize(
    'name, codec', [('cut.mp4', 'mpeg4'), ('cut.mkv', 'mpeg4'), ('cut.ts', 'libx264')]
)
def test_a_file_that_is_cut_short(tmp_path, name, codec):
    times = [k / 10 for k in range(50)]
    options = dict(movflags='faststart') if name == 'cut.mp4' else None
    path = write_video(tmp_path / name, times, NOISE, codec, options=options)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    lines = []
    reader = VideoReader(path, rate=None, tell=lines.append)
    found = [frame.time for frame in reader]
    assert 25 < len(found) < 35
    assert {round(t, 2) for t in found} <= {round(t, 2) for t in times}
    assert reader.problem == lines[-1]
    ends_at = re.match(rf'{path}: cut short, it ends at (\S+) s of ', lines[-1])
    assert found[-1] - 0.01 < float(ends_at[1]) < found[-1] + 0.25


def test_damage_in_the_middle(tmp_path):
    path = write_video(tmp_path / 'zeros.mp4', [k / 10 for k in range(20)], NOISE)
    content = bytearray(path.read_bytes())
    at = len(content) // 3
    content[at : at + 3000] = bytes(3000)
    path.write_bytes(content)
    lines = []
    reader = VideoReader(path, rate=None, tell=lines.append)
    assert 10 <= len(list(reader)) < 20
    assert reader.problem is None and 'damaged frames were left out' in lines[0]
    # What comes before the start is not even read.
    frames = list(VideoReader(path, rate=None, start=1.5, tell=lines.append))
    assert [frame.time for frame in frames] == pytest.approx([1.5, 1.6, 1.7, 1.8, 1.9])
    assert len(lines) == 1


def test_what_is_no_video(tmp_path):
    def refused(path, kind, message):
        with pytest.raises(kind, match=message):
            VideoReader(path)

    refused(tmp_path / 'none.mp4', FileNotFoundError, r'no video file .*none\.mp4')
    refused(tmp_path, ValueError, 'is a folder')
    for name in ('text.mp4', 'text.txt'):
        (tmp_path / name).write_text('no video\n' * 50)
        refused(tmp_path / name, ValueError, rf'{name}: not a (readable )?video')
    (tmp_path / 'empty.mp4').touch()
    refused(tmp_path / 'empty.mp4', ValueError, r'empty\.mp4: not a readable video \(Invalid data')
    cv2.imwrite(str(tmp_path / 'photo.jpg'), np.zeros((8, 8, 3), np.uint8))
    refused(tmp_path / 'photo.jpg', ValueError, r'photo\.jpg: not a video .*mmcrowd count')
    with av.open(str(tmp_path / 'sound.wav'), 'w') as container:
        stream = container.add_stream('pcm_s16le', rate=8000, layout='mono')
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout='mono')
        sound.rate = 8000
        container.mux(stream.encode(sound))
    refused(tmp_path / 'sound.wav', ValueError, r'sound\.wav: no video stream in it, only audio')
    raw = write_video(tmp_path / 'raw.h264', [0, 0.1], codec='libx264')
    with pytest.raises(ValueError, match=r'raw\.h264: its frames have no time stamps'):
        list(VideoReader(raw))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(rate=0), 'rate=0'),
        (dict(rate=float('nan')), 'rate=nan'),
        (dict(start=-1), 'start=-1'),
        (dict(start=3, end=3), 'end=3, expected seconds after start=3'),
        (dict(tries=-1), 'tries=-1'),
    ],
)
def test_arguments_that_make_no_sense(variable, options, message):
    with pytest.raises(ValueError, match=message):
        VideoReader(variable, **options)


def test_without_pyav(variable, monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(ImportError, match=r"run `pip install 'mmcrowd\[video\]'`"):
        VideoReader(variable)


# --------------------------------------------------------------------------- streams and cameras


def test_a_live_stream_that_breaks_off_and_comes_back(tmp_path):
    """Time stamps begin anew with each connection; times go on."""
    pieces = [
        write_video(tmp_path / f'{n}.ts', [5 * n + k / 10 for k in range(10)], first=10 * n)
        for n in range(2)
    ]

    def answer(handler, number):
        if number == 1:
            handler.send_error(503)
        elif number < 3:
            send_stream(handler, pieces[number // 2].read_bytes())

    with serve(answer) as (address, _):
        lines, frames = [], []
        reader = VideoReader(
            address.replace('//', '//user:secret@') + '/gate?key=secret',
            rate=None,
            tries=2,
            tell=lines.append,
        )
        assert reader.is_live and reader.started is None and reader.stem == 'gate'
        with pytest.raises(ConnectionError, match=r'given up after 2 tries in a row') as error:
            for frame in reader:
                frames.append(frame)
    assert [number_of(frame.img) for frame in frames] == list(range(20))
    times = np.array([frame.time for frame in frames])
    assert times[:10] == pytest.approx(np.arange(10) / 10)
    assert times[10] > 0.9 and times[10:] - times[10] == pytest.approx(np.arange(10) / 10)
    assert [line.split('; ')[1] for line in lines] == [
        'try 1 of 2 in 0 s',
        'try 2 of 2 in 0.01 s',
        'try 1 of 2 in 0 s',
        'try 2 of 2 in 0.01 s',
    ]
    assert lines[0].startswith(f'{address}/gate: Input/output error;')
    assert 'Server returned 5XX' in lines[1]
    assert not [text for text in [*lines, str(error.value), reader.name] if 'secret' in text]
    assert datetime.now().astimezone() >= reader.started
    assert (reader.clock(2.5) - reader.started).total_seconds() == 2.5


def test_a_file_behind_a_url_goes_on_where_it_broke_off(tmp_path):
    times = [k / 10 for k in range(50)]
    path = write_video(tmp_path / 'a.mp4', times, NOISE, options=dict(movflags='faststart'))
    content = path.read_bytes()

    def answer(handler, number):
        first = asked[-1]
        handler.send_response(206)
        handler.send_header('Content-Range', f'bytes {first}-{len(content) - 1}/{len(content)}')
        handler.send_header('Content-Length', str(len(content) - first))
        handler.send_header('Accept-Ranges', 'bytes')
        handler.end_headers()
        # The first answer breaks off in the middle.
        handler.wfile.write(content[first : len(content) // 2 if number == 0 else None])

    with serve(answer) as (address, asked):
        lines = []
        reader = VideoReader(f'{address}/a.mp4', rate=None, tell=lines.append)
        assert not reader.is_live and reader.length == pytest.approx(5, abs=0.1)
        found = [frame.time for frame in reader]
    assert found == pytest.approx(times) and len(lines) == 1 and reader.problem is None


def test_a_stream_that_is_not_there():
    with serve(lambda handler, number: handler.send_error(404)) as (address, _):
        with pytest.raises(ConnectionError, match=r'no connection \(.*404 Not Found\)'):
            VideoReader(f'{address}/none.mp4')
    with pytest.raises(ConnectionError, match='Connection refused'):
        VideoReader(f'{address}/none.mp4')


def test_a_camera(variable, monkeypatch, capfd):
    with pytest.raises(ConnectionError, match='camera 97 does not open'):
        VideoReader('97')
    real, opened = cv2.VideoCapture, []

    def capture(number):
        opened.append(number)
        return real(str(variable) if len(opened) == 1 else '')

    monkeypatch.setattr(cv2, 'VideoCapture', capture)
    lines = []
    reader = VideoReader(3, rate=None, tries=1, tell=lines.append)
    assert reader.is_live and reader.stem == 'camera_3'
    frames = []
    with pytest.raises(ConnectionError, match='camera 3 does not open.*given up after 1 tries'):
        frames += reader  # raises after the last one
    assert len(lines) == 1 and lines[0].startswith('camera 3: it gives no more frames; try 1')
    assert opened == [3, 3]


def test_a_camera_that_fails_to_give_a_frame(variable, monkeypatch):
    """It is opened again, as one that breaks off."""
    real, captures = cv2.VideoCapture, []

    class Camera:
        def __init__(self, number):
            self.file = real(str(variable) if len(captures) < 2 else '')
            captures.append(self)

        def __getattr__(self, name):
            return getattr(self.file, name)

        def retrieve(self):
            return (False, None) if len(captures) == 1 else self.file.retrieve()

    monkeypatch.setattr(cv2, 'VideoCapture', Camera)
    lines, frames = [], []
    with pytest.raises(ConnectionError, match='camera 0 does not open'):
        frames += VideoReader(0, rate=None, tries=1, tell=lines.append)
    assert len(captures) == 3 and not any(each.isOpened() for each in captures)
    assert lines[0] == 'camera 0: a frame cannot be read; try 1 of 1 in 0 s'


# -------------------------------------------------------------------------------------- counting


@pytest.fixture(scope='module')
def counter():
    return CrowdInferencer(device='cpu', show_progress=False)


@pytest.fixture(scope='module')
def crowd(tmp_path_factory):
    """A window that wanders over a drawn crowd: path and frames."""
    dataset = SyntheticCrowdDataset(num_images=1, split='test', seed=1, img_size=(128, 80))
    picture = dataset.get_data_info(0)['img']
    frames = [picture[:, 4 * k : 4 * k + 96] for k in range(8)]
    times = [0, 0.1, 0.2, 0.5, 0.9, 1.0, 1.1, 1.5]
    path = tmp_path_factory.mktemp('crowd') / 'crowd.mp4'
    return write_video(path, times, frames, codec='libx264')


HALVES = dict(
    zones=[
        dict(name='left', polygon=[[0, 0], [47.5, 0], [47.5, 80], [0, 80]]),
        dict(name='right', polygon=[[47.5, 0], [96, 0], [96, 80], [47.5, 80]]),
    ]
)


def test_counts_are_those_of_the_frames(counter, crowd):
    frames = list(VideoReader(crowd, rate=None))
    counted = list(count_video(crowd, counter, zones=HALVES, rate=None))
    assert [each.time for each in counted] == [frame.time for frame in frames]
    for each, frame in zip(counted, frames, strict=True):
        assert np.array_equal(each.img, frame.img)
    alone = counter([frames[3].img], zones=HALVES)['predictions'][0]
    assert counted[3].prediction | dict(name='') == alone | dict(name='')
    batched = list(count_video(crowd, counter, batch_size=3, rate=None))
    assert [each.prediction['count'] for each in batched] == pytest.approx(
        [each.prediction['count'] for each in counted], rel=1e-4
    )
    with pytest.raises(TypeError, match='rate: the VideoReader'):
        count_video(VideoReader(crowd), counter, rate=3)


def test_memory_is_that_of_a_few_frames(counter, tmp_path):
    """Of all the frames of a video no more than those in work are alive at any time."""
    path = write_video(tmp_path / 'long.mp4', [k / 25 for k in range(24)], size=(32, 32))
    made, most = [], 0

    class Counting(VideoReader):
        def __iter__(self):
            nonlocal most
            for frame in super().__iter__():
                made.append(weakref.ref(frame.img))
                most = max(most, sum(ref() is not None for ref in made))
                yield frame
                del frame

    for batch_size in (1, 4):
        made.clear()
        most, last = 0, None
        for counted in count_video(Counting(path, rate=None), counter, batch_size=batch_size):
            last = counted.time
            time.sleep(0.01)  # meanwhile the thread reads as far as it may
        del counted
        assert last == 0.92 and len(made) == 24
        # A batch waits, one is in work; the thread, the generator and this loop hold one each.
        assert most <= 2 * batch_size + 3


def test_stopping(counter, crowd):
    reader = VideoReader(crowd, rate=None)
    counted = count_video(reader, counter)
    next(counted)
    reader.stop()
    assert list(counted) == []


def test_samples_that_come_too_fast_are_left_out(counter, tmp_path):
    piece = write_video(tmp_path / 'a.ts', [k / 10 for k in range(30)], size=(32, 32)).read_bytes()
    with serve(lambda handler, number: send_stream(handler, piece)) as (address, _):
        lines = []
        reader = VideoReader(address, rate=None, tries=0, tell=lines.append)
        counted = count_video(reader, counter)
        times = [next(counted).time]
        # The whole stream has come before the first count was taken up.
        with pytest.raises(ConnectionError, match='given up after 0 tries'):
            times += [each.time for each in counted]
    assert times == sorted(times) and len(times) < 30


# ----------------------------------------------------------------------------------------- files


def rows_of(path):
    with Path(path).open(encoding='utf-8', newline='') as file:
        return list(csv.reader(file))


def film_times(path):
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def test_files(counter, crowd, tmp_path):
    zones = parse_zones(HALVES)
    with VideoWriter(tmp_path / 'out', 'gate/1', zones) as writer:
        for each in count_video(crowd, counter, zones=zones, rate=None, start=0.15):
            writer.write(each)
            # Each row is on the disk before the next sample.
            last = rows_of(tmp_path / 'out' / 'gate%2F1.csv')[-1]
            assert last[0] == f'{each.time:.3f}'
    names = ['gate%2F1.csv', 'gate%2F1.mp4', 'gate%2F1.png']
    assert [path.name for path in writer.paths] == names
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == names
    header, *rows = rows_of(tmp_path / 'out' / 'gate%2F1.csv')
    assert header == ['time_s', 'count', 'left', 'right']
    values = np.array(rows, float)
    assert values[:, 0] == pytest.approx([0.2, 0.5, 0.9, 1.0, 1.1, 1.5])
    assert values[:, 2:].sum(1) == pytest.approx(values[:, 1], abs=2e-3)
    # The film begins with the first sample, and keeps the distances.
    assert film_times(tmp_path / 'out' / 'gate%2F1.mp4') == pytest.approx(
        values[:, 0] - 0.2, abs=1e-3
    )
    graph = cv2.imread(str(tmp_path / 'out' / 'gate%2F1.png'))
    assert graph is not None and graph.std() > 5


def test_files_are_whole_after_an_error(counter, crowd, tmp_path):
    with pytest.raises(KeyError, match='broken'):
        with VideoWriter(tmp_path, 'a') as writer:
            for each in itertools.islice(count_video(crowd, counter, rate=None), 3):
                writer.write(each)
            raise KeyError('broken')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.csv', 'a.mp4', 'a.png']
    assert len(rows_of(tmp_path / 'a.csv')) == 4 and len(film_times(tmp_path / 'a.mp4')) == 3


def test_files_without_a_sample(tmp_path):
    with VideoWriter(tmp_path, 'a'):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ['a.csv']
    assert rows_of(tmp_path / 'a.csv') == [['time_s', 'count']]


def test_a_film_of_frames_that_change_their_size(counter, tmp_path):
    with VideoWriter(tmp_path, 'a') as writer:
        for size in ((48, 64), (33, 51)):
            path = write_video(
                tmp_path / 'part.mp4', [0], size=(2 * (size[0] // 2), 2 * (size[1] // 2))
            )
            (each,) = count_video(path, counter)
            writer.write(each._replace(time=float(size[0] < 40)))
    assert film_times(tmp_path / 'a.mp4') == [0, 1]


def test_columns():
    square = [[0, 0], [4, 0], [4, 4], [0, 4]]
    ground = dict(pixels=square, metres=square)
    zones = parse_zones(dict(zones=[dict(name='a', polygon=square)], ground=ground))
    assert columns(zones, is_live=True) == ['time_s', 'clock', 'count', 'a', 'a per m2']
    zones = parse_zones(dict(zones=[dict(name='count', polygon=square)]))
    with pytest.raises(ValueError, match="'count' would be a second column of that name"):
        columns(zones, is_live=False)


def test_the_graph_has_the_counts(tmp_path, monkeypatch):
    """Of zones whatever they are called, but not their people per square metre."""
    square = [[0, 0], [4, 0], [4, 4], [0, 4]]
    content = dict(zones=[dict(name='a per m2', polygon=square)])
    counted = dict(name='a per m2', count=2.0, per_square_metre=0.5)
    drawn = []
    monkeypatch.setattr(video_outputs, 'draw_time_series', lambda *args: drawn.append(args))
    for name, ground in dict(a=None, b=dict(pixels=square, metres=square)).items():
        zones = parse_zones(content | dict(ground=ground))
        prediction = dict(count=3.0, zones=[counted])
        if ground is None:
            prediction['zones'] = [dict(name='a per m2', count=2.0)]
        with VideoWriter(tmp_path, name, zones, overlay=False, is_live=True) as writer:
            writer.write(CountedFrame(1.5, None, prediction, None), datetime.now().astimezone())
        times, series, *_ = drawn.pop()
        assert times == [1.5] and series == {'count': [3.0], 'a per m2': [2.0]}


def test_json_of_a_prediction(counter, crowd):
    (each,) = count_video(crowd, counter, end=0.5)
    assert json.loads(json.dumps(each.prediction)) == each.prediction
