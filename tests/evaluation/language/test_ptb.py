"""Penn Treebank tokens; those of the jar are compared in test_meteor.py."""

import struct

import pytest

from kia.evaluation.language.ptb.automaton import automaton, class_constants
from kia.evaluation.language.ptb.tokens import PTBTokenizer


def test_tokens_are_lower_case_without_punctuation() -> None:
    texts = ["The Heart, big.", "", "\x01", "a\n\u2028b", "1.5 cm; big."]
    assert PTBTokenizer()(texts) == ["the heart big", "", "", "a b", "1.5 cm big"]


def test_brackets_stay_as_in_coco_caption() -> None:
    """Its list of punctuation has -LRB-, but the tokens are lower-cased before they are looked up.

    Source: pycocoevalcap/tokenizer/ptbtokenizer.py, whose `coco` numbers we must give.
    """
    assert PTBTokenizer()(["Heart (big)"]) == ["heart -lrb- big -rrb-"]


def test_a_text_is_read_by_itself() -> None:
    """The jar reads on behind a line's end: "Grade C." before "The" loses its full stop there."""
    assert PTBTokenizer()(["in the U.S.", "The lungs"]) == ["in the u.s.", "the lungs"]


@pytest.mark.parametrize("text", ["\ud800", "🫀🫀", "a\x00b", "x" * 100_000, "<" * 500, "'" * 50])
def test_odd_texts_are_tokenised(text: str) -> None:
    assert isinstance(PTBTokenizer()([text])[0], str)


def test_the_automaton_is_whole() -> None:
    """Every state has a row of 125 classes among the transitions."""
    tables = automaton()
    assert tables["classes"].shape == (65536,)
    assert int(tables["classes"].max()) == 124
    assert int(tables["rows"].max()) + 125 == len(tables["next"])
    assert len(tables["rows"]) == len(tables["actions"]) == len(tables["flags"])
    assert int(tables["next"].max()) < len(tables["rows"])


def test_constants_of_a_class_file_by_hand() -> None:
    """A class of one field, whose constant is "é" and a null character in Java's own UTF-8."""

    def utf8(value: bytes) -> bytes:
        return struct.pack(">BH", 1, len(value)) + value

    pool = utf8(b"NAME") + utf8(b"ConstantValue") + utf8(b"\xc3\xa9\xc0\x80")
    pool += struct.pack(">BH", 8, 3)  # entry 4: the string of text 3
    pool += struct.pack(">BQ", 5, 7)  # entries 5 and 6: a long
    field = struct.pack(">HHHH", 0, 1, 0, 1) + struct.pack(">HIH", 2, 2, 4)
    content = struct.pack(">IIH", 0xCAFEBABE, 0, 7) + pool
    content += struct.pack(">HHHH", 0, 0, 0, 0) + struct.pack(">H", 1) + field
    found = class_constants(content)
    assert {name: units.tolist() for name, units in found.items()} == {"NAME": [0xE9, 0]}
    with pytest.raises(ValueError, match="not a class file"):
        class_constants(b"PK\x03\x04" + content)
