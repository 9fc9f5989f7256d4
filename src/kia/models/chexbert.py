"""CheXbert: a BERT that reads the 14 CheXpert observations from a report.

Source: Smit et al., "CheXbert", EMNLP 2020. The user brings its weights (`chexbert.pth`) and the
vocabulary of bert-base-uncased (`vocab.txt`); nothing is downloaded.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kia.errors import ModelError

CONDITIONS = (
    *("Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion"),
    *("Pleural Other", "Fracture", "Support Devices", "No Finding"),
)
"""The observations in the order of the heads."""

_CLASSES = (None, 1, 0, -1)  # blank, positive, negative, uncertain; No Finding has the first two
_HEADS = tuple(2 if name == "No Finding" else 4 for name in CONDITIONS)
_LONGEST = 512  # word pieces with [CLS] and [SEP]
_HEAD_WIDTH = 64  # of an attention head, in every published BERT


class CheXbert(nn.Module):
    """BERT and a linear head for each observation on its [CLS] feature.

    Args:
        bert: A `transformers` BertModel.
        tokenizer: WordPiece of its vocabulary, padding and truncating.
    """

    def __init__(self, bert: Any, tokenizer: Any) -> None:
        super().__init__()
        self.bert = bert
        self.linear_heads = nn.ModuleList(
            nn.Linear(bert.config.hidden_size, classes) for classes in _HEADS
        )
        self._tokenizer = tokenizer

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> list[Tensor]:
        """Scores of the classes of each observation.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 on padding.

        Returns:
            14 tensors (B, 4), the last one (B, 2).
        """
        states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return [head(states[:, 0]) for head in self.linear_heads]

    @torch.inference_mode()
    def label_reports(
        self,
        texts: Sequence[str],
        batch_size: int = 16,
        advance: Callable[[int], None] = lambda count: None,
    ) -> list[dict[str, int | None]]:
        """Labels reports; longer ones are read up to 512 word pieces.

        Args:
            texts: Raw reports.
            batch_size: Reports read together.
            advance: Told the number of reports after each batch.

        Returns:
            For each the 14 observations → 1 present, 0 absent, −1 uncertain, None unmentioned.
        """
        device = next(self.linear_heads.parameters()).device
        labels: list[dict[str, int | None]] = []
        for start in range(0, len(texts), batch_size):
            batch = [
                re.sub(r"\s+", " ", text).strip() for text in texts[start : start + batch_size]
            ]
            encoded = self._tokenizer.encode_batch(batch)
            ids = torch.tensor([item.ids for item in encoded], device=device)
            mask = torch.tensor([item.attention_mask for item in encoded], device=device)
            chosen = [scores.argmax(dim=1).tolist() for scores in self(ids, mask)]
            for row in zip(*chosen, strict=True):
                named = zip(CONDITIONS, row, strict=True)
                labels.append({name: _CLASSES[choice] for name, choice in named})
            advance(len(batch))
        return labels


def load_chexbert(weights: Path, vocabulary: Path | None = None) -> CheXbert:
    """CheXbert from the user's files, ready to label.

    Args:
        weights: `chexbert.pth`, read without executing anything in it.
        vocabulary: `vocab.txt` of bert-base-uncased; the one beside the weights if None.

    Raises:
        ModelError: A file is missing, is something else, or does not fit the other.
    """
    weights = Path(weights)
    vocabulary = weights.with_name("vocab.txt") if vocabulary is None else Path(vocabulary)
    for file, what in ((weights, "the weights of CheXbert"), (vocabulary, "its vocabulary")):
        if not file.is_file():
            raise ModelError(f"{file}: no such file; it should be {what} ({file.name})")
    state = _state(weights)
    try:
        model = CheXbert(_empty_bert(state), _tokenizer(vocabulary, state))
        model.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{weights}: is no CheXbert checkpoint ({reason})") from None
    return model.eval()


def _state(weights: Path) -> dict[str, Tensor]:
    """The weights by the names of our module; the unused pooler is left out."""
    try:
        checkpoint = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; for the user all mean the same
        reason = type(error).__name__
        raise ModelError(
            f"{weights}: torch cannot read weights from this file ({reason})"
        ) from None
    state = checkpoint.get("model_state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(w, Tensor) for w in state.values()):
        raise ModelError(f"{weights}: is no CheXbert checkpoint (it holds no model_state_dict)")
    named = {str(name).removeprefix("module."): weight for name, weight in state.items()}
    unused = ("bert.pooler.", "bert.embeddings.position_ids")
    return {name: weight for name, weight in named.items() if not name.startswith(unused)}


def _empty_bert(state: dict[str, Tensor]) -> Any:
    """A BertModel of the sizes that the weights have (the published one: bert-base)."""
    from transformers import BertConfig, BertModel

    words, width = state["bert.embeddings.word_embeddings.weight"].shape
    layers = {name.split(".")[3] for name in state if name.startswith("bert.encoder.layer.")}
    config = BertConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=len(layers),
        num_attention_heads=max(1, width // _HEAD_WIDTH),
        intermediate_size=state["bert.encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=state["bert.embeddings.position_embeddings.weight"].shape[0],
    )
    return BertModel(config, add_pooling_layer=False)


def _tokenizer(vocabulary: Path, state: dict[str, Tensor]) -> Any:
    from tokenizers import BertWordPieceTokenizer

    try:
        tokenizer = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
    except Exception as error:  # tokenizers raises plain Exceptions
        raise ModelError(f"{vocabulary}: is no vocabulary of BERT ({error})") from None
    words = state["bert.embeddings.word_embeddings.weight"].shape[0]
    if tokenizer.get_vocab_size() != words:
        raise ModelError(
            f"{vocabulary}: has {tokenizer.get_vocab_size()} entries, the weights {words}; "
            "use the vocab.txt of bert-base-uncased"
        )
    positions = state["bert.embeddings.position_embeddings.weight"].shape[0]
    tokenizer.enable_truncation(min(_LONGEST, positions))
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]") or 0)
    return tokenizer
