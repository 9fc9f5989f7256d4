"""The plain implementation that speed is compared with: each task encodes for itself.

As the paper's text reads, written with the ViT and BERT layers of transformers. It has the weights
of a kia model and gives the same losses, so that a step of it is the same mathematics. Heads look
at every patch and word, as those of transformers do. Shape letters: B studies, W views, N patches,
T tokens, D width.
"""

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import BertConfig, ViTConfig
from transformers.models.bert.modeling_bert import BertAttention, BertEmbeddings, BertLayer
from transformers.models.vit.modeling_vit import ViTLayer

from kia.data.batches.batch import Batch
from kia.errors import ConfigError
from kia.models.configuration import CheckpointConfig
from kia.models.image_encoder import ImageEncoder, patches_to_pixels
from kia.models.kia import KIAModel
from kia.models.momentum import MomentumEncoders
from kia.models.outputs import ImageFeatures
from kia.models.text_transformer import TextTransformer
from kia.models.transformer_block import BlockStack
from kia.tasks.joint import JointLoss, JointObjective
from kia.tasks.matching import draw_negatives
from kia.tasks.shared_features import SharedFeatures
from kia.tasks.text_rows import with_first_token


class PlainImageTower(nn.Module):
    """I-Enc and I-CMEnc from ViT layers, with BERT's cross-attention between their halves."""

    def __init__(self, tower: ImageEncoder, config: CheckpointConfig) -> None:
        super().__init__()
        sizes = config.image_tower
        self.tower = tower  # for its stem, tokens and norms; the blocks become those below
        self.layers = nn.ModuleList(ViTLayer(_vit_config(sizes)) for _ in range(sizes["depth"]))
        self.cross = nn.ModuleList(
            BertAttention(_bert_config(sizes), is_cross_attention=True)
            for _ in range(sizes["depth"])
        )
        for layer, cross, block in zip(self.layers, self.cross, tower.stack.blocks, strict=True):
            _copy_vit(cast(ViTLayer, layer), block)
            _copy_cross(cast(BertAttention, cross), block)
        tower.stack = BlockStack(0)

    def forward(
        self,
        pixel_values: Tensor,
        image_mask: Tensor | None = None,
        text: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """(R, C, S, S) → (R, 1 + N, D); see `ImageEncoder.forward`, with text (R, T, D) to read."""

        def blocks(x: Tensor) -> Tensor:
            for layer, cross in zip(self.layers, self.cross, strict=True):
                x = self._layer(cast(Any, layer), cast(Any, cross), x, text, attention_mask)
            return x

        return self.tower.encoded_by(blocks, pixel_values, image_mask)

    @staticmethod
    def _layer(
        layer: Any, cross: Any, x: Tensor, text: Tensor | None, attention_mask: Tensor | None
    ) -> Tensor:
        if text is None:
            return layer(x)
        x = x + layer.dropout(layer.attention(layer.layernorm_before(x))[0])
        read = cross.self(
            cross.output.LayerNorm(x),
            encoder_hidden_states=text,
            attention_mask=None if attention_mask is None else attention_mask[:, None, None, :],
        )[0]
        x = x + cross.output.dropout(cross.output.dense(read))
        return x + layer.dropout(layer.mlp(layer.layernorm_after(x)))


class PlainTextTower(nn.Module):
    """T-Enc, T-CMEnc and T-Dec from BERT layers."""

    def __init__(self, tower: TextTransformer, config: CheckpointConfig) -> None:
        super().__init__()
        sizes = config.text_tower
        bert = _bert_config(sizes, vocab_size=config.vocab_size)
        self.embeddings = BertEmbeddings(bert)
        self.layers = nn.ModuleList(BertLayer(bert) for _ in range(sizes["depth"]))
        with torch.no_grad():
            self.embeddings.word_embeddings.weight.copy_(tower.word.weight)
            self.embeddings.position_embeddings.weight.copy_(tower.position.weight)
            self.embeddings.token_type_embeddings.weight.zero_()
            _copy(self.embeddings.LayerNorm, tower.norm)
        for layer, block in zip(self.layers, tower.stack.blocks, strict=True):
            _copy_bert(cast(BertLayer, layer), block)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        images: ImageFeatures | None = None,
        *,
        causal: bool = False,
    ) -> Tensor:
        """(R, T) → (R, T, D), alone or reading R images."""
        allowed = attention_mask[:, None, None, :]
        if causal:
            tokens = input_ids.shape[1]
            square = torch.ones(tokens, tokens, dtype=torch.bool, device=input_ids.device)
            allowed = allowed & square.tril()
        seen = None if images is None or images.mask is None else images.mask[:, None, None, :]
        x = self.embeddings(input_ids)
        for layer in self.layers:
            x = layer(
                x,
                allowed,
                encoder_hidden_states=None if images is None else images.sequence,
                encoder_attention_mask=seen,
            )
        return x


