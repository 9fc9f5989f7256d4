"""What a preparation does about personal details: take them out, or count them and warn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from kia.data.deidentify.key import HOW_TO_MAKE, read_key
from kia.data.deidentify.studies import Deidentifier, PersonalDetails
from kia.errors import UsageError
from kia.imaging.workers import Reject
from kia.studies import Study


@dataclass(frozen=True)
class Privacy:
    """Either way a preparation may go.

    Attributes:
        deidentifier: Takes personal details out; None if they are only counted.
        details: What has been found.
    """

    deidentifier: Deidentifier | None = None
    details: PersonalDetails = field(default_factory=PersonalDetails)

    @classmethod
    def chosen(cls, deidentify: bool, key_file: Path | None, out: Path) -> Self:
        """What --deidentify and --deidentify-key mean.

        Args:
            deidentify: Whether to take personal details out.
            key_file: Of the key (`read_key`).
            out: The data set to be; the key must lie elsewhere.

        Raises:
            UsageError: One is given without the other.
            DataError: The key is no good.
        """
        if deidentify != (key_file is not None):
            missing = "--deidentify-key FILE" if deidentify else "--deidentify"
            raise UsageError(
                f"--deidentify and --deidentify-key FILE go together, {missing} is missing; "
                f"make a key with {HOW_TO_MAKE} and keep it outside the data set"
            )
        if key_file is None:
            return cls()
        deidentifier = Deidentifier(read_key(key_file, outside=out))
        return cls(deidentifier, deidentifier.details)

    @property
    def settings(self) -> dict[str, Any]:
        """What the data set records of it; nothing of the key."""
        return {} if self.deidentifier is None else {"deidentified": True}

    def clean(self, study: Study) -> Study:
        """The study with clean texts, or as it is; counted in both cases."""
        if self.deidentifier is None:
            return self.details.see(study)
        return self.deidentifier.cleaned(study)

    def count(self, inputs: Iterable[Sequence[Study | Reject]]) -> None:
        """Count inputs that an earlier attempt has stored."""
        for items in inputs:
            for item in items:
                if isinstance(item, Study):
                    self.details.see(item)

    def fingerprint(self, inputs: str) -> str:
        """The hash of the inputs that the data set records: one under the key, if there is one."""
        return inputs if self.deidentifier is None else self.deidentifier.fingerprint(inputs)
