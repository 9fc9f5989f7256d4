"""What all answers have in common: one form of errors, and what they allow a browser."""

from pathlib import Path
from traceback import walk_tb

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import Message

POLICY = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'self'",
}
"""Content security policy of what is no page: nothing in it is loaded, run or sent."""
FAILED = "the server failed; its log says where"
"""What a client is told of an error that is nobody's but the server's."""
_FRAMES = 4  # of the code, innermost first, that tell where it failed


def policy(**more: str) -> str:
    """The value of Content-Security-Policy: `POLICY` and, for pages, what else they may.

    Args:
        more: Directives, with _ for -.
    """
    directives = POLICY | {name.replace("_", "-"): value for name, value in more.items()}
    return "; ".join(f"{name} {value}" for name, value in directives.items())


SAFE = {
    "Content-Security-Policy": policy(),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer, unless it has its own."""


def with_safe_headers(message: Message) -> Message:
    """The start of an answer with what it lacks of `SAFE`."""
    headers = MutableHeaders(raw=list(message.get("headers", ())))
    for name, value in SAFE.items():
        headers.setdefault(name, value)
    return {**message, "headers": headers.raw}


def problem(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The one form of errors.

    Args:
        status: Of HTTP.
        text: One line that repeats nothing of the request.
        headers: More of them.
    """
    return JSONResponse({"detail": text}, status, headers)


async def wrong_address(_: Request, error: Exception) -> JSONResponse:
    """Of a value in an address that its route cannot take; FastAPI's own repeats the value."""
    assert isinstance(error, RequestValidationError)
    return problem(422, "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors()))


def failure(error: BaseException) -> str:
    """What a log may know of an exception: its kind and the places in the code, never its text."""
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    named = [f"{'/'.join(Path(file).parts[-2:])}:{line}" for file, line in places[-_FRAMES:]]
    return " < ".join([type(error).__name__, *reversed(named)])
