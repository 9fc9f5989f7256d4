"""What a run is made of is refused before training where it cannot work."""

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from kia.errors import ConfigError
from kia.knowledge.chexpert import label_report
from kia.training import build


def tokenizer_without(word: str) -> Tokenizer:
    """A checkpoint's vocabulary that spells a word in letters, as BERT does with rare ones."""
    text = label_report({}).lower() + " present"
    words = set(text.replace(",", " ").replace(".", " ").split()) - {word}
    letters = sorted({*word} | {f"##{letter}" for letter in word} | {",", "."})
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(words), *letters]
    made = Tokenizer(models.WordPiece({e: i for i, e in enumerate(entries)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


@pytest.mark.parametrize("word", ["present", "absent"])
def test_a_tokenizer_without_what_label_mlm_masks_is_refused(
    configured, monkeypatch, tmp_path, word
) -> None:
    monkeypatch.setattr(build, "pretrained_tokenizer", lambda source: tokenizer_without(word))
    config = configured(model__text_encoder__pretrained="a-bert", tasks__mlm__masking="label")
    with pytest.raises(ConfigError, match=f"no entry '{word}'") as caught:
        build.build_processor(config, [], tmp_path / "processor")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "processor").exists()
