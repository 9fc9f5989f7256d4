"""One server process: a socket, uvicorn, and an end that finishes what is under way."""

import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from kia.errors import KIAError, UsageError
from kia.processes.child import end_all
from kia.serving.settings import Settings

_ANSWERS = 0.3  # seconds to send the answers of requests that took all their time


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int, settings: Settings) -> socket.socket:
    """Takes the address, before the model is loaded.

    Args:
        host: Name or address.
        port: 0 for any that is free.
        settings: With the token.

    Raises:
        KIAError: The address is taken, or not of this machine.
        UsageError: Others would reach it, and there is no token.
    """
    if settings.token is None and not is_loopback(host):
        raise UsageError(
            f"--host {host}: others would reach this server; set a secret with --token or KIA_TOKEN"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError, TypeError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise KIAError(f"cannot listen on {host} port {port}: {reason}; try --port") from None


def address(listening: socket.socket) -> str:
    """Of the page, for a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(
    app: FastAPI, listening: socket.socket, settings: Settings, on_ready: Callable[[], None]
) -> None:
    """Serves until SIGTERM or Ctrl-C; what is under way then is finished.

    It ends within the time that a request may take and a second more, whatever hangs: a client, a
    decoder, the model.

    Args:
        app: Of `create_app`.
        listening: Of `listen`.
        settings: With the time that a request may take.
        on_ready: Called when the first request would be answered.

    Raises:
        KIAError: The application does not start.
    """
    _log_requests()
    config = uvicorn.Config(
        app,
        access_log=False,  # it would show what was written into addresses; `Gate` has a log
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=settings.timeout + _ANSWERS,  # type: ignore[arg-type]
        timeout_keep_alive=30,
    )
    server = _Server(config, on_ready)
    # uvicorn raises them again at its end
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not server.started:
        raise KIAError("the server did not start; the lines above say why")


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.started:  # nothing is under way that would have to be finished
            _stop(sig, frame)
        super().handle_exit(sig, frame)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Ends this process at once: what hangs is not waited for, and torch not taken apart.

    Python spends a second on the latter, and more where the machine is busy.
    """
    end_all()
    if number == signal.SIGINT:
        print("interrupted", file=sys.stderr)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(130 if number == signal.SIGINT else 0)


def _log_requests() -> None:
    """Route, status and time on stderr: never a query, a body or a name."""
    logger = logging.getLogger("kia.serving")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
