"""The page as the server sends it; tests/serving/browser shows it to a browser."""

import base64
import copy
import io
import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from kia.data.readers.phantoms import write_phantoms
from kia.data.reference import learn_seen
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import KIAError
from kia.explain import heat_maps
from kia.imaging.plausibility import Reference
from kia.phantoms.studies import phantom_study
from kia.processing import KIAProcessor
from kia.readable import NOTICE
from kia.serving.app import api
from kia.serving.page import ASSETS, EXAMPLES, knows_phantoms, with_page
from kia.studies import Study, StudyImage


@pytest.fixture(scope="module")
def paged(make_service):
    """(service, client)"""
    service = make_service(page=True)
    with TestClient(with_page(api(service), service), raise_server_exceptions=False) as client:
        yield service, client


def sent(*contents: bytes):
    return [("images", ("x.png", content)) for content in contents]


def events(answer) -> list[dict]:
    return [json.loads(line) for line in answer.text.splitlines()]


def test_the_page_and_all_that_it_needs_come_from_the_server(paged):
    client = paged[1]
    page = client.get("/")
    assert NOTICE in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    needed = [*re.findall(r'(?:href|src)="(page/[^"]+)"', page.text), "page/heat.js"]
    needed += [f"page/examples/{name}" for name in EXAMPLES]
    for address in needed:
        assert client.get(address).status_code == 200, address
    for name in ("page.html", "page.css", "page.js", "report.js", "heat.js"):
        text = (ASSETS / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|@import|//cdn", text), name


@pytest.mark.parametrize(
    "name", ["../page.py", "examples/README.md", "%2e%2e/app.py", "nothing.js"]
)
def test_other_files_are_not_sent(paged, name):
    assert paged[1].get(f"/page/{name}").status_code == 404


def test_a_study_is_told_doubts_first_then_word_by_word(paged, png):
    _, client = paged
    told = events(client.post("/page/study", files=sent(png(1), png(2))))
    first, words, last = told[0], told[1:-1], told[-1]
    assert set(first) == {"pictures", "views", "flags", "places"}
    assert first["views"] == ["frontal", "lateral"]
    assert len(words) > 2 and all(set(one) == {"words"} for one in words)
    assert words[-1]["words"].rstrip(".") == last["found"]["report"].rstrip(" .…")
    assert last["fhir"]["status"] == "preliminary"
    assert last["found"] == client.post("/v1/reports", files=sent(png(1), png(2))).json()


def test_pictures_are_what_the_model_reads(paged, png):
    _, client = paged
    file = png(3, side=64)  # no resampling
    (address,) = events(client.post("/page/study", files=sent(file)))[0]["pictures"]
    shown = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
    np.testing.assert_array_equal(shown, Image.open(io.BytesIO(file)))


def test_with_candidates_the_report_comes_when_it_is_chosen(paged, png):
    _, client = paged
    told = events(client.post("/page/study", files=sent(png()), data={"candidates": "3"}))
    assert [set(one) for one in told[1:]] == [{"found", "fhir"}]
    assert len(told[-1]["found"]["candidates"]) > 1


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [(b"GIF89a", 415, "not a PNG"), (b"\x89PNG\r\n\x1a\nno", 422, "image 1: ")],
)
def test_what_cannot_be_read_is_said_as_by_the_api(paged, content, status, said):
    answer = paged[1].post("/page/study", files=sent(content))
    assert answer.status_code == status and said in answer.json()["detail"]


def test_a_failure_after_the_pictures_is_the_last_event(paged, png, monkeypatch):
    service, client = paged

    async def describe(*_, **__):
        raise KIAError("the model is tired")

    monkeypatch.setattr(service, "describe", describe)
    told = events(client.post("/page/study", files=sent(png())))
    assert told[-1] == {"error": "the model is tired"}


def test_the_page_takes_a_place_in_the_queue_and_leaves_no_file(paged, png, monkeypatch):
    service, client = paged

    def rollover(self):
        pytest.fail("an upload goes to a temporary file")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)
    large = png() + bytes(3 << 20)  # after the end of the PNG
    answer = client.post("/page/study", files=sent(large))
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    value = service.metrics.registry.get_sample_value
    assert value("kia_requests_total", {"route": "/page/study", "status": "200"}) >= 1


