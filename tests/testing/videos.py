"""Small videos whose frames can be told apart, and a server that breaks off."""

import re
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import numpy as np

BITS = 6


def numbered(number: int, size: tuple[int, int]) -> np.ndarray:
    """A frame of stripes, bright and dark: the bits of its number."""
    bits = [number >> k & 1 for k in range(BITS)]
    stripes = np.repeat([200 if bit else 50 for bit in bits], size[1] // BITS)
    row = np.pad(stripes, (0, size[1] - len(stripes)), mode='edge').astype(np.uint8)
    return np.tile(row[None, :, None], (size[0], 1, 3))


def number_of(img: np.ndarray) -> int:
    """The number of such a frame, after compression."""
    width = img.shape[1] // BITS
    means = [img[:, width * k : width * (k + 1)].mean() for k in range(BITS)]
    return sum(int(mean > 125) << k for k, mean in enumerate(means))


def write_video(
    path: str | Path,
    times: Sequence[float],
    frames: Sequence[np.ndarray] | None = None,
    codec: str = 'mpeg4',
    gop: int = 5,
    rotation: int = 0,
    options: dict | None = None,
    size: tuple[int, int] = (48, 64),
    first: int = 0,
) -> Path:
    """Write a video.

    Args:
        path: The file; its ending says what it is.
        times: Seconds of the frames, to a thousandth.
        frames: BGR; None: as :func:`numbered` makes them, below 64.
        codec: Of FFmpeg.
        gop: Distance of two key frames.
        rotation: Degrees against the clock by which players turn it.
        options: Of the container.
        size: Height and width of numbered frames.
        first: Number of the first one.
    """
    with av.open(str(path), 'w', options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        if frames is not None:
            size = frames[0].shape[:2]
        stream.height, stream.width = size
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = gop
        # Key frames where they are asked for only.
        no_scenes = {'mpeg4': '1000000000', 'libx264': '0'}
        if codec in no_scenes:
            stream.codec_context.options = dict(sc_threshold=no_scenes[codec])
        if codec == 'mpeg4':
            stream.codec_context.bit_rate = 2_000_000
        if rotation:
            stream.set_display_rotation(rotation)
        for number, seconds in enumerate(times):
            img = numbered(first + number, size) if frames is None else frames[number]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(img), format='bgr24')
            frame.pts, frame.time_base = round(seconds * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Path(path)


@contextmanager
def serve(answer: Callable[[BaseHTTPRequestHandler, int], None]):
    """Serve HTTP on the loopback: ``answer(handler, number of the request)``.

    Yields:
        The address, and the list of the first bytes that each request asked for.
    """
    asked: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = re.match(r'bytes=(\d+)-', self.headers.get('Range', ''))
            asked.append(int(wanted[1]) if wanted else 0)
            try:
                answer(self, len(asked) - 1)
            except ConnectionError:
                return  # the reader has enough

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}', asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send_stream(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    """Answer with a stream of unknown length that ends after this."""
    handler.send_response(200)
    handler.send_header('Content-Type', 'video/mp2t')
    handler.end_headers()
    handler.wfile.write(content)
