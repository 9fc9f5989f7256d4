"""The page of `kia evaluate --html` as people use it: in Chromium, with and without its script."""

import base64
import hashlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chromium import chromium

from kia.evaluation.board.entries import Settings
from kia.evaluation.evaluate import Setup, comparison_page, score

ATTACK = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
REFS = {
    "s1": "Small left pleural effusion. The heart is normal in size.",
    "s2": "Moderate cardiomegaly. The lungs are clear.",
    "s10": "The lungs are clear. No pneumothorax.",
}
GOOD = REFS | {"s1": "Small right pleural effusion."}
BAD = {
    "s1": f"No pleural effusion. {ATTACK}",
    "s2": "Severe cardiomegaly.",
    "s10": "Large left pneumothorax.",
}
SYSTEMS = {"good": [GOOD], "b<a>d": [BAD]}
PHONE, DESK = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(tmp_path: Path) -> Path:
    setup = Setup((), REFS, systems=SYSTEMS, settings=Settings(resamples=20))
    path = tmp_path / "page.html"
    path.write_text(comparison_page(score(setup)), encoding="utf-8")
    return path


def opened(browser: Any, path: Path, size: tuple[int, int] = DESK, script: bool = True) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
    metrics = {"deviceScaleFactor": 1, "mobile": size == PHONE}
    metrics |= dict(zip(("width", "height"), size, strict=True))
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get_log("browser")
    browser.get(path.as_uri())
    until = time.monotonic() + 20
    while script and not browser.find_elements("css selector", "body[data-ready]"):
        assert time.monotonic() < until, browser.get_log("browser")
        time.sleep(0.02)


def shown(browser: Any) -> list[str]:
    """Ids of the studies that can be seen, in their order."""
    names = browser.find_elements("css selector", ".study summary b")
    return [name.text for name in names if name.is_displayed()]


def choose(browser: Any, id_: str, words: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("id", id_)).select_by_visible_text(words)


def test_the_page_asks_for_nothing_and_runs_its_own_script_alone(browser: Any, page: Path) -> None:
    opened(browser, page)
    log = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"] for one in log if one["method"] == "Network.requestWillBeSent"]
    assert {one["request"]["url"].split("?")[0] for one in asked} <= {page.as_uri(), "data:,"}
    assert browser.get_log("browser") == []
    assert browser.title == "Evaluation of good, b<a>d"
    more = page.read_text("utf-8").replace("</body>", "<script>document.title='x'</script></body>")
    page.write_text(more, encoding="utf-8")
    opened(browser, page)
    assert browser.title == "Evaluation of good, b<a>d"
    assert "Content Security Policy" in browser.get_log("browser")[0]["message"]


def test_studies_are_searched_filtered_and_ordered(browser: Any, page: Path) -> None:
    opened(browser, page)
    assert shown(browser) == ["s10", "s1", "s2"]  # 4.5, 1 + 2, 1
    choose(browser, "order", "id")
    assert shown(browser) == ["s1", "s2", "s10"]
    choose(browser, "order", "heaviest of good")
    assert shown(browser)[0] == "s1"
    choose(browser, "order", "where systems differ most")
    assert shown(browser)[0] == "s10"
    choose(browser, "observation", "Cardiomegaly")
    assert shown(browser) == ["s2"]
    assert browser.find_element("id", "count").text == "1 of 3 studies"
    choose(browser, "how", "on which a system is wrong")
    assert shown(browser) == []
    choose(browser, "observation", "any observation")
    browser.find_element("css selector", "body").send_keys("/")
    browser.switch_to.active_element.send_keys("LARGE left")  # the slash went to no field
    assert shown(browser) == ["s10"]


