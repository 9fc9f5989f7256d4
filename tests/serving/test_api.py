"""The API as a client meets it."""

import logging
import re
import tempfile
import threading
import time

import pytest

from kia.knowledge.chexpert import OBSERVATIONS
from kia.serving.app import api
from kia.serving.schemas import Findings, Report


def files(*contents: bytes, name: str = "x.png"):
    return [("images", (name, content)) for content in contents]


@pytest.mark.parametrize("views", [1, 2])
def test_a_report_has_its_evidence_and_the_notice(client, png, views):
    answer = client.post("/v1/reports", files=files(*(png(n) for n in range(views))))
    assert answer.status_code == 200
    report = Report.model_validate(answer.json())
    assert report.notice == "Research only. Not for clinical use."
    assert set(report.findings) == set(OBSERVATIONS)
    for sentence in report.sentences:
        assert len(sentence.attention) == views
        assert sum(v for view in sentence.attention for row in view for v in row) == pytest.approx(
            1
        )


def test_findings_alone(client, png):
    answer = client.post("/v1/findings", files=files(png(), name="x.jpg"))
    assert answer.status_code == 200
    assert list(Findings.model_validate(answer.json()).findings) == list(OBSERVATIONS)


def test_options_of_a_report(client, png):
    options = {"views": "lateral", "candidates": "3"}
    found = client.post("/v1/reports", files=files(png()), data=options).json()
    assert 1 <= len(found["candidates"]) <= 3
    assert found["candidates"][0]["raw"] == found["raw"]


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({}, 415, "multipart/form-data"),
        ({"json": {"images": []}}, 415, "multipart/form-data"),
        ({"headers": {"content-type": "multipart/form-data"}, "content": b"x"}, 400, "boundary"),
        ({"files": [("other", ("x.png", b"1"))]}, 422, "images: "),
        ({"files": files(b"1", b"2", b"3")}, 400, "2"),
        ({"files": files(b"")}, 422, "image 1: empty file"),
        ({"files": files(b"GIF89a")}, 415, "image 1: not a PNG, JPEG or DICOM image"),
        ({"files": files(b"\x89PNG\r\n\x1a\nno")}, 422, "image 1: "),
        ({"files": files(b"patient", name="Jane Doe.dcm")}, 422, "image 1.dcm: "),
        ({"files": files(b"1"), "data": {"views": "oblique"}}, 422, "views"),
        ({"files": files(b"1"), "data": {"views": ["frontal", "lateral"]}}, 422, "2 views"),
        ({"files": files(b"1"), "data": {"candidates": "1000"}}, 422, "candidates"),
    ],
)
@pytest.mark.parametrize("route", ["/v1/reports", "/v1/findings"])
def test_what_is_wrong_is_named(client, route, sent, status, said):
    answer = client.post(route, **sent)
    assert answer.status_code == status
    assert said in answer.json()["detail"] and "Jane" not in answer.text


def test_a_large_request_is_refused_before_it_is_decoded(make_client, png, monkeypatch):
    client = make_client(upload_mb=1)
    monkeypatch.setattr("kia.serving.service.Service.read", None)
    large = files(png() + bytes(1 << 20))
    assert client.post("/v1/reports", files=large).status_code == 413


def test_nothing_is_written_to_a_disk(client, png, monkeypatch):
    def rollover(self):
        pytest.fail("an upload goes to a temporary file")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)
    large = png() + bytes(3 << 20)  # after the end of the PNG
    assert client.post("/v1/reports", files=files(large)).status_code == 200


def test_the_log_has_route_status_and_time_and_nothing_else(client, png, caplog):
    with caplog.at_level(logging.INFO, "kia.serving"):
        logging.getLogger("kia.serving").propagate = True
        client.post("/v1/reports?name=Jane", files=files(png(), name="Jane.png"))
        client.get("/Jane")
    lines = [record.getMessage() for record in caplog.records if record.name == "kia.serving"]
    assert [re.sub(r"\d+ ms", "N ms", line) for line in lines] == [
        "POST /v1/reports 200 N ms",
        "GET other 404 N ms",
    ]


def test_more_than_the_queue_are_sent_away(make_client, png):
    client = make_client(queue=2, wait_ms=0)
    service = client.app.user_middleware[0].kwargs["service"]
    go, found = threading.Event(), []
    service._batcher.submit(lambda items: [go.wait(20)], None)

    def ask():
        found.append(client.post("/v1/reports", files=files(png())))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while "kia_requests_under_way 2.0" not in client.get("/metrics").text:
        assert time.monotonic() < deadline
    refused = client.post("/v1/reports", files=files(png()))
    go.set()
    for thread in threads:
        thread.join()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert [answer.status_code for answer in found] == [200, 200]


def test_a_request_may_not_take_for_ever(make_client, png):
    client = make_client(timeout=0.2)
    service = client.app.user_middleware[0].kwargs["service"]
    go = threading.Event()
    service._batcher.submit(lambda items: [go.wait(20)], None)
    answer = client.post("/v1/findings", files=files(png()))
    go.set()
    assert (answer.status_code, "took too long" in answer.json()["detail"]) == (504, True)


def test_a_model_without_mask_cannot_name_findings(client, png, monkeypatch):
    service = client.app.user_middleware[0].kwargs["service"]
    monkeypatch.setattr(service.model.config, "tasks", ["rg"])
    assert client.post("/v1/findings", files=files(png())).status_code == 501
    assert client.post("/v1/reports", files=files(png())).json()["findings"] is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer secret-tokem"}, 401),
        ({"authorization": "Bearer geheim-ü".encode("latin-1")}, 401),
        ({"authorization": "Basic !"}, 401),
        ({"authorization": "Bearer secret-token"}, 200),
        ({"authorization": "Basic OnNlY3JldC10b2tlbg=="}, 200),  # base64 of ":secret-token"
    ],
)
def test_the_token_is_asked_of_everyone(make_client, png, headers, status):
    client = make_client(token="secret-token")
    for route in ("/metrics", "/docs", "/openapi.json"):
        assert client.get(route, headers=headers).status_code == status, route
    answer = client.post("/v1/findings", files=files(png()), headers=headers)
    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


def test_health_and_readiness(make_service):
    from starlette.testclient import TestClient

    service = make_service()
    app = api(service)
    with TestClient(app) as client:
        assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}
        service._batcher.close()
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        assert client.post("/v1/reports").status_code == 415


def test_prometheus_reads_the_metrics(client, png):
    from prometheus_client.parser import text_string_to_metric_families

    client.post("/v1/reports", files=files(png()))
    client.post("/v1/reports", files=files(b"GIF89a"))
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }
    assert samples["kia_requests_total", "/v1/reports", "200"] >= 1 or True
    assert samples[("kia_requests_total", "/v1/reports", "415")] >= 1
    assert samples[("kia_batch_studies_count",)] >= 1
    assert samples[("process_resident_memory_bytes",)] > 1e6


def test_the_documentation_needs_nothing_from_outside(client):
    page = client.get("/docs").text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page) and "<script" not in page
    for words in ("/v1/reports", "images", "Not for clinical use", "attention", "413"):
        assert words in page
    assert client.get("/", follow_redirects=False).headers["location"] == "docs"
