"""Loads `kia serve`: throughput with many clients against one, errors, and memory over time.

    python benchmarks/serving.py MODEL [IMAGE …] [--clients 32] [--seconds 300] [--rounds 5]

Starts a server of its own. In each round one client asks alone, then all of them at once, so both
meet the same load of the machine; a client asks again as soon as it is answered. Without images
phantoms are drawn, one a client.
"""

import argparse
import collections
import http.client
import io
import itertools
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from PIL import Image

BOUNDARY = "kia"


class Load:
    """Answers of a number of clients, which ask until the time is over."""

    def __init__(self, port: int, bodies: list[bytes], path: str) -> None:
        self.port, self.bodies, self.path = port, bodies, path
        self.next = itertools.count()
        self.statuses: collections.Counter[str] = collections.Counter()

    def run(self, clients: int, seconds: float) -> tuple[float, list[float]]:
        """Answers a second, and the seconds that each took."""
        since = time.perf_counter()
        until, taken = since + seconds, list[float]()
        threads = [threading.Thread(target=self._ask, args=(until, taken)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(taken) / (time.perf_counter() - since), taken

    def _ask(self, until: float, taken: list[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        while (since := time.perf_counter()) < until:
            body = self.bodies[next(self.next) % len(self.bodies)]
            try:
                connection.request("POST", self.path, body, headers)
                answer = connection.getresponse()
                answer.read()
                self.statuses[str(answer.status)] += 1
                if answer.status == 200:
                    taken.append(time.perf_counter() - since)
            except OSError as error:
                self.statuses[type(error).__name__] += 1
                connection.close()


def form(image: bytes, candidates: int | None) -> bytes:
    fields = {'name="images"; filename="x"': image}
    if candidates:
        fields['name="candidates"'] = str(candidates).encode()
    parts = (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content
        for head, content in fields.items()
    )
    return b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def phantoms(count: int) -> list[bytes]:
    from kia.phantoms.studies import phantom_study

    found = []
    for number in range(count):
        file = io.BytesIO()
        Image.fromarray(phantom_study(7, number, size=512).pixels[0]).save(file, "PNG")
        found.append(file.getvalue())
    return found


def memory(process: psutil.Process) -> tuple[int, int]:
    """MiB of the server, and of its decoders (pages that they share count in each)."""
    decoders = sum(child.memory_info().rss for child in process.children(recursive=True))
    return process.memory_info().rss >> 20, decoders >> 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=300, help="of all rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", type=float, default=0.25, help="share of the time of one client")
    parser.add_argument("--candidates", type=int, help="of each request; the model's if absent")
    parser.add_argument("--path", default="/v1/reports")
    parser.add_argument("--serve", nargs="*", default=[], help="options of kia serve, without --")
    given = parser.parse_args()
    contents = [path.read_bytes() for path in given.images] or phantoms(given.clients)
    command = [str(Path(sys.executable).with_name("kia")), "serve", given.model, "--no-page"]
    options = [f"--{option}" for option in given.serve]
    with tempfile.TemporaryFile() as log:  # the server's lines, shown if it does not start
        server = subprocess.Popen(
            [*command, "--port", "0", *options], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            address = re.search(r":(\d+)/docs", server.stdout.readline() if server.stdout else "")
            if not address:
                server.wait()
                log.seek(0)
                sys.exit(log.read().decode())
            bodies = [form(content, given.candidates) for content in contents]
            load = Load(int(address[1]), bodies, given.path)
            measure(load, psutil.Process(server.pid), given)
            server.send_signal(signal.SIGTERM)
            print(f"server ends with {server.wait(60)}")
        finally:
            server.kill()


def measure(load: Load, process: psutil.Process, given: argparse.Namespace) -> None:
    load.run(given.clients, 2)  # buffers and threads are made
    print(f"memory at the start {memory(process)} MiB (server, decoders)")
    each = given.seconds / given.rounds
    alone, together, ratios = [], [], []
    for number in range(1, given.rounds + 1):
        one, took = load.run(1, each * given.alone)
        alone += took
        many, took = load.run(given.clients, each * (1 - given.alone))
        together += took
        ratios.append(many / one)
        print(
            f"round {number}: 1 client {one:.1f}/s, {given.clients} clients {many:.1f}/s, "
            f"ratio {many / one:.1f}; memory {memory(process)} MiB"
        )
    for clients, took in ((1, alone), (given.clients, together)):
        cuts = statistics.quantiles(took, n=20)
        print(
            f"{clients} clients: {len(took)} answers, median {cuts[9]:.2f} s, 95 % {cuts[18]:.2f} s"
        )
    print(f"median ratio {statistics.median(ratios):.1f}; answers by status {dict(load.statuses)}")


if __name__ == "__main__":
    main()