def test_a_table_is_sorted_by_its_columns_and_back(browser: Any, page: Path) -> None:
    opened(browser, page)

    def rows() -> list[str]:
        return browser.execute_script(
            "const heads = [...document.querySelectorAll('h2')];"
            "const found = heads.find((h) => h.textContent.startsWith('Errors a study'));"
            "return [...found.nextElementSibling.querySelectorAll('tbody')[0].rows]"
            ".map((row) => row.cells[0].textContent)"
        )

    button = browser.find_element("xpath", "//h2[starts-with(.,'Errors')]/following::th[2]/button")
    before = rows()
    assert before == ["good", "95 % interval", "b<a>d", "95 % interval"]
    button.click()
    assert rows() == ["b<a>d", "95 % interval", "good", "95 % interval"]
    head = browser.find_element("xpath", "//h2[starts-with(.,'Errors')]/following::th[2]")
    assert head.get_attribute("aria-sort") == "descending"
    button.click()
    assert rows() == before
    button.click()
    assert (rows(), head.get_attribute("aria-sort")) == (before, None)


def test_everything_can_be_read_without_the_script(browser: Any, page: Path) -> None:
    opened(browser, page, script=False)
    assert not browser.find_element("id", "controls").is_displayed()
    assert shown(browser) == ["s10", "s1", "s2"]
    for summary in browser.find_elements("css selector", ".study summary"):
        summary.click()
    text = browser.find_element("id", "list").text
    for report in (*REFS.values(), *GOOD.values(), *BAD.values()):
        for sentence in report.split(". "):
            assert sentence.rstrip(".").split(" <")[0] in re.sub(r"\d/\d", "", text), sentence
    assert ATTACK in text
    opened(browser, page)  # with the script again, for the next test


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_the_page_is_no_wider_than_the_screen(
    browser: Any, tmp_path: Path, size: tuple[int, int]
) -> None:
    systems = {"a": [GOOD], "the name of a system that is quite long, v2.1 (2026)": [BAD]}
    page = tmp_path / "long_names.html"
    setup = Setup((), REFS, systems=systems, settings=Settings(resamples=20))
    page.write_text(comparison_page(score(setup)), encoding="utf-8")
    opened(browser, page, size)
    browser.find_element("id", "unfold").click()
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= size[0]


def test_marks_say_who_agrees(page: Path) -> None:
    """By hand: of two systems one finds the effusion, on the wrong side; one denies it."""
    text = page.read_text("utf-8")
    study = text[text.index("<b>s1</b>") : text.index("<b>s2</b>")]
    assert '<mark class="mi">Small<sup>0/2</sup></mark>' in study
    assert '<td class="si">side: right</td><td class="mi">missed</td>' in study
    assert 'No pleural <mark class="no">effusion</mark>' in study
    assert '<mark class="si">Small</mark>' in study
    other = text[text.index("<b>s2</b>") :]
    assert '<td class="ok">✓</td><td class="de">degree: severe</td>' in other
    assert '<mark class="pa">Moderate cardiomegaly<sup>1/2</sup></mark>' in other


def test_the_first_studies_have_their_images() -> None:
    refs = {str(i): f"Effusion {i}." for i in range(15)}
    outcome = score(Setup((), refs, systems={"a": [refs]}, settings=Settings(resamples=2)))
    asked: list[str] = []

    def images(study: str) -> list[bytes]:
        asked.append(study)
        return [b"png", b"png"]

    text = comparison_page(outcome, images)
    assert asked == [str(i) for i in range(12)]  # equal weights: the order of the references
    assert text.count('<img alt="view 1 of study') == text.count('<img alt="view 2 of study') == 12


def test_the_policy_names_the_hash_of_the_script(page: Path) -> None:
    text = page.read_text("utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    assert f"{policy}script-src 'sha256-{digest}'" in text
    assert "innerHTML" not in script


@pytest.mark.slow
@pytest.mark.iu_xray
def test_five_systems_on_the_test_split_stay_below_three_megabytes(iu_xray: Path) -> None:
    splits = json.loads((iu_xray / "annotation.json").read_text(encoding="utf-8"))
    refs = {study["id"]: study["report"] for study in splits["test"]}
    assert len(refs) == 590
    train = [study["report"] for study in splits["train"]]
    systems = {f"system {k}": [dict(zip(refs, train[k * 100 :], strict=False))] for k in range(5)}
    setup = Setup((), refs, systems=systems, settings=Settings(resamples=2))
    assert len(comparison_page(score(setup)).encode()) < 3_000_000
