"""Does `kia serve` answer every good request while its decoders are killed under load?

    python benchmarks/serving_faults.py MODEL [IMAGE …] [--clients 32] [--seconds 600] [--every 20]

Starts a server of its own, on this machine's loopback. So many clients ask without pause; beside
them some upload slowly, some vanish in the middle, and some send damaged files. Every so many
seconds decoders are killed (SIGKILL) or stopped (SIGSTOP): one of them, or all. At the end SIGTERM
comes while everybody still asks. Without images those shipped with the page are sent, and some of
IU X-Ray where KIA_IU_XRAY names its folder.

Every minute the good clients hold their breath until all of them are answered: what memory and
descriptors the server has then is its own, not that of requests under way.

Wanted: every good request answered 200, the server's memory at rest within 5 % after the first
minute, its file descriptors constant, SIGTERM answers what was accepted and ends the server in
time. The last lines say so; the exit code is 1 if something was missed.
"""

import argparse
import collections
import contextlib
import http.client
import itertools
import json
import os
import random
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from serving import BOUNDARY, form

EXAMPLES = Path(__file__).parents[1] / "src" / "kia" / "serving" / "assets" / "examples"
SLOW, VANISHING, DAMAGED = 4, 4, 2  # clients of each kind
GRACE = 0.5  # a request that began so long before SIGTERM has been accepted
SAMPLE = 2.0  # seconds between looks at the server


