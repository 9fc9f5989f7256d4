"""The API against its own OpenAPI description: requests that fit it, and requests that do not."""

import email
import io

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis import GenerationMode

from kia.serving.app import api


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    grey = np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)
    Image.fromarray(grey).save(file, kind)
    return file.getvalue()


PICTURES = [picture("PNG"), picture("JPEG")]


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n%s\r\n--x\r\n"
    b'Content-Disposition: form-data; name="views"\r\n\r\nlateral\r\n--x--\r\n'
) % PICTURES[0]
TYPE = "multipart/form-data; boundary=x"


@st.composite
def damaged(draw, wholes: list[bytes] = PICTURES) -> bytes:
    """One of these with a few other bytes, or cut."""
    whole = bytearray(draw(st.sampled_from(wholes)))
    for _ in range(draw(st.integers(0, 4))):
        whole[draw(st.integers(0, len(whole) - 1))] = draw(st.integers(0, 255))
    return bytes(whole[: draw(st.integers(1, len(whole)))])


IMAGES = st.one_of(
    st.sampled_from(PICTURES),
    damaged(),
    st.binary(max_size=200),
    st.binary(max_size=100).map(lambda tail: bytes(128) + b"DICM" + tail),
)
schemathesis.openapi.format("binary", IMAGES)


# bytes that fit the format "binary" need be no picture
CHECKS = {"positive_data_acceptance": {"expected-statuses": ["2xx", 415, 422]}}


@pytest.fixture(scope="module")
def described(service):
    app = api(service)

    async def running(scope, receive, send):  # schemathesis would end the service with each test
        if scope["type"] != "lifespan":
            await app(scope, receive, send)

    config = schemathesis.config.SchemathesisConfig.from_dict({"checks": CHECKS})
    return schemathesis.openapi.from_asgi("/openapi.json", running, config=config)


def fits(request) -> bool:
    """Whether what was sent is as described, read by the standard library's parser.

    What schemathesis meant can be lost on the way: a form has no lists of one, or of none.
    """
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    sent: dict[object, list[bytes]] = {
        name: [] for name in ("images", "views", "candidates", "anyway")
    }
    for part in email.message_from_bytes(head + request.body).get_payload():
        name = part.get_param("name", header="content-disposition")
        sent.setdefault(name, []).append(part.get_payload(decode=True))
    few = len(sent["images"]) in (1, 2) and len(sent["candidates"]) < 2 and len(sent) == 4
    few = few and len(sent["anyway"]) < 2 and {*sent["anyway"]} <= {b"true", b"false"}
    numbers = all(value in b"1 2 3 4 5 6 7 8".split() for value in sent["candidates"])
    return few and numbers and {*sent["views"]} <= {b"frontal", b"lateral"}


def check(described, path: str, method: str, mode: GenerationMode, examples: int) -> set[int]:
    """Statuses of the answers, all of which are as described."""
    seen = set()

    @given(described[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=examples < 100,
        database=None,
    )
    def run(case) -> None:
        answer = case.call()
        seen.add(answer.status_code)
        if not (
            mode is GenerationMode.NEGATIVE and answer.status_code == 200 and fits(answer.request)
        ):
            case.validate_response(answer)

    run()
    return seen


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_questions_about_the_server_are_answered_as_described(described, path):
    assert check(described, path, "GET", GenerationMode.POSITIVE, 2) == {200}


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("path", ["/v1/reports", "/v1/findings"])
@pytest.mark.parametrize("examples", [12, pytest.param(400, marks=pytest.mark.slow)])
def test_requests_that_fit_and_that_do_not_are_answered_as_described(
    described, path, mode, examples
):
    seen = check(described, path, "POST", mode, examples)
    assert not {status for status in seen if status >= 500}
    if mode is GenerationMode.POSITIVE:
        assert {200, 415} <= seen
    else:
        assert seen & {400, 415, 422}


@pytest.mark.parametrize("examples", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_broken_forms_are_refused(client, examples):
    start = FORM[:150]  # where a byte matters most

    @given(
        body=damaged([FORM, start]) | damaged([start]).map(lambda head: head + FORM[150:]),
        kind=st.just(TYPE) | damaged([TYPE.encode()]).map(lambda kind: kind.decode("latin-1")),
    )
    @settings(max_examples=examples, deadline=None, derandomize=examples < 100, database=None)
    def run(body: bytes, kind: str) -> None:
        headers = {"content-type": kind.encode("latin-1")}
        answer = client.post("/v1/findings", content=body, headers=headers)
        assert answer.status_code in (200, 400, 415, 422), answer.text

    run()
