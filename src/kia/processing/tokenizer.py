"""Reports as word pieces: the vocabulary that is trained on them, and what a report becomes."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from kia.errors import ConfigError
from kia.knowledge.chexpert import label_report
from kia.spacing import JOINED, SPACED

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[MATCH]", "[START]")
MOST_REPORTS = 30_000
"""Reports that a vocabulary is trained on, at most: 1.5 million words of chest X-ray reports."""


def train_tokenizer(reports: Sequence[str], vocab_size: int) -> Tokenizer:
    """Trains a lower-casing WordPiece vocabulary on the training reports.

    The same reports give the same vocabulary. Every word of the label report, "present" and
    "absent" among them, is a whole entry, whatever the reports say.

    Args:
        reports: Raw training reports; of more than `MOST_REPORTS` every second, third … is read.
        vocab_size: Entries at most, special tokens included.

    Raises:
        ConfigError: The letters and the words of the label report alone need more entries.
    """
    tokenizer = _word_pieces({"[UNK]": 0})
    normalise, split = tokenizer.normalizer.normalize_str, tokenizer.pre_tokenizer.pre_tokenize_str
    step = -(-len(reports) // MOST_REPORTS) or 1
    texts = [normalise(report) for report in [*reports[::step], label_report({})]]
    letters = sorted(set().union(*texts) - {" "})
    # named here, because the trainer numbers letters inside words in an order of its own each time
    inside = [f"##{letter}" for letter in letters if len(split(f"a{letter}")) == 1]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[*SPECIAL_TOKENS, JOINED, SPACED, *inside],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    learnt = tokenizer.get_vocab(with_added_tokens=True)
    entries = sorted(learnt, key=learnt.__getitem__)
    missing = [word for word, _ in split(label_report({}) + " present") if word not in learnt]
    missing = list(dict.fromkeys(missing))
    room = vocab_size - len(missing)
    needed = len(SPECIAL_TOKENS) + 2 + len(inside) + len(letters)
    if room < needed:
        raise ConfigError(
            f"a vocabulary of {vocab_size} word pieces is too small: set model.text_encoder."
            f"vocab_size to {needed + len(missing)} or more"
        )
    vocabulary = [*entries[:room], *missing]
    return _word_pieces({entry: i for i, entry in enumerate(vocabulary)})


def _word_pieces(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


@dataclass(frozen=True, slots=True)
class EncodedReport:
    """A report as word pieces.

    Attributes:
        text: What was read: white space is single, words beyond the limit are cut.
        ids: Of the word pieces, without special tokens.
        spans: First character of each piece in `text`, and the one after its last.
        whole: Whether nothing was cut.
    """

    text: str
    ids: list[int]
    spans: list[tuple[int, int]]
    whole: bool = True
