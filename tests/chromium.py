"""A real Chromium, driven by selenium; tests that ask for it are skipped where there is none."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def chromium(arguments: Sequence[str] = ()) -> Iterator[Any]:
    """selenium's driver, with logs of requests and of the console.

    Args:
        arguments: More of Chromium's own.
    """
    webdriver = pytest.importorskip("selenium.webdriver")
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    usual = ["--headless=new", "--disable-dev-shm-usage", "--disable-background-networking"]
    if os.geteuid() == 0:
        usual.append("--no-sandbox")  # Chromium refuses to run as root with it
    for argument in (*usual, *arguments):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()
