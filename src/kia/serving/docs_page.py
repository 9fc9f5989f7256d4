"""The API for people: one plain page from the OpenAPI description, with nothing from outside."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from kia.serving.answers import policy

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow-x: auto; background: #f4f4f4; padding: .75rem }
h2 { border-top: 1px solid #999; padding-top: 1rem }
td, th { text-align: left; vertical-align: top; padding: .1rem 1rem .1rem 0 }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = policy(style_src=f"'sha256-{_HASH}'")
"""Content security policy of the page: its own style, and nothing else."""


def docs_page(openapi: Mapping[str, Any]) -> str:
    """HTML with every route, its form, its answers, and how to call it.

    Args:
        openapi: As in /openapi.json.
    """
    about = openapi["info"]
    body = [
        f"<h1>{escape(about['title'])} {escape(about['version'])}</h1>",
        f"<p>{escape(about['description'].replace('**', ''))}</p>",
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>',
    ]
    for path, methods in openapi["paths"].items():
        for method, route in methods.items():
            body += _route(path, method, route)
    body.append("<h2>Schemas</h2>")
    for name, schema in openapi["components"]["schemas"].items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        body.append(f"<h3 id={escape(name)}>{escape(name)}</h3><pre>{escape(text)}</pre>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>kia API</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def _route(path: str, method: str, route: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(route['description'])}</p>"
    command = "curl -H 'Authorization: Bearer TOKEN' ADDRESS" + path
    for content in route.get("requestBody", {}).get("content", {}).values():
        command += " -F images=@frontal.png -F images=@lateral.png"
        fields = content["schema"]["properties"].items()
        yield _table(("field", ""), [(name, field["description"]) for name, field in fields])
    yield f"<pre>{escape(command)}</pre>"
    answers = [
        (status, _schema(answer) or answer["description"])
        for status, answer in route["responses"].items()
    ]
    yield _table(("status", "answer"), answers)


def _schema(answer: Mapping[str, Any]) -> str:
    """What a good answer holds; of a bad one the description says more."""
    for content in answer.get("content", {}).values():
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if name and name != "Problem":
            return name
    return ""


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><td>{escape(one)}</td><td>{escape(two)}</td></tr>" for one, two in rows)
    return f"<table><tr><th>{head[0]}</th><th>{head[1]}</th></tr>{cells}</table>"
