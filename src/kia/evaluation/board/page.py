"""The frame of kia's HTML pages: one file that loads nothing.

A page runs no script, or one that stands in it, whose hash its policy names.
"""

import base64
import hashlib
from collections.abc import Sequence
from html import escape

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink, #1b1f24); max-width: 1180px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.note, .id { color: var(--faint, #57606a); font-size: .87rem; }
.warning { color: var(--warning, #a40e26); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .left { text-align: left; }
thead th { border-bottom: 2px solid var(--ink, #1b1f24); vertical-align: bottom; }
tbody { border-bottom: 1px solid var(--line, #d0d7de); }
.images { display: flex; gap: .5rem; margin: .5rem 0; }
.images img { width: 224px; height: 224px; object-fit: contain; background: #000; }
"""


def page(title: str, body: Sequence[str], style: str = "", script: str = "") -> str:
    """A whole page that opens without a server or network.

    Args:
        title: Of the page; its heading belongs to the body.
        body: Lines of HTML, their texts escaped.
        style: More rules of CSS.
        script: The only one that the page's policy lets run, after the body; it must not hold
            "</script".
    """
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
        policy += f"; script-src 'sha256-{digest}'"
    head = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body>",
    ]
    end = [f"<script>{script}</script>"] if script else []
    return "\n".join([*head, *body, *end, "</body></html>"]) + "\n"


def image(file: bytes, words: str, kind: str = "png") -> str:
    """An image within the page.

    Args:
        file: Its content.
        words: Instead of it, for those who do not see it.
        kind: Of the file: "png", "webp" …
    """
    data = base64.b64encode(file).decode("ascii")
    return f'<img alt="{escape(words)}" src="data:image/{kind};base64,{data}">'
