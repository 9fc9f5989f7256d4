"""A real server and real sockets: broken and slow clients, and the end."""

import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import uvicorn

from kia.serving.app import api

BODY = (
    b'--x\r\nContent-Disposition: form-data; name="images"; filename="x.png"\r\n\r\n%s\r\n--x--\r\n'
)


class Servers:
    """Called with settings, starts a server in a thread and gives its port."""

    def __init__(self, make_service) -> None:
        self._make_service, self._running = make_service, []

    def __call__(self, **settings) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        app = api(self._make_service(**settings))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        self._running.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return listening.getsockname()[1]

    def stop(self) -> None:
        for server, _ in self._running:
            server.should_exit = True

    def join(self) -> None:
        for _, thread in self._running:
            thread.join()


@pytest.fixture
def live(make_service):
    servers = Servers(make_service)
    yield servers
    servers.stop()
    servers.join()


class Client:
    """Sends what it is told, byte by byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def begin(self, length: int | None, route: str = "/v1/findings") -> None:
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        close = "" if length is None else "Connection: close\r\n"
        head = f"POST {route} HTTP/1.1\r\nHost: localhost\r\n{close}{size}\r\n"
        self.send(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode())

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def answer(self) -> tuple[int, dict]:
        """Status and JSON, once the server has closed the connection."""
        read = self.all()
        return int(read.split()[1]), json.loads(read.partition(b"\r\n\r\n")[2])

    def all(self) -> bytes:
        read = b""
        while part := self.socket.recv(1 << 16):
            read += part
        return read

    def vanish(self) -> None:
        """As a killed process: the connection is reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def ask(port: int, png: bytes) -> tuple[int, dict]:
    client = Client(port)
    client.begin(len(BODY % png))
    client.send(BODY % png)
    return client.answer()


def metrics(port: int) -> str:
    client = Client(port)
    client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return client.all().decode()


def until(port: int, *lines: str) -> None:
    """Waits until the metrics hold these lines."""
    deadline = time.monotonic() + 10
    while missing := [line for line in lines if f"{line}\n" not in metrics(port)]:
        assert time.monotonic() < deadline, (missing, metrics(port))
        time.sleep(0.02)


def no_more(port: int) -> None:
    """Waits until the server takes no connections."""
    with pytest.raises(OSError):
        while True:
            Client(port).vanish()
            time.sleep(0.02)


def test_clients_that_vanish_in_the_middle_harm_nobody(live, png, caplog):
    port = live(queue=1)
    gone = 'kia_requests_total{route="/v1/findings",status="499"}'
    for number in range(3):  # more than there are places
        client = Client(port)
        client.begin(1 << 20)
        client.send((BODY % png())[:500])
        until(port, "kia_requests_under_way 1.0")
        assert ask(port, png())[0] == 429  # the place is taken by an upload
        client.vanish()
        until(port, f"{gone} {number + 1}.0", "kia_requests_under_way 0.0")
    assert ask(port, png())[0] == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_what_says_that_it_is_large_is_refused_before_it_is_sent(live):
    client = Client(live(upload_mb=1))
    client.begin((1 << 20) + 1)
    status, said = client.answer()
    assert (status, said["detail"]) == (413, "larger than the 1 MiB that a request may have")


def test_whoever_sends_more_than_is_read_gets_the_answer_all_the_same(live):
    port = live(queue=1)
    first = Client(port)
    first.begin(1 << 20)
    until(port, "kia_requests_under_way 1.0")
    for _ in range(5):  # closed with unread bytes, a connection is reset
        client = Client(port)
        client.begin(1 << 21)
        client.send(bytes(1 << 21))
        assert client.answer()[0] == 429


def test_an_endless_upload_is_stopped_at_the_limit(live):
    client = Client(live(upload_mb=1))
    client.begin(None)
    start = BODY.partition(b"%s")[0]
    client.send(b"%x\r\n%s\r\n" % (len(start), start))
    sent = 0
    while not select.select([client.socket], [], [], 0)[0]:
        client.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        sent += 0x10000
        assert sent < 50 << 20
    assert client.socket.recv(20).startswith(b"HTTP/1.1 413")
    assert sent >= 1 << 20


def test_an_upload_that_stands_still_loses_its_place(live):
    client = Client(live(timeout=0.3))
    client.begin(1 << 20)
    client.send(BODY[:40])
    status, said = client.answer()
    assert (status, said["detail"]) == (408, "the upload took too long")


def test_the_end_waits_for_what_is_under_way(live, png):
    port = live()
    client, whole = Client(port), BODY % png()
    client.begin(len(whole), "/v1/reports")
    client.send(whole[:200])
    until(port, "kia_requests_under_way 1.0")
    live.stop()  # what uvicorn does at SIGTERM
    no_more(port)
    client.send(whole[200:])
    assert client.answer()[0] == 200


