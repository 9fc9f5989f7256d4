"""What is this picture? The server answers as the commands do: from headers before the order."""

import json

import pytest
from starlette.testclient import TestClient
from tests.pacs import UIDS, bare, radiograph

from kia.serving.app import api
from kia.serving.page import with_page

CHEST = {"BodyPartExamined": "CHEST", "StudyInstanceUID": UIDS["A"], "PatientID": "4711"}


@pytest.fixture
def made(dicom):
    """`made(seed, **elements)`: the bytes of a radiograph of one patient's study."""
    return lambda seed, **elements: radiograph(dicom, seed, **(CHEST | elements))


def post(client, *contents, route="/v1/reports", **fields):
    files = [("images", ("x", content)) for content in contents]
    return client.post(route, files=files, data=fields)


@pytest.mark.parametrize("route", ["/v1/reports", "/v1/findings"])
def test_the_header_goes_before_the_order_of_uploads(client, made, route):
    answer = post(client, made(1, ViewPosition="LL"), made(2, ViewPosition="PA"), route=route)
    found = answer.json()
    assert [(one["file"], one["view"], one["view_source"]) for one in found["facts"]] == [
        ("image 1", "lateral", "view position"),
        ("image 2", "frontal", "view position"),
    ]
    assert {one["study"] for one in found["facts"]} == {UIDS["A"]}
    assert len({one["patient_hash"] for one in found["facts"]}) == 1
    assert "4711" not in answer.text
    assert [flag for flag in found["flags"] if flag["kind"] == "view"] == []


def test_named_views_go_before_the_header_and_are_flagged(client, made):
    found = post(client, made(1, ViewPosition="LL"), views="frontal").json()
    assert [(one["view"], one["view_source"]) for one in found["facts"]] == [("frontal", "given")]
    assert "view" in {flag["kind"] for flag in found["flags"]}


def test_the_order_of_uploads_does_not_matter_to_the_report(client, made):
    lateral, frontal = made(1, ViewPosition="LL"), made(2, ViewPosition="PA")
    one, other = post(client, lateral, frontal).json(), post(client, frontal, lateral).json()
    assert one["raw"] == other["raw"]


@pytest.mark.parametrize("route", ["/v1/reports", "/v1/findings", "/page/study"])
def test_two_patients_in_one_request_are_refused(client, make_service, made, route):
    files = made(1, ViewPosition="PA"), made(2, ViewPosition="LL", PatientID="JOHN 2")
    if route == "/page/study":
        service = make_service(page=True)
        with TestClient(with_page(api(service), service), raise_server_exceptions=False) as client:
            answer = post(client, *files, route=route)
    else:
        answer = post(client, *files, route=route)
    assert answer.status_code == 422 and "two patients" in answer.json()["detail"]
    assert "JOHN" not in answer.text and "4711" not in answer.text


def test_another_part_of_the_body_is_left_out_by_name_and_alone_refused(client, made):
    hand = made(1, BodyPartExamined="HAND", ViewPosition="PA")
    found = post(client, hand, made(2, ViewPosition="LL")).json()
    assert [(one["file"], one["view"]) for one in found["facts"]] == [("image 2", "lateral")]
    (flag,) = [flag for flag in found["flags"] if flag["kind"] == "left out"]
    assert "image 1" in flag["message"].lower() and "HAND" in flag["message"]
    alone = post(client, hand)
    assert alone.status_code == 422 and "HAND" in alone.json()["detail"]
    named = post(client, hand, views="frontal")
    assert named.status_code == 422


def test_the_page_is_told_which_files_are_read(make_service, made):
    service = make_service(page=True)
    hand = made(1, BodyPartExamined="HAND")
    with TestClient(with_page(api(service), service), raise_server_exceptions=False) as client:
        answer = post(client, hand, made(2, ViewPosition="LL"), route="/page/study")
    first = json.loads(answer.text.splitlines()[0])
    assert (first["views"], first["places"], len(first["pictures"])) == (["lateral"], [1], 1)
    assert "left out" in {flag["kind"] for flag in first["flags"]}


def test_dicom_without_preamble_and_name_is_read(client, made):
    found = post(client, bare(made(1, ViewPosition="LL"))).json()
    assert [one["view"] for one in found["facts"]] == ["lateral"]


def test_a_png_has_the_view_of_its_place(client, png):
    found = post(client, png(1), png(2)).json()
    assert [one["view_source"] for one in found["facts"]] == ["order", "order"]
    assert [one["view"] for one in found["facts"]] == ["frontal", "lateral"]
