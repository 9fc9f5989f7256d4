"""The words of tests/canaries.py in requests: in no answer, log, metric or file of a server."""

import http.client
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.canaries import ID, PATIENT, REPORT, SENT, Writes, content, found, personal, write_images

from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.serving.app import api
from kia.serving.page import with_page
from kia.studies import Study, StudyImage

TOKEN = "secret-token"
ASKED = {"/page/study": {REPORT}}
"""What a route may answer, when all is well: with --data, the page shows similar reports."""
SAID = {"user-agent": SENT, "cookie": f"a={SENT}", "referer": f"http://{SENT}/", "x-patient": SENT}
Ask = Callable[[str, str, dict[str, str], bytes], tuple[int, bytes]]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, dicom) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_images(folder, dicom)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Four studies whose reports the page may show, and nothing else of them."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    with DatasetWriter(folder, image_size=64, source="test") as writer:
        for n in range(4):
            images = (StudyImage(f"zqxfile-{n}.png", "frontal"),)
            report = f"the lungs are clear, {REPORT} {n}."
            study = Study(f"{ID}-{n}", "train", images, report, patient=f"{PATIENT}-{n}")
            writer.add(study, np.random.default_rng(n).integers(0, 256, (1, 64, 64), np.uint8))
    return folder


def form(*parts: tuple[str, str | None, bytes]) -> bytes:
    """(name, file name, content) of each part."""
    lines = []
    for name, file, body in parts:
        named = f'; filename="{file}"' if file is not None else ""
        lines.append(
            f'--x\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode()
        )
        lines += [body, b"\r\n"]
    return b"".join(lines) + b"--x--\r\n"


FORM = {"content-type": f"multipart/form-data; boundary=x; note={SENT}"}


def requests(pictures: Path) -> Iterator[tuple[str, str, dict[str, str], bytes, set[int]]]:
    """Method, address, headers, body, and what may become of it."""
    query = f"?name={SENT}&id={ID}"
    routes = ("/", "/docs", "/openapi.json", "/metrics", "/healthz", "/readyz", "/page/about")
    for route in (*routes, "/page/page.js", "/page/phantoms/3"):
        yield "GET", route + query, {}, b"", {200}
    yield "GET", f"/{SENT}", {}, b"", {404}
    yield "GET", f"/page/{SENT}", {}, b"", {404}
    yield "GET", f"/page/phantoms/{SENT}", {}, b"", {422}
    yield "GET", f"/docs/{query}", {}, b"", {404}
    yield "DELETE", f"/v1/reports{query}", {}, b"", {405}
    yield SENT.upper(), "/v1/reports", {}, b"", {405}
    yield "GET", "/page/about", {"authorization": f"Basic {SENT}"}, b"", {401}
    yield "GET", "/page/about", {"authorization": f"{SENT} {SENT}"}, b"", {401}
    yield "GET", "/page/about", {"host": f"{SENT}.example"}, b"", {421}
    yield "GET", "/page/about", {"origin": f"http://{SENT}.example"}, b"", {403}
    for route in ("/v1/reports", "/v1/findings", "/page/study"):
        yield from uploads(f"{route}{query}", pictures)


def uploads(
    route: str, pictures: Path
) -> Iterator[tuple[str, str, dict[str, str], bytes, set[int]]]:
    for file in sorted(pictures.iterdir()):
        good = file.stem in ("zqxfile-1", "zqxfile-2", "zqxfile-3", "zqxfile-4")
        body = form(("images", f"{SENT}-{file.name}", file.read_bytes()))
        yield "POST", route, FORM, body, {200} if good else {422}
    whole = (pictures / "zqxfile-3.png").read_bytes()
    text = SENT.encode()
    for parts in (
        [("images", f"{SENT}.png", whole), (SENT, None, b"1")],
        [("images", f"{SENT}.png", whole), ("views", None, text)],
        [("images", f"{SENT}.png", whole), ("candidates", None, text)],
        [("images", None, text)],
    ):
        yield "POST", route, FORM, form(*parts), {422}
    yield "POST", route, FORM, form(("images", SENT, text)), {415}
    yield "POST", route, FORM, form(("images", f"{SENT}.dcm", text)), {422}
    yield "POST", route, FORM, form(*[("images", SENT, whole)] * 3), {400}
    yield "POST", route, FORM, b"--x" + text, {400}
    yield "POST", route, FORM, b"--x\r\n" + text + b"\xff: \x00\r\n\r\n", {400}
    yield "POST", route, {"content-type": f"text/{SENT}"}, text, {415}
    odd = {"content-type": f"multipart/form-data; boundary=x; charset={SENT}"}
    yield "POST", route, odd, form(("images", SENT, whole)), {400}


