"""CheXbert's format of weights. Reference: the model written out with transformers."""

from pathlib import Path
from typing import Any

import pytest

from kia.cli.evaluate_chexbert import VARIABLE, chexbert_labels, missing_weights
from kia.errors import MissingDependency
from kia.knowledge.chexpert import OBSERVATIONS

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", "effusion", "heart", "big", "edema"]
# Source: the README of CheXbert: blank 0, positive 1, negative 2, uncertain 3.
MEANING = {0: None, 1: 1, 2: 0, 3: -1}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[Any]]:
    """A tiny BERT with random weights and 14 heads, saved as CheXbert's training saves them."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=64, num_hidden_layers=2, num_attention_heads=1,
        intermediate_size=32, max_position_embeddings=12,
    )  # fmt: skip
    bert = BertModel(config).eval()
    heads = [torch.nn.Linear(64, 4) for _ in range(13)] + [torch.nn.Linear(64, 2)]
    state = {f"module.bert.{name}": weight for name, weight in bert.state_dict().items()}
    for i, head in enumerate(heads):
        state |= {f"module.linear_heads.{i}.{n}": w for n, w in head.state_dict().items()}
    torch.save({"model_state_dict": state, "epoch": 1}, tmp_path / "chexbert.pth")
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return bert, heads


def test_labels_are_those_of_the_model(model: tuple[Any, list[Any]]) -> None:
    import torch

    bert, heads = model
    texts = ["No effusion", "heart\n  big", "unknownword", "", "edema " * 40]
    rows = [[5, 6], [7, 8], [1], [], [9] * 10]  # cut to 12 with [CLS] and [SEP]
    expected = []
    for row in rows:
        with torch.inference_mode():
            first = bert(torch.tensor([[2, *row, 3]])).last_hidden_state[:, 0]
            classes = [int(head(first).argmax()) for head in heads]
        expected.append({n: MEANING[c] for n, c in zip(OBSERVATIONS, classes, strict=True)})
    assert chexbert_labels(texts) == expected
    assert len({tuple(labels.values()) for labels in expected}) > 1


def test_without_weights_it_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert "chexbert.pth and vocab.txt" in str(missing_weights())
    with pytest.raises(MissingDependency, match=VARIABLE):
        chexbert_labels(["a"])


def test_another_checkpoint_is_refused(model: object, tmp_path: Path) -> None:
    (tmp_path / "chexbert.pth").write_bytes(b"nonsense")
    with pytest.raises(MissingDependency, match="no CheXbert checkpoint"):
        chexbert_labels(["a"])
