"""``mmcrowd app``: a page to count in, on this machine."""

import argparse
import signal
import sys
import threading
from importlib.util import find_spec

from .arguments import add_device, add_model

HELP = 'open a page to count photos in: points, density, zones, downloads'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen on; default: %(default)s, this machine only. The page has no '
        'password: on another address everyone who reaches it may use it',
    )
    parser.add_argument('--port', type=int, help='default: the first that is free from 7860 on')
    add_model(parser, 'first choice: ')
    add_device(parser)
    parser.add_argument('--open', action='store_true', help='open the page in a browser')


def run(args: argparse.Namespace) -> None:
    if find_spec('gradio') is None:
        raise ImportError("mmcrowd app needs gradio: run `pip install 'mmcrowd[app]'`")
    from mmcrowd.apis.app.models import Counters, choices
    from mmcrowd.apis.app.server import serve

    offered = choices(args.model, args.weights, args.cfg_options)
    counters = Counters(offered, args.device, args.precision)
    counters.get(offered[0].title)
    with serve(counters, args.host, args.port, open_browser=args.open) as url:
        # As Ctrl-C does, so that the uploaded files are removed.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print(f'{url} (Ctrl-C ends it)', flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print('ended')
