"""What pages of other sites can do with the server, tried in a real browser.

Names in .test are this machine too, for this browser alone: foreign.test is another site,
rebound.test one that gave its name the server's address, x-ray.test a proxy before the server.
"""

import base64
import http.client
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kia.readable import NOTICE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
TOKEN = "secret-token"
ATTACK = b"<!doctype html><meta charset=utf-8><title>attack</title><body>another page</body>"


class Foreign(BaseHTTPRequestHandler):
    """Sends its own page at /attack; all else comes from the server that its name now leads to."""

    target: str

    def do_GET(self) -> None:
        if self.path == "/attack":
            self.tell(200, [("Content-Type", "text/html")], ATTACK)
            return
        length = int(self.headers.get("Content-Length", 0))
        connection = http.client.HTTPConnection(self.target)
        connection.request(self.command, self.path, self.rfile.read(length), dict(self.headers))
        answer = connection.getresponse()
        kept = [one for one in answer.getheaders() if one[0].lower() != "transfer-encoding"]
        self.tell(answer.status, kept, answer.read())

    do_POST = do_GET

    def tell(self, status: int, headers, content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture(scope="module")
def foreign(address) -> Iterator[int]:
    """Port of another server on this machine."""
    handler = type("Handler", (Foreign,), {"target": urlsplit(address).netloc})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def statuses(address: str, route: str, **headers: str) -> dict[str, float]:
    """How often each status was answered on a route."""
    asked = urllib.request.Request(f"{address}metrics", headers=headers)
    with urllib.request.urlopen(asked) as answer:
        text = answer.read().decode()
    lines = rf'kia_requests_total{{route="{re.escape(route)}",status="(\d+)"}} (\S+)'
    return {status: float(count) for status, count in re.findall(lines, text)}


READ = """const [address, method, png, mode, done] = arguments;
    const form = new FormData();
    const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
    form.append("images", new File([bytes], "x.png"));
    const body = method === "POST" ? form : undefined;
    fetch(address, {method, body, mode, credentials: "include"})
        .then(async (answer) => done([answer.status, await answer.text()]))
        .catch((error) => done([0, String(error)]));"""


def read(browser, address: str, method: str, png: bytes, mode: str = "cors") -> tuple[int, str]:
    """What the page that is shown gets to read."""
    encoded = base64.b64encode(png).decode()
    return tuple(browser.execute_async_script(READ, address, method, encoded, mode))


def test_a_page_that_rebinds_its_name_reads_neither_reports_nor_settings(
    chromium, address, foreign, png
):
    chromium.get(f"http://rebound.test:{foreign}/attack")
    assert chromium.title == "attack"
    for method, route in [
        *(("GET", route) for route in ("/", "/page/about", "/docs", "/metrics")),
        *(("POST", route) for route in ("/page/study", "/v1/reports", "/v1/findings")),
    ]:
        status, text = read(chromium, route, method, png())
        assert status == 421, (route, text)
        assert NOTICE not in text and "enlarged" not in text
    status, _ = read(chromium, "/healthz", "GET", png())
    assert status == 200  # it says nothing


@pytest.mark.parametrize("site", ["foreign.test", "localhost", "127.0.0.1"])
def test_a_page_of_another_site_or_port_neither_reads_nor_sends(
    chromium, address, foreign, png, site
):
    """Another port of this machine is the same site for a browser, but another origin."""
    chromium.get(f"http://{site}:{foreign}/attack")
    before = statuses(address, "/page/study")
    for method, route in [("GET", "page/about"), ("POST", "page/study"), ("POST", "v1/reports")]:
        for mode in ("cors", "no-cors"):
            status, text = read(chromium, address + route, method, png(), mode)
            assert status == 0 and (text == "" or "Failed to fetch" in text), (route, mode)
    after = statuses(address, "/page/study")
    assert after.get("200", 0) == before.get("200", 0)
    assert after["403"] == before.get("403", 0) + 2


EMBED = """const [tag, from, more, done] = arguments;
    const one = Object.assign(document.createElement(tag), more);
    one.onload = () => done("loaded");
    one.onerror = () => done("refused");
    one[tag === "link" ? "href" : tag === "object" ? "data" : "src"] = from;
    document.body.append(one);"""


@pytest.mark.parametrize(
    ("tag", "route", "more"),
    [
        ("img", "page/examples/pneumocystis-1.jpg", {}),
        ("script", "page/heat.js", {"type": "module"}),
        ("script", "page/about", {}),
        ("link", "page/page.css", {"rel": "stylesheet"}),
    ],
)
def test_nothing_of_the_server_is_built_into_another_page(
    chromium, address, foreign, tag, route, more
):
    chromium.get(f"http://foreign.test:{foreign}/attack")
    assert chromium.execute_async_script(EMBED, tag, address + route, more) == "refused"
    own = address.replace("127.0.0.1", "localhost")  # the same server by another name
    chromium.get(f"http://localhost:{foreign}/attack")
    assert chromium.execute_async_script(EMBED, tag, own + route, more) == "refused"


def test_the_page_is_shown_in_no_frame_of_another_page(chromium, address, foreign):
    before = statuses(address, "/")
    chromium.get(f"http://foreign.test:{foreign}/attack")
    chromium.execute_async_script(EMBED, "iframe", address, {})
    chromium.switch_to.frame(0)
    assert "Drop one or two images" not in chromium.page_source
    chromium.switch_to.default_content()
    after = statuses(address, "/")
    assert after["403"] == before.get("403", 0) + 1
    assert after.get("200", 0) == before.get("200", 0)


def test_a_form_of_another_site_sends_nothing(chromium, address, foreign):
    chromium.get(f"http://foreign.test:{foreign}/attack")
    chromium.execute_script(
        """const form = Object.assign(document.createElement("form"), {
            method: "post", enctype: "multipart/form-data", action: arguments[0]});
        document.body.append(form);
        form.submit();""",
        f"{address}v1/reports",
    )
    until = time.monotonic() + 20
    while "another site" not in (text := chromium.find_element("tag name", "body").text):
        assert time.monotonic() < until, text


@pytest.mark.parametrize("site", ["foreign.test", "localhost"])
def test_a_link_of_another_site_opens_the_page(chromium, address, foreign, site):
    chromium.get(f"http://{site}:{foreign}/attack")
    chromium.execute_script("location.href = arguments[0]", address)
    until = time.monotonic() + 20
    while not chromium.find_elements("css selector", "body[data-ready]"):
        assert time.monotonic() < until, chromium.page_source


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_page_works_by_every_name_of_this_machine(open_page, address, png, tmp_path, name):
    picture = tmp_path / "x.png"
    picture.write_bytes(png())
    page = open_page(address.replace("127.0.0.1", name))
    page.upload(picture)
    assert len(page.all(".sentences button")) == 2


def test_the_documentation_has_its_style_under_its_policy(chromium, address):
    chromium.get_log("browser")
    chromium.get(f"{address}docs")
    script = "return getComputedStyle(document.querySelector('pre')).backgroundColor"
    assert chromium.execute_script(script) == "rgb(244, 244, 244)"
    severe = [one for one in chromium.get_log("browser") if one["level"] == "SEVERE"]
    assert severe == []  # what a policy refuses is listed here


@contextmanager
def nginx(folder: Path, target: str) -> Iterator[int]:
    """As docs/serving.md has it, on a free port of this machine, before one server."""
    text = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    (written,) = re.findall(r"```nginx\n(.*?)```", text, re.S)
    key, certificate, port = folder / "kia.key", folder / "kia.pem", free_port()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=x-ray.test", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    written = re.sub(r"server 10\.0\.0\.11:8000;", f"server {target};", written)
    written = re.sub(r"server 10\.0\.0\.12:8000;", "", written)
    written = written.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    written = written.replace("/etc/ssl/kia.pem", str(certificate))
    written = written.replace("/etc/ssl/kia.key", str(key))
    places = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder / 'pid'}; error_log {folder / 'errors'};\n"
        f"events {{}}\nhttp {{\n{places}{written}\n}}\n"
    )
    running = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        wait_for(port)
        yield port
    finally:
        running.terminate()
        running.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def wait_for(port: int) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_behind_the_documented_proxy_the_page_works_and_others_do_not(
    chromium, open_page, guarded, foreign, png, tmp_path
):
    if not (shutil.which("nginx") and shutil.which("openssl")):
        pytest.skip("needs a proxy: apt-get install nginx openssl")
    picture = tmp_path / "x.png"
    picture.write_bytes(png())
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with nginx(tmp_path, urlsplit(guarded).netloc) as port:
        # gives the browser the password, which it then sends by itself
        chromium.get(f"https://me:{TOKEN}@x-ray.test:{port}/docs")
        page = open_page(f"https://x-ray.test:{port}/")
        page.upload(picture)
        assert len(page.all(".sentences button")) == 2
        before = statuses(guarded, "/page/study", **bearer)
        for scheme in ("http://foreign.test", "http://127.0.0.1"):
            chromium.get(f"{scheme}:{foreign}/attack")
            study = f"https://x-ray.test:{port}/page/study"
            for mode in ("cors", "no-cors"):
                assert read(chromium, study, "POST", png(), mode)[0] == 0
        after = statuses(guarded, "/page/study", **bearer)
    # a browser that sends the password with it gains nothing: Gate looks at it afterwards
    assert after == before | {"403": before.get("403", 0) + 4}


def test_where_a_browser_says_no_more_its_origin_is_enough(chromium, guarded, foreign, png):
    """Browsers send Sec-Fetch-Site over TLS and to this machine alone, not to http://x-ray.test."""
    host = f"http://x-ray.test:{urlsplit(guarded).port}/"
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    chromium.get(host.replace("//", f"//me:{TOKEN}@") + "docs")
    assert "images" in chromium.page_source
    chromium.get(host + "docs")
    before = statuses(guarded, "/page/study", **bearer)
    chromium.get(f"http://foreign.test:{foreign}/attack")
    for mode in ("cors", "no-cors"):
        assert read(chromium, host + "page/study", "POST", png(), mode)[0] == 0
    after = statuses(guarded, "/page/study", **bearer)
    assert after == before | {"403": before.get("403", 0) + 2}
