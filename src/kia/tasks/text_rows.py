"""MLM, IRM and RG go through the text transformer together (docs/decisions/0006).

Each task hands in rows of tokens and says which image each row reads and whether it is causal;
rows of one tower and one length make one pass (label reports are longer than most reports).
Shape letters: B studies, T tokens, D width.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.models.text_transformer import TextTransformer, attention_rows
from kia.models.transformer_block import Context


@dataclass(frozen=True)
class TextRows:
    """Rows of one kind for the text transformer, B or, with `images`, any number.

    Attributes:
        input_ids: (B, T).
        attention_mask: (B, T), True on tokens.
        causal: True for the text decoder.
        images: (R,) study whose image each row reads; None: row b reads image b.
    """

    input_ids: Tensor
    attention_mask: Tensor
    causal: bool = False
    images: Tensor | None = None


def encode_rows(
    model: KIAModel, images: ImageFeatures, rows: dict[str, TextRows]
) -> dict[str, Tensor]:
    """Features (B, T, D) for each kind of rows, in one pass a tower and length.

    Args:
        model: The five components.
        images: The batch's image features; their keys and values are computed once a layer.
        rows: Kinds of rows by name.
    """
    passes: dict[tuple[TextTransformer, int], list[str]] = {}
    for name, kind in rows.items():
        tower = model.text_decoder if kind.causal else model.text_cross_encoder
        passes.setdefault((tower, kind.input_ids.shape[1]), []).append(name)
    features: dict[str, Tensor] = {}
    contexts = {
        tower: tower.stack.context(images.sequence, images.mask)
        for tower in dict.fromkeys(tower for tower, _ in passes)
    }
    for (tower, _), names in passes.items():
        own = [name for name in names if rows[name].images is None]
        other = [name for name in names if rows[name].images is not None]
        features |= _one_pass(tower, contexts[tower], len(images.sequence), rows, own, other)
    return features


def _one_pass(
    tower: TextTransformer,
    context: Context,
    studies: int,
    rows: dict[str, TextRows],
    own: list[str],
    other: list[str],
) -> dict[str, Tensor]:
    """Rows that read their own image come study by study, so that queries fold; see Context."""

    def together(field: str) -> Tensor:
        grouped = torch.stack([getattr(rows[name], field) for name in own], dim=1).flatten(0, 1)
        return torch.cat([grouped, *(getattr(rows[name], field) for name in other)])

    input_ids, attention_mask = together("input_ids"), together("attention_mask")
    causal = torch.tensor([rows[name].causal for name in own], device=input_ids.device)
    causal = torch.cat(
        [causal.repeat(studies), causal.new_zeros(input_ids.shape[0] - studies * len(own))]
    )
    chosen = torch.cat([rows[name].images for name in other]) if other else None  # type: ignore[misc]
    mask = attention_rows(attention_mask, causal)
    out = tower(input_ids, mask, context=replace(context, chosen=chosen))
    grouped = out[: studies * len(own)].unflatten(0, (studies, len(own)))
    features = {name: grouped[:, place] for place, name in enumerate(own)}
    rest = out[studies * len(own) :].split([len(rows[name].input_ids) for name in other])
    return features | dict(zip(other, rest, strict=True))


def with_first_token(input_ids: Tensor, token_id: int) -> Tensor:
    """The rows with their [CLS] replaced by another first token, [MATCH] or [START]."""
    return torch.cat([torch.full_like(input_ids[:, :1], token_id), input_ids[:, 1:]], dim=1)
