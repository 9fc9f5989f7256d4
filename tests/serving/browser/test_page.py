"""The page as a person meets it, in a real browser."""

import json

import numpy as np
import pytest
from tests.pacs import radiograph

from kia.readable import NOTICE

pytestmark = pytest.mark.slow

SENTENCES = ".sentences button"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, png):
    """A frontal and a lateral PNG."""
    folder = tmp_path_factory.mktemp("pictures")
    files = [folder / "frontal.png", folder / "lateral.png"]
    for n, file in enumerate(files):
        file.write_bytes(png(n))
    return files


def patches(page) -> list[list[tuple[int, int]]]:
    return [[(row, column) for row, column, _ in view] for view in page.heat()]


def test_upload_report_and_the_heat_map_of_the_sentence_that_is_chosen(page, pictures):
    page.upload(*pictures)
    heart, effusion = page.all(SENTENCES)
    assert heart.text == "The heart is enlarged."
    assert patches(page) == [[], []]
    heart.click()
    assert patches(page) == [[(1, 2)], []]
    assert "“heart”" in page.shown("#sentences") and "Cardiomegaly" in page.shown("#sentences")
    effusion.click()
    assert patches(page) == [[], [(3, 0)]]
    assert page.shown("#legend").startswith("1×") and "32.0×" in page.shown("#legend")


def test_the_report_is_seen_while_it_is_written(page, pictures):
    page.browser.execute_script(
        "window.seen = []; const words = document.querySelector('#words');"
        "new MutationObserver(() => seen.push(words.textContent)).observe(words, {childList: true})"
    )
    page.upload(pictures[0])
    assert "The heart is" in page.browser.execute_script("return seen")
    assert not page.one("#words").is_displayed()


def test_a_sentence_with_another_second_opinion_is_marked(page, pictures):
    page.upload(pictures[0])
    agreeing, other = page.all(SENTENCES)
    assert "second opinion differs" in other.text and "second" not in agreeing.text


def test_the_keyboard_is_enough(page, pictures):
    page.upload(pictures[0])
    for _ in range(40):
        page.press("\t")
        if page.browser.switch_to.active_element == page.all(SENTENCES)[0]:
            break
    focused = page.browser.switch_to.active_element
    assert focused.text == "The heart is enlarged."
    assert patches(page) == [[(1, 2)]]  # focus is enough to look
    page.press("\ue007")  # Enter
    assert focused.get_attribute("aria-expanded") == "true"
    page.press("\ue00c")  # Escape
    assert focused.get_attribute("aria-expanded") == "false" and patches(page) == [[]]


def test_colours_are_those_of_the_figures(page):
    colormaps = pytest.importorskip("matplotlib").colormaps
    script = """const done = arguments[2];
        import("/page/heat.js").then(({colour}) =>
            done(arguments[0].map((value) => colour(value, arguments[1]))));"""
    values, most = np.linspace(0, 6, 61), 5.0
    found = np.array(page.browser.execute_async_script(script, values.tolist(), most))
    part = np.clip((values - 1) / (most - 1), 0, 1)  # as kia.explain.heat_maps
    exact = colormaps["inferno"](part, bytes=True)[:, :3]
    np.testing.assert_allclose(found[:, :3], exact, atol=9)  # 17 stops instead of 256
    np.testing.assert_allclose(found[:, 3], 255 * 0.8 * part**0.5)


def test_a_bad_file_is_named_and_a_good_one_makes_up_for_it(page, pictures, tmp_path):
    bad = tmp_path / "Jane Doe.png"
    bad.write_bytes(b"GIF89a")
    page.upload(bad)
    assert page.shown("#error") == "Image 1: not a PNG, JPEG or DICOM image."
    assert not page.one("#study").is_displayed()
    page.upload(pictures[0])
    assert page.shown("#error") == "" and len(page.all(SENTENCES)) == 2
    large = tmp_path / "large.png"
    large.write_bytes(bytes((1 << 20) + 1))
    page.upload(large)
    assert page.shown("#error") == "Larger than the 1 MiB allowed."
    page.upload(*pictures, bad)
    assert page.shown("#error") == "A study has one or two images, not 3."


