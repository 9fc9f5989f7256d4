"""Personal details in reports found by rule and replaced, ids hashed with a key.

    deidentifier = Deidentifier(read_key(Path("kia.key")))
    study = deidentifier.study(study)
    print(deidentifier.details)

Pixels are not looked at: names that are burnt into an image stay. See docs/data.md.
"""

from kia.data.deidentify.key import Pseudonyms, read_key
from kia.data.deidentify.rules import find_personal
from kia.data.deidentify.spans import MARK, Personal, replaced
from kia.data.deidentify.studies import Deidentifier, PersonalDetails

__all__ = [
    "MARK",
    "Deidentifier",
    "Personal",
    "PersonalDetails",
    "Pseudonyms",
    "find_personal",
    "read_key",
    "replaced",
]
