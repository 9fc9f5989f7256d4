"""KIAProcessor: images and text to tensors, the same in training, generation and serving."""

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from tokenizers import Encoding, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from kia.config import MOST_SIDE
from kia.errors import ConfigError, DataError, ModelError
from kia.files.plain import read_json
from kia.files.records import Record
from kia.imaging.arrays import any_picture, is_rows
from kia.imaging.facts import UNKNOWN
from kia.imaging.grey import MAX_BYTES, Picture
from kia.imaging.one_study import OneStudy, one_study
from kia.imaging.plausibility import Flag, Reference, study_flags
from kia.imaging.reading import ImageWarning, read_facts, warn_of
from kia.imaging.resize import Resize, resize_square, shape_of
from kia.installed import installed_models
from kia.knowledge.chexpert import label_report
from kia.models.tokenizer_file import read_tokenizer
from kia.spacing import JOINED, SPACED, closed_up, own_spaces, with_own_spaces
from kia.studies import VIEWS, View

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

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


class KIAProcessor:
    """Turns images and reports into tensors and token ids back into reports.

    Attributes:
        word_pieces: A tokenizer with [PAD] [UNK] [CLS] [SEP] [MASK] [MATCH] [START].
        image_size: Side of the square image, pixels.
        channels: 1, or 3 for a pretrained ViT (the grey image three times).
        resize: "squash" or "pad", as the training data were prepared.
        reference: What the training images look like, for `checked`; None if it is not known.
    """

    FILE = "processor_config.json"

    def __init__(
        self,
        tokenizer: "Tokenizer | PreTrainedTokenizerFast",
        *,
        image_size: int,
        channels: int = 1,
        resize: Resize = "squash",
        reference: Reference | None = None,
    ) -> None:
        """Takes a tokenizer of `tokenizers` or of transformers; special tokens are added to it."""
        found = tokenizer if isinstance(tokenizer, Tokenizer) else tokenizer.backend_tokenizer
        self.word_pieces: Tokenizer = found
        marks = [mark for mark in (JOINED, SPACED) if found.token_to_id(mark) is not None]
        found.add_special_tokens([*SPECIAL_TOKENS, *marks])
        found.no_padding()
        found.no_truncation()
        self.image_size = image_size
        self.channels = channels
        self.resize = resize
        self.reference = reference

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerFast":
        """The tokenizer as one of transformers, which is imported for it."""
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast(tokenizer_object=self.word_pieces, **_SPECIAL)

    @property
    def vocab_size(self) -> int:
        """Entries of the tokenizer, special tokens included."""
        return self.word_pieces.get_vocab_size()

    def token_id(self, token: str) -> int:
        """Id of a word piece such as "[MATCH]"; that of [UNK] for one that is none."""
        found = self.word_pieces.token_to_id(token)
        return self.token_id("[UNK]") if found is None else found

    def spell(self, token_ids: Sequence[int]) -> list[str]:
        """The word pieces of ids as they are in the vocabulary, "##" before one inside a word."""
        return [self.word_pieces.id_to_token(number) or "" for number in token_ids]

    def encode(self, reports: Sequence[str], *, max_words: int, max_tokens: int) -> list[list[int]]:
        """Word pieces of reports, without special tokens.

        Args:
            reports: Raw texts; the words after the first `max_words` are cut.
            max_words: Longest report, words.
            max_tokens: Longest report, word pieces.
        """
        return [
            encoded.ids
            for encoded in self.encode_spans(reports, max_words=max_words, max_tokens=max_tokens)
        ]

    def encode_spans(
        self, reports: Sequence[str], *, max_words: int, max_tokens: int
    ) -> list[EncodedReport]:
        """What `encode` gives, with the place of each word piece in the text that was read."""
        words = [report.split() for report in reports]
        cut = [" ".join(each[:max_words]) for each in words]
        if not cut:
            return []
        encoded = self.word_pieces.encode_batch(cut, add_special_tokens=False)
        usual = self.word_pieces.decode_batch([one.ids for one in encoded])
        found = []
        for each, text, one, spaced in zip(words, cut, encoded, usual, strict=True):
            ids, spans = self._with_marks(text, one, closed_up(spaced))
            whole = len(each) <= max_words and len(ids) <= max_tokens
            found.append(EncodedReport(text, ids[:max_tokens], spans[:max_tokens], whole=whole))
        return found

    def _with_marks(
        self, text: str, encoded: Encoding, usual: str
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """A report's pieces and their places, with the vocabulary's tokens for its own spaces."""
        ids, spans = encoded.ids, encoded.offsets
        if not self._marks or usual == text:
            return ids, spans
        written = " ".join(self.word_pieces.normalizer.normalize_str(text).split())
        marks = own_spaces(written, usual.strip())
        for piece, place in reversed(list(enumerate(self._letters_before(ids)))):
            if place in marks:
                ids.insert(piece, self.token_id(marks[place]))
                spans.insert(piece, (spans[piece][0], spans[piece][0]))
        return ids, spans

    @cached_property
    def _marks(self) -> dict[int, str]:
        """The numbers of JOINED and SPACED; models of before 0.2 have none."""
        numbers = {self.word_pieces.token_to_id(mark): mark for mark in (JOINED, SPACED)}
        return {number: mark for number, mark in numbers.items() if number is not None}

    def _letters_before(self, ids: Sequence[int]) -> list[int]:
        """(T,) how many letters stand before each piece; special tokens have none."""
        special = {self.token_id(token) for token in SPECIAL_TOKENS} | self._marks.keys()
        pieces = ["" if n in special else s for n, s in zip(ids, self.spell(ids), strict=True)]
        lengths = [len(piece.removeprefix("##")) for piece in pieces]
        return list(accumulate(lengths, initial=0))[:-1]

    def decode(self, token_ids: Tensor) -> list[str]:
        """Reports of rows of token ids (B, T); everything from the first [SEP] on is dropped."""
        end = self.token_id("[SEP]")
        rows = [row[: row.index(end)] if end in row else row for row in token_ids.tolist()]
        texts = [closed_up(text).strip() for text in self.word_pieces.decode_batch(rows)]
        return [
            self._own_spaces(row, text) if self._marks.keys() & set(row) else text
            for row, text in zip(rows, texts, strict=True)
        ]

    def _own_spaces(self, row: Sequence[int], usual: str) -> str:
        """A report with the spaces that its tokens for spaces ask for."""
        places = zip(row, self._letters_before(row), strict=True)
        return with_own_spaces(usual, {at: self._marks[n] for n, at in places if n in self._marks})

    batch_decode = decode  # transformers' name for it

    def normalise(self, pixels: Tensor) -> Tensor:
        """Grey values 0 to 255 (…, S, S) → (…, C, S, S) in −1 to 1."""
        scaled = pixels.to(torch.float32, copy=True).div_(127.5).sub_(1.0).unsqueeze(-3)
        shape = (*scaled.shape[:-3], self.channels, *scaled.shape[-2:])
        return scaled.expand(shape)

    def grey(self, pixel_values: Tensor) -> Tensor:
        """What `normalise` was given: (…, C, S, S) → uint8 (…, S, S)."""
        return ((pixel_values.select(-3, 0) + 1) * 127.5).round().to(torch.uint8)

    def __call__(
        self, images: Sequence[Any], views: Sequence[Any] | None = None
    ) -> dict[str, Tensor]:
        """Makes the input of `generate` for one study, or for a batch of studies.

        Warns (`kia.imaging.reading.ImageWarning`) of what is odd about files and pictures.

        Args:
            images: Paths, file contents, arrays, tensors or images of Pillow, one a view; or a
                list of such lists, one a study, with any number of views each. Bytes are grey
                values, floats are in 0…1 or 0…255, what is deeper is stretched, colour becomes
                grey; `kia.imaging.arrays` has the whole table.
            views: "frontal" or "lateral" for each; by default what DICOM headers say, and where
                they say nothing frontal, then lateral. For a batch such a list (or None) a study.

        Returns:
            `pixel_values` (B, W, C, S, S) and `view_ids` (B, W); if the studies have unequal
            numbers of views `view_mask` (B, W) too, False where a study has no such view.

        Raises:
            DataError: No image, an unknown view, or two patients.
            ImageError: An image cannot be read, an array holds none, or none is a chest X-ray by
                its header.
        """
        if not _is_batch(images):
            images, views = [images], [views]
        elif views is None:
            views = [None] * len(images)
        elif len(views) != len(images) or any(isinstance(one, str) for one in views):
            raise DataError("give the views of a batch as a list of lists, one a study")
        squares, named = [], []
        for given, told in zip(images, views, strict=True):
            read, study = _one_study(given, told)
            pictures = _pictures(read, study)
            for (name, picture), doubts in zip(pictures, study.doubts, strict=True):
                warn_of((*picture.doubts, *doubts), name)
            for name, why in study.left_out:
                warnings.warn(f"{name} is left out: {why}", ImageWarning, stacklevel=2)
            squares.append(self._squares(pictures))
            named.append(study.views)
        inputs = self.study_inputs(squares, named)
        return {name: value for name, value in inputs.items() if value is not None}

    def checked(
        self, images: Sequence[Any], views: Sequence[str] | None = None
    ) -> tuple[dict[str, Tensor], list[Flag]]:
        """The input of `generate` for one study, and why its report may not be worth reading.

        Files are decoded once, without warnings: what `read_image` warns of is among the flags,
        with what their pictures look like. See `kia.imaging.plausibility.study_flags`.

        Args:
            images: As above, of one study.
            views: As above.

        Returns:
            What calling the processor gives; and flags, [] if nothing is odd.

        Raises:
            DataError: As above; or there are several studies.
            ImageError: As above.
        """
        if _is_batch(images):
            raise DataError("flags are for one study at a time: give its images as a list")
        read, study = _one_study(images, views)
        pictures = _pictures(read, study)
        squares = self._squares(pictures)
        doubts = [
            (*picture.doubts, *more)
            for (_, picture), more in zip(pictures, study.doubts, strict=True)
        ]
        shapes = [shape_of(picture) for _, picture in pictures]
        flags = study_flags(squares, study.views, self.reference, doubts, shapes, study.left_out)
        inputs = self.study_inputs([squares], [study.views])
        return {name: value for name, value in inputs.items() if value is not None}, flags

    def study_inputs(
        self, squares: Sequence[NDArray[np.uint8]], views: Sequence[Sequence[View]]
    ) -> dict[str, Tensor | None]:
        """The input of `generate` for decoded studies, which may have unequal numbers of views.

        Args:
            squares: Grey values (W, S, S) of each study.
            views: Of each study, in the order of its images.

        Returns:
            `pixel_values` (B, W, C, S, S), `view_ids` (B, W), and `view_mask` (B, W) or None.
        """
        width, size = max(map(len, views)), self.image_size
        pixels = torch.zeros(len(views), width, size, size, dtype=torch.uint8)
        view_ids = torch.zeros(len(views), width, dtype=torch.int64)
        exists = torch.zeros(len(views), width, dtype=torch.bool)
        for row, (images, names) in enumerate(zip(squares, views, strict=True)):
            pixels[row, : len(names)] = torch.from_numpy(images)
            view_ids[row, : len(names)] = torch.tensor([VIEWS.index(name) for name in names])
            exists[row, : len(names)] = True
        return self.masked_inputs(pixels, view_ids, None if exists.all() else exists)

    def masked_inputs(
        self, pixels: Tensor, view_ids: Tensor, view_mask: Tensor | None
    ) -> dict[str, Tensor | None]:
        """Grey values (B, W, S, S) as the model reads them: zero where a view is absent."""
        pixel_values = self.normalise(pixels)
        if view_mask is not None:
            pixel_values = pixel_values * view_mask[:, :, None, None, None]
        return {"pixel_values": pixel_values, "view_ids": view_ids, "view_mask": view_mask}

    def _squares(self, pictures: Sequence[tuple[str, Picture]]) -> NDArray[np.uint8]:
        size, mode = self.image_size, self.resize
        return np.stack([resize_square(one.grey, size, mode, one.aspect) for _, one in pictures])

    def save_pretrained(self, folder: Path | str, **_: Any) -> None:
        """Writes the tokenizer, processor_config.json and, if there is one, the reference.

        Args:
            folder: Made if need be.
            _: What `push_to_hub` tells models alone.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.word_pieces.save(str(folder / "tokenizer.json"))
        about = {"backend": "tokenizers", "tokenizer_class": "TokenizersBackend", **_SPECIAL}
        _write_json(folder / "tokenizer_config.json", about)
        settings = {
            "processor_class": "KIAProcessor",
            "image_size": self.image_size,
            "channels": self.channels,
            "resize": self.resize,
        }
        _write_json(folder / self.FILE, settings)
        if self.reference:
            self.reference.save(folder)

    @classmethod
    def from_pretrained(cls, folder: Path | str, **options: Any) -> Self:
        """Reads what `save_pretrained` wrote; no code that lies beside it is run.

        Args:
            folder: Of a model, or its id on the hub.
            options: transformers' for the hub (`revision`, `token`, `cache_dir`, …).

        Raises:
            ModelError: A file is missing or damaged.
        """
        folder = local_folder(folder, PROCESSOR_FILES, **options)
        try:
            settings = _Settings.of(read_json(folder / cls.FILE))
            return cls(
                read_tokenizer(folder / "tokenizer.json"),
                **settings.model_dump(),
                reference=Reference.load(folder),
            )
        except ModelError:
            raise
        except OSError as error:
            raise ModelError(
                f"{folder} has no usable processor: {error.filename}: {error.strerror}"
            ) from error
        except Exception as error:
            # tokenizers raises exceptions of no kind; all mean an unusable folder
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ModelError(f"{folder} has no usable processor: {reason}") from error

    def push_to_hub(self, repository: str, **options: Any) -> Any:
        """Uploads what `save_pretrained` writes, as transformers does.

        Args:
            repository: OWNER/NAME.
            options: Those of transformers.

        Returns:
            What transformers says of the upload.
        """
        from transformers.utils import PushToHubMixin

        class Processor(PushToHubMixin):
            save_pretrained = staticmethod(self.save_pretrained)

        return Processor().push_to_hub(repository, **options)


def _is_batch(images: Any) -> bool:
    """Whether these are studies, each a list of images, and not the images of one study."""
    if not isinstance(images, list | tuple):
        return False
    studies = [isinstance(one, list | tuple) and not is_rows(one) for one in images]
    if any(studies) and not all(studies):
        raise DataError("give the images of one study, or a list of images for each study")
    return any(studies)


def _one_study(images: Any, views: Sequence[str] | None) -> tuple[list[Any], OneStudy]:
    """The images that are read, and what they are."""
    if not isinstance(images, Sequence) or isinstance(images, str | bytes | bytearray):
        raise DataError("give the images of a study as a list, one a view")
    if not images:
        raise DataError("a study needs at least one image")
    unknown = [view for view in views or () if view not in VIEWS]
    if unknown or (views and len(views) != len(images)):
        raise DataError(f"views must be one of {', '.join(VIEWS)} for each image")
    images = [
        image.read(MAX_BYTES + 1)
        if hasattr(image, "read") and not isinstance(image, Image.Image)
        else image
        for image in images
    ]
    files = []
    for number, image in enumerate(images, start=1):
        if isinstance(image, str | Path):
            files.append((str(image), read_facts(image)))
        else:
            is_file = isinstance(image, bytes | bytearray | memoryview)
            files.append((f"image {number}", read_facts(bytes(image)) if is_file else UNKNOWN))
    study = one_study(files, cast(Sequence[View] | None, views))
    return [images[place] for place in study.places], study


def _pictures(images: Sequence[Any], study: OneStudy) -> list[tuple[str, Picture]]:
    """Name and content of each image of a study."""
    names = [image.path for image in study.images]
    return [(name, any_picture(image, name)) for name, image in zip(names, images, strict=True)]


class _Settings(Record):
    """processor_config.json."""

    image_size: Annotated[int, Field(gt=0, le=MOST_SIDE)]
    channels: Literal[1, 3]
    resize: Resize


_SPECIAL = {
    "clean_up_tokenization_spaces": True,
    "cls_token": "[CLS]",
    "extra_special_tokens": ["[MATCH]", "[START]"],
    "mask_token": "[MASK]",
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
}
"""What transformers is told of kia's tokenizers."""


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


PROCESSOR_FILES = (
    *(KIAProcessor.FILE, Reference.FILE, "tokenizer.json", "tokenizer_config.json"),
    "special_tokens_map.json",  # of older versions of transformers
)
"""What `KIAProcessor.save_pretrained` writes."""


def local_folder(source: str | Path, files: Sequence[str], **options: Any) -> Path:
    """A folder here, that of an installed model, or the files of a repository of the hub.

    Args:
        source: A folder, whether it is there or not; if no folder is called so, the name of an
            installed model, or OWNER/NAME, which is downloaded.
        files: Names of those that are downloaded.
        options: transformers' for the hub; others are left alone.

    Raises:
        ModelError: There is neither such a folder nor such a repository.
    """
    if Path(source).exists():
        return Path(source)
    if isinstance(source, Path) or not re.fullmatch(r"[\w.-]*\w/[\w.-]+", source):
        return installed_models().get(str(source), Path(source))
    from huggingface_hub import snapshot_download

    known = ("revision", "token", "cache_dir", "local_files_only", "force_download")
    named = {name: options[name] for name in known if options.get(name) is not None}
    try:
        return Path(snapshot_download(source, allow_patterns=list(files), **named))
    except Exception as error:  # the hub's client raises many kinds
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{source} is no folder here, and not on the hub: {reason}") from error
