"""Reads the form of a request into memory: images are never written to a disk."""

import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from kia.imaging.signatures import DICOM_NAMES
from kia.serving.service import MOST_IMAGES, Upload
from kia.studies import VIEWS, View

MOST_CANDIDATES = 8
"""Reports that a client may have written for a study."""
CLIENT_GONE = 499
"""In the log (as nginx has it); nobody is left to read it."""
_CHARSETS = (b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1")  # our fields are ASCII

FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "additionalProperties": False,
                    "properties": {
                        "images": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MOST_IMAGES,
                            "items": {"type": "string", "format": "binary"},
                            "description": "PNG, JPEG or DICOM: the views of one study",
                        },
                        "views": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MOST_IMAGES,
                            "items": {"type": "string", "enum": list(VIEWS)},
                            "description": "of each image; if absent what its DICOM header says, "
                            "else frontal, then lateral",
                        },
                        "candidates": {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": MOST_CANDIDATES,
                            "description": "reports of which one is chosen; not for findings",
                        },
                        "anyway": {
                            "type": "boolean",
                            "description": "write a report for what is probably no chest X-ray "
                            "too; not for findings",
                        },
                    },
                },
            }
        },
    }
}
"""The body of both requests, for OpenAPI: FastAPI's own reader would use temporary files."""


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid")  # a misspelt option would be silently ignored

    views: list[View] | None = None
    candidates: Annotated[int | None, Field(ge=1, le=MOST_CANDIDATES)] = None
    anyway: Literal["true", "false"] = "false"  # JSON's two words; "0" or "yes" is a mistake


@dataclass(frozen=True)
class Form:
    """What a client sent."""

    images: list[Upload]
    views: list[View] | None
    candidates: int | None
    anyway: bool = False


class _InMemory(MultiPartParser):
    spool_max_size = sys.maxsize  # Starlette would write to a disk what is larger than 1 MB


async def read_form(request: Request) -> Form:
    """Reads a request's images and options.

    Raises:
        HTTPException: It is no form (415), broken (400), or its fields are wrong (422).
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise HTTPException(415, "send multipart/form-data with one or two files called images")
    if options.get(b"charset", b"utf-8").lower() not in _CHARSETS:  # Python has odd ones
        raise HTTPException(400, "send the form in UTF-8, without another charset")
    parser = _InMemory(
        request.headers, request.stream(), max_files=MOST_IMAGES, max_fields=16, max_part_size=1024
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, error.message) from None
    except (ValueError, LookupError):  # what the parser does not expect either
        raise HTTPException(400, "the form is broken") from None
    except ClientDisconnect:
        raise HTTPException(CLIENT_GONE, "the client is gone") from None
    try:
        return await _understood(form)
    finally:
        await form.close()


async def _understood(form: FormData) -> Form:
    files = [file for file in form.getlist("images") if isinstance(file, UploadFile)]
    if not files or len(files) != len(form.getlist("images")):
        raise HTTPException(422, "images: send one or two files (with file names) by this name")
    given: dict[str, Any] = {
        name: values if name == "views" or len(values) > 1 else values[0]
        for name in form
        if name != "images" and (values := form.getlist(name))
    }
    try:
        fields = _Fields.model_validate(given)
    except ValidationError as error:
        raise HTTPException(422, "; ".join(map(_wrong, error.errors()))) from None
    images = [Upload(await file.read(), _is_dicom(file)) for file in files]
    return Form(images, fields.views, fields.candidates, fields.anyway == "true")


def _wrong(one: Any) -> str:
    """Of a field; a name that is none of ours is the client's own text, and not repeated."""
    if one["type"] == "extra_forbidden":
        return f"a field other than images, {' and '.join(_Fields.model_fields)}"
    return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"


def _is_dicom(file: UploadFile) -> bool:
    named = (file.filename or "").lower().endswith(DICOM_NAMES)
    return named or file.content_type == "application/dicom"
