"""KIAForReportGeneration: the five components, their heads, and generation.

Paper: Sec. 3.1, Fig. 2. Shape letters: B studies, W views, N patches of a view, T tokens, K
beams, D width, V vocabulary.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, GenerationMixin, PreTrainedModel
from transformers import initialization as init

from kia.errors import ModelError
from kia.models.configuration import KIAConfig
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


class KIAForReportGeneration(PreTrainedModel, GenerationMixin):
    """Image and text towers with cross-attention on demand (Paper: Sec. 3.1).

    With `share_parameters` one image tower and one text tower serve all modes; without it the
    five components are five towers (Paper: Table 4). The properties below name them all.
    """

    config_class = KIAConfig
    base_model_prefix = "kia"
    main_input_name = "pixel_values"
    _no_split_modules = ["TransformerBlock"]  # noqa: RUF012
    _supports_sdpa = True

    def __init__(self, config: KIAConfig) -> None:
        """Builds the towers and the heads of `config.tasks`, with random weights."""
        super().__init__(config)
        shared, tasks = config.share_parameters, set(config.tasks or ())
        image, text = config.image_tower or {}, config.text_tower or {}
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
        self.post_init()
        self.generation_config.pad_token_id = config.pad_token_id
        self.generation_config.eos_token_id = config.eos_token_id
        self.generation_config.bos_token_id = config.start_token_id

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, source: Any, *arguments: Any, **options: Any
    ) -> Any:
        """Loads a model folder, or a repository of the hub; in evaluation mode.

        Weights are read from safetensors alone, and no code that lies beside them is run.

        Args:
            source: Model folder or id on the hub.
            arguments: As those of transformers.
            options: As those of transformers.

        Returns:
            The model; as that of transformers with `output_loading_info`.

        Raises:
            ModelError: The folder has no model.safetensors.
            OSError: As transformers.
        """
        if isinstance(source, str | os.PathLike) and Path(source).is_dir():
            _check_weights(Path(source) / options.get("subfolder", ""))
        options |= {"use_safetensors": True, "trust_remote_code": False}
        return super().from_pretrained(source, *arguments, **options)

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
        super()._init_weights(module)
        if isinstance(module, ImageEncoder):
            for parameter in (module.class_token, module.mask_token, module.position):
                init.normal_(parameter, std=self.config.initializer_range)
        elif isinstance(module, WordPrediction):
            init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            # 0.02 would fade out over the four layers of the convolutional stem
            init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)

    def encode_images(
        self, pixel_values: Tensor, view_ids: Tensor, view_mask: Tensor | None = None
    ) -> ImageFeatures:
        """I-Enc on every view; views are concatenated along the sequence.

        Args:
            pixel_values: (B, W, C, S, S), normalised.
            view_ids: (B, W), 0 frontal, 1 lateral.
            view_mask: (B, W), False where a study has no such view; None if all exist.
        """
        encoded = self.image_encoder(pixel_values.flatten(0, 1)).unflatten(0, view_ids.shape)
        encoded = encoded + self.view_embedding(view_ids)[:, :, None]
        first = encoded[:, :, 0]
        if view_mask is None:
            return ImageFeatures(encoded.flatten(1, 2), None, first.mean(1))
        weight = view_mask.to(first.dtype)[..., None]
        pooled = (first * weight).sum(1) / weight.sum(1)
        mask = view_mask.repeat_interleave(encoded.shape[2], dim=1)
        return ImageFeatures(encoded.flatten(1, 2), mask, pooled)

    def word_logits(self, features: Tensor, tower: TextTransformer) -> Tensor:
        """Word scores of features (…, D) of a text tower → (…, V)."""
        return self.word_prediction(features, tower.word.weight)

    def forward(
        self,
        input_ids: Tensor,
        image_context: Context,
        cache: Any | None = None,
        past_key_values: Any | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> ReportOutput:
        """T-Dec: scores of the next word after each token.

        Args:
            input_ids: (B·K, T), [START] first; with a cache, only the new tokens.
            image_context: From `text_decoder.stack.context`, B contexts.
            cache: transformers' self-attention cache (5.24's name).
            past_key_values: The same under its older name.
            attention_mask: Ignored: generated rows have no padding before their end.
        """
        cache = past_key_values if cache is None else cache
        features = self.text_decoder(input_ids, causal=True, context=image_context, cache=cache)
        logits = self.word_logits(features, self.text_decoder)
        return ReportOutput(logits=logits)

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
    ) -> Any:
        """Writes reports; the images are encoded once, their keys and values once a layer.

        Args:
            pixel_values: (B, W, C, S, S) from `KIAProcessor`.
            view_ids: (B, W), 0 frontal, 1 lateral.
            view_mask: (B, W), False where a view is absent.
            image_features: The studies, encoded (`encode_images`), instead of the three above.
            rows: Reports of each study that are begun, for processors that tell them apart.
            options: transformers' generation options (`num_beams`, `max_new_tokens`, …); without a
                `generation_config`, those of the model's `generation_defaults` come below them.

        Returns:
            (B · rows, T) token ids, [START] first; what `generate` of transformers returns.
        """
        # on CPU in float32, so that a study's report does not depend on its batch
        exact = torch.autocast("cpu", enabled=False) if self.device.type == "cpu" else None
        with exact or contextlib.nullcontext():
            if image_features is None:
                if pixel_values is None or view_ids is None:
                    raise ValueError("generate needs pixel_values and view_ids, or image_features")
                exists = None if view_mask is None else view_mask.to(self.device)
                image_features = self.encode_images(
                    pixel_values.to(self.device), view_ids.to(self.device), exists
                )
            sequence = image_features.sequence
            context = self.text_decoder.stack.context(sequence, image_features.mask)
            start = torch.full(
                (len(sequence) * rows, 1), self.config.start_token_id, device=sequence.device
            )
            settings = self._decoding_options(options)
            return super().generate(input_ids=start, image_context=context, **settings)

    def _decoding_options(self, given: dict[str, Any]) -> dict[str, Any]:
        """What is given to `generate`, and below it the defaults of the model folder."""
        if given.get("generation_config") is not None:
            return given
        defaults = self.config.decoding_options
        if "max_length" in given:
            defaults.pop("max_new_tokens", None)
        return defaults | given


def _check_weights(folder: Path) -> None:
    """Refuses a folder without safetensors in one line, which says so where it has pickles."""
    if any(folder.glob("*.safetensors")):
        return
    kinds = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
    pickles = ", ".join(sorted(f.name for f in folder.iterdir() if f.suffix in kinds))
    reason = f"pickles are not read: {pickles}; " if pickles else ""
    raise ModelError(
        f"{folder} has no model.safetensors ({reason}save the model again with save_pretrained)"
    )


AutoModel.register(KIAConfig, KIAForReportGeneration, exist_ok=True)
