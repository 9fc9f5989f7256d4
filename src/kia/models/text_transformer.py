"""T-Enc, T-CMEnc and T-Dec: one BERT in three modes.

Paper: Sec. 3.1. Alone it is the text encoder; with a context of image features the text
cross-modal encoder; with a context and a causal mask the text decoder. Shape letters: R rows,
T tokens, D width.
"""

from typing import Any

import torch
from torch import Tensor, nn

from kia.models.configuration import CheckpointConfig
from kia.models.dropout import Dropout
from kia.models.transformer_block import BlockStack, Context, final_norm


class TextTransformer(nn.Module):
    """The text tower; `with_context` builds the cross-attention of T-CMEnc and T-Dec."""

    def __init__(self, config: CheckpointConfig, *, with_context: bool) -> None:
        super().__init__()
        tower, image = config.text_tower, config.image_tower
        width = tower["width"]
        self.word = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position = nn.Embedding(tower["max_positions"], width)
        self.norm = nn.LayerNorm(width, eps=tower["layer_norm_eps"])
        self.dropout = Dropout(tower["dropout"])
        self.stack = BlockStack.of_tower(tower, image["width"] if with_context else None)
        self.final_norm = final_norm(tower)

    def forward(
        self,
        input_ids: Tensor,
        mask: Tensor | None = None,
        *,
        causal: bool = False,
        context: Context | None = None,
        cache: Any | None = None,
    ) -> Tensor:
        """Encodes rows of tokens.

        Args:
            input_ids: (R, T) word pieces; with a cache, only those not seen yet.
            mask: Broadcastable to (R, H, T, T), True where attention is allowed.
            causal: A token sees itself and those before it. Not together with a mask: a row
                of a mixed batch says it in its own mask (see `attention_rows`).
            context: Image features from `stack.context`.
            cache: A `WordCache` or a `Cache` of transformers, extended in place.

        Returns:
            (R, T, D).
        """
        past = 0 if cache is None else int(cache.get_seq_length())
        tokens = input_ids.shape[1]
        positions = torch.arange(past, past + tokens, device=input_ids.device)
        x = self.dropout(self.norm(self.word(input_ids) + self.position(positions)))
        # one new token after a past sees everything before it: no mask is needed
        causal = causal and not (past and tokens == 1)
        x = self.stack(x, mask=mask, causal=causal, context=context, cache=cache)
        return self.final_norm(x)


def attention_rows(attention_mask: Tensor, causal: Tensor) -> Tensor:
    """Self-attention masks for a batch whose rows are partly causal (T-CMEnc beside T-Dec).

    Args:
        attention_mask: (R, T), True on tokens, False on padding.
        causal: (R,), True for the rows of the text decoder.

    Returns:
        (R, 1, T, T), True where attention is allowed; each token always sees itself, so that
        padding never makes a row of the softmax empty.
    """
    tokens = attention_mask.shape[1]
    earlier = torch.ones(tokens, tokens, dtype=torch.bool, device=causal.device).tril()
    allowed = attention_mask[:, None, :] & (earlier | ~causal[:, None, None])
    itself = torch.eye(tokens, dtype=torch.bool, device=causal.device)
    return (allowed | itself)[:, None]
