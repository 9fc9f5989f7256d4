"""KIAProcessor: images and text to tensors, the same in training, generation and serving."""

import json
import warnings
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor

from kia.config import MOST_SIDE
from kia.errors import DataError, ModelError
from kia.files.plain import read_json
from kia.files.records import Record
from kia.imaging.grey import Picture
from kia.imaging.pictures import Pictures
from kia.imaging.plausibility import Flag, Reference
from kia.imaging.reading import ImageWarning, warn_of
from kia.imaging.resize import Resize, resize_square, shape_of
from kia.models.tokenizer_file import read_tokenizer
from kia.processing.folder import local_folder
from kia.processing.given import given_study, is_batch, read_pictures
from kia.processing.inputs import Inputs
from kia.processing.seen import Seen
from kia.processing.tokenizer import SPECIAL_TOKENS, EncodedReport
from kia.spacing import JOINED, SPACED, closed_up, own_spaces, with_own_spaces
from kia.studies import VIEWS, View

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


MOST_WORDS = 10**6
"""Of a text that a caller gives; nothing is cut."""


class KIAProcessor:
    """Turns images and reports into tensors and token ids back into reports.

    Attributes:
        word_pieces: A tokenizer with [PAD] [UNK] [CLS] [SEP] [MASK] [MATCH] [START].
        image_size: Side of the square image, pixels.
        channels: 1, or 3 for a pretrained ViT (the grey image three times).
        resize: "squash" or "pad", as the training data were prepared.
        reference: What the training images look like, for `checked`; None if it is not known.
        seen: Which images and reports were in training; None if it is not known.
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
        seen: Seen | None = None,
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
        self.seen = seen

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
        pieces = [(one.ids, one.offsets) for one in encoded]
        if self._marks:
            usual = self.word_pieces.decode_batch([ids for ids, _ in pieces])
            pieces = [
                self._with_marks(text, *both, closed_up(spaced).strip())
                for text, both, spaced in zip(cut, pieces, usual, strict=True)
            ]
        found = []
        for each, text, (ids, spans) in zip(words, cut, pieces, strict=True):
            whole = len(each) <= max_words and len(ids) <= max_tokens
            found.append(EncodedReport(text, ids[:max_tokens], spans[:max_tokens], whole=whole))
        return found

    def _with_marks(
        self, text: str, ids: list[int], spans: list[tuple[int, int]], usual: str
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """A report's pieces and their places, with the vocabulary's tokens for its own spaces."""
        written = " ".join(self.word_pieces.normalizer.normalize_str(text).split())
        if not (marks := own_spaces(written, usual)):  # as nearly all reports
            return ids, spans
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

    def batch_decode(self, token_ids: Any, skip_special_tokens: bool = True, **_: Any) -> list[str]:
        """Reports of rows of token ids (B, T); everything from the first [SEP] on is dropped.

        Args:
            token_ids: A tensor, an array or lists.
            skip_special_tokens: False leaves them in, and what follows [SEP].
            _: transformers' `clean_up_tokenization_spaces`: spaces are always closed up, as scores
                want it.
        """
        rows = [row.tolist() if hasattr(row, "tolist") else list(row) for row in token_ids]
        if not skip_special_tokens:
            return [text.strip() for text in self.word_pieces.decode_batch(rows, False)]
        end = self.token_id("[SEP]")
        rows = [row[: row.index(end)] if end in row else row for row in rows]
        texts = [closed_up(text).strip() for text in self.word_pieces.decode_batch(rows)]
        return [
            self._own_spaces(row, text) if self._marks.keys() & set(row) else text
            for row, text in zip(rows, texts, strict=True)
        ]

    def _own_spaces(self, row: Sequence[int], usual: str) -> str:
        """A report with the spaces that its tokens for spaces ask for."""
        places = zip(row, self._letters_before(row), strict=True)
        return with_own_spaces(usual, {at: self._marks[n] for n, at in places if n in self._marks})

    def decode(self, token_ids: Any, **options: Any) -> Any:
        """The same; of a single row (T,) its text alone."""
        rows = token_ids.tolist() if hasattr(token_ids, "tolist") else token_ids
        single = len(rows) > 0 and isinstance(rows[0], int)
        found = self.batch_decode([rows] if single else rows, **options)
        return found[0] if single else found

    def normalise(self, pixels: Tensor) -> Tensor:
        """Grey values 0 to 255 (…, S, S) → (…, C, S, S) in −1 to 1."""
        scaled = pixels.to(torch.float32, copy=True).div_(127.5).sub_(1.0).unsqueeze(-3)
        shape = (*scaled.shape[:-3], self.channels, *scaled.shape[-2:])
        return scaled.expand(shape)

    def grey(self, pixel_values: Tensor) -> Tensor:
        """What `normalise` was given: (…, C, S, S) → uint8 (…, S, S)."""
        return ((pixel_values.select(-3, 0) + 1) * 127.5).round().to(torch.uint8)

    def __call__(
        self,
        images: Any = None,
        views: Sequence[Any] | None = None,
        *,
        text: str | Sequence[str] | None = None,
        return_tensors: str | None = "pt",
    ) -> Inputs:
        """Makes the input of `generate` for one study, or for a batch of studies.

        Warns (`kia.imaging.reading.ImageWarning`) of what is odd about files and pictures.

        Args:
            images: Paths, file contents, arrays, tensors, images of Pillow or data sets of
                pydicom, one a view; or a list of such lists, one a study, with any number of views
                each. One image stands for a study with no other. Bytes are grey
                values, floats are in 0…1 or 0…255, what is deeper is stretched, colour becomes
                grey; `kia.imaging.arrays` has the whole table.
            views: "frontal" or "lateral" for each; by default what DICOM headers say, and where
                they say nothing frontal, then lateral. For a batch such a list (or None) a study.
            text: Reports, as the text encoder reads them: [CLS], word pieces, [SEP].
            return_tensors: "pt" for tensors of torch, "np" for arrays.

        Returns:
            Of images `pixel_values` (B, W, C, S, S) and `view_ids` (B, W); if the studies have
            unequal numbers of views `view_mask` (B, W) too, False where a study has no such view.
            Of texts `input_ids` and `attention_mask` (B, T).

        Raises:
            DataError: Neither image nor text, an unknown view, or two patients.
            ImageError: An image cannot be read, an array holds none, or none is a chest X-ray by
                its header.
        """
        if return_tensors not in ("pt", "np", None):
            raise DataError(f"return_tensors={return_tensors!r}: use 'pt' or 'np'")
        if images is None and text is None:
            raise DataError("give images=…, text=…, or both")
        found = {} if images is None else self._read(images, views)
        if text is not None:
            found |= self._encoded([text] if isinstance(text, str) else text)
        return Inputs(found if return_tensors != "np" else {k: v.numpy() for k, v in found.items()})

    def _encoded(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Reports between [CLS] and [SEP], padded."""
        first, last, empty = (self.token_id(token) for token in ("[CLS]", "[SEP]", "[PAD]"))
        encoded = self.encode(texts, max_words=MOST_WORDS, max_tokens=MOST_WORDS)
        rows = [torch.tensor([first, *ids, last]) for ids in encoded]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=empty)
        lengths = torch.tensor([len(row) for row in rows])
        return {
            "input_ids": ids,
            "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long(),
        }

    def _read(self, images: Any, views: Sequence[Any] | None) -> dict[str, Tensor]:
        if not is_batch(images):
            images, views = [images], [views]
        elif views is None:
            views = [None] * len(images)
        elif len(views) != len(images) or any(isinstance(one, str) for one in views):
            raise DataError("give the views of a batch as a list of lists, one a study")
        squares, named = [], []
        for given, told in zip(images, views, strict=True):
            read, study = given_study(given, told)
            pictures = read_pictures(read, study)
            for (name, picture), doubts in zip(pictures, study.doubts, strict=True):
                warn_of((*picture.doubts, *doubts), name)
            for name, why in study.left_out:
                warnings.warn(f"{name} is left out: {why}", ImageWarning, stacklevel=3)
            squares.append(self._squares(pictures))
            named.append(study.views)
        inputs = self.study_inputs(squares, named)
        return {name: value for name, value in inputs.items() if value is not None}

    def pictures(self, images: Any, views: Sequence[str] | None = None) -> Pictures:
        """The images of one study as the model reads them, and what is odd about them.

        Files are decoded once, without warnings: what `read_image` warns of is among the flags,
        with what their pictures look like. See `kia.imaging.plausibility.study_flags`.

        Args:
            images: As above, of one study.
            views: As above.

        Raises:
            DataError: As above; or there are several studies.
            ImageError: As above.
        """
        if is_batch(images):
            raise DataError("flags are for one study at a time: give its images as a list")
        read, study = given_study(images, views)
        pictures = read_pictures(read, study)
        doubts = [picture.doubts for _, picture in pictures]
        shapes = [shape_of(picture) for _, picture in pictures]
        return Pictures.of(study, self._squares(pictures), doubts, shapes, self.reference)

    def checked(
        self, images: Any, views: Sequence[str] | None = None
    ) -> tuple[dict[str, Tensor], list[Flag]]:
        """What calling the processor gives for one study, and the flags of `pictures`."""
        found = self.pictures(images, views)
        inputs = self.study_inputs([found.squares], [found.views])
        return {name: value for name, value in inputs.items() if value is not None}, found.flags

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
        """Writes the tokenizer, processor_config.json and what is known of the training images.

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
        if self.seen:
            self.seen.save(folder)

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
                seen=Seen.load(folder),
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
    *(KIAProcessor.FILE, Reference.FILE, Seen.FILE, "tokenizer.json", "tokenizer_config.json"),
    "special_tokens_map.json",  # of older versions of transformers
)
"""What `KIAProcessor.save_pretrained` writes."""