def test_no_request_leaves_the_server(page, pictures):
    page.upload(pictures[0])
    for example in page.all("#examples button"):
        page.finished(example.click)
    page.all(SENTENCES)[0].click()
    asked = page.requests()
    assert any(one.endswith("/page/study") for one in asked)
    assert [one for one in asked if not one.startswith((page.address, "data:", "blob:"))] == []
    severe = [one for one in page.browser.get_log("browser") if one["level"] == "SEVERE"]
    assert severe == []  # the content security policy would complain here


def test_dicom_is_read_and_what_is_no_radiograph_is_flagged_first(page, dicom, tmp_path):
    data = radiograph(dicom, 1, Modality="OT", ViewPosition="LL", StudyInstanceUID="1.2.3")
    (tmp_path / "I0001").write_bytes(data)
    (tmp_path / "I0002").write_bytes(radiograph(dicom, 2, BodyPartExamined="HAND"))
    page.upload(tmp_path / "I0002", tmp_path / "I0001")
    assert "Look twice" in page.shown("#flags") and "Modality" in page.shown("#flags")
    assert "Not read: image 1" in page.shown("#flags") and "HAND" in page.shown("#flags")
    (view,) = page.all("figcaption select")
    assert view.get_property("value") == "lateral"  # as its header says
    page.finished(lambda: view.send_keys("frontal"))
    assert "read as frontal" in page.shown("#flags")
    assert not page.all(".view .side")  # nobody knows which side is which
    assert page.one("#flags").location["y"] < page.all(SENTENCES)[0].location["y"]


def test_views_can_be_named_and_a_new_study_replaces_the_old_one(page, pictures):
    page.upload(pictures[0])
    assert page.shown(".view .side") == "R"
    page.upload(pictures[1], into="#other")
    assert [one.get_property("value") for one in page.all("figcaption select")] == [
        *("frontal", "lateral"),
    ]
    assert not page.one("#add").is_displayed()
    page.finished(lambda: page.one("figcaption select").send_keys("lateral"))
    assert not page.all(".view .side")
    page.upload(pictures[0])  # may be another patient: never joined to the study before
    assert len(page.all("figure")) == 1


def test_a_phantom_is_drawn_and_its_truth_told(page):
    page.one("#phantom").send_keys("\ue014" * 3)  # arrow right
    assert page.shown("#number") == "3"
    page.finished(page.one("#draw").click)
    assert len(page.all("figure")) == 2 and len(page.shown("#truth-text")) > 20


def test_findings_matching_degree_and_candidates(page, pictures):
    page.upload(pictures[0])
    assert page.shown("#finding-rows").split("\n") == ["Cardiomegaly", "0.93", "Edema", "0.04"]
    bar = page.one(".present .bar i")
    assert bar.size["width"] / bar.find_element("xpath", "..").size["width"] > 0.85
    assert page.shown("#match-number") == "0.80"
    assert not page.one("#others").is_displayed()
    page.one("#candidates").clear()
    page.one("#candidates").send_keys("2\t")
    page.wait(lambda: "The other one." in page.shown("#others"))
    assert "matching degree 0.25" in page.shown("#others")


def test_a_phone_shows_everything_and_the_notice_all_the_time(page, pictures):
    page.size(390, 844)
    page.upload(*pictures)
    page.all(SENTENCES)[1].click()
    assert patches(page) == [[], [(3, 0)]]
    page.browser.execute_script("scrollTo(0, document.body.scrollHeight)")
    width, notice = page.browser.execute_script(
        "const {top} = document.querySelector('.notice').getBoundingClientRect();"
        "return [document.documentElement.scrollWidth, top]"
    )
    assert width <= 390 and notice == 0 and page.shown(".notice") == NOTICE


def test_the_report_can_be_taken_along(page, pictures, tmp_path):
    page.upload(pictures[0])
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.browser.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    names = {"text": "report.txt", "json": "report.json", "fhir": "report-fhir.json"}
    for button, name in names.items():
        page.one(f"#{button}").click()
        page.wait((tmp_path / name).is_file)
    text = (tmp_path / "report.txt").read_text(encoding="utf-8")
    assert text.startswith(NOTICE) and "The heart is enlarged. No effusion." in text
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert found["sentences"][0]["opinions"][0]["observation"] == "Cardiomegaly"
    fhir = json.loads((tmp_path / "report-fhir.json").read_text(encoding="utf-8"))
    assert (fhir["resourceType"], fhir["status"]) == ("DiagnosticReport", "preliminary")
    page.one("#copy").click()
    page.wait(lambda: page.shown("#status").startswith("Copied"))
