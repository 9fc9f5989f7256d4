"""The 14 CheXpert observations and the label report (Paper: Sec. 3.2, Fig. 4b)."""

from collections.abc import Mapping

OBSERVATIONS: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)


def label_report(labels: Mapping[str, int | None]) -> str:
    """The sentence that names each observation as present or absent.

    Args:
        labels: Observation → 1 present, 0 absent, −1 uncertain, None unmentioned. Uncertain
            counts as present, everything but that and 1 as absent.
    """
    parts = [
        f"{name.lower()} is {'present' if labels.get(name) in (1, -1) else 'absent'}"
        for name in OBSERVATIONS
    ]
    return f"in this radiology image, {', '.join(parts)}."
