"""What every request passes before a byte of its body is read, and every answer on its way out.

In: host and origin, token, size, places. Out: headers, a line in the log, and an error of one form
whatever fails.
"""

import asyncio
import base64
import binascii
import contextlib
import hmac
import logging
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kia.serving.answers import FAILED, failure, problem, with_safe_headers
from kia.serving.origins import Hosts, is_foreign
from kia.serving.service import Service
from kia.serving.uploads import CLIENT_GONE

OPEN = ("/healthz", "/readyz")
"""Answered to everyone, under any name: probes call by address, and learn nothing of a patient."""
ROUTES = (
    *(*OPEN, "/metrics", "/openapi.json", "/docs"),
    *("/v1/reports", "/v1/findings", "/", "/page/study"),
)
"""What the log and the metrics name; any other path may hold anything, and is "other"."""

_LINGER = 1.0  # seconds that are given to an upload whose answer is known already
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")
_MOST_DIGITS = 20  # of a size that can be meant
_OTHER_HOST = (
    "this server does not go by the name that it was asked under; --allow-host (KIA_ALLOW_HOST) "
    "gives it more names"
)
_log = logging.getLogger("kia.serving")


class Gate:
    """ASGI middleware around the API and the page.

    Args:
        app: What it guards.
        service: With the settings and metrics.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._metrics, self._settings = app, service.metrics, service.settings
        self._hosts = Hosts(self._settings.allow_host)
        self._largest = self._settings.upload_mb << 20
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on."""
        if scope["type"] == "http":
            await self._counted(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:  # no route is one
            await send({"type": "websocket.close", "code": 1008})

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        # any other word is the client's own
        route = scope["path"] if scope["path"] in ROUTES else "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        since, status = time.monotonic(), 0
        upload = _Upload(receive)

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status, message = message["status"], with_safe_headers(message)
            elif scope["method"] == "POST" and not (upload.ended or message.get("more_body")):
                await send({**message, "more_body": True})
                await upload.discard()
                message = {"type": "http.response.body"}
            await send(message)

        try:
            await self._answer(scope, upload.receive, noted)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception as error:  # its text may hold what was sent: no log of a server shows it
            _log.error("%s %s failed: %s", method, route, failure(error))
            if not status:  # else the server closes the connection in the middle of the answer
                await problem(500, FAILED)(scope, receive, noted)
        finally:
            seconds = time.monotonic() - since
            self._metrics.requests.labels(route, status or 500).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            _log.info("%s %s %d %.0f ms", method, route, status or 500, 1000 * seconds)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if refusal := self._refusal(scope):
            await refusal(scope, receive, send)
        elif scope["method"] != "POST":
            await self._app(scope, self._measured(receive), send)
        else:
            await self._in_its_place(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if scope["path"] not in OPEN:
            if not self._hosts.answer(headers.getlist("host")):
                return problem(421, _OTHER_HOST)
            if is_foreign(scope["method"], headers):
                return problem(403, "asked by a page of another site or server")
            if not self._has_token(headers):
                challenge = {"WWW-Authenticate": 'Basic realm="kia", charset="UTF-8"'}
                return problem(401, "a token is needed", challenge)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:_MOST_DIGITS]) > self._largest:
            return problem(413, self._too_large)
        if scope["method"] == "POST" and self._under_way >= self._settings.queue:
            text = f"{self._under_way} requests are under way already; try again later"
            return problem(429, text, {"Retry-After": "1"})
        return None

    async def _in_its_place(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._under_way += 1
        self._metrics.under_way.set(self._under_way)
        try:
            await self._app(scope, self._measured(receive), send)
        finally:
            self._under_way -= 1
            self._metrics.under_way.set(self._under_way)

    def _measured(self, receive: Receive) -> Receive:
        """Stops an upload that said nothing of its size, or not the truth."""
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._largest:
                raise HTTPException(413, self._too_large)
            return message

        return limited

    @property
    def _too_large(self) -> str:
        return f"larger than the {self._settings.upload_mb} MiB that a request may have"

    def _has_token(self, headers: Headers) -> bool:
        token = self._settings.token
        return token is None or hmac.compare_digest(_given_token(headers), token.encode())


class _Upload:
    """The body of a request, of which something may be unread when the answer is sent.

    Closing a connection with unread bytes resets it, and the client may lose the answer with it.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive, self.ended = receive, False

    async def receive(self) -> Message:
        """The next part."""
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        return message

    async def discard(self) -> None:
        """Reads what is left, for `_LINGER` at most."""
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):  # or the server ends
            async with asyncio.timeout(_LINGER):
                while not self.ended:
                    await self.receive()


def _given_token(headers: Headers) -> bytes:
    """Of "Bearer TOKEN", or the password of "Basic …", which browsers ask a person for."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    given = rest.strip().encode("latin-1")  # the bytes that were sent
    if scheme.lower() == "bearer":
        return given
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""
