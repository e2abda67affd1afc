"""The server of the page: on this machine, without a network, files in a private folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Gradio reads it when it is imported.
os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'

from starlette.middleware import Middleware

from .guard import Guard
from .models import Counters
from .page import build_page, read_static, theme
from .session import Limits

LOOPBACK = ('127.0.0.1', 'localhost', '::1')

VISITORS = 20  # whose pictures are kept


@contextmanager
def serve(
    counters: Counters,
    host: str = '127.0.0.1',
    port: int | None = None,
    limits: Limits | None = None,
    open_browser: bool = False,
) -> Iterator[str]:
    """Context in which the page is served.

    What is uploaded lies in a folder that only this user may enter, and is gone with the context.

    Args:
        counters: The models to choose from.
        host: Address to listen on. Defaults to this machine only.
        port: Port. Defaults to None, the first that is free from 7860 on.
        limits: What is taken. Defaults to that of :class:`Limits`.
        open_browser: Open the page in a browser of this machine. Defaults to False.

    Yields:
        URL of the page.

    Raises:
        ValueError: The port is taken, or the address is none of this machine.
    """
    limits = limits or Limits()
    before = os.environ.get('GRADIO_TEMP_DIR')
    with tempfile.TemporaryDirectory(prefix='mmcrowd-app-', ignore_cleanup_errors=True) as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder
        page = build_page(counters, limits, Path(folder))
        guard = Middleware(Guard, hosts=LOOPBACK if host in LOOPBACK else None)
        try:
            try:
                _, url, _ = page.launch(
                    server_name=host,
                    server_port=port,
                    share=False,
                    inbrowser=open_browser,
                    prevent_thread_lock=True,
                    quiet=True,
                    footer_links=[],
                    state_session_capacity=VISITORS,
                    max_file_size=limits.file_bytes,
                    enable_monitoring=False,
                    ssr_mode=False,
                    mcp_server=False,
                    app_kwargs=dict(middleware=[guard]),
                    theme=theme(),
                    head=f'<style>{read_static("page.css")}</style>',
                )
            except OSError as error:
                raise ValueError(
                    f'cannot listen on {host}:{port or "7860 to 7959"} ({error}); another port is '
                    'named by --port'
                ) from None
            yield url
        finally:
            page.close(verbose=False)
            if before is None:
                del os.environ['GRADIO_TEMP_DIR']
            else:
                os.environ['GRADIO_TEMP_DIR'] = before
