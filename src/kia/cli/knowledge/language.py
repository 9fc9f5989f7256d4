"""`--language` of `kia knowledge label` and `graph`, and what they say of reports left out."""

from collections.abc import Sequence
from typing import Annotated

import typer

Language = Annotated[
    str,
    typer.Option(
        "--language",
        metavar="CODE",
        help="reports that are not in English are left out, unless they are in this language "
        "(de, fr, es …), or it is any: then they are read by the rules of English",
    ),
]


def unread(texts: Sequence[str], language: str) -> dict[int, str]:
    """Place of each report that is left out → its language; says in a line how many they are."""
    from kia.cli.console import err
    from kia.knowledge.language import check_language, is_read, language_of, left_out

    check_language(language)
    found = {
        place: language_of(text) for place, text in enumerate(texts) if not is_read(text, language)
    }
    if found:
        err.print(
            f"{len(found)} of {len(texts)} reports are not in English ({left_out(found.values())}) "
            "and are left out; --language any reads them all the same",
            soft_wrap=True,
            markup=False,
        )
    return found
