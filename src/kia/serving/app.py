"""The application: routes, errors and documentation around a `Service`."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from fastapi.security import HTTPBasic, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

import kia
from kia.core_files import leave_none
from kia.errors import DataError, KIAError, ModelError
from kia.readable import NOTICE
from kia.serving.answers import failure, problem, wrong_address
from kia.serving.batcher import Busy
from kia.serving.docs_page import POLICY, docs_page
from kia.serving.gate import Gate
from kia.serving.schemas import Findings, Health, Problem, Report
from kia.serving.service import Service, UnknownFormat
from kia.serving.settings import Settings
from kia.serving.uploads import FORM, Form, read_form

STATUS: dict[type[KIAError], int] = {UnknownFormat: 415, DataError: 422, Busy: 429, ModelError: 501}
"""The nearest class of an error decides."""
LAST_SECONDS = 0.3
"""Those of the model, once every request was answered or given up."""
_log = logging.getLogger("kia.serving")
_PROBLEMS: dict[int, str] = {
    400: "the form is broken",
    403: "asked by a page of another site",
    408: "the upload took too long",
    413: "the request is too large",
    415: "not a form, or an image that is neither PNG, JPEG nor DICOM",
    421: "the server does not go by the name that it was asked under",
    422: "an image cannot be decoded, none is a chest X-ray, they are of two patients, or a field "
    "is wrong",
    429: "too many requests under way",
    504: "the model took too long",
}


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application that `kia serve` and any ASGI server run.

    Args:
        settings: Those of the environment (`Settings.from_environment`) if absent.

    Raises:
        ConfigError: A setting is missing or wrong.
        DataError: The data set cannot be used.
        ModelError: The model cannot be used.
    """
    settings = settings or Settings.from_environment()
    service = Service.open(settings)
    app = api(service)
    if not settings.page:
        return app
    from kia.serving.page import with_page

    return with_page(app, service)


def api(service: Service) -> FastAPI:
    """The REST API alone; the service starts and ends with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        leave_none()
        asyncio.get_running_loop().set_exception_handler(_unheard)
        service.start()
        yield
        # what was asked for has been answered by now: if the model is still busy, nobody waits
        await asyncio.to_thread(service.close, LAST_SECONDS)

    app = FastAPI(
        title="kia",
        version=kia.__version__,
        description=f"Reports and findings for chest X-rays. **{NOTICE}**",
        lifespan=lifespan,
        docs_url=None,  # these pages load their scripts from the internet
        redoc_url=None,
        redirect_slashes=False,  # they would repeat the query
    )
    # it quotes uploads in its warnings
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    app.add_middleware(Gate, service=service)
    app.add_exception_handler(KIAError, _refused)
    app.add_exception_handler(RequestValidationError, wrong_address)
    _add_state(app, service)
    _add_answers(app, service)
    return app


def _add_answers(app: FastAPI, service: Service) -> None:
    problems = dict(_PROBLEMS)
    guards = []
    if service.settings.token:
        problems[401] = "the token is missing or wrong"
        guards = [Depends(HTTPBearer(auto_error=False)), Depends(_Basic())]
    options: dict[str, Any] = {"openapi_extra": FORM, "dependencies": guards}

    def responses(more: dict[int, str]) -> dict[int | str, dict[str, Any]]:
        found = sorted((problems | more).items())
        return {status: {"model": Problem, "description": text} for status, text in found}

    @app.post("/v1/reports", response_model=Report, responses=responses({}), **options)
    async def write_report(request: Request) -> Any:
        """Write the report of a study of one or two images, with evidence for each sentence."""

        async def answer(form: Form) -> dict[str, Any]:
            options: dict[str, Any] = {"candidates": form.candidates, "anyway": form.anyway}
            return await service.report(form.images, views=form.views, **options)

        return await _within(request, service, answer)

    unable = {501: "the model cannot name findings"}

    @app.post("/v1/findings", response_model=Findings, responses=responses(unable), **options)
    async def name_findings(request: Request) -> Any:
        """Give the probabilities of the 14 CheXpert observations for a study."""

        async def answer(form: Form) -> dict[str, Any]:
            return await service.findings(form.images, views=form.views)

        return await _within(request, service, answer)


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", response_model=Health)
    async def health() -> Any:
        """Say that the process is alive."""
        return {"status": "ok"}

    @app.get("/readyz", response_model=Health, responses={503: {"model": Health}})
    async def readiness() -> Any:
        """Say whether the model is loaded and takes requests."""
        if service.ready:
            return {"status": "ok"}
        return JSONResponse({"status": "not ready"}, 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Count requests and batches, in the format of Prometheus."""
        return PlainTextResponse(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()), headers={"Content-Security-Policy": POLICY})

    if not service.settings.page:

        @app.get("/", include_in_schema=False)
        async def home() -> RedirectResponse:
            return RedirectResponse("docs")


async def _within(
    request: Request, service: Service, answer: Callable[[Form], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Reads the form and answers it, in time."""
    form: Form | None = None
    try:
        async with asyncio.timeout(service.settings.timeout):
            form = await read_form(request)
            found = await answer(form)
    except TimeoutError:
        if form is None:
            raise HTTPException(408, "the upload took too long") from None
        raise HTTPException(504, "the model took too long; try again later") from None
    for flag in found["flags"]:
        service.metrics.flags.labels(flag["kind"]).inc()
    return found


class _Basic(HTTPBasic):
    """For OpenAPI: `Gate` looked at it; FastAPI's own refuses user names beyond ASCII."""

    async def __call__(self, request: HTTPConnection) -> None:
        """Nothing is left to check."""


async def _refused(_: Request, error: Exception) -> JSONResponse:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    return problem(status, str(error), {"Retry-After": "1"} if status == 429 else None)


def _unheard(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Of a task that nobody waits for; asyncio itself would write the error's text into the log."""
    if error := context.get("exception"):
        _log.error("a task failed: %s", failure(error))