def get(port: int, route: str) -> int:
    """Status."""
    client = Client(port)
    client.send(f"GET {route} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return int(client.all().split()[1])


def decoders() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "kia.imaging" in str(one.cmdline())]


def test_readyz_says_when_no_decoder_is_there_and_uploads_are_answered_all_the_same(
    live, png, monkeypatch
):
    for name, seconds in (("IDLE", 0.2), ("PRESENT", 1.5), ("DOUBTFUL", 0.3)):
        monkeypatch.setattr(f"kia.serving.decoder.{name}", seconds)
    before = decoders()
    port = live()
    (own,) = [one for one in decoders() if one not in before]
    assert get(port, "/readyz") == 200
    own.suspend()
    seen = set()
    while own.is_running():
        seen.add(get(port, "/readyz"))
        assert get(port, "/healthz") == 200
    assert seen == {200, 503}
    assert ask(port, png())[0] == 200
    assert get(port, "/readyz") == 200


def test_readyz_says_when_the_model_hangs(live, png, monkeypatch):
    let_go = threading.Event()
    port = live(timeout=1)
    monkeypatch.setattr("kia.reporting.model.label_answers", lambda *_: let_go.wait())
    try:
        assert ask(port, png())[0] == 504
        deadline = time.monotonic() + 10
        while get(port, "/readyz") != 503:
            assert time.monotonic() < deadline
    finally:
        let_go.set()
    monkeypatch.undo()
    deadline = time.monotonic() + 10
    while get(port, "/readyz") != 200:
        assert time.monotonic() < deadline


HANGING = """
import sys, time
import kia.reporting.model as reporting
from kia.serving.app import create_app
from kia.serving.server import listen, run
from kia.serving.settings import Settings

describe, asked = reporting.describe, []

def hang(*given, **options):
    asked.append(1)
    if len(asked) > 1 and sys.argv[2] == "model":  # the first one is the server's own
        time.sleep(1000)
    if sys.argv[2] == "start":
        print("http://127.0.0.1:1/docs", flush=True)
        time.sleep(1000)
    return describe(*given, **options)

reporting.describe = hang
settings = Settings(model=sys.argv[1], timeout=3, decoders=2)
with listen("127.0.0.1", 0, settings) as listening:
    where = f"http://127.0.0.1:{listening.getsockname()[1]}/docs"
    run(create_app(settings), listening, settings, lambda: print(where, flush=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["nothing", "start", "model", "decoders", "reader", "sender"])
def test_sigterm_ends_the_server_in_time_whatever_hangs(model_folder, png, tmp_path, what):
    script = tmp_path / "server.py"
    script.write_text(HANGING)
    words = [sys.executable, script, model_folder, what]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as run:
        try:
            port = int(re.search(r":(\d+)/docs", run.stdout.readline())[1])
            family = psutil.Process(run.pid).children(recursive=True)
            assert len(family) == 2
            clients = [] if what in ("nothing", "start") else [Client(port)]
            for client in clients:
                if what == "reader":
                    client.send(b"GET /page/page.js HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)
                else:
                    client.begin(len(BODY % png()), "/v1/reports")
                    client.send((BODY % png())[: 40 if what == "sender" else None])
            for child in family if what == "decoders" else ():
                child.suspend()
            time.sleep(0.5)
            since = time.monotonic()
            run.send_signal(signal.SIGTERM)
            assert run.wait(20) == 0
            took = time.monotonic() - since
        finally:
            run.kill()
    assert took < 3 + 1
    assert not any(child.is_running() for child in family)
    if what in ("model", "decoders", "sender"):
        status, _ = clients[0].answer()
        assert status == {"model": 504, "decoders": 200, "sender": 408}[what]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_sigterm_finishes_what_is_under_way(model_folder, png):
    command = [Path(sys.executable).with_name("kia"), "serve", model_folder, "--no-page"]
    run = subprocess.Popen(
        [*map(str, command), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        said = run.stdout.readline() + run.stdout.readline()
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/docs", said)[1])
        assert "Not for clinical use" in said
        client, whole = Client(port), BODY % png()
        client.begin(len(whole), "/v1/reports")
        client.send(whole[:200])
        until(port, "kia_requests_under_way 1.0")
        run.send_signal(signal.SIGTERM)
        no_more(port)
        client.send(whole[200:])
        status, report = client.answer()
        _, err = run.communicate(timeout=60)
    finally:
        run.kill()
        run.communicate()
    assert (status, report["notice"]) == (200, "Research only. Not for clinical use.")
    assert run.returncode == 0
    assert re.search(r"POST /v1/reports 200 \d+ ms", err) and "Traceback" not in err
