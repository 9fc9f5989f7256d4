"""Is a picture a chest X-ray, the right way round, as the model was shown them?"""

from kia.imaging.plausibility.flags import NO_CHEST, Flag, study_flags
from kia.imaging.plausibility.reference import Reference

__all__ = ["NO_CHEST", "Flag", "Reference", "study_flags"]