class PlainObjective(nn.Module):
    """All five tasks, each encoding what it reads; the losses of a `JointObjective`."""

    def __init__(self, objective: JointObjective) -> None:
        """Takes the weights of `objective`, which stays as it is.

        Raises:
            ConfigError: Its towers are no ViT (pre-norm) and BERT (post-norm) of one width.
        """
        super().__init__()
        own = copy.deepcopy(objective)
        model, config = own.model, own.model.config
        image, text = config.image_tower, config.text_tower
        fits = (image["norm_position"], text["norm_position"]) == ("pre", "post")
        if not fits or image["width"] != text["width"] or not config.share_parameters:
            raise ConfigError(
                "the plain implementation needs a pre-norm image tower and a post-norm text tower "
                "of one width, shared by all modes"
            )
        self.config, self.contrastive = own.config, own.contrastive
        self.queue = own.momentum.queue
        self.coefficient = own.momentum.coefficient
        self.encoders = PlainEncoders(model, config)
        self.slow = PlainEncoders(own.momentum, config)
        self.slow.requires_grad_(False)
        self.word_prediction = model.word_prediction
        self.pixel_prediction = model.pixel_prediction
        self.match_prediction = model.match_prediction
        self.start, self.match = config.start_token_id, config.match_token_id

    def forward(self, batch: Batch) -> JointLoss:
        """The weighted sum of Eq. 9, one task after another."""
        shared = self._contrast(batch)
        losses = {
            "mim": self._masked_image(batch),
            "mlm": self._masked_language(batch),
            "irc": self.contrastive(batch, shared, self.queue).mean,
            "irm": self._matching(batch, shared),
            "rg": self._generation(batch),
        }
        weighted = [getattr(self.config, name).weight * loss for name, loss in losses.items()]
        if self.training:
            assert shared.momentum_image_embeds is not None
            assert shared.momentum_text_embeds is not None
            self.queue.push(
                shared.momentum_image_embeds, shared.momentum_text_embeds, batch.report_ids
            )
        return JointLoss(torch.stack(weighted).sum(), losses)

    @torch.no_grad()
    def after_step(self) -> None:
        """Moves the momentum encoders, weight by weight."""
        self.contrastive.clamp_temperature()
        mine, theirs = self.slow.parameters(), self.encoders.parameters()
        for slow, fast in zip(mine, theirs, strict=True):
            slow.mul_(self.coefficient).add_(fast, alpha=1 - self.coefficient)

    def _contrast(self, batch: Batch) -> SharedFeatures:
        images = self.encoders.images(batch)
        text = self.encoders.text(batch.input_ids, batch.attention_mask)
        with torch.no_grad():
            slow_images = self.slow.images(batch)
            slow_text = self.slow.text(batch.input_ids, batch.attention_mask)
        return SharedFeatures(
            images,
            batch.report_ids,
            0,
            None,
            self.encoders.image_projection(images.pooled),
            self.encoders.text_projection(text[:, 0]),
            self.slow.image_projection(slow_images.pooled),
            self.slow.text_projection(slow_text[:, 0]),
        )

    def _masked_image(self, batch: Batch) -> Tensor:
        assert batch.image_mask is not None
        text = self.encoders.text(batch.input_ids, batch.attention_mask)
        views = batch.view_ids.shape[1]
        pixels = batch.pixel_values.flatten(0, 1)
        features = self.encoders.image(
            pixels,
            batch.image_mask.flatten(0, 1),
            text.repeat_interleave(views, 0),
            batch.attention_mask.repeat_interleave(views, 0),
        )
        true = patches_to_pixels(pixels, self.encoders.image.tower.patch_size)
        difference = (self.pixel_prediction(features[:, 1:]).float() - true).abs()
        hidden = batch.image_mask.flatten(0, 1)[..., None]
        return (difference * hidden).sum() / (hidden.sum() * difference.shape[-1])

    def _masked_language(self, batch: Batch) -> Tensor:
        ids, mask = batch.masked_input_ids, batch.masked_attention_mask
        assert ids is not None and mask is not None
        assert batch.masked_positions is not None and batch.masked_targets is not None
        targets = torch.full_like(ids, -100).flatten()
        targets[batch.masked_positions] = batch.masked_targets
        features = self.encoders.text(ids, mask, self.encoders.images(batch))
        return self._words(features, targets)

    def _matching(self, batch: Batch, shared: SharedFeatures) -> Tensor:
        images = self.encoders.images(batch)
        ids, mask = with_first_token(batch.input_ids, self.match), batch.attention_mask
        drawn = draw_negatives(batch, shared, self.contrastive.temperature.detach())
        pairs = [
            self.encoders.text(ids, mask, images),
            self.encoders.text(ids[drawn.reports], mask[drawn.reports], images),
            self.encoders.text(ids, mask, _chosen(images, drawn.images)),
        ]
        logits = self.match_prediction(torch.cat([pair[:, 0] for pair in pairs]))
        target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        target[: len(ids)] = 1
        counted = torch.cat([torch.ones_like(drawn.exist), drawn.exist, drawn.exist]).float()
        each = cross_entropy(logits.float(), target, reduction="none")
        return (each * counted).sum() / counted.sum()

    def _generation(self, batch: Batch) -> Tensor:
        ids = with_first_token(batch.input_ids, self.start)
        targets = torch.full_like(ids, -100).flatten()
        targets[batch.next_positions] = batch.next_targets
        images = self.encoders.images(batch)
        features = self.encoders.text(ids, batch.attention_mask, images, causal=True)
        return self._words(features, targets, self.config.rg.label_smoothing)

    def _words(self, features: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        words = self.encoders.text.embeddings.word_embeddings.weight
        logits = self.word_prediction(features, words).flatten(0, 1)
        return cross_entropy(logits.float(), targets, label_smoothing=smoothing)


class PlainEncoders(nn.Module):
    """Both towers with what belongs to them."""

    def __init__(
        self,
        source: KIAModel | MomentumEncoders,
        config: CheckpointConfig,
    ) -> None:
        super().__init__()
        self.image = PlainImageTower(source.image_tower, config)
        self.text = PlainTextTower(source.text_tower, config)
        self.view_embedding = source.view_embedding
        self.image_projection = source.image_projection
        self.text_projection = source.text_projection

    def images(self, batch: Batch) -> ImageFeatures:
        """I-Enc on every view of a batch."""
        return KIAModel.encode_images(
            cast(Any, self), batch.pixel_values, batch.view_ids, batch.view_mask
        )

    @property
    def image_encoder(self) -> nn.Module:
        """I-Enc, under the name that `encode_images` reads."""
        return self.image


def _chosen(images: ImageFeatures, studies: Tensor) -> ImageFeatures:
    mask = None if images.mask is None else images.mask[studies]
    return ImageFeatures(images.sequence[studies], mask, images.pooled[studies])


def _vit_config(sizes: dict[str, Any]) -> ViTConfig:
    config = ViTConfig(**_layer_sizes(sizes))
    config._attn_implementation = "sdpa"
    return config


def _bert_config(sizes: dict[str, Any], **more: Any) -> BertConfig:
    config = BertConfig(
        **_layer_sizes(sizes),
        max_position_embeddings=sizes.get("max_positions", 1),
        is_decoder=True,
        add_cross_attention=True,
        **more,
    )
    config._attn_implementation = "sdpa"
    return config


def _layer_sizes(sizes: dict[str, Any]) -> dict[str, Any]:
    """A tower's sizes in transformers' words."""
    return {
        "hidden_size": sizes["width"],
        "num_attention_heads": sizes["heads"],
        "intermediate_size": sizes["ffn_width"],
        "layer_norm_eps": sizes["layer_norm_eps"],
        "hidden_dropout_prob": sizes["dropout"],
        "attention_probs_dropout_prob": 0.0,
    }


@torch.no_grad()
def _copy(target: Any, source: Any, rows: slice = slice(None)) -> None:
    target.weight.copy_(source.weight[rows])
    target.bias.copy_(source.bias[rows])


def _copy_parts(targets: list[Any], source: Any) -> None:
    """Cuts a fused projection into those of query, key and value."""
    width = source.weight.shape[0] // len(targets)
    for place, target in enumerate(targets):
        _copy(target, source, slice(place * width, (place + 1) * width))


def _copy_vit(layer: ViTLayer, block: Any) -> None:
    attention = layer.attention
    parts = [attention.q_proj, attention.k_proj, attention.v_proj]
    _copy_parts(parts, block.self_attention.query_key_value)
    _copy(attention.o_proj, block.self_attention.output)
    _copy(layer.layernorm_before, block.self_norm)
    _copy(layer.layernorm_after, block.feed_forward_norm)
    _copy(layer.mlp.fc1, block.feed_forward.expand)
    _copy(layer.mlp.fc2, block.feed_forward.contract)


def _copy_cross(attention: Any, block: Any) -> None:
    _copy(attention.self.query, block.cross_attention.query)
    _copy_parts([attention.self.key, attention.self.value], block.cross_attention.key_value)
    _copy(attention.output.dense, block.cross_attention.output)
    _copy(attention.output.LayerNorm, block.cross_norm)


def _copy_bert(layer: Any, block: Any) -> None:
    attention = layer.attention.self
    parts = [attention.query, attention.key, attention.value]
    _copy_parts(parts, block.self_attention.query_key_value)
    _copy(layer.attention.output.dense, block.self_attention.output)
    _copy(layer.attention.output.LayerNorm, block.self_norm)
    _copy_cross(layer.crossattention, block)
    _copy(layer.intermediate.dense, block.feed_forward.expand)
    _copy(layer.output.dense, block.feed_forward.contract)
    _copy(layer.output.LayerNorm, block.feed_forward_norm)
