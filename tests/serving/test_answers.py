"""What every answer is: safe to show, of one form if it is an error, and silent in the log."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import re
import socket
import sys
import threading
import time
from encodings.aliases import aliases

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from kia.serving.app import api
from kia.serving.page import with_page

TOKEN = "secret-token"
BEARER = {"authorization": f"Bearer {TOKEN}"}
SECRET = "Zebrowska"
"""In what is sent; in no answer and no log."""
FORM = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n--x--\r\n'
TYPE = {"content-type": "multipart/form-data; boundary=x"}


def application(make_service, **options):
    service = make_service(page=True, **options)
    return with_page(api(service), service)


@pytest.fixture(scope="module")
def paged(make_service):
    with TestClient(application(make_service), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def guarded(make_service):
    app = application(make_service, token=TOKEN)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def logged(caplog, monkeypatch):
    """Text of all logs, of every level and library, and of stderr."""
    monkeypatch.setattr(logging.getLogger("kia.serving"), "propagate", True)
    caplog.set_level(logging.DEBUG)

    def text() -> str:
        known = [one for one in caplog.records if not one.name.startswith("httpx")]  # the client's
        traces = [logging.Formatter().format(one) for one in known]
        return "\n".join([*traces, *(f"{one.name} {one.args}" for one in known)])

    return text


GETS = (
    *("/", "/docs", "/openapi.json", "/metrics", "/healthz", "/readyz", "/page/about"),
    *("/page/page.js", "/page/page.css", "/page/examples/pneumocystis-1.jpg", "/page/phantoms/1"),
)
ERRORS = [
    *(("GET", "/nothing", 404), ("GET", "/page/nothing.js", 404), ("GET", "/docs/", 404)),
    *(("GET", "/page/phantoms/9999", 422), ("GET", "/page/phantoms/x", 422)),
    *(("DELETE", "/v1/reports", 405), ("POST", "/docs", 405), ("OPTIONS", "/page/study", 405)),
    *(("POST", "/v1/reports", 415), ("POST", "/v1/findings", 415), ("POST", "/page/study", 415)),
]


def safe(answer) -> None:
    """Headers by the OWASP Secure Headers Project's list, as far as they concern an API."""
    headers = answer.headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy and "*" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] in ("no-store", "no-cache")
    assert len(headers.get_list("content-security-policy")) == 1


def one_form(answer, status: int) -> None:
    safe(answer)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert list(told) == ["detail"] and isinstance(told["detail"], str) and told["detail"]
    assert "\n" not in told["detail"] and SECRET not in answer.text


@pytest.mark.parametrize("route", GETS)
def test_every_route_tells_the_browser_what_it_may(paged, route):
    answer = paged.get(route)
    assert answer.status_code == 200
    safe(answer)
    static = route == "/" or re.search(r"\.(js|css|jpg)$", route)
    assert answer.headers["cache-control"] == ("no-cache" if static else "no-store")


def test_what_is_said_of_patients_is_kept_by_no_cache(paged, png):
    for route in ("/v1/reports", "/v1/findings", "/page/study"):
        answer = paged.post(route, files=[("images", ("x.png", png()))])
        assert answer.status_code == 200
        safe(answer)
        assert answer.headers["cache-control"] == "no-store"


def test_the_documentation_runs_nothing_and_its_style_is_its_own(paged):
    answer = paged.get("/docs")
    policy = answer.headers["content-security-policy"]
    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.S)
    known = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{known}'" in policy and "script-src" not in policy
    assert not re.search(r"style=|<script|\son\w+=", answer.text)


@pytest.mark.parametrize(("method", "route", "status"), ERRORS)
def test_every_error_has_one_form_and_repeats_nothing(paged, method, route, status):
    one_form(paged.request(method, f"{route}?name={SECRET}"), status)


