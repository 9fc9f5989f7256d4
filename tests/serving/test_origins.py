"""Who may ask a server: names it answers to, and pages of other sites in its visitors' browsers.

What browsers say is in RFC 6454 (Origin), RFC 9110 (Host, 421) and W3C's Fetch Metadata.
"""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.testclient import TestClient

from kia.errors import ConfigError
from kia.serving.app import api
from kia.serving.page import with_page
from kia.serving.settings import Settings

TOKEN = "secret-token"
BEARER = {"authorization": f"Bearer {TOKEN}"}
ROUTES = [
    *(("GET", route) for route in ("/", "/docs", "/openapi.json", "/metrics", "/page/about")),
    *(("GET", route) for route in ("/page/page.js", "/page/phantoms/3", "/nothing")),
    *(("POST", route) for route in ("/v1/reports", "/v1/findings", "/page/study")),
]
PROBES = ("/healthz", "/readyz")


@pytest.fixture(scope="module")
def paged(make_service):
    """With the page, for programs and browsers on this machine and behind x-ray.example.org."""
    service = make_service(page=True, allow_host=["x-ray.example.org"])
    with TestClient(with_page(api(service), service), "http://localhost:8000") as client:
        yield client


@pytest.fixture(scope="module")
def guarded(make_service):
    """The same with a token."""
    service = make_service(page=True, allow_host=["x-ray.example.org"], token=TOKEN)
    with TestClient(with_page(api(service), service), "http://localhost:8000") as client:
        yield client


def statuses(client, **headers: str) -> dict[str, int]:
    """Of every route but the probes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {r: client.request(m, r, headers=named).status_code for m, r in ROUTES}


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LocalHost:1", "localhost.", "127.0.0.1:8000"),
        *("127.8.9.1", "[::1]:8000", "[0:0:0:0:0:0:0:1]"),
        *("x-ray.example.org", "X-Ray.Example.org:443", "x-ray.example.org.:80"),
    ],
)
def test_names_of_this_machine_and_those_it_was_told_are_answered(paged, host):
    found = statuses(paged, host=host)
    assert found == dict.fromkeys(found, 200) | {
        **{"/nothing": 404, "/v1/reports": 415, "/v1/findings": 415, "/page/study": 415},
    }


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example", "evil-localhost"),
        *("example.org", "a.x-ray.example.org", "x-ray.example.org.evil.example"),
        *("128.0.0.1", "0.0.0.0", "192.168.1.5:8000", "[::2]", "[2001:db8::1]:8000"),
        *("", ":8000", "localhost:", "localhost:port", "localhost:123456", "::1", "[::1", "[]"),
        *("user@localhost", "localhost@evil.example", "localhost/evil.example", "127.0.0.1#"),
        *("localhost, evil.example", "localhost evil.example", "localhost..", ".", "l\xf6calhost"),
    ],
)
@pytest.mark.parametrize("kind", ["paged", "guarded"])
def test_a_page_that_rebinds_its_name_to_this_machine_reads_nothing(request, kind, host):
    client = request.getfixturevalue(kind)
    name = host.encode("latin-1")
    for method, route in ROUTES:
        answer = client.request(method, route, headers={"host": name, **BEARER})
        assert answer.status_code == 421, route
        assert list(answer.json()) == ["detail"] and "--allow-host" in answer.json()["detail"]
        assert "evil" not in answer.text
    for probe in PROBES:  # come by any address
        assert client.get(probe, headers={"host": name}).status_code == 200


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_a_request_without_one_host_is_refused(paged, hosts):
    headers = [(b"host", host.encode()) for host in hosts]
    scope = {"type": "http", "method": "GET", "path": "/page/about", "query_string": b""}
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(paged.app(scope | {"headers": headers}, None, send))
    assert sent[0]["status"] == 421


FOREIGN = {
    "another site": {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
    "a picture of another site": {
        **{"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        "sec-fetch-dest": "image",
    },
    # another port of this machine is the same site, and somebody else's page
    "another server of this machine": {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    "a frame in another site": {
        **{"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        "sec-fetch-dest": "iframe",
    },
    "a word that no browser says": {"sec-fetch-site": "same-origin, cross-site"},
    "another site, to an address that browsers do not trust": {"origin": "http://evil.example"},
    "another port": {"origin": "http://localhost:9000"},
    "another name of this machine": {"origin": "http://127.0.0.1:8000"},
    "a file, or a frame without an origin": {"origin": "null"},
    "no origin at all": {"origin": ""},
    "an address that is not one": {"origin": "http://localhost:8000/"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("kind", ["paged", "guarded"])
def test_pages_of_other_sites_are_refused_with_or_without_a_token(request, kind, headers):
    client = request.getfixturevalue(kind)
    for method, route in ROUTES:  # a browser sends a password that it knows by itself
        answer = client.request(method, route, headers={**headers, **BEARER})
        assert answer.status_code == 403, route
        assert list(answer.json()) == ["detail"] and "evil" not in answer.text
        assert not [name for name in answer.headers if name.startswith("access-control")]
    for probe in PROBES:
        assert client.get(probe, headers=headers).status_code == 200


OWN = {
    "a program": {},
    "the page": {"sec-fetch-site": "same-origin", "origin": "http://localhost:8000"},
    "the page, in a browser that says no more": {"origin": "http://localhost:8000"},
    "a person": {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"},
    # as the browser sees it; the proxy speaks HTTP to the server
    "the page behind a proxy with TLS": {
        **{"host": "x-ray.example.org", "origin": "https://x-ray.example.org"},
    },
    "the same, with a port": {
        **{"host": "x-ray.example.org:8443", "origin": "https://x-ray.example.org:8443"},
    },
    "the same, whose proxy names the default port": {
        **{"host": "x-ray.example.org:443", "origin": "https://X-ray.example.org"},
    },
}


@pytest.mark.parametrize("headers", OWN.values(), ids=OWN)
@pytest.mark.parametrize("kind", ["paged", "guarded"])
def test_programs_and_the_own_page_pass(request, kind, headers):
    client = request.getfixturevalue(kind)
    for method, route in ROUTES:
        answer = client.request(method, route, headers={**headers, **BEARER})
        assert answer.status_code == {"POST": 415}.get(method, 404 if "nothing" in route else 200)


def test_a_link_of_another_site_opens_the_page_but_a_form_of_it_sends_nothing(paged):
    visit = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    for site in ("cross-site", "same-site"):
        for route in ("/", "/docs"):
            assert paged.get(route, headers=visit | {"sec-fetch-site": site}).status_code == 200
        for route in ("/v1/reports", "/page/study"):
            sent = paged.post(route, headers=visit | {"sec-fetch-site": site})
            assert sent.status_code == 403


def test_the_token_is_not_asked_of_whom_it_would_not_help(guarded):
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        answer = guarded.get("/page/about", headers=headers)
        assert answer.status_code in (421, 403) and "www-authenticate" not in answer.headers


def test_refusals_are_described(paged):
    described = paged.get("/openapi.json").json()["paths"]["/v1/reports"]["post"]["responses"]
    assert {"403", "421"} <= set(described)


NAMES = st.sampled_from(
    ["localhost", "127.0.0.1", "[::1]", "x-ray.example.org", "evil.example", "localhost.evil"]
)


@st.composite
def written(draw) -> str:
    """A Host header, right or nearly so."""
    name = draw(NAMES)
    at = draw(st.integers(0, len(name)))
    odd = draw(st.just("") | st.sampled_from(list("@/#?: .[]%\\,;\t\x00é1")))
    port = draw(st.sampled_from(["", ":1", ":8000", ":", ":x"]))
    return name[:at] + odd + name[at:] + port


@given(host=written())
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_what_the_librarys_guard_refuses_is_refused_here_too(host):
    """Starlette's: it compares names letter by letter, has no networks and leaves no route out."""
    from kia.serving.origins import Hosts

    passed = []

    async def app(scope, receive, send):
        passed.append(True)

    async def send(message):
        pass

    named = ["localhost", "127.0.0.1", "[::1]", "x-ray.example.org"]
    guard = TrustedHostMiddleware(app, named, www_redirect=False)
    asyncio.run(guard({"type": "http", "headers": [(b"host", host.encode())]}, None, send))
    ours = Hosts(["x-ray.example.org"]).answer([host])
    spelt = host.rpartition(":")[0] if host[-1:].isdigit() and ":" in host else host
    same = spelt.lower() in named  # else a final dot, or another address of this machine
    if same or not passed:
        assert ours == bool(passed) or spelt.endswith(".") or spelt.startswith("127.")