class Crowd:
    """Clients of all kinds, and what became of their requests.

    Args:
        port: Of the server.
        images: Files that a good client may send.
        candidates: Reports of which one is chosen; the model's own default if None.
    """

    def __init__(self, port: int, images: list[bytes], candidates: int | None) -> None:
        self.port = port
        self.bodies = [form(image, candidates) for image in images]
        self.damaged = [form(image[: len(image) // 3], candidates) for image in images]
        self.next = itertools.count()
        self.stop = threading.Event()
        self.go = threading.Event()  # while it is not set, good clients hold their breath
        self.go.set()
        self.under_way: set[int] = set()
        self.ended = float("inf")  # when SIGTERM was sent
        self.found: dict[str, collections.Counter[str]] = collections.defaultdict(
            collections.Counter
        )
        self.seconds: list[float] = []
        self.threads: list[threading.Thread] = []

    def start(self, clients: int) -> None:
        kinds = [(self.ask, ("good", self.bodies))] * clients
        kinds += [(self.ask, ("damaged", self.damaged))] * DAMAGED
        kinds += [(self.drip, ())] * SLOW + [(self.vanish, ())] * VANISHING
        for function, words in kinds:
            self.threads.append(threading.Thread(target=function, args=words, daemon=True))
            self.threads[-1].start()

    def ask(self, kind: str, bodies: list[bytes]) -> None:
        """Asks again as soon as it is answered, over one connection as long as that is kept."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        while not self.stop.is_set():
            self.go.wait()
            self.under_way.add(threading.get_ident())
            since = time.monotonic()
            try:
                body = bodies[next(self.next) % len(bodies)]
                connection.request("POST", "/v1/reports", body, headers)
                answer = connection.getresponse()
                answer.read()
                outcome = str(answer.status)
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
                connection.close()
            self.under_way.discard(threading.get_ident())
            if since > self.ended - GRACE:
                self.found[f"{kind}, at SIGTERM or later"][outcome] += 1
                return
            self.found[kind][outcome] += 1
            if kind == "good":
                self.seconds.append(time.monotonic() - since)
            elif self.stop.wait(1):
                return

    def drip(self) -> None:
        """Uploads some bytes a second."""
        while not self.stop.is_set():
            client = self._begun()
            try:
                for place in range(0, len(self.bodies[0]), 64):
                    client.sendall(self.bodies[0][place : place + 64])
                    if self.stop.wait(1):
                        break
            except OSError:
                self.found["slow"]["given up by the server"] += 1
            client.close()

    def vanish(self) -> None:
        """Resets the connection in the middle of an upload."""
        while not self.stop.wait(0.5):
            client = self._begun()
            with contextlib.suppress(OSError):
                client.sendall(self.bodies[0][: random.randrange(1, len(self.bodies[0]))])
                self.found["vanishing"]["reset"] += 1
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

    def _begun(self) -> socket.socket:
        while not self.stop.is_set():
            try:
                client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                client.sendall(
                    f"POST /v1/reports HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                    f"Content-Length: {len(self.bodies[0])}\r\n"
                    f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode()
                )
                return client
            except OSError:
                self.stop.wait(0.5)
        return socket.socket()


class Watch:
    """Looks at the server, and harms its decoders."""

    def __init__(self, server: psutil.Process, crowd: Crowd, timeout: float) -> None:
        self.server, self.crowd, self.port, self.timeout = server, crowd, crowd.port, timeout
        self.began = time.monotonic()
        self.samples: list[dict[str, Any]] = []
        self.quiet: list[dict[str, Any]] = []
        self.harm: collections.Counter[str] = collections.Counter()

    def run(self, seconds: float, every: float, window: float) -> None:
        kinds = itertools.cycle(
            (number, many) for many in (1, None) for number in (signal.SIGKILL, signal.SIGSTOP)
        )
        harmed = breath = self.began
        while (now := time.monotonic()) < self.began + seconds:
            if now - harmed >= every:
                harmed = now
                self._harm(*next(kinds))
            elif now - breath >= window:
                self.quiet.append(self._at_rest())
                breath = time.monotonic()
            self.samples.append(self._look())
            time.sleep(SAMPLE)

    def _harm(self, number: signal.Signals, many: int | None) -> None:
        decoders = self.server.children()
        random.shuffle(decoders)
        for decoder in decoders[:many]:
            with contextlib.suppress(psutil.Error):
                decoder.send_signal(number)
                self.harm[number.name] += 1

    def _look(self) -> dict[str, Any]:
        status = "none"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            status = str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
        finally:
            connection.close()
        with self.server.oneshot():
            clients = self.server.net_connections("tcp")
            open_files = self.server.num_fds()
            memory = self.server.memory_info().rss / 2**20
        return {
            "seconds": time.monotonic() - self.began,
            "ready": status,
            "memory": memory,
            "descriptors": open_files - len(clients),
        }

    def _at_rest(self) -> dict[str, Any]:
        """A look while no good client asks: what is there then is the server's own."""
        self.crowd.go.clear()
        until = time.monotonic() + self.timeout
        while self.crowd.under_way and time.monotonic() < until:
            time.sleep(0.2)
        time.sleep(SAMPLE)
        looks = [self._look()]
        while looks[-1]["ready"] != "200" and time.monotonic() < until + self.timeout:
            time.sleep(0.5)
            looks.append(self._look())
        # a client that comes between counting files and connections counts as the server's
        found = []
        for _ in range(6):
            time.sleep(0.5)
            found.append(self._look()["descriptors"])
        looks[-1]["descriptors"] = min(found)
        self.crowd.go.set()
        return looks[-1]


def images(given: list[Path]) -> list[bytes]:
    paths = given or sorted(EXAMPLES.glob("*.jpg"))
    folder = os.environ.get("KIA_IU_XRAY")
    if not given and folder:
        paths += sorted((Path(folder) / "images").iterdir())[::120]
    return [path.read_bytes() for path in paths]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--every", type=float, default=20, help="seconds between harms")
    parser.add_argument("--warm-up", type=float, default=60, help="seconds before memory counts")
    parser.add_argument("--window", type=float, default=60, help="seconds between rests")
    parser.add_argument("--candidates", type=int, help="of each request; the model's if absent")
    parser.add_argument("--timeout", type=float, default=60, help="of a request, as of kia serve")
    parser.add_argument("--json", type=Path, help="write what was found")
    given = parser.parse_args()
    command = [str(Path(sys.executable).with_name("kia")), "serve", given.model, "--no-page"]
    command += ["--port", "0", "--timeout", str(given.timeout)]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            address = re.search(r":(\d+)/docs", server.stdout.readline() if server.stdout else "")
            if not address:
                server.wait()
                log.seek(0)
                sys.exit(log.read().decode())
            found = measure(server, int(address[1]), given)
            log.seek(0)
            found["tracebacks"] = log.read().count(b"Traceback")
        finally:
            server.kill()
    missed = show(found, given)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    sys.exit(1 if missed else 0)


def measure(
    server: "subprocess.Popen[str]", port: int, given: argparse.Namespace
) -> dict[str, Any]:
    crowd = Crowd(port, images(given.images), given.candidates)
    watch = Watch(psutil.Process(server.pid), crowd, given.timeout)
    crowd.start(given.clients)
    watch.run(given.seconds, given.every, given.window)
    family = watch.server.children(recursive=True)
    crowd.ended = since = time.monotonic()
    server.send_signal(signal.SIGTERM)
    try:
        code = server.wait(given.timeout + 30)
    except subprocess.TimeoutExpired:
        code = None
        for process in (watch.server, *family):
            with contextlib.suppress(psutil.Error):
                process.kill()
    took = time.monotonic() - since
    left = [one.pid for one in family if one.is_running()]
    crowd.stop.set()
    for thread in crowd.threads:
        thread.join(10)
    return {
        "answers": {kind: dict(outcomes) for kind, outcomes in crowd.found.items()},
        "harm": dict(watch.harm),
        "ready": dict(collections.Counter(one["ready"] for one in watch.samples)),
        "rests": [one for one in watch.quiet if one["seconds"] >= given.warm_up],
        "peak": max(one["memory"] for one in watch.samples),
        "median_seconds": statistics.median(crowd.seconds),
        "seconds_95": statistics.quantiles(crowd.seconds, n=20)[18],
        "end": {"code": code, "seconds": took, "processes_left": left},
    }


def show(found: dict[str, Any], given: argparse.Namespace) -> list[str]:
    """Prints what was found; gives what was wanted and missed."""
    print(f"{given.clients} clients, {given.seconds:.0f} s; decoders harmed: {found['harm']}")
    for kind, outcomes in sorted(found["answers"].items()):
        print(f"  {kind}: {outcomes}")
    print(f"  /readyz: {found['ready']}")
    print(f"good answers took {found['median_seconds']:.1f} s, 95 % {found['seconds_95']:.1f} s")
    memory = [one["memory"] for one in found["rests"]]
    spread = max(memory) / min(memory) - 1
    open_files = [one["descriptors"] for one in found["rests"]]
    print(f"server at rest, each {given.window:.0f} s after the first {given.warm_up:.0f}:")
    print(f"  memory {[round(one) for one in memory]} MiB, {spread:.1%} apart; ", end="")
    print(f"under load {found['peak']:.0f} MiB at most")
    print(f"  descriptors besides clients' {[round(one) for one in open_files]}")
    end = found["end"]
    print(f"SIGTERM under load: exit code {end['code']} after {end['seconds']:.1f} s")
    wanted = {
        "every good request is answered 200": set(found["answers"]["good"]) == {"200"},
        "every damaged file is answered 422": set(found["answers"]["damaged"]) == {"422"},
        "memory within 5 %": spread <= 0.05,
        "descriptors constant": max(open_files) == min(open_files),
        "SIGTERM ends it in time": end["code"] == 0 and end["seconds"] <= given.timeout + 1,
        "no process is left": not end["processes_left"],
        "no traceback": not found["tracebacks"],
    }
    for what, held in wanted.items():
        print(f"{'yes' if held else 'NO '}  {what}")
    return [what for what, held in wanted.items() if not held]


if __name__ == "__main__":
    main()