@pytest.mark.parametrize(
    ("route", "status"),
    [
        *((f"/page/phantoms/{SECRET}", 422), (f"/page/phantoms/%3Cscript%3E{SECRET}", 422)),
        *((f"/page/{SECRET}", 404), (f"/{SECRET}", 404), (f"/docs/{SECRET}", 404)),
        *((f"/page/%00{SECRET}", 404), (f"/page/%ff%1b[31m{SECRET}", 404)),
    ],
)
def test_an_address_is_not_repeated(paged, route, status, logged):
    one_form(paged.get(route), status)
    assert SECRET not in logged()


def test_ranges_and_conditions_change_no_form(paged):
    for name in ("range", "if-range", "if-none-match", "if-modified-since"):
        for value in ("bytes=9-1", "bytes=99999999-", "x", "bytes=0-1,5-x"):
            answer = paged.get("/page/page.js", headers={name: value})
            assert answer.status_code == 200


def refused_forms():
    ok = FORM % (b"images", b"x.png", b"1")
    field = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    name = SECRET.encode()
    yield "an unknown field", field % (name, b"1") + ok, TYPE, 422
    yield "a wrong view", field % (b"views", name) + ok, TYPE, 422
    yield "a wrong number", field % (b"candidates", name) + ok, TYPE, 422
    yield "no file", field % (b"images", name) + b"--x--\r\n", TYPE, 422
    yield "no picture", FORM % (b"images", name, name), TYPE, 415
    yield "a bad DICOM", FORM % (b"images", name + b".dcm", name), TYPE, 422
    yield "a bad PNG", FORM % (b"images", name, b"\x89PNG\r\n\x1a\n" + name), TYPE, 422
    yield "no boundary", ok, {"content-type": f"multipart/form-data; {SECRET}"}, 400
    yield "another type", ok, {"content-type": f"text/{SECRET}"}, 415
    yield "an odd end of the boundary", ok.replace(b"--x\r\n", b"--x" + name), TYPE, 400
    yield "an odd header", ok.replace(b"\r\n\r\n", b"\r\n" + name + b"\x00\r\n\r\n"), TYPE, 400
    yield "an odd name of a header", ok.replace(b"Content-D", "Ż".encode() + name), TYPE, 400
    yield "no name", ok.replace(b"name=", name), TYPE, 400
    yield "no part", name, TYPE, 400


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [pytest.param(*one, id=name) for name, *one in refused_forms()],
)
def test_what_was_sent_is_not_repeated(paged, logged, body, headers, status):
    for route in ("/v1/findings", "/v1/reports", "/page/study"):
        one_form(paged.post(route, content=body, headers=headers), status)
    assert SECRET not in logged() and "Ż" not in logged()


CHARSETS = ("x\x00y", "\xff", "a" * 5000, "none", "idna", "punycode", "undefined", "unicode_escape")


@pytest.mark.filterwarnings("error")  # the decoder of unicode_escape warns with a letter of it
def test_a_charset_that_is_not_of_forms_is_a_broken_form(paged, logged):
    body = FORM % (SECRET.encode() + rb"\q\xdc\u", rb"\d\N{DASH}", b"1")
    for charset in (*CHARSETS, *sorted({*aliases.values()} - {"ascii"})):  # all of Python's
        kind = f'multipart/form-data; boundary=x; charset="{charset}"'.encode("latin-1")
        one_form(paged.post("/v1/findings", content=body, headers={"content-type": kind}), 400)
    assert SECRET not in logged()


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "us-ascii", "ISO-8859-1"])
def test_usual_charsets_are_read(paged, png, charset):
    headers = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    body = FORM % (b"images", "Müller.png".encode(), png())
    assert paged.post("/v1/findings", content=body, headers=headers).status_code == 200