@pytest.mark.parametrize(
    ("said", "known", "unknown"),
    [
        (["a.org"], ["a.org", "A.ORG:1"], ["b.a.org", "org"]),
        (["*.a.org"], ["b.a.org", "c.b.a.org:1"], ["a.org", "ba.org", "a.org.evil"]),
        (["10.0.0.0/8"], ["10.1.2.3:8000"], ["11.0.0.1", "10.evil.example"]),
        (
            ["192.168.1.5", "fd00::/8"],
            ["192.168.1.5", "[fd00::2]:80"],
            ["192.168.1.6", "[fe80::1]"],
        ),
        (["kia", "web_1"], ["kia", "web_1:80"], ["kia.evil"]),
        (["a.org, b.org  c.org"], ["a.org", "b.org", "c.org"], ["d.org"]),
        (["[::5]"], ["[::5]:1"], ["[::6]"]),
    ],
)
def test_what_may_be_named(said, known, unknown):
    from kia.serving.origins import Hosts

    hosts = Hosts(Settings.of({"allow_host": said}, str).allow_host)
    assert all(hosts.answer([host]) for host in [*known, "localhost", "127.0.0.1", "[::1]"])
    assert not any(hosts.answer([host]) for host in unknown)


@pytest.mark.parametrize(
    "said",
    ["http://a.org", "a.org:80", "a.org/x", "*", "*.", "a*.org", "a..org", "10.0.0.1/8", "ü"],
)
def test_what_is_no_name_is_refused_at_the_start(said):
    with pytest.raises(ConfigError, match=r"^--allow-host: .*give a name") as refused:
        Settings.of({"allow_host": [said]}, lambda name: f"--{name.replace('_', '-')}")
    assert "Value error" not in str(refused.value)


def test_hosts_are_read_from_the_environment():
    found = Settings.from_environment({"KIA_MODEL": "m", "KIA_ALLOW_HOST": "a.org,10.0.0.0/8"})
    assert found.allow_host == ("a.org", "10.0.0.0/8")
    with pytest.raises(ConfigError, match="KIA_ALLOW_HOST"):
        Settings.from_environment({"KIA_MODEL": "m", "KIA_ALLOW_HOST": "http://a.org"})