def wrong(ask: Ask, pictures: Path) -> Iterator[str]:
    """What answers hold that they should not."""
    bearer = {"authorization": f"Bearer {TOKEN}"}
    for method, address, headers, body, statuses in requests(pictures):
        status, answer = ask(method, address, {**SAID, **bearer, **headers}, body)
        route = address.partition("?")[0]
        if status not in statuses:
            yield f"{method} {route}: {status} {answer[:200]!r}"
        if (held := found(answer)) != (ASKED.get(route, set()) if status == 200 else set()):
            yield f"{method} {route}: {status} holds {held}"


def test_an_application_keeps_and_tells_nothing(
    make_service, pictures, data, caplog, capfd, monkeypatch, tmp_path, model_folder
):
    for name in ("XDG_CACHE_HOME", "TMPDIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(logging.getLogger("kia.serving"), "propagate", True)
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # the client's
    service = make_service(page=True, token=TOKEN, model=model_folder)
    service.dataset = PreparedDataset.open(data)
    writes = Writes()
    with TestClient(with_page(api(service), service), raise_server_exceptions=False) as client:

        def ask(method: str, address: str, headers, body: bytes) -> tuple[int, bytes]:
            answer = client.request(method, address, headers=headers, content=body)
            return answer.status_code, answer.content + str(answer.headers).encode()

        found_wrong, files = writes.of(lambda: list(wrong(ask, pictures)), Path("/nowhere"))
    assert not found_wrong, "\n".join(found_wrong)
    assert not files  # not even for a moment
    assert not content(tmp_path.rglob("*"))
    assert not personal(caplog.text), personal(caplog.text)
    assert not personal("".join(capfd.readouterr()))


@pytest.fixture
def cores():
    """Core files are allowed, as on a developer's machine."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] == 0:
        pytest.skip("core files are forbidden here")
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_keeps_and_tells_nothing_and_leaves_no_core_file(
    model_folder, pictures, data, tmp_path, cores
):
    for name in ("work", "cache", "tmp", "home"):
        (tmp_path / name).mkdir()
    places = {"HOME": "home", "XDG_CACHE_HOME": "cache", "TMPDIR": "tmp"}
    command = [sys.executable, "-m", "kia", "serve", str(model_folder), "--data", str(data)]
    with (tmp_path / "said").open("w") as said:
        server = subprocess.Popen(
            [*command, "--port", "0"],
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=tmp_path / "work",
            env={
                **os.environ,
                **{name: str(tmp_path / below) for name, below in places.items()},
                **{"KIA_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"},
            },
        )
    try:
        port = port_of(server, tmp_path / "said")

        def ask(method: str, address: str, headers, body: bytes) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("localhost", port, timeout=60)
            connection.request(method, address, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read() + str(answer.getheaders()).encode()

        found_wrong = list(wrong(ask, pictures))
        family = [server.pid, *children(server.pid)]
        assert len(family) > 1
        limits = [Path(f"/proc/{pid}/limits").read_text() for pid in family]
    finally:
        server.send_signal(signal.SIGABRT)  # as where a library finds its memory damaged
        server.wait(60)
    assert not found_wrong, "\n".join(found_wrong)
    assert all(re.search(r"Max core file size +0 ", text) for text in limits)
    text = (tmp_path / "said").read_text()
    assert not personal(text) and "Traceback" not in text
    assert not content(path for path in tmp_path.rglob("*") if path != tmp_path / "said")
    assert not list(tmp_path.rglob("core*"))


def port_of(server: subprocess.Popen, said: Path) -> int:
    until = time.monotonic() + 120
    while not (told := re.search(r"http://127\.0\.0\.1:(\d+)", said.read_text())):
        assert server.poll() is None and time.monotonic() < until, said.read_text()
        time.sleep(0.05)
    return int(told[1])


def children(pid: int) -> list[int]:
    """All processes below one."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for child in map(int, below) for one in (child, *children(child))]
