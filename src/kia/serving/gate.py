"""What every request passes before a byte of its body is read: token, size, places; and the log."""

import asyncio
import base64
import binascii
import contextlib
import hmac
import logging
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kia.serving.service import Service

OPEN = ("/healthz", "/readyz")
"""Answered without a token."""
ROUTES = (
    *(*OPEN, "/metrics", "/openapi.json", "/docs"),
    *("/v1/reports", "/v1/findings", "/", "/page/study"),
)
"""What the log and the metrics name; any other path may hold anything, and is "other"."""

_LINGER = 1.0  # seconds that are given to an upload whose answer is known already
_log = logging.getLogger("kia.serving")


class Gate:
    """ASGI middleware around the API and the page.

    Args:
        app: What it guards.
        service: With the settings and metrics.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._metrics, self._settings = app, service.metrics, service.settings
        self._largest = self._settings.upload_mb << 20
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on."""
        if scope["type"] == "http":
            await self._counted(scope, receive, send)
        elif scope["type"] == "lifespan" or self._allowed(scope):
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope["path"] if scope["path"] in ROUTES else "other"
        since, status = time.monotonic(), 500
        upload = _Upload(receive)

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif scope["method"] == "POST" and not (upload.ended or message.get("more_body")):
                await send({**message, "more_body": True})
                await upload.discard()
                message = {"type": "http.response.body"}
            await send(message)

        try:
            await self._answer(scope, upload.receive, noted)
        finally:
            seconds = time.monotonic() - since
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            _log.info("%s %s %d %.0f ms", scope["method"], route, status, 1000 * seconds)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = Headers(scope=scope).get("content-length", "")
        if not self._allowed(scope):
            challenge = {"WWW-Authenticate": 'Basic realm="kia", charset="UTF-8"'}
            refusal = _refusal(401, "a token is needed", **challenge)
        elif length.isdecimal() and int(length) > self._largest:
            refusal = _refusal(413, self._too_large)
        elif scope["method"] != "POST":
            await self._app(scope, self._measured(receive), send)
            return
        elif self._under_way >= self._settings.queue:
            text = f"{self._under_way} requests are under way already; try again later"
            refusal = _refusal(429, text, **{"Retry-After": "1"})
        else:
            await self._in_its_place(scope, receive, send)
            return
        await refusal(scope, receive, send)

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

    def _allowed(self, scope: Scope) -> bool:
        token = self._settings.token
        if token is None or (scope["type"] == "http" and scope["path"] in OPEN):
            return True
        return hmac.compare_digest(_given_token(scope), token.encode())


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


def _given_token(scope: Scope) -> bytes:
    """Of "Bearer TOKEN", or the password of "Basic …", which browsers ask a person for."""
    scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip().encode("latin-1")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _refusal(status: int, text: str, **headers: Any) -> JSONResponse:
    return JSONResponse({"detail": text}, status, headers)
