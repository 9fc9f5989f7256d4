"""`kia.label`: the built-in labeler on a list of texts."""

from collections.abc import Iterable

from kia.errors import UsageError
from kia.knowledge.labels.rules import label_reports
from kia.knowledge.language import ENGLISH, check_language
from kia.tables.cells import is_missing


def label(texts: Iterable[str | None], language: str = ENGLISH) -> list[dict[str, int | None]]:
    """Reads the 14 CheXpert observations from reports, by rules and offline.

    Args:
        texts: Reports in English: a list, a column of a table … A missing one (None, NaN, "") says
            nothing.
        language: A report that is recognised as none of English ("en") and this language says
            nothing either; "any" reads all of them, by the rules of English.

    Returns:
        For each, in order, the 14 observations → 1 present, 0 absent, −1 uncertain, None
        unmentioned. No Finding is 1 where something was understood and nothing is abnormal.

    Raises:
        UsageError: `texts` is one text, or holds what is no text; or the language is not known.
    """
    if isinstance(texts, str):
        raise UsageError("kia.label takes a list of texts, not one text: kia.label([text])")
    given = ["" if is_missing(text) else text for text in texts]
    for number, text in enumerate(given):
        if not isinstance(text, str):
            raise UsageError(f"kia.label: text {number} is a {type(text).__name__}, not a text")
    check_language(language)
    return label_reports([str(text) for text in given], language)
