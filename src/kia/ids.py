"""Which ids mean the same study: the one place where files of different tools are joined.

MIMIC-CXR's tables say 50414267, its folders s50414267, RadGraph p10/p10000032/s50414267.txt, and a
sample that is one image has the image's dicom_id; IU X-Ray is CXR2384_IM-0942 to R2Gen and 2384 to
Kaggle; a spreadsheet writes 50414267.0.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

_ENDINGS = re.compile(r"(\.(txt|xml|json|dcm|dicom|png|jpe?g))+$", re.IGNORECASE)
_NUMBER = re.compile(r"([a-z]*)[-_]?0*(\d+)(?:\.0+)?(?:_im-\d+(?:-\d+)*)?", re.IGNORECASE)
_OPEN_I = re.compile(r"(?:cxr)?(\d+)(?:_\1)?_im-\d+(?:-\d+)*", re.IGNORECASE)
_STUDY_FOLDER = re.compile(r"s(\d{6,})", re.IGNORECASE)
_DICOM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){3,4}", re.IGNORECASE)

_Form = tuple[str, str]  # kind and letters before it (or ""), then what must be the same


@dataclass(frozen=True)
class Matched:
    """Which ids of two sides mean the same study.

    Attributes:
        pairs: Wanted id → the given id, for those that have one.
        wanted: All wanted ids, in order.
        given: All given ids, in order.
    """

    pairs: Mapping[str, str]
    wanted: Sequence[str]
    given: Sequence[str]

    @property
    def missing(self) -> list[str]:
        """Wanted ids without a given one."""
        return [name for name in self.wanted if name not in self.pairs]

    @property
    def unused(self) -> list[str]:
        """Given ids that nobody wants."""
        used = set(self.pairs.values())
        return [name for name in self.given if name not in used]

    def line(self, wanted: str, given: str, hint: str = "") -> str:
        """How many matched, an example of each side, and the option that would help.

        Args:
            wanted: What the wanted ids are of: "studies of the data set".
            given: Where the given ids stand: "labels.csv".
            hint: The option; the usual ones if it is "".
        """
        share = f"{len(self.pairs)} of {len(self.wanted)} {wanted} are in {given}"
        if not self.missing:
            return share
        example = f"none for {shown(self.missing[0])}"
        if self.unused:
            example += f", while it has {shown(self.unused[0])}"
        hint = hint or hint_for(self.missing, self.unused)
        return f"{share}: {example}{f' ({hint})' if hint else ''}"


def match_ids(
    wanted: Iterable[str],
    given: Iterable[str] | Mapping[str, object],
    studies: Mapping[str, str] | None = None,
    *,
    one_to_one: bool = False,
) -> Matched:
    """Finds for each wanted id the given one that means the same study.

    The same text comes first; then the same without folders, endings and letters before a number,
    where only one given id fits, or all that fit have the same value. "s5" and "CXR5" are not the
    same.

    Args:
        wanted: Of the data set, or of the references.
        given: Of labels, graphs, a split or predictions; with their values, if they have any.
        studies: dicom_id → study id, from MIMIC-CXR's metadata; also used for the given ids.
        one_to_one: Two wanted ids may not share a given one, as the images of a study share its
            labels.
    """
    values = given if isinstance(given, Mapping) and not one_to_one else {}
    wanted, given = list(dict.fromkeys(wanted)), list(dict.fromkeys(given))
    known = set(given)
    pairs = {name: name for name in wanted if name in known}
    if len(pairs) < len(wanted):
        index = _Index(given, studies or {}, values)
        left = [name for name in wanted if name not in pairs]
        found = {name: other for name in left if (other := index.find(name)) is not None}
        if one_to_one:
            taken = Counter([*found.values(), *pairs.values()])
            found = {name: other for name, other in found.items() if taken[other] == 1}
        pairs |= found
    return Matched({name: pairs[name] for name in wanted if name in pairs}, wanted, given)


def joined(
    wanted: Iterable[str], given: Mapping[str, T], studies: Mapping[str, str] | None = None
) -> dict[str, T]:
    """Wanted id → value of the given id that means the same study; see `match_ids`."""
    pairs = match_ids(wanted, given, studies).pairs
    return {name: given[other] for name, other in pairs.items()}


def hint_for(wanted: Collection[str], given: Collection[str]) -> str:
    """The option that would bring two kinds of ids together; "" if none is known."""
    kinds = {_kind(name) for name in _some(wanted)}, {_kind(name) for name in _some(given)}
    if {"image"} in kinds and "image" not in kinds[0] & kinds[1]:
        return (
            "--metadata mimic-cxr-2.0.0-metadata.csv.gz tells the study of each dicom_id"
            if {"number"} in kinds
            else ""
        )
    if _are_rows(given) and not _are_rows(wanted):
        return "are they row numbers? --label-reports names the table whose rows they are"
    return ""


def shown(name: str) -> str:
    """An id as a line of text shows it: short, whatever a table has in that column."""
    return repr(name if len(name) <= 60 else f"{name[:57]}…")


def is_image(name: str) -> bool:
    """Whether an id is a dicom_id of MIMIC-CXR."""
    return bool(_DICOM.fullmatch(_name(name)))


@dataclass
class _Index:
    """Given ids by each of their forms."""

    given: Sequence[str]
    studies: Mapping[str, str]
    values: Mapping[str, object]
    by_form: dict[str, list[tuple[str, str]]] = field(init=False)

    def __post_init__(self) -> None:
        self.by_form = {}
        for name in self.given:
            for letters, rest in self._forms(name):
                self.by_form.setdefault(rest, []).append((letters, name))

    def find(self, name: str) -> str | None:
        """The given id that fits; None if there is none, or more than one."""
        for letters, rest in self._forms(name):
            fit = {
                other: None
                for theirs, other in self.by_form.get(rest, ())
                if letters == theirs or not (letters and theirs)
            }
            if fit:
                return next(iter(fit)) if self._is_one(list(fit)) else None
        return None

    def _is_one(self, names: Sequence[str]) -> bool:
        first = names[0]
        return len(names) == 1 or (
            first in self.values
            and all(self.values.get(name) == self.values[first] for name in names)
        )

    def _forms(self, name: str) -> list[_Form]:
        found = _forms(name)
        study = self.studies.get(_name(name))
        return found if study is None else [*found, *_forms(study)]


def _forms(name: str) -> list[_Form]:
    """(letters, rest) of an id, the most telling first; two ids agree in the rest."""
    parts = name.strip().split("/")
    stem = _ENDINGS.sub("", parts[-1])
    found = [("", f"name {stem.casefold()}")]
    if match := _OPEN_I.fullmatch(stem):
        found.append(("cxr", f"number {int(match[1])}"))
    elif match := _NUMBER.fullmatch(stem):
        found.append((match[1].casefold(), f"number {int(match[2])}"))
    elif len(parts) > 1 and (match := _STUDY_FOLDER.fullmatch(parts[-2])):
        found.append(("s", f"number {int(match[1])}"))
    return found


def _name(name: str) -> str:
    return _ENDINGS.sub("", name.strip().rpartition("/")[2])


def _kind(name: str) -> str:
    stem = _name(name)
    if _DICOM.fullmatch(stem):
        return "image"
    return "number" if _NUMBER.fullmatch(stem) else "name"


def _some(names: Collection[str]) -> list[str]:
    return [name for name, _ in zip(names, range(100), strict=False)]


def _are_rows(names: Collection[str]) -> bool:
    """Whether ids count from 0 or 1."""
    some = _some(names)
    return bool(some) and some in (
        [str(number) for number in range(len(some))],
        [str(number) for number in range(1, len(some) + 1)],
    )
