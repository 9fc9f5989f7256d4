"""CheXbert's format of weights. Reference: the model written out with transformers."""

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from kia.errors import ModelError
from kia.knowledge.chexpert import OBSERVATIONS
from kia.models.chexbert import CONDITIONS, load_chexbert

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", "effusion", "heart", "big", "edema"]
# Source: constants.py of CheXbert (Smit et al. 2020)
MEANING = {0: None, 1: 1, 2: 0, 3: -1}


@pytest.fixture
def original() -> tuple[Any, list[Any]]:
    """A tiny BERT with pooler and 14 heads, random."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=128, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=12,
    )  # fmt: skip
    heads = [torch.nn.Linear(128, 4) for _ in range(13)] + [torch.nn.Linear(128, 2)]
    bert = BertModel(config).eval()
    bert.embeddings.word_embeddings.weight.data.mul_(100)  # so that words matter
    return bert, heads


def state_of(original: tuple[Any, list[Any]], prefix: str = "module.") -> dict[str, Any]:
    """Names of weights as CheXbert's training saves them, on one or more devices."""
    bert, heads = original
    state = {f"{prefix}bert.{name}": weight for name, weight in bert.state_dict().items()}
    state[f"{prefix}bert.embeddings.position_ids"] = torch.arange(12)[None]
    for i, head in enumerate(heads):
        named = head.state_dict().items()
        state |= {f"{prefix}linear_heads.{i}.{name}": weight for name, weight in named}
    return state


@pytest.fixture
def save(tmp_path: Path, original: tuple[Any, list[Any]]) -> Any:
    def save(state: dict[str, Any] | None = None, words: list[str] = WORDS) -> Path:
        state = state_of(original) if state is None else state
        (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
        torch.save({"model_state_dict": state, "epoch": 7}, tmp_path / "chexbert.pth")
        return tmp_path / "chexbert.pth"

    return save


def expected(original: tuple[Any, list[Any]], rows: list[list[int]]) -> list[dict[str, Any]]:
    bert, heads = original
    labels = []
    for row in rows:
        with torch.inference_mode():
            first = bert(torch.tensor([[2, *row, 3]])).last_hidden_state[:, 0]
            classes = [int(head(first).argmax()) for head in heads]
        labels.append({n: MEANING[c] for n, c in zip(OBSERVATIONS, classes, strict=True)})
    return labels


TEXTS = ["No effusion", " heart\n  BIG ", "unknownword", "", "edema " * 40]
ROWS = [[5, 6], [7, 8], [1], [], [9] * 10]  # the last is cut to 12 with [CLS] and [SEP]


@pytest.mark.parametrize("prefix", ["module.", ""])
@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_labels_are_those_of_the_model(original, save, prefix: str, batch_size: int) -> None:
    model = load_chexbert(save(state_of(original, prefix)))
    told: list[int] = []
    labels = model.label_reports(TEXTS, batch_size, told.append)
    assert labels == expected(original, ROWS)
    assert len({tuple(one.values()) for one in labels}) > 1
    assert sum(told) == len(TEXTS)
    assert model.label_reports([]) == []


def test_every_class_of_a_head_has_its_meaning(original, save) -> None:
    for wanted, value in MEANING.items():
        for head in original[1]:
            torch.nn.init.zeros_(head.weight)
            torch.nn.init.zeros_(head.bias)
            head.bias.data[min(wanted, len(head.bias) - 1)] = 1
        (labels,) = load_chexbert(save()).label_reports(["heart"])
        assert {labels[name] for name in OBSERVATIONS[:-1]} == {value}
        assert labels["No Finding"] == (None if wanted == 0 else 1)


def test_the_heads_are_the_fourteen_observations_in_order() -> None:
    assert CONDITIONS == OBSERVATIONS


def test_the_vocabulary_may_lie_elsewhere(save, tmp_path: Path) -> None:
    weights = save()
    other = tmp_path / "other.txt"
    (tmp_path / "vocab.txt").rename(other)
    with pytest.raises(ModelError, match=r"vocab\.txt: no such file"):
        load_chexbert(weights)
    assert load_chexbert(weights, other).label_reports(["big"])


def test_nothing_is_downloaded(save, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("went to the network")

    weights = save()
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert load_chexbert(weights).label_reports(["heart"])


class Dangerous:
    """Would write a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.path,)


def test_nothing_in_the_file_is_executed(save, tmp_path: Path) -> None:
    weights = save()
    torch.save({"model_state_dict": {"a": Dangerous(tmp_path / "touched")}}, weights)
    with pytest.raises(ModelError, match="torch cannot read weights"):
        load_chexbert(weights)
    assert not (tmp_path / "touched").exists()


def drop(state: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: weight for key, weight in state.items() if name not in key}


def test_what_is_no_chexbert_checkpoint_is_one_line(original, save, tmp_path: Path) -> None:
    whole = state_of(original)
    wrong: list[dict[str, Any]] = [
        drop(whole, "linear_heads.13"),
        drop(whole, "word_embeddings"),
        drop(whole, "encoder.layer.1.output"),
        {**whole, "module.linear_heads.13.weight": torch.zeros(4, 128)},
        {**whole, "module.more": torch.zeros(1)},
        {**whole, "module.bert.embeddings.word_embeddings.weight": torch.zeros(3)},
        {"module.bert.a": 3},
    ]
    for state in wrong:
        with pytest.raises(ModelError, match="is no CheXbert checkpoint") as caught:
            load_chexbert(save(state))
        assert "\n" not in str(caught.value)
    weights = save()
    for content in (b"", b"nonsense"):
        weights.write_bytes(content)
        with pytest.raises(ModelError, match="torch cannot read weights"):
            load_chexbert(weights)
    torch.save([1, 2], weights)
    with pytest.raises(ModelError, match="no model_state_dict"):
        load_chexbert(weights)
    with pytest.raises(ModelError, match="no such file"):
        load_chexbert(tmp_path / "none.pth")


def test_another_vocabulary_is_refused(save) -> None:
    with pytest.raises(ModelError, match=r"has 11 entries, the weights 10; use the vocab\.txt"):
        load_chexbert(save(words=[*WORDS, "more"]))
    weights = save()
    weights.with_name("vocab.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="is no vocabulary"):
        load_chexbert(weights)
