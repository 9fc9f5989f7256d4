"""tokenizer.json: read where it consists of the parts that kia writes, and of BERT's.

The library `tokenizers` builds whatever a file asks for: normalizers that multiply a text, patterns
that take minutes, numbers of tokens that it makes room for before it looks. None is needed here.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from tokenizers import Tokenizer

from kia.config import MOST_PIECES
from kia.files.plain import read_json
from kia.files.records import Record

MOST_LETTERS = 100
"""Of a word piece, and of a word that is cut into pieces."""
_Text = Annotated[str, Field(min_length=1, max_length=MOST_LETTERS)]
_Number = Annotated[int, Field(ge=0, lt=MOST_PIECES)]


class _Part(Record):
    """A part with all that it may be told; what it may not is refused."""

    model_config = ConfigDict(extra="forbid")


class _AddedToken(_Part):
    id: _Number
    content: _Text
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    special: bool = False


class _Normalizer(_Part):
    type: Literal["BertNormalizer"]
    clean_text: bool
    handle_chinese_chars: bool
    strip_accents: bool | None
    lowercase: bool


class _PreTokenizer(_Part):
    type: Literal["BertPreTokenizer"]


class _Decoder(_Part):
    type: Literal["WordPiece"]
    prefix: Literal["##"]
    cleanup: bool


class _Pieces(_Part):
    type: Literal["WordPiece"]
    unk_token: Literal["[UNK]"]
    continuing_subword_prefix: Literal["##"]
    max_input_chars_per_word: Annotated[int, Field(ge=1, le=MOST_LETTERS)]
    vocab: dict[_Text, _Number]


class _Piece(_Part):
    id: Literal["A", "B"] | _Text
    type_id: Literal[0, 1]


class _SpecialToken(_Part):
    id: _Text
    ids: Annotated[list[_Number], Field(max_length=1)]
    tokens: Annotated[list[_Text], Field(max_length=1)]


_Pattern = Annotated[
    list[dict[Literal["Sequence", "SpecialToken"], _Piece]], Field(min_length=1, max_length=8)
]


class _Template(_Part):
    type: Literal["TemplateProcessing"]
    single: _Pattern
    pair: _Pattern
    special_tokens: Annotated[dict[_Text, _SpecialToken], Field(max_length=8)]


class _BertProcessing(_Part):
    type: Literal["BertProcessing"]
    sep: Annotated[list[_Text | _Number], Field(min_length=2, max_length=2)]
    cls: Annotated[list[_Text | _Number], Field(min_length=2, max_length=2)]


class _TokenizerFile(_Part):
    """tokenizer.json; padding and truncation are kia's own business and left out."""

    version: Literal["1.0"]
    truncation: Any = None
    padding: Any = None
    added_tokens: Annotated[list[_AddedToken], Field(max_length=1000)]
    normalizer: _Normalizer
    pre_tokenizer: _PreTokenizer
    post_processor: Annotated[_Template | _BertProcessing, Field(discriminator="type")] | None
    decoder: _Decoder
    model: _Pieces

    @model_validator(mode="after")
    def _numbers_its_pieces(self) -> Self:
        """From 0 without a gap: for each number the library makes room."""
        numbers = dict(self.model.vocab)
        for token in self.added_tokens:
            if numbers.setdefault(token.content, token.id) != token.id:
                raise ValueError("an added token has another number in the vocabulary")
        if sorted(numbers.values()) != list(range(len(numbers))):
            raise ValueError("the numbers of the word pieces are not 0, 1, 2 …")
        return self


def read_tokenizer(file: Path) -> Tokenizer:
    """The tokenizer of a model folder.

    Raises:
        OSError: The file cannot be read.
        ValueError: It has other parts than kia's and BERT's, or says what no vocabulary does.
    """
    found = read_json(file)
    _TokenizerFile.of(found)
    return Tokenizer.from_str(json.dumps(found | {"padding": None, "truncation": None}))
