"""KIAModel: the five components, their heads, and generation.

Paper: Sec. 3.1, Fig. 2. Shape letters: B studies, W views, N patches of a view, T tokens, K
beams, D width, V vocabulary.
"""

import contextlib
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import init

from kia.installed import installed_folder
from kia.models.configuration import CheckpointConfig
from kia.models.decoding import Search, WordCache
from kia.models.folder import load_folder, save_folder
from kia.models.heads import (
    ContrastiveProjection,
    MatchPrediction,
    PixelPrediction,
    WordPrediction,
)
from kia.models.image_encoder import ImageEncoder
from kia.models.outputs import ImageFeatures, ReportOutput
from kia.models.text_transformer import TextTransformer
from kia.models.transformer_block import Context


class KIAModel(nn.Module):
    """Image and text towers with cross-attention on demand (Paper: Sec. 3.1).

    With `share_parameters` one image tower and one text tower serve all modes; without it the
    five components are five towers (Paper: Table 4). The properties below name them all.

    `kia.hugging_face` has the same model as one of transformers, whose import takes longer than
    a report (docs/decisions/0020).
    """

    def __init__(self, config: CheckpointConfig) -> None:
        """Builds the towers and the heads of `config.tasks`, with random weights."""
        nn.Module.__init__(self)
        self.config = config
        self._build(config)
        with torch.no_grad():
            self.apply(self._init_weights)

    def _build(self, config: CheckpointConfig) -> None:
        shared, tasks = config.share_parameters, set(config.tasks or ())
        image, text = config.image_tower, config.text_tower
        self.image_tower = ImageEncoder(config, with_context=shared)
        self.text_tower = TextTransformer(config, with_context=shared)
        if not shared:
            self.image_cross_tower = ImageEncoder(config, with_context=True)
            self.text_cross_tower = TextTransformer(config, with_context=True)
            self.text_decoder_tower = TextTransformer(config, with_context=True)
        self.view_embedding = nn.Embedding(2, image["width"])
        self.word_prediction = WordPrediction(
            text["width"], config.vocab_size, text["layer_norm_eps"]
        )
        if "mim" in tasks:
            pixels = image["channels"] * image["patch_size"] ** 2
            self.pixel_prediction = PixelPrediction(image["width"], pixels)
        if "irm" in tasks:
            self.match_prediction = MatchPrediction(text["width"])
        if "irc" in tasks:
            width, standardise = config.projection_width, config.standardise_projections
            self.image_projection = ContrastiveProjection(
                image["width"], width, standardise=standardise
            )
            self.text_projection = ContrastiveProjection(
                text["width"], width, standardise=standardise
            )

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """Loads a model folder, in evaluation mode; see `kia.models.folder.load_folder`.

        Args:
            folder: Of the model, or the name of an installed one.

        Raises:
            ModelError: It has no usable model.
        """
        return load_folder(cls, Path(installed_folder(folder)))

    def save_pretrained(self, folder: Path | str) -> None:
        """Writes config.json, generation_config.json and model.safetensors, as transformers does.

        Args:
            folder: Made if need be.
        """
        save_folder(self, self.config, Path(folder))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.view_embedding.weight.device

    @property
    def image_encoder(self) -> ImageEncoder:
        """I-Enc."""
        return self.image_tower

    @property
    def image_cross_encoder(self) -> ImageEncoder:
        """I-CMEnc."""
        return self.image_tower if self.config.share_parameters else self.image_cross_tower

    @property
    def text_encoder(self) -> TextTransformer:
        """T-Enc."""
        return self.text_tower

    @property
    def text_cross_encoder(self) -> TextTransformer:
        """T-CMEnc."""
        return self.text_tower if self.config.share_parameters else self.text_cross_tower

    @property
    def text_decoder(self) -> TextTransformer:
        """T-Dec."""
        return self.text_tower if self.config.share_parameters else self.text_decoder_tower

    def trained_on(self, task: str) -> bool:
        """Whether the model carries what a task ("mim", "mlm", "irc", "irm", "rg") trains."""
        return task in (self.config.tasks or ())

    def _init_weights(self, module: nn.Module) -> None:
        """Normal weights of deviation `initializer_range`, biases 0, norms 1, as BERT begins."""
        deviation = self.config.initializer_range
        if isinstance(module, nn.Linear | nn.Conv2d):
            init.normal_(module.weight, std=deviation)
            if module.bias is not None:
                init.zeros_(module.bias)
            if isinstance(module, nn.Conv2d):
                # 0.02 would fade out over the four layers of the convolutional stem; drawn for a
                # second time, so that a seed goes on to mean the same weights
                init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=deviation)
            if module.padding_idx is not None:
                init.zeros_(module.weight[module.padding_idx])
        elif isinstance(module, nn.LayerNorm | nn.BatchNorm1d | nn.BatchNorm2d):
            if module.weight is not None:
                init.ones_(module.weight)
                init.zeros_(module.bias)
            for name, statistic in module.named_buffers(recurse=False):
                init.constant_(statistic, float(name == "running_var"))
        elif isinstance(module, ImageEncoder):
            for parameter in (module.class_token, module.mask_token, module.position):
                init.normal_(parameter, std=deviation)
        elif isinstance(module, WordPrediction):
            init.zeros_(module.bias)

    def encode_images(
        self, pixel_values: Tensor, view_ids: Tensor, view_mask: Tensor | None = None
    ) -> ImageFeatures:
        """I-Enc on every view; views are concatenated along the sequence.

        Args:
            pixel_values: (B, W, C, S, S), normalised.
            view_ids: (B, W), 0 frontal, 1 lateral.
            view_mask: (B, W), False where a study has no such view, which is not computed; None
                if all exist.
        """
        images = pixel_values.flatten(0, 1)
        if view_mask is None:
            encoded = self.image_encoder(images).unflatten(0, view_ids.shape)
        else:
            encoded = self._existing(images, view_mask)
        encoded = encoded + self.view_embedding(view_ids)[:, :, None]
        first = encoded[:, :, 0]
        if view_mask is None:
            return ImageFeatures(encoded.flatten(1, 2), None, first.mean(1))
        weight = view_mask.to(first.dtype)[..., None]
        pooled = (first * weight).sum(1) / weight.sum(1)
        mask = view_mask.repeat_interleave(encoded.shape[2], dim=1)
        return ImageFeatures(encoded.flatten(1, 2), mask, pooled)

    def _existing(self, images: Tensor, view_mask: Tensor) -> Tensor:
        """(B·W, C, S, S) → (B, W, 1 + N, D), 0 where a view is absent.

        A blank image in the batch would change the statistics that batch norms normalise by.
        """
        rows = view_mask.flatten().nonzero()[:, 0]
        whole = self.image_encoder(images.index_select(0, rows))
        blank = whole.new_zeros(view_mask.numel(), *whole.shape[1:])
        return blank.index_copy(0, rows, whole).unflatten(0, view_mask.shape)

    def word_logits(self, features: Tensor, tower: TextTransformer) -> Tensor:
        """Word scores of features (…, D) of a text tower → (…, V)."""
        return self.word_prediction(features, tower.word.weight)

    def forward(
        self,
        input_ids: Tensor,
        image_context: Context,
        cache: WordCache | None = None,
    ) -> ReportOutput:
        """T-Dec: scores of the next word after each token.

        Args:
            input_ids: (B·K, T), [START] first; with a cache, only the new tokens.
            image_context: From `text_decoder.stack.context`, B contexts.
            cache: Of the tokens so far, extended in place.
        """
        features = self.text_decoder(input_ids, causal=True, context=image_context, cache=cache)
        return ReportOutput(self.word_logits(features, self.text_decoder))

    @torch.no_grad()
    def generate(
        self,
        pixel_values: Tensor | None = None,
        view_ids: Tensor | None = None,
        view_mask: Tensor | None = None,
        *,
        image_features: ImageFeatures | None = None,
        rows: int = 1,
        **options: Any,
    ) -> Tensor:
        """Writes reports; the images are encoded once, their keys and values once a layer.

        Args:
            pixel_values: (B, W, C, S, S) from `KIAProcessor`.
            view_ids: (B, W), 0 frontal, 1 lateral.
            view_mask: (B, W), False where a view is absent.
            image_features: The studies, encoded (`encode_images`), instead of the three above.
            rows: Reports of each study that are begun, for processors that tell them apart.
            options: The fields of `kia.models.decoding.Search`; below them come the model's
                `generation_defaults`.

        Returns:
            (B · `rows` · `num_return_sequences`, T) token ids, [START] first.
        """
        with self._exact():
            if image_features is None:
                image_features = self._encoded(pixel_values, view_ids, view_mask)
            context, begun = self._begun(image_features, rows)
            return self._write(context, begun, options)

    def _write(self, context: Context, begun: Tensor, options: dict[str, Any]) -> Tensor:
        """What `generate` returns, from what T-Dec reads and the first tokens (B · rows, 1)."""
        return self._search(options).write(
            lambda words, cache: self(words, context, cache).logits[:, -1], begun
        )

    def _search(self, options: dict[str, Any]) -> Search:
        ends = {
            "pad_token_id": self.config.pad_token_id,
            "eos_token_id": self.config.eos_token_id,
            "max_new_tokens": self.config.max_tokens - 1,
        }
        return Search(**(ends | self.config.decoding_options | options))

    def _exact(self) -> contextlib.AbstractContextManager[Any]:
        """On CPU in float32, so that a study's report does not depend on its batch."""
        if self.device.type == "cpu":
            return torch.autocast("cpu", enabled=False)
        return contextlib.nullcontext()

    def _encoded(
        self, pixel_values: Tensor | None, view_ids: Tensor | None, view_mask: Tensor | None
    ) -> ImageFeatures:
        if pixel_values is None or view_ids is None:
            raise ValueError("generate needs pixel_values and view_ids, or image_features")
        exists = None if view_mask is None else view_mask.to(self.device)
        return self.encode_images(pixel_values.to(self.device), view_ids.to(self.device), exists)

    def _begun(self, images: ImageFeatures, rows: int) -> tuple[Context, Tensor]:
        """What T-Dec reads: the images' keys and values, and [START] in (B · rows, 1)."""
        sequence = images.sequence
        context = self.text_decoder.stack.context(sequence, images.mask)
        shape, start = (len(sequence) * rows, 1), self.config.start_token_id
        return context, torch.full(shape, start, device=sequence.device)
