"""CheXbert as a labeler, from weights that the user has: nothing is downloaded.

Source: Smit et al., EMNLP 2020; weights ``chexbert.pth`` and vocabulary of bert-base-uncased.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kia.errors import MissingDependency
from kia.knowledge.chexpert import OBSERVATIONS

VARIABLE = "KIA_CHEXBERT"
"""Environment variable with the folder of ``chexbert.pth`` and ``vocab.txt``."""

FILES = ("chexbert.pth", "vocab.txt")

_CLASSES = (None, 1, 0, -1)  # of a head: blank, positive, negative, uncertain
_LONGEST = 512  # word pieces, with [CLS] and [SEP]
_BATCH = 16
_HEAD_SIZE = 64  # of every BERT that exists


def missing_weights() -> str | None:
    """What to do before CheXbert can be used; None if its files are there."""
    folder = os.environ.get(VARIABLE)
    if folder and all((Path(folder) / name).is_file() for name in FILES):
        return None
    return f"put {' and '.join(FILES)} (bert-base-uncased) in a folder and set {VARIABLE} to it"


def chexbert_labels(texts: Sequence[str]) -> list[dict[str, int | None]]:
    """Labels of reports by CheXbert.

    Args:
        texts: Raw reports.

    Raises:
        MissingDependency: The files are missing or are something else.
    """
    import torch
    from tokenizers import BertWordPieceTokenizer

    if problem := missing_weights():
        raise MissingDependency(problem)
    folder = Path(os.environ[VARIABLE])
    bert, heads = _load(folder / FILES[0])
    tokenizer = BertWordPieceTokenizer(str(folder / FILES[1]), lowercase=True)
    tokenizer.enable_truncation(min(_LONGEST, bert.config.max_position_embeddings))
    tokenizer.enable_padding()
    labels: list[dict[str, int | None]] = []
    for start in range(0, len(texts), _BATCH):
        batch = [re.sub(r"\s+", " ", text).strip() for text in texts[start : start + _BATCH]]
        encoded = tokenizer.encode_batch(batch)
        with torch.inference_mode():
            hidden = bert(
                input_ids=torch.tensor([item.ids for item in encoded]),
                attention_mask=torch.tensor([item.attention_mask for item in encoded]),
            ).last_hidden_state[:, 0]
            classes = [
                torch.nn.functional.linear(hidden, weight, bias).argmax(dim=1).tolist()
                for weight, bias in heads
            ]
        for found in zip(*classes, strict=True):
            labels.append({name: _CLASSES[c] for name, c in zip(OBSERVATIONS, found, strict=True)})
    return labels


def _load(path: Path) -> tuple[Any, list[tuple[Any, Any]]]:
    """The BERT and the weights of its 14 heads; sizes are read from the weights."""
    import torch
    from transformers import BertConfig, BertModel

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["model_state_dict"]
        state = {name.removeprefix("module."): weight for name, weight in state.items()}
        words, width = state["bert.embeddings.word_embeddings.weight"].shape
        layers = {name.split(".")[3] for name in state if name.startswith("bert.encoder.layer.")}
        config = BertConfig(
            vocab_size=words,
            hidden_size=width,
            num_hidden_layers=len(layers),
            num_attention_heads=max(1, width // _HEAD_SIZE),
            intermediate_size=state["bert.encoder.layer.0.intermediate.dense.weight"].shape[0],
            max_position_embeddings=state["bert.embeddings.position_embeddings.weight"].shape[0],
        )
        bert = BertModel(config)
        of_bert = {
            name.removeprefix("bert."): weight
            for name, weight in state.items()
            if name.startswith("bert.") and not name.endswith("position_ids")
        }
        bert.load_state_dict(of_bert)
        heads = [
            (state[f"linear_heads.{i}.weight"], state[f"linear_heads.{i}.bias"])
            for i in range(len(OBSERVATIONS))
        ]
    except Exception as error:
        raise MissingDependency(
            f"{path} is no CheXbert checkpoint ({type(error).__name__})"
        ) from None
    return bert.eval(), heads
