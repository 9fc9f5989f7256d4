"""Studies without what tells whose they are, and how much of it there was."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from kia.data.deidentify.graphs import clean_graph
from kia.data.deidentify.key import Pseudonyms
from kia.data.deidentify.rules import find_personal
from kia.data.deidentify.spans import MARK, Kind, Personal, replaced
from kia.imaging.facts import PERHAPS_ELSEWHERE
from kia.imaging.workers import Reject
from kia.knowledge.radgraph import ReportGraph
from kia.studies import Study

_REASONS = (
    *("image is missing", "no such image", "no image could be decoded", "no image"),
    *("empty report", "empty findings", "empty impression", "empty both", "no report"),
    *("not in the split file", "in the split file, but not among the studies", "no split"),
    *("in the annotation, but not in the tables", "a symbolic link leads out of the folder"),
    *("lies outside the manifest's folder", "is not a path", "is neither frontal nor lateral"),
    *("is not a report of Open-i", "not a report of Open-i", "labels are not JSON"),
    *("has no value", "use a CheXpert observation with 1, 0 or -1", "images, but"),
    *("its DICOM header names another part of the body", "no radiograph", "a copy of another"),
    *("the first frontal and lateral one are read", "a DICOM file without an image"),
    *("neither PNG, JPEG nor DICOM, or cannot be opened", PERHAPS_ELSEWHERE),
)
"""What readers say of an input that they leave out; what stands around it may be personal."""
_OTHERWISE = "refused (without --deidentify the reason is told in full)"


@dataclass
class PersonalDetails:
    """What was found in the texts of studies.

    Attributes:
        studies: How many were looked at,
        with_details: how many of them have something personal,
        counts: and how often it is of each kind.
    """

    studies: int = 0
    with_details: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)

    def see(self, study: Study) -> Study:
        """Count what a study's texts hold; the study stays as it is."""
        self.count(_found_in(study))
        return study

    def count(self, found: Mapping[str, Sequence[Personal]]) -> None:
        """Count what was found in the texts of one study: each wording once."""
        pieces = {text[p.start : p.end]: p.kind for text, ps in found.items() for p in ps}
        self.studies += 1
        self.with_details += bool(pieces)
        self.counts.update(pieces.values())

    def __str__(self) -> str:
        """ "3 names, 1 date in 2 of 100 studies"; never what was found."""
        named = [f"{count:,} {_plural(kind, count)}" for kind, count in self.counts.most_common()]
        where = f"in {self.with_details:,} of {self.studies:,} studies"
        return f"{', '.join(named)} {where}" if named else f"nothing personal {where}"


class Deidentifier:
    """Takes out of studies what tells whose they are; counts it.

    `study` does all of it in one call. Preparation needs it in two: texts before labels, graph
    and landmarks are made of them, ids when images have been read from their files.

    Args:
        key: Of the pseudonyms (`kia.data.deidentify.read_key`).

    Attributes:
        details: What was found so far.
    """

    def __init__(self, key: bytes) -> None:
        self._pseudonyms = Pseudonyms(key)
        self.details = PersonalDetails()

    def study(self, study: Study) -> Study:
        """A study with its texts and graph cleaned and its ids hashed.

        Labels and landmarks stay: they name observations and anatomy alone.
        """
        return self.named(self.cleaned(study))

    def cleaned(self, study: Study) -> Study:
        """A study with `___` for what is personal in its report, sections and graph."""
        found = _found_in(study)
        self.details.count(found)
        sections = {
            name: replaced(text, found.get(text, ())) for name, text in study.sections.items()
        }
        return replace(
            study,
            report=replaced(study.report, found.get(study.report, ())),
            sections=sections,
            graph=None if study.graph is None else self._graph(study.graph, found),
        )

    def named(self, study: Study) -> Study:
        """A study with hashes for its id, its patient and the names of its images."""
        left_out = tuple(
            (self._pseudonyms.of_image(study.id, name), _reason(why, study))
            for name, why in study.left_out
        )
        return replace(self._pseudonyms.of_study(study), left_out=left_out)

    def reject(self, reject: Reject, study: Study | None = None) -> Reject:
        """An input that was left out, without its id, and without file names in the reason.

        Args:
            reject: What the reader or the decoder says of it.
            study: The study that it belongs to, as the reader gave it; None if there is none.
        """
        name, _, image = reject.what.partition(" (")
        if study is not None and reject.what.startswith(study.id):
            name, image = study.id, reject.what[len(study.id) :].removeprefix(" (")
        what = self._pseudonyms.of("study", name)
        image = image.removesuffix(")")
        if image in ("frontal", "lateral"):
            what = f"{what} ({image})"
        elif image:
            what = f"{what} ({self._pseudonyms.of_image(name, image)})"
        return Reject(what, _reason(reject.why, study))

    def fingerprint(self, inputs: str) -> str:
        """The `fingerprint` of inputs under the key: ids cannot be guessed from it."""
        return self._pseudonyms.of("inputs", inputs)

    def _graph(
        self, record: Mapping[str, Any], found: Mapping[str, Sequence[Personal]]
    ) -> dict[str, Any]:
        personal = [text[p.start : p.end] for text, pieces in found.items() for p in pieces]
        return clean_graph(ReportGraph.from_record(dict(record)), personal).to_record()


def _found_in(study: Study) -> dict[str, Sequence[Personal]]:
    """What is personal in each text of a study."""
    found = {study.report: _found("", study.report)} if study.report.strip() else {}
    for name, text in study.sections.items():
        if text not in found and text.strip():
            found[text] = _found(f"{name.upper()}: ", text)
    return found


@lru_cache(maxsize=16)  # the images of one report follow each other
def _found(heading: str, text: str) -> Sequence[Personal]:
    """What is personal in a text that is read under a heading: "COMPARISON: 9/27" is a date."""
    ahead = len(heading)
    return tuple(
        Personal(max(0, piece.start - ahead), piece.end - ahead, piece.kind)
        for piece in find_personal(heading + text)
        if piece.end > ahead
    )


def _reason(why: str, study: Study | None) -> str:
    """The reason without paths, ids and values."""
    paths = [] if study is None else [image.path for image in study.images]
    if any(path in why for path in paths):  # what the decoder says quotes nothing but the path
        names = {*paths, *(Path(path).name for path in paths)}
        for name in sorted(names, key=len, reverse=True):
            why = why.replace(name, MARK)
        return why
    return next((reason for reason in _REASONS if reason in why), _OTHERWISE)


def _plural(kind: str, count: int) -> str:
    if count == 1:
        return kind
    if kind == "age over 89":
        return "ages over 89"
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"
