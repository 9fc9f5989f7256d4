"""KIAProcessor: images and text to tensors, the same in training, generation and serving."""

from kia.processing.folder import local_folder
from kia.processing.processor import PROCESSOR_FILES, KIAProcessor
from kia.processing.seen import Seen
from kia.processing.tokenizer import (
    MOST_REPORTS,
    SPECIAL_TOKENS,
    EncodedReport,
    train_tokenizer,
)

__all__ = [
    "MOST_REPORTS",
    "PROCESSOR_FILES",
    "SPECIAL_TOKENS",
    "EncodedReport",
    "KIAProcessor",
    "Seen",
    "local_folder",
    "train_tokenizer",
]
