"""The requests that pass to Gradio."""

import asyncio

import pytest

from mmcrowd.apis.app.guard import MAX_EVENT, Guard


def ask(method, path, body=b'', host='127.0.0.1:7860', kind='http', pieces=1, site=None):
    """Status of the answer, and the body that the application behind the guard got."""
    got, sent = [], []
    size = -(-len(body) // pieces) or 1
    parts = [body[i : i + size] for i in range(0, max(len(body), 1), size)]
    messages = [
        dict(type='http.request', body=part, more_body=number < len(parts) - 1)
        for number, part in enumerate(parts)
    ]

    async def app(scope, receive, send):
        message = await receive()
        got.append(message['body'])
        await send(dict(type='http.response.start', status=200, headers=[]))
        await send(dict(type='http.response.body', body=b''))

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    headers = [(b'host', host.encode())]
    if site is not None:
        headers.append((b'sec-fetch-site', site.encode()))
    scope = dict(type=kind, method=method, path=path, headers=headers)
    asyncio.run(Guard(app, ('127.0.0.1', '::1'))(scope, receive, send))
    return sent[0]['status'], got


@pytest.mark.parametrize(
    'method, path',
    [
        *[('GET', path) for path in ('/', '/config', '/assets/a.js', '/gradio_api/queue/data')],
        *[('HEAD', '/'), ('POST', '/gradio_api/upload')],
    ],
)
def test_what_the_page_needs(method, path):
    assert ask(method, path, b'abc') == (200, [b'abc'])


@pytest.mark.parametrize(
    'method, path',
    [
        *[
            ('GET', f'/gradio_api/{path}')
            for path in ('file=/etc/passwd', 'proxy=http://x', 'runs')
        ],
        *[('GET', '/monitoring'), ('GET', '/gradio_api/upload'), ('GET', '/filex')],
        *[('POST', f'/gradio_api/{path}') for path in ('run/x', 'call/x', 'vibe-edit')],
        *[('POST', '/'), ('DELETE', '/'), ('POST', '/gradio_api/component_server')],
    ],
)
def test_everything_else_is_not_there(method, path):
    assert ask(method, path) == (404, [])


def test_web_sockets_are_refused():
    assert ask('GET', '/', kind='websocket')[1] == []


@pytest.mark.parametrize('host', ['127.0.0.1', '127.0.0.1:80', '[::1]:80', '[::1]'])
def test_own_host(host):
    assert ask('GET', '/', host=host)[0] == 200


@pytest.mark.parametrize('host', ['example.com', '127.0.0.1.example.com:80', '', '[::2]'])
def test_other_host(host):
    assert ask('GET', '/', host=host) == (403, [])


@pytest.mark.parametrize('path', ['/gradio_api/upload', '/gradio_api/queue/join'])
def test_what_another_site_sends(path):
    event = b'{"data": []}'
    for site in ('cross-site', 'same-site'):
        assert ask('POST', path, event, site=site) == (403, [])
    assert ask('POST', path, event, site='same-origin') == (200, [event])
    # A link of another site to the page.
    assert ask('GET', '/', site='cross-site')[0] == 200


def test_events_have_plain_inputs():
    join = ('POST', '/gradio_api/queue/join')
    event = b'{"data": [null, "a", 0.1], "event_data": {"zones": [{"name": "a"}]}}'
    assert ask(*join, event, pieces=3) == (200, [event])
    for bad in (
        b'{"data": [{"path": "http://127.0.0.1/"}]}',
        b'{"data": [[{"path": "/etc/passwd"}]]}',
        b'{"data": [], "event_data": {"files": [{"path": "http://127.0.0.1/"}]}}',
        b'{"data": [], "event_data": [{"a": {"url": "http://127.0.0.1/"}}]}',
        b'{"data": "x"}',
        b'[]',
        b'no json',
        b'[' * 50_000,
        b'{"data": [], "event_data": ' + b'[' * 900 + b']' * 900 + b'}',
        b'{"data": []' + b' ' * MAX_EVENT + b'}',
    ):
        assert ask(*join, bad, pieces=2) == (403, [])
    cancel = ('POST', '/gradio_api/cancel')
    assert ask(*cancel, b'{"id": 1}') == (200, [b'{"id": 1}'])
    assert ask(*cancel, b' ' * MAX_EVENT + b'{}') == (403, [])
