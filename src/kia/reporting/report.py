"""Report: what a model says of a study, with its forms at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kia.imaging.pictures import Pictures
from kia.reporting.content import Content
from kia.reporting.forms import as_record, as_text
from kia.reporting.html import as_html


@dataclass(frozen=True, slots=True)
class Report(Content):
    """What `kia.KIA` gives: the fields are those of `kia.reporting.content.Content`."""

    def to_record(self) -> dict[str, Any]:
        """This report as JSON has it (`kia.reporting.forms.as_record`)."""
        return as_record(self)

    def text(self, form: str = "prose") -> str:
        """Its text (`kia.reporting.forms.as_text`).

        Args:
            form: "prose" or "structured".
        """
        return as_text(self, form)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return as_html(self)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A study whose images cannot be read.

    Attributes:
        images: Names of its files.
        why: One line that names the file.
    """

    images: Sequence[str]
    why: str

    def to_record(self) -> dict[str, Any]:
        """As JSON has it, in place of a report."""
        return {"images": list(self.images), "error": self.why}


def read_of(pictures: Pictures) -> dict[str, Any]:
    """The fields of a `Report` that are known before it is written."""
    return {"images": pictures.images, "facts": pictures.facts, "flags": pictures.flags}