def test_a_phantom_is_the_one_of_its_number(paged):
    client = paged[1]
    drawn = client.get("/page/phantoms/7").json()
    expected = phantom_study(1016, 7, size=64)
    assert drawn["report"] == expected.study.report
    for address, square in zip(drawn["pictures"], expected.pixels, strict=True):
        shown = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
        np.testing.assert_array_equal(shown, square)
    assert client.get("/page/phantoms/1000").status_code == 422


def test_similar_training_reports_are_different_ones_of_the_training_split(
    make_service, png, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    normal = "the lungs are clear."
    reports = [normal, normal, "cardiomegaly.", "xxxx effusion.", "old fracture.", "not searched."]
    with DatasetWriter(tmp_path / "data", image_size=64, source="test") as writer:
        for n, report in enumerate(reports):
            split = "test" if report == "not searched." else "train"
            study = Study(str(n), split, (StudyImage(f"{n}.png", "frontal"),), report)
            writer.add(study, np.random.default_rng(n).integers(0, 256, (1, 64, 64), np.uint8))
    service = make_service(page=True, model=tmp_path)
    service.dataset = PreparedDataset.open(tmp_path / "data")
    (tmp_path / "config.json").touch()  # the index is kept by the folder's name
    with TestClient(with_page(api(service), service)) as client:
        assert client.get("/page/about").json()["similar"]
        found = events(client.post("/page/study", files=sent(png())))[-1]["similar"]
    texts = [one["report"] for one in found]
    assert len(set(texts)) == len(texts) == 3
    assert set(texts) <= {"The lungs are clear.", "Cardiomegaly.", "Effusion.", "Old fracture."}
    assert all(-1 <= one["similarity"] <= 1 and 0 <= one["match"] <= 1 for one in found)


def test_colours_are_those_of_the_figures():
    colormaps = pytest.importorskip("matplotlib").colormaps
    script = (ASSETS / "heat.js").read_text(encoding="utf-8")
    stops = [tuple(bytes.fromhex(one)) for one in re.findall(r'"#([0-9a-f]{6})"', script)]
    exact = colormaps[heat_maps._COLOURS](np.linspace(0, 1, 17), bytes=True)[:, :3]
    np.testing.assert_allclose(stops, exact, atol=1)
    assert f"OPACITY = {heat_maps._OPACITY};" in script


def test_phantoms_are_offered_where_the_model_knows_them(loaded, tmp_path):
    """The shipped model has seen patients alone; of one without a record nobody knows."""
    _, processor = loaded
    assert processor.seen is None and knows_phantoms(processor)
    package = Path(__file__).parents[2] / "models" / "kia-small-iu-xray" / "src"
    patients = KIAProcessor.from_pretrained(package / "kia_small_iu_xray" / "model")
    assert not knows_phantoms(patients)
    with DatasetWriter(tmp_path / "data", image_size=64, source="phantom") as writer:
        write_phantoms(writer, 8, seed=0)
    friend = copy.copy(processor)
    friend.seen = learn_seen(PreparedDataset.open(tmp_path / "data"))
    assert knows_phantoms(friend)


def test_the_page_is_told_what_is_no_chest_x_ray(make_service, loaded, png):
    _, processor = loaded
    noise = np.random.default_rng(0).integers(0, 255, (200, 16, 16), np.uint8)
    before, processor.reference = processor.reference, Reference.learn({"frontal": noise})
    try:
        service = make_service(page=True)
        with TestClient(with_page(api(service), service)) as client:
            grey = io.BytesIO()
            Image.new("L", (80, 80), 90).save(grey, "PNG")
            told = events(client.post("/page/study", files=sent(grey.getvalue())))
            found = next(one["found"] for one in told if "found" in one)
            assert found["report"] is None and found["flags"][0]["kind"] == "empty"
            asked = {"anyway": "true"}
            answer = client.post("/v1/reports", files=sent(grey.getvalue()), data=asked)
            assert answer.status_code == 200 and answer.json()["report"]
            assert client.post("/v1/reports", files=sent(grey.getvalue())).json()["report"] is None
    finally:
        processor.reference = before
