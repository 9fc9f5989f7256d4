"""Whom a server answers: by the name that it is asked under, and the page that asks.

A browser lends every page its way to this machine. A page that gives its own name this machine's
address (DNS rebinding) is told from others by the Host header, every other page of another site by
Sec-Fetch-Site or Origin. What is no browser sends neither, and passes.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from starlette.datastructures import Headers

LOOPBACK = ("localhost", "127.0.0.0/8", "::1")
"""What every server goes by."""
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?", re.I)
_NAME = re.compile(r"(?:\*\.)?[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_-]+)*")
_PORTS = {"http": "80", "https": "443"}


class Hosts:
    """The names and addresses that a server goes by, this machine's among them.

    Starlette's TrustedHostMiddleware knows neither networks nor a final dot, leaves no route out,
    and answers in another form than all other errors.

    Args:
        named: Names, `*.name` for all below it, addresses and networks.

    Raises:
        ValueError: One is none of these.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        entries = [*LOOPBACK, *map(checked_host, named)]
        self._networks = [found for one in entries if (found := _network(one))]
        self._names = {one for one in entries if not one.startswith("*")}
        self._domains = tuple(one[1:] for one in entries if one.startswith("*"))

    def answer(self, hosts: Sequence[str]) -> bool:
        """Whether a request with these Host headers is for this server; one is right."""
        asked = _authority(hosts[0]) if len(hosts) == 1 else None
        if asked is None:
            return False
        try:
            address = ipaddress.ip_address(asked.name)
        except ValueError:
            return asked.name in self._names or asked.name.endswith(self._domains)
        return any(address in network for network in self._networks)


def checked_host(entry: str) -> str:
    """A name, address or network as it is compared.

    Raises:
        ValueError: It is none of these.
    """
    text = entry.strip().lower().removesuffix(".")
    text = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not (_network(text) or _NAME.fullmatch(text)):
        raise ValueError(
            f"{entry!r}: give a name (x-ray.example.org), all names below one (*.example.org), an "
            "address or a network (10.0.0.0/8), without http:// and port"
        )
    return text


def listening_names(host: str) -> list[str]:
    """What a server goes by because it listens there: the name or address, if it is one."""
    try:
        return [checked_host(host.partition("%")[0])]
    except ValueError:
        return []


def is_foreign(method: str, headers: "Headers") -> bool:
    """Whether a browser says that a page of another site, or of another server, asks.

    To follow a link from there to this server is no such question: that page sees no answer.
    Sec-Fetch-Site decides where it is sent; over HTTP, browsers send it to this machine alone.

    Args:
        method: GET, POST …
        headers: Of the request.
    """
    if sites := headers.getlist("sec-fetch-site"):
        visit = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
        own = sites in (["same-origin"], ["none"])
        return not own and (method != "GET" or visit != ("navigate", "document"))
    host = _authority(headers.get("host", ""))
    return any(not _is_own(origin, host) for origin in headers.getlist("origin"))


class _Authority(NamedTuple):
    name: str
    port: str | None


def _authority(text: str) -> _Authority | None:
    """Of `name`, `name:port`, `[address]` or `[address]:port`."""
    if not (found := _AUTHORITY.fullmatch(text)):
        return None
    six, name, port = found.groups()
    return _Authority((six or name).lower().removesuffix("."), port)


def _is_own(origin: str, host: _Authority | None) -> bool:
    scheme, _, rest = origin.partition("://")
    theirs, usual = _authority(rest), _PORTS.get(scheme)
    if not (theirs and host and usual):
        return False
    return (theirs.name, theirs.port or usual) == (host.name, host.port or usual)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None
