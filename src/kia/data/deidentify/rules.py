"""What of a text is personal, by rule."""

from collections.abc import Callable, Iterator

from kia.data.deidentify.dates import find_ages, find_dates
from kia.data.deidentify.names import find_names
from kia.data.deidentify.numbers import find_contacts, find_numbers
from kia.data.deidentify.places import find_places
from kia.data.deidentify.spans import Personal, disjoint

_FINDERS: tuple[Callable[[str], Iterator[Personal]], ...] = (
    find_names,
    find_dates,
    find_ages,
    find_numbers,
    find_contacts,
    find_places,
)


def find_personal(text: str) -> list[Personal]:
    """Names, dates, numbers, addresses and ages over 89 in a text.

    Source: the identifiers of 45 CFR 164.514(b)(2)(i) ("Safe Harbor"), of staff and institutions
    too, as MIMIC-CXR leaves them out. Rules find what they know: they are no proof that a text is
    anonymous (docs/data.md says how much they miss). Times of day, years, and what is left out
    already (`___`, `XXXX`) are not found.

    Args:
        text: In English, as it was written; without capitals fewer names are found.

    Returns:
        Disjoint pieces, in order.
    """
    return disjoint(piece for find in _FINDERS for piece in find(text))
