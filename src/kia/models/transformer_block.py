"""The block both towers are made of: self-attention, cross-attention on demand, feed-forward.

Paper: Sec. 3.1, Eq. 1a-1c. Shape letters: R rows (sequences), B contexts, G rows that share a
context, E rows with a context of their own choice, T tokens, N context tokens, D width, H heads,
d = D / H.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from torch.utils.checkpoint import checkpoint

from kia.models.attention import attend
from kia.models.dropout import Dropout


@dataclass(frozen=True)
class KeysValues:
    """Keys and values of a context for one layer, each (B, H, N, d)."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class Context:
    """The other modality as cross-attention reads it, computed once for all rows and modes.

    R = B·G + E rows read B contexts: the first B·G rows are ordered context by context (G rows
    each, whose queries are folded together so that no key or value is copied), the last E rows
    name theirs in `chosen`.

    Attributes:
        layers: Keys and values, one entry a layer.
        mask: (B, N), True where the context may be read; None if everywhere.
        chosen: (E,) context numbers of the last E rows; None if E is 0.
    """

    layers: tuple[KeysValues, ...]
    mask: Tensor | None = None
    chosen: Tensor | None = None


class SelfAttention(nn.Module):
    """Multi-head self-attention with an optional cache of past keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(
        self, x: Tensor, mask: Tensor | None, causal: bool, cache: Any | None, layer: int
    ) -> Tensor:
        """Mixes the tokens of each row.

        Args:
            x: (R, T, D).
            mask: Broadcastable to (R, H, T, T), True where attention is allowed.
            causal: A token sees itself and those before it; without a mask or past only.
            cache: A `WordCache` or a `Cache` of transformers, extended in place; None without one.
            layer: Number of this layer in the cache.
        """
        query, key, value = (
            self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )
        if cache is not None:
            key, value = cache.update(key, value, layer)
        mixed = attend(query, key, value, mask, causal)
        return self.output(mixed.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Multi-head attention to a context of the other modality (Paper: Eq. 1b)."""

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context_width, 2 * width)
        self.output = nn.Linear(width, width)

    def keys_values(self, context: Tensor) -> KeysValues:
        """Projects context features (B, N, D_context) once for every row that will read them."""
        pair = self.key_value(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return KeysValues(pair[0], pair[1])

    def forward(self, x: Tensor, context: Context, layer: int) -> Tensor:
        """Reads the context: x (R, T, D) → (R, T, D)."""
        source = context.layers[layer]
        query = self._queries(x)
        extra = 0 if context.chosen is None else context.chosen.shape[0]
        mixed = _attend_folded(query[: query.shape[0] - extra], source, context.mask)
        if context.chosen is not None:
            # not by [], whose backward pass takes six times as long on CPUs
            chosen = KeysValues(
                source.keys.index_select(0, context.chosen),
                source.values.index_select(0, context.chosen),
            )
            mask = None if context.mask is None else context.mask[context.chosen]
            own = _attend_folded(query[query.shape[0] - extra :], chosen, mask)
            mixed = torch.cat([mixed, own])
        return self.output(mixed.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor, context: Context, layer: int) -> Tensor:
        """The softmax by which `forward` mixes the context; fused attention does not return it.

        Args:
            x: (B, T, D), row b reads context b.
            context: Without `chosen`.
            layer: As for `forward`.

        Returns:
            (B, H, T, N), with sum 1 over N; 0 where the context may not be read.
        """
        keys = context.layers[layer].keys
        scores = self._queries(x) @ keys.mT / math.sqrt(keys.shape[-1])
        if context.mask is not None:
            scores = scores.masked_fill(~context.mask[:, None, None, :], -math.inf)
        return scores.softmax(-1)

    def _queries(self, x: Tensor) -> Tensor:
        """(R, T, D) → (R, H, T, d)."""
        return self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _attend_folded(query: Tensor, source: KeysValues, mask: Tensor | None) -> Tensor:
    """Attention of (B·G, H, T, d) queries to B contexts, G rows a context in one call."""
    contexts = source.keys.shape[0]
    rows, _, tokens, _ = query.shape
    group = rows // contexts if contexts else 1  # a rank may have no study
    folded = query.unflatten(0, (contexts, group)).transpose(1, 2).flatten(2, 3)
    allowed = None if mask is None else mask[:, None, None, :]
    mixed = attend(folded, source.keys, source.values, allowed)
    return mixed.unflatten(2, (group, tokens)).transpose(1, 2).flatten(0, 1)


class FeedForward(nn.Module):
    """Two linear layers with a GELU between (Paper: Eq. 1c, FFN)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(R, T, D) → (R, T, D)."""
        return self.contract(gelu(self.expand(x)))


class TransformerBlock(nn.Module):
    """One layer of either tower (Paper: Sec. 3.1, Eq. 1a-1c).

    Eq. 1 normalises after each residual sum (`post`); a ViT normalises before each sublayer
    (`pre`), so the position is a field: docs/decisions/0001. Dropout acts on what a sublayer
    adds, not on attention weights, which keeps attention fused.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        ffn_width: int,
        *,
        context_width: int | None,
        norm_position: str,
        norm_eps: float,
        dropout: float,
    ) -> None:
        """Builds the layer; `context_width` None leaves the cross-attention out."""
        super().__init__()
        self.pre_norm = norm_position == "pre"
        self.self_attention = SelfAttention(width, heads)
        self.self_norm = nn.LayerNorm(width, eps=norm_eps)
        if context_width is not None:
            self.cross_attention = CrossAttention(width, heads, context_width)
            self.cross_norm = nn.LayerNorm(width, eps=norm_eps)
        self.feed_forward = FeedForward(width, ffn_width)
        self.feed_forward_norm = nn.LayerNorm(width, eps=norm_eps)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        *,
        layer: int,
        mask: Tensor | None = None,
        causal: bool = False,
        context: Context | None = None,
        cache: Any | None = None,
    ) -> Tensor:
        """(R, T, D) → (R, T, D); see SelfAttention for mask, causal and cache.

        Args:
            context: The other modality; given, the layer is cross-modal (Eq. 1b, first case).
        """

        def attend_self(h: Tensor) -> Tensor:
            return self.self_attention(h, mask, causal, cache, layer)

        x = self._sublayer(x, self.self_norm, attend_self)
        if context is not None:
            x = self._sublayer(
                x, self.cross_norm, lambda h: self.cross_attention(h, context, layer)
            )
        return self._sublayer(x, self.feed_forward_norm, self.feed_forward)

    def _sublayer(self, x: Tensor, norm: nn.Module, function: Any) -> Tensor:
        if self.pre_norm:
            return x + self.dropout(function(norm(x)))
        return norm(x + self.dropout(function(x)))


class BlockStack(nn.Module):
    """The blocks of a tower, and the keys and values of a context for all of them."""

    def __init__(self, depth: int, **block: Any) -> None:
        """Builds `depth` blocks; `block` holds the arguments of `TransformerBlock`."""
        super().__init__()
        self.recompute = False
        self.blocks = nn.ModuleList(TransformerBlock(**block) for _ in range(depth))

    @classmethod
    def of_tower(cls, tower: Mapping[str, Any], context_width: int | None) -> Self:
        """The blocks of a tower; `context_width` None: without cross-attention."""
        return cls(
            tower["depth"],
            width=tower["width"],
            heads=tower["heads"],
            ffn_width=tower["ffn_width"],
            context_width=context_width,
            norm_position=tower["norm_position"],
            norm_eps=tower["layer_norm_eps"],
            dropout=tower["dropout"],
        )

    def context(
        self, features: Tensor, mask: Tensor | None = None, chosen: Tensor | None = None
    ) -> Context:
        """Prepares features (B, N, D_context) of the other modality for `forward`."""
        blocks = [cast(TransformerBlock, block) for block in self.blocks]
        layers = tuple(block.cross_attention.keys_values(features) for block in blocks)
        return Context(layers, mask, chosen)

    def forward(self, x: Tensor, **modes: Any) -> Tensor:
        """Runs all blocks; `modes` are the keyword arguments of `TransformerBlock.forward`.

        With `recompute` only their inputs are kept, and the backward pass runs them again.
        """
        recompute = self.recompute and torch.is_grad_enabled()
        for layer, block in enumerate(self.blocks):
            if recompute:
                x = checkpoint(block, x, use_reentrant=False, layer=layer, **modes)
            else:
                x = block(x, layer=layer, **modes)
        return x


def final_norm(tower: Mapping[str, Any]) -> nn.Module:
    """The norm after the last block: only pre-norm towers still need one."""
    if tower["norm_position"] == "pre":
        return nn.LayerNorm(tower["width"], eps=tower["layer_norm_eps"])
    return nn.Identity()
