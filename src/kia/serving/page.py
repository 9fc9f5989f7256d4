"""The web page: files of its own around one stream of events; images stay in memory.

Not Gradio: see docs/decisions/0016-own-page.md.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import fastapi
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

import kia
from kia.phantoms.studies import phantom_study
from kia.processing import KIAProcessor
from kia.serving.answers import policy
from kia.serving.page_events import png_data, study_events, writes_word_by_word
from kia.serving.page_similar import SimilarReports
from kia.serving.service import MOST_IMAGES, Service
from kia.serving.uploads import MOST_CANDIDATES, read_form

ASSETS = Path(__file__).parent / "assets"
EXAMPLES = {
    "pneumocystis-1.jpg": "Case courtesy of Assoc Prof Frank Gaillard, Radiopaedia.org, rID 9171",
    "pneumocystis-cyst.jpg": (
        "Carolyn M. Allen, Hamdan H. AL-Jahdali, Klaus L. Irion, Sarah Al Ghanem, Alaa Gouda and "
        "Ali Nawaz Khan, doi 10.4103/1817-1737.69106"
    ),
}
"""Example images and whom to name; all CC BY, see assets/examples/README.md."""
PHANTOMS = 1000
"""Phantoms that the slider reaches."""
_PHANTOM_SEED = 1016  # data sets count from 0, so these are none that a model was trained on
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".jpg": "image/jpeg"}
_HEADERS = {
    # the browser itself refuses whatever is not from this server
    "Content-Security-Policy": policy(
        script_src="'self'", style_src="'self'", img_src="'self' data:", connect_src="'self'"
    ),
    "Cache-Control": "no-cache",
}


def with_page(app: FastAPI, service: Service) -> FastAPI:
    """Adds the page at / to the API.

    Args:
        app: Of `kia.serving.app.api`.
        service: That answers it; its data set, if any, is searched for similar reports, and
            embedded now if that was not done before.

    Returns:
        The same application.

    Raises:
        KIAError: Embeddings of the data set cannot be kept.
        ModelError: The data set needs a model trained with image-report contrast.
    """
    similar = SimilarReports.open(service) if service.dataset else None

    @app.post("/page/study", include_in_schema=False)
    async def write_study(request: Request) -> Response:
        deadline = asyncio.get_running_loop().time() + service.settings.timeout
        try:
            async with asyncio.timeout_at(deadline):
                form = await read_form(request)
                pictures = await service.read(form.images, form.views)
        except TimeoutError:
            raise HTTPException(408, "the upload took too long") from None
        for flag in pictures.flags:
            service.metrics.flags.labels(flag["kind"]).inc()
        options: dict[str, Any] = {"candidates": form.candidates, "anyway": form.anyway}
        events = study_events(service, pictures, deadline, similar=similar, **options)
        return StreamingResponse(_lines(events), media_type="text/jsonl")

    @app.get("/page/phantoms/{number}", include_in_schema=False)
    def draw_phantom(number: Annotated[int, fastapi.Path(ge=0, lt=PHANTOMS)]) -> JSONResponse:
        study = phantom_study(_PHANTOM_SEED, number, size=service.processor.image_size)
        pictures = [png_data(square) for square in study.pixels]
        return JSONResponse({"report": study.study.report, "pictures": pictures})

    _add_files(app, _about(service, similar is not None))
    return app


def _add_files(app: FastAPI, about: dict[str, Any]) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return _file("page.html")

    @app.get("/page/about", include_in_schema=False)
    async def settings() -> JSONResponse:
        return JSONResponse(about)

    @app.get("/page/{name:path}", include_in_schema=False)
    async def asset(name: str) -> Response:
        return _file(name)

    known = {str(path.relative_to(ASSETS)) for path in ASSETS.rglob("*.*")}

    def _file(name: str) -> Response:
        if name not in known or Path(name).suffix not in _TYPES:
            raise HTTPException(404, "no such file")
        path = ASSETS / name
        return Response(path.read_bytes(), headers=_HEADERS, media_type=_TYPES[path.suffix])


def _about(service: Service, similar: bool) -> dict[str, Any]:
    """What the page says of the model and lets a person choose."""
    settings = service.settings
    return {
        "version": kia.__version__,
        "image_size": service.processor.image_size,
        "word_by_word": writes_word_by_word(service.decoding),
        "candidates": service.decoding.candidates,
        "most_candidates": MOST_CANDIDATES,
        "most_images": MOST_IMAGES,
        "upload_mb": settings.upload_mb,
        "similar": similar,
        "phantoms": PHANTOMS if knows_phantoms(service.processor) else 0,
        "pointing": service.kia.pointing,
        "examples": [{"file": name, "credit": credit} for name, credit in EXAMPLES.items()],
    }


def knows_phantoms(processor: KIAProcessor) -> bool:
    """Whether a model was trained on phantoms; True if it is not known what it was trained on."""
    return processor.seen is None or processor.seen.phantoms


async def _lines(events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[str]:
    async for event in events:
        yield json.dumps(event, ensure_ascii=False) + "\n"
