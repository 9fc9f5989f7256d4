"""Parts of the body by DICOM's terms for them (PS3.16 Annex L, Body Part Examined)."""

import re

CHEST = "CHEST"
OTHER = "OTHER"
"""What names a part that is none of these."""

_CHEST = ("CHEST", "THORAX", "TORAX", "TORACE", "LUNG")  # also within a word: CHESTABDOMEN
_TERMS = {
    **{"ABDOMEN": "ABD KUB", "PELVIS": "PELVIC BECKEN", "ABDOMENPELVIS": "ABDPELVIS"},
    **{"SPINE": "CSPINE TSPINE LSPINE LSSPINE CTSPINE TLSPINE SPINAL VERTEBRA", "SKULL": "CRANIUM"},
    **{"SACRUM": "SSPINE", "COCCYX": "", "SIJOINT": "", "HEAD": "", "NECK": "", "FACE": "FACIAL"},
    **{"SINUS": "SINUSES", "MANDIBLE": "", "MAXILLA": "", "ORBIT": "ORBITS", "JAW": "TMJ TMJOINT"},
    **{"NOSE": "NASAL", "ZYGOMA": "", "SELLA": "", "TOOTH": "TEETH DENTAL", "BREAST": "MAMMA"},
    **{"SHOULDER": "SHOULDERS SCHULTER HOMBRO", "SCAPULA": "", "HUMERUS": "", "ARM": "UPPERARM"},
    **{"ELBOW": "ELBOWS", "FOREARM": "", "RADIUS": "RADIUSULNA", "ULNA": "", "WRIST": "WRISTS"},
    **{"HAND": "HANDS MANO", "FINGER": "FINGERS", "THUMB": "", "EXTREMITY": "EXTREMITIES"},
    **{"HIP": "HIPS", "FEMUR": "", "THIGH": "", "KNEE": "KNEES KNIE RODILLA", "PATELLA": ""},
    **{"LEG": "LEGS LOWERLEG", "TIBIA": "TIBIAFIBULA", "FIBULA": "", "ANKLE": "ANKLES"},
    **{"FOOT": "FEET PIE", "TOE": "TOES", "CALCANEUS": "HEEL"},
}
_WORDS = {word: term for term, more in _TERMS.items() for word in (term, *more.split())}
_UNSURE = {"FACE", "HEAD", "NECK", "ARM", "LEG", "ORBIT", "RADIUS", "PIE", "MANO"}
_SURE = {word: term for word, term in _WORDS.items() if word not in _UNSURE}
# of a description: "face" is French for frontal, and there are C-arms


def part_named(text: str) -> str | None:
    """The term behind Body Part Examined (0018,0015) or a region's name; `OTHER` for any other.

    A text that also names the chest means the chest. Ribs, sternum and the like are `OTHER`: their
    radiographs show a chest.

    Returns:
        None where it says nothing.
    """
    text = text.strip().upper()
    return (_term(text, _WORDS) or OTHER) if text else None


def part_described(text: str) -> str | None:
    """The term that a description names, for a guess; None where it names none for sure."""
    return _term(text.upper(), _SURE)


def is_elsewhere(part: str | None) -> bool:
    """Whether a picture of this part cannot be a chest X-ray."""
    return part not in (None, CHEST, OTHER)


def _term(text: str, words: dict[str, str]) -> str | None:
    if any(name in text for name in _CHEST):
        return CHEST
    found = re.findall(r"[A-Z]+", text)
    return next((words[word] for word in found if word in words), None)