WRONG = [
    *(b"Basic \xff", b"Basic \xc3\xbc:x", b"Basic", b"Basic ", b"Basic  \xa0", b"Basic ===="),
    *(b"Bearer \xff\xfe", b"Bearer", b"bearer ", b"Bearer secret-token\xff", b"\xff\xfe", b""),
    *(b"Basic c2VjcmV0LXRva2Vu", b"Basic /////w==", b"Digest \xe9", b"Bearer " + b"x" * 60_000),
    *(b"Bearer\tsecret-token", b"Basic OnNlY3JldC10b2tlbg", b"Basic OnNlY3JldC10b2tlbg==\xff"),
]


@pytest.mark.parametrize("given", WRONG, ids=lambda given: repr(given)[:40])
def test_whatever_is_no_token_is_a_401(guarded, logged, given):
    for method, route in [("GET", "/page/about"), ("GET", "/none"), ("POST", "/v1/reports")]:
        one_form(guarded.request(method, route, headers={"authorization": given}), 401)
    assert "Traceback" not in logged()


@pytest.mark.parametrize("user", ["", "me", "müller", "a b", "\N{SNOWMAN}"])
def test_any_user_name_goes_with_the_token_on_every_route(guarded, png, user):
    given = base64.b64encode(f"{user}:{TOKEN}".encode()).decode()
    headers = {"authorization": f"Basic {given}"}
    assert guarded.get("/page/about", headers=headers).status_code == 200
    for route in ("/v1/findings", "/v1/reports", "/page/study"):
        answer = guarded.post(route, files=[("images", ("x.png", png()))], headers=headers)
        assert answer.status_code == 200, route


def test_tokens_are_compared_in_constant_time(guarded, monkeypatch):
    seen, compare = [], hmac.compare_digest

    def noted(one, other):
        seen.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    guarded.get("/page/about", headers={"authorization": "Bearer secret-tokem"})
    assert seen == [(b"secret-tokem", b"secret-token")]


@pytest.mark.parametrize("route", ["/v1/reports", "/page/study"])
def test_a_failure_of_the_server_tells_only_where(paged, png, monkeypatch, logged, route):
    def fail(*_, **__):
        raise ValueError(f"of {SECRET}")

    monkeypatch.setattr("kia.serving.service.Service.read", fail)
    one_form(paged.post(route, files=[("images", (f"{SECRET}.png", png()))]), 500)
    line = re.search(rf"POST {route} failed: ValueError < (\S+):\d+", logged())
    assert line and line[1] == "serving/test_answers.py"
    assert SECRET not in logged() and "Traceback" not in logged()


def test_a_failure_in_the_middle_of_an_answer_is_its_last_line(paged, png, monkeypatch, logged):
    async def fail(*_, **__):
        raise ValueError(f"of {SECRET}")

    monkeypatch.setattr("kia.serving.service.Service.describe", fail)
    answer = paged.post("/page/study", files=[("images", ("x.png", png()))])
    assert answer.status_code == 200 and SECRET not in answer.text
    assert json.loads(answer.text.splitlines()[-1]) == {
        "error": "the server failed; its log says where"
    }
    assert "ValueError" in logged() and SECRET not in logged()


def test_an_error_that_nobody_waits_for_is_logged_without_its_text(make_service, logged, capfd):
    async def fail():
        raise ValueError(f"of {SECRET}")

    app = api(make_service())

    @app.get("/forgotten")
    async def forget() -> None:
        asyncio.ensure_future(fail())  # noqa: RUF006

    with TestClient(app) as client:
        client.get("/forgotten")
        client.get("/healthz")
    assert "a task failed: ValueError" in logged()
    assert SECRET not in logged() + "".join(capfd.readouterr())


