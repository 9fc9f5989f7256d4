"""The model's part of a configuration, and the base of all parts.

Every number has an upper bound, so that a stranger's file cannot ask for more than machines have.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_WIDTH = 8192
MOST_DEPTH = 64
"""Blocks of a tower; ViT-22B has 48."""
MOST_PIECES = 1 << 17
"""Word pieces of a vocabulary; that of BERT in 104 languages has 119,547."""
MOST_POSITIONS = 8192
STEM_FILE = ".safetensors"
"""How the name of a file of a stem's weights ends."""
MOST_SIDE = 4096
"""Pixels of an image."""


class Part(BaseModel):
    """Base of all parts: unknown keys are refused, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageEncoderConfig(Part):
    """The image tower, a ViT (Paper: Sec. 3.1, Image Encoder)."""

    width: int = Field(768, gt=0, le=MOST_WIDTH, description="features of a patch, D")
    depth: int = Field(12, gt=0, le=MOST_DEPTH, description="transformer blocks")
    heads: int = Field(12, gt=0, le=MOST_WIDTH, description="attention heads; must divide width")
    ffn_width: int = Field(
        3072, gt=0, le=8 * MOST_WIDTH, description="hidden features of the feed-forward network"
    )
    patch_size: int = Field(16, gt=0, le=1024, description="side of a patch, pixels")
    channels: Literal[1, 3] = Field(1, description="1 grey; 3 repeats grey (pretrained ViTs)")
    stem: Literal["patch", "conv", "efficientnet-lite0"] = Field(
        "patch",
        description="patch: one strided projection (ViT); conv: five 3x3 layers; "
        "efficientnet-lite0: that network",
    )
    standardise: bool = Field(
        False, description="take out of the features what all patches have in common (batch norm)"
    )
    norm_position: Literal["pre", "post"] = Field(
        "pre", description="layer norm before (ViT) or after (Eq. 1, BERT) each sublayer"
    )
    layer_norm_eps: float = Field(1e-12, gt=0, le=1, description="epsilon of the layer norms")
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="dropout on what a sublayer adds; and of the stem efficientnet-lite0 on whole "
        "features of an image",
    )
    pretrained: str | None = Field(
        None,
        description="ViT checkpoint: a hub name or a folder; of the stem efficientnet-lite0 its "
        "own name: the weights trained on ImageNet, or a .safetensors file of its weights",
    )


class TextEncoderConfig(Part):
    """The text tower, a BERT (Paper: Sec. 3.1, Text Encoder)."""

    width: int = Field(768, gt=0, le=MOST_WIDTH, description="features of a token, D")
    depth: int = Field(12, gt=0, le=MOST_DEPTH, description="transformer blocks")
    heads: int = Field(12, gt=0, le=MOST_WIDTH, description="attention heads; must divide width")
    ffn_width: int = Field(
        3072, gt=0, le=8 * MOST_WIDTH, description="hidden features of the feed-forward network"
    )
    max_positions: int = Field(512, gt=1, le=MOST_POSITIONS, description="longest text, tokens")
    vocab_size: int = Field(
        30522,
        gt=0,
        le=MOST_PIECES,
        description="word pieces at most; a trained vocabulary may be smaller",
    )
    norm_position: Literal["pre", "post"] = Field(
        "post", description="layer norm before (ViT) or after (Eq. 1, BERT) each sublayer"
    )
    layer_norm_eps: float = Field(1e-12, gt=0, le=1, description="epsilon of the layer norms")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout on what a sublayer adds")
    pretrained: str | None = Field(
        None, description="BERT checkpoint with its tokenizer: a hub name or a folder"
    )


class ModelConfig(Part):
    """The five components (Paper: Sec. 3.1)."""

    image_size: int = Field(
        224, gt=0, le=MOST_SIDE, description="side of the square input image, pixels"
    )
    image_encoder: ImageEncoderConfig = Field(
        default_factory=ImageEncoderConfig, description="the image tower"
    )
    text_encoder: TextEncoderConfig = Field(
        default_factory=TextEncoderConfig, description="the text tower"
    )
    share_parameters: bool = Field(
        True, description="one image and one text tower in all modes, or five towers (Table 4)"
    )
    projection_width: int = Field(
        256, gt=0, le=MOST_WIDTH, description="width P of the contrastive embeddings"
    )
    standardise_projections: bool = Field(
        False, description="take the mean of all studies out of global features before IRC compares"
    )
    initializer_range: float = Field(
        0.02, gt=0, le=10, description="standard deviation of new weights"
    )

    @model_validator(mode="after")
    def _fits(self) -> "ModelConfig":
        for tower in (self.image_encoder, self.text_encoder):
            if tower.width % tower.heads:
                raise ValueError(f"width {tower.width} is not a multiple of heads {tower.heads}")
        if self.image_size % self.image_encoder.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is not a multiple of patch_size "
                f"{self.image_encoder.patch_size}"
            )
        stem = self.image_encoder.stem
        side = {"conv": 16, "efficientnet-lite0": 32}.get(stem, self.image_encoder.patch_size)
        if self.image_encoder.patch_size != side:
            raise ValueError(
                f"the {stem} stem makes patches of {side} pixels; set patch_size: {side}"
            )
        source = self.image_encoder.pretrained
        if stem == "efficientnet-lite0" and source not in (None, stem):
            if source and source.endswith(STEM_FILE):
                return self
            raise ValueError(
                f"the {stem} stem takes no ViT's weights; set image_encoder.pretrained: {stem}, "
                f"a {STEM_FILE} file of such a stem, or null to start from random weights"
            )
        return self
