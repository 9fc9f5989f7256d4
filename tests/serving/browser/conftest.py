"""A real Chromium, and a server whose report is written beforehand."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import uvicorn
from tests.chromium import chromium as chromium_browser

from kia.readable import NOTICE
from kia.serving.app import api
from kia.serving.page import with_page
from kia.serving.service import Service
from kia.serving.settings import Settings

GRID = 4
"""Rows and columns of patches."""
LOOKED = {"The heart is enlarged.": (0, 1, 2), "No effusion.": (-1, 3, 0)}
"""Sentence → view, row and column of the one patch that it is all about."""


def sentence(text: str, views: int, agrees: bool | None) -> dict[str, Any]:
    view, row, column = LOOKED[text]
    maps = [[[0.0] * GRID for _ in range(GRID)] for _ in range(views)]
    maps[view][row][column] = 1.0
    opinion = {"observation": "Cardiomegaly", "said": 1, "present": 0.93, "agrees": agrees}
    return {
        **{"text": text, "raw": text.lower(), "probability": 0.75, "attention": maps},
        **{"finding_words": ["heart"], "opinions": [opinion], "agrees": agrees},
    }


class Rehearsed(Service):
    """Reads images as they are, and says the same of all."""

    async def describe(self, pictures, *, candidates=None, anyway=False, streamer=None):
        (written,) = self.processor.encode(["the heart is"], max_words=9, max_tokens=9)
        for piece in written if streamer else ():
            streamer.put(torch.tensor([piece]))
        report = " ".join(LOOKED)
        one = {"report": report, "raw": report.lower(), "match": 0.8, "log_probability": -3.0}
        other = one | {"report": "The other one.", "match": 0.25}
        views = len(pictures.views)
        first, second = LOOKED
        return {
            **{"report": report, "raw": report.lower(), "match": 0.8, "notice": NOTICE},
            "candidates": [one, other] if (candidates or 1) > 1 else [],
            "sentences": [sentence(first, views, True), sentence(second, views, False)],
            "findings": {"Cardiomegaly": 0.93, "Edema": 0.04},
            "flags": pictures.flags,
        }


@contextmanager
def served(loaded, **settings: Any) -> Iterator[str]:
    """Address of a server on this machine."""
    service = Rehearsed(*loaded, Settings(page=True, decoders=1, upload_mb=1, **settings))
    app = with_page(api(service), service)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive() and time.monotonic() < until
        time.sleep(0.02)
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(loaded) -> Iterator[str]:
    """Of a server without a token."""
    with served(loaded) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(loaded) -> Iterator[str]:
    """Of one that stands behind a proxy, as https://x-ray.test."""
    with served(loaded, token="secret-token", allow_host=["x-ray.test"]) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """selenium's driver; every test gets a new page from `page`."""
    # names of other sites, which are this machine too; certificates made for the test
    with chromium_browser(
        ["--host-resolver-rules=MAP *.test 127.0.0.1", "--ignore-certificate-errors"]
    ) as browser:
        yield browser


class Page:
    """What a person does with the page, and sees."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser, self.address = browser, address
        self.size(1200, 900)
        browser.get_log("browser")
        browser.get(address)
        self.wait(lambda: self.all("body[data-ready]"))

    def size(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def wait(self, what: Callable[[], Any], seconds: float = 30) -> Any:
        until = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < until, self.one("body").text
            time.sleep(0.02)
        return found

    def all(self, css: str) -> list[Any]:
        return self.browser.find_elements("css selector", css)

    def one(self, css: str) -> Any:
        return self.browser.find_element("css selector", css)

    def shown(self, css: str) -> str:
        """Text of an element; "" if it is hidden."""
        return self.one(css).text

    def upload(self, *files: Any, into: str = "#files") -> None:
        """Chooses files, and waits for the report or an error."""
        self.finished(lambda: self.one(into).send_keys("\n".join(map(str, files))))

    def finished(self, action: Callable[[], Any]) -> None:
        """Does something that has a report written, and waits for it or an error."""
        self.browser.execute_script("document.querySelector('#status').textContent = ''")
        action()
        self.wait(lambda: self.shown("#status") == "Ready" or self.shown("#error"))

    def press(self, keys: str) -> None:
        """On the keyboard, wherever the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).send_keys(keys).perform()

    def heat(self) -> list[list[tuple[int, int, list[int]]]]:
        """For each view the (row, column, colour) of patches that are not transparent."""
        script = """return [...document.querySelectorAll(".view canvas")].map((canvas) => {
            const {width, height} = canvas, context = canvas.getContext("2d");
            const data = [...context.getImageData(0, 0, width, height).data];
            return [...Array(width * height).keys()].filter((i) => data[4 * i + 3])
                .map((i) => [Math.floor(i / width), i % width, data.slice(4 * i, 4 * i + 4)]);
        })"""
        found = self.browser.execute_script(script)
        return [[tuple(patch) for patch in view] for view in found]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call."""
        entries = self.browser.get_log("performance")
        log = [json.loads(entry["message"])["message"] for entry in entries]
        asked = [one["params"] for one in log if one["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in asked]


@pytest.fixture
def open_page(chromium) -> Callable[[str], Page]:
    """`open_page(address)`."""
    return lambda address: Page(chromium, address)


@pytest.fixture
def page(open_page, address) -> Page:
    return open_page(address)