NAMES = (
    *("authorization", "content-type", "content-length", "host", "origin", "cookie", "accept"),
    *("sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "x-forwarded-for", "x-forwarded-host"),
    *("forwarded", "range", "if-range", "if-none-match", "if-modified-since", "expect", "te"),
    *("transfer-encoding", "content-encoding", "accept-encoding", "upgrade", "connection"),
    *("referer", "user-agent", "access-control-request-method", "x-http-method-override"),
)
PARTS = (
    *(b"Basic ", b"Bearer ", b"multipart/form-data; ", b"boundary=x", b"; charset=", b"\xff\xfe"),
    *(b"http://", b"localhost", b"testserver", b":8000", b"null", b"cross-site", b"9" * 5000),
    *(b"bytes=", b"-1", b"\xe2\x80\xae", b'"', b"\\", b"\x1b[31m", b"=?utf-8?b?", b"%00", b","),
    *(b"\t", b"idna", b"unicode_escape", b"\x85", b"{}", b"$(x)", b"chunked", SECRET.encode()),
)
VALUES = st.lists(st.sampled_from(PARTS) | st.binary(max_size=12), max_size=6).map(b"".join)
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES).map(str.encode), VALUES), max_size=5)
REQUESTS = st.sampled_from(
    [*(("GET", route) for route in (*GETS, "/x")), *((m, r) for m, r, _ in ERRORS)]
)


async def told(app, method: str, path: str, headers, body: bytes = b"") -> tuple[int, dict, bytes]:
    """Status, headers and body, by ASGI: no client's library looks at the headers first."""
    sent = []
    parts = [{"type": "http.request", "body": body}]

    async def receive():
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method},
        **{"scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b""},
        **{"root_path": "", "headers": headers, "client": ("127.0.0.1", 9), "server": ("x", 80)},
    }
    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), content


@pytest.mark.parametrize("examples", [300, pytest.param(4000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["paged", "guarded"])
def test_whatever_the_headers_are_the_answer_is_one_of_ours(request, kind, examples, caplog):
    client = request.getfixturevalue(kind)
    caplog.set_level(logging.DEBUG)
    body = FORM % (b"images", b"x.png", SECRET.encode())

    @given(asked=REQUESTS, headers=HEADERS, host=st.booleans(), typed=st.booleans())
    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    def run(asked, headers, host, typed) -> None:
        named = {name for name, _ in headers}
        if host and b"host" not in named:
            headers = [(b"host", b"testserver"), *headers]
        if typed and b"content-type" not in named:
            headers = [*headers, (b"content-type", TYPE["content-type"].encode())]
        caplog.clear()
        status, answered, content = client.portal.call(told, client.app, *asked, headers, body)
        assert status < 500
        probe = asked[1] in ("/healthz", "/readyz") and asked[0] == "GET"
        if kind == "guarded" and not probe:
            assert status in (401, 403, 421)
        assert answered[b"x-content-type-options"] == b"nosniff"
        assert b"default-src 'none'" in answered[b"content-security-policy"]
        if status >= 400:
            assert list(json.loads(content)) == ["detail"]
        assert SECRET.encode() not in content
        assert SECRET not in caplog.text and "Traceback" not in caplog.text

    run()


@pytest.fixture
def port(make_service):
    """Of a real server that asks for the token."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application(make_service, token=TOKEN), log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("examples", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_whatever_comes_by_the_socket_is_answered_or_closed(port, examples, capfd):
    """The same through uvicorn, whose own parser has the first word."""

    @given(headers=HEADERS, method=st.sampled_from(["GET", "POST", SECRET]))
    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    def run(headers, method) -> None:
        lines = [name + b": " + value for name, value in headers]
        head = b"%s /page/about?%s HTTP/1.1\r\n" % (method.encode(), SECRET.encode())
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(head + b"\r\n".join([b"Host: x", *lines, b"", b""]))
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(1 << 16)
        if answer:
            status = int(answer.split()[1])
            assert status in (400, 401, 403, 413, 421) or status == 100, answer
            assert SECRET.encode() not in answer

    run()
    said = "".join(capfd.readouterr())
    assert SECRET not in said and "Traceback" not in said, said[-2000:]


def test_the_api_says_no_more_than_it_must_about_itself(paged):
    headers = paged.get("/healthz").headers
    assert "x-powered-by" not in headers and sys.version.split()[0] not in str(headers)
