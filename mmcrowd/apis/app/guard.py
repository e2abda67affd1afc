"""What of Gradio's server the page needs; everything else does not exist."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

API = '/gradio_api'
GET = (
    *('/', '/config', '/theme.css', '/favicon.ico', '/robots.txt', '/manifest.json'),
    *(f'{API}/info', f'{API}/startup-events', f'{API}/app_id', f'{API}/queue/data'),
)
GET_BELOW = ('/assets/', '/static/', f'{API}/heartbeat/')
JOIN, UPLOAD = f'{API}/queue/join', f'{API}/upload'
POST = (JOIN, UPLOAD, f'{API}/cancel', f'{API}/reset')

MAX_EVENT = 200_000  # bytes of an event, such as zones that were drawn


class Guard:
    """ASGI middleware that lets only the requests of the page pass.

    - Other routes are 404: no file of the machine can be asked for, nothing is proxied, and there
      is no programming interface. Pictures are shown and saved inside the answers to events.
    - The inputs of an event are plain values, and nothing in it looks like a file of Gradio's,
      which would be fetched if it were given by a URL.
    - While the server listens on this machine only, the host that a request names is this machine:
      a foreign site whose name leads here is refused.
    - Nor does anything get in from the page of another site that is open in the same browser.

    Args:
        app: The application behind it.
        hosts: Names that a request may have as its host; None for any.
    """

    def __init__(self, app: Callable, hosts: tuple[str, ...] | None = None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope['type'] == 'lifespan':
            await self.app(scope, receive, send)
            return
        if scope['type'] != 'http' or not is_needed(scope['method'], scope['path']):
            await refuse(send, 404, 'not found')
            return
        if self.hosts is not None and host_of(scope) not in self.hosts:
            await refuse(send, 403, 'another host was meant')
            return
        if scope['method'] == 'POST' and not is_from_here(scope):
            await refuse(send, 403, 'expected a request of the page')
            return
        if scope['method'] == 'POST' and scope['path'] != UPLOAD:  # whose size Gradio limits
            content = await read_body(receive, MAX_EVENT)
            is_event = scope['path'] == JOIN
            if content is None or (is_event and not has_plain_inputs(content)):
                await refuse(send, 403, 'expected an event of the page')
                return
            receive = replay(content, receive)
        await self.app(scope, receive, send)


def is_needed(method: str, path: str) -> bool:
    """Whether the page makes such a request.

    Examples:
        >>> is_needed('GET', '/config'), is_needed('GET', '/gradio_api/file=/etc/passwd')
        (True, False)
    """
    if method in ('GET', 'HEAD'):
        return path in GET or path.startswith(GET_BELOW)
    return method == 'POST' and path in POST


def has_plain_inputs(content: bytes) -> bool:
    """Whether the inputs of an event are plain values, and it has no file of Gradio's.

    Examples:
        >>> has_plain_inputs(b'{"data": [null, "default", 0.1]}')
        True
        >>> has_plain_inputs(b'{"data": [], "event_data": {"path": "http://127.0.0.1/"}}')
        False
    """
    try:
        event = json.loads(content)
        data = event.get('data') if isinstance(event, dict) else None
        plain = isinstance(data, list) and not any(isinstance(each, list | dict) for each in data)
        return plain and not has_file(event)
    except (ValueError, RecursionError):
        return False


def has_file(value: Any) -> bool:
    """Whether there is an object with the keys of a file anywhere in a value of JSON."""
    if isinstance(value, dict):
        if value.keys() & {'path', 'url', 'meta'}:
            return True
        value = list(value.values())
    return isinstance(value, list) and any(has_file(each) for each in value)


def host_of(scope: Mapping[str, Any]) -> str:
    """The host that a request names, without its port."""
    host = dict(scope['headers']).get(b'host', b'').decode('latin-1')
    return host.rpartition(']')[0].lstrip('[') if host.startswith('[') else host.partition(':')[0]


def is_from_here(scope: Mapping[str, Any]) -> bool:
    """Whether no page of another site sends the request, as far as the browser tells."""
    site = dict(scope['headers']).get(b'sec-fetch-site', b'none')
    return site in (b'same-origin', b'none')


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The body of a request; None if it is longer."""
    content = b''
    while True:
        message = await receive()
        content += message.get('body', b'')
        if len(content) > limit:
            return None
        if not message.get('more_body'):
            return content


def replay(content: bytes, receive: Receive) -> Receive:
    """A channel that gives a body that has been read already, and goes on as the other one."""
    is_given = False

    async def receive_again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return dict(type='http.request', body=content, more_body=False)

    return receive_again


async def refuse(send: Send, status: int, reason: str) -> None:
    """Answer a request with a status and a reason."""
    headers = [(b'content-type', b'text/plain')]
    await send(dict(type='http.response.start', status=status, headers=headers))
    await send(dict(type='http.response.body', body=reason.encode()))
