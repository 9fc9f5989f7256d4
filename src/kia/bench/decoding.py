"""`kia bench generate`: what the caches of decoding are worth, and how it compares with BLIP.

All three write as many tokens by force. "Without caches" is the same model as this field decodes:
at each word the whole report so far is read again, and keys and values of the image are computed
again for every beam.
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, cast

import torch
from torch import Tensor
from transformers import BlipConfig, BlipForConditionalGeneration

from kia.bench.rounds import ratios, time_in_turn
from kia.config import RunConfig
from kia.errors import ConfigError
from kia.models.configuration import CheckpointConfig
from kia.models.decoding import Search
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures, ReportOutput
from kia.models.sizes import preset_configuration


class Uncached(KIAModel):
    """A kia model that keeps nothing between two words."""

    def forward(  # type: ignore[override]
        self, input_ids: Tensor, image_context: ImageFeatures, cache: None = None
    ) -> ReportOutput:
        """Scores of the next word; every beam has its own copy of the image's features."""
        beams = input_ids.shape[0] // image_context.sequence.shape[0]
        features = image_context.sequence.repeat_interleave(beams, 0)
        context = self.text_decoder.stack.context(features)
        return super().forward(input_ids, context)

    def _begun(self, images: ImageFeatures, rows: int) -> tuple[Any, Tensor]:
        """The features themselves, and [START]."""
        shape = (len(images.sequence) * rows, 1)
        return images, torch.full(shape, self.config.start_token_id, device=self.device)

    def _search(self, options: dict[str, Any]) -> Search:
        """Without the cache of words."""
        return super()._search(options | {"use_cache": False})


def bench_generate(
    config: RunConfig,
    *,
    studies: int,
    beams: int,
    tokens: int,
    rounds: int,
    blip: bool = True,
    on_round: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Times decoding with caches, without, and BLIP's, in turn, with random weights.

    Args:
        config: Of the model.
        studies: Decoded together, one view each (BLIP reads one image).
        beams: Beam width.
        tokens: That every report is made to have.
        rounds: Times of each; the median counts. One more comes first and does not count.
        blip: Whether BLIP is timed too.
        on_round: Told the number of rounds done.

    Returns:
        "cached", "uncached" and "blip" in seconds, and the ratios of the last two to the first.

    Raises:
        ConfigError: The model cannot hold so many tokens, or the caches changed a report.
    """
    settings = preset_configuration(config)
    if tokens > settings.max_tokens - 1:
        raise ConfigError(f"--tokens {tokens}: the model holds {settings.max_tokens - 1}")
    torch.manual_seed(config.train.seed)
    options = {
        "num_beams": beams,
        "min_new_tokens": tokens,
        "max_new_tokens": tokens,
    }
    written: dict[str, Tensor] = {}
    runs = _runs(settings, studies, options, written)
    if blip:
        runs["blip"] = _blip_run(settings, studies, options)
    seconds = time_in_turn(runs, rounds, torch.device("cpu"), on_round)
    if not torch.equal(written["cached"], written["uncached"]):
        raise ConfigError("the caches changed a report: this is a defect of kia, please report it")
    found: dict[str, Any] = {name: median(each) for name, each in seconds.items()}
    cached = seconds.pop("cached")
    for name, each in seconds.items():
        found[f"{name}_ratio"] = median(ratios(cached, each))
    return found | {
        "studies": studies,
        "beams": beams,
        "tokens": tokens,
        "tokens_per_second": studies * tokens / found["cached"],
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _runs(
    settings: CheckpointConfig, studies: int, options: dict[str, Any], written: dict[str, Tensor]
) -> dict[str, Callable[[], None]]:
    """Decoding with and without caches, by one model; the tokens go to `written`."""
    model = KIAModel(settings).eval()
    uncached = Uncached(settings).eval()
    uncached.load_state_dict(model.state_dict())
    shape = (studies, 1, settings.image_tower["channels"], *[settings.image_size] * 2)
    pixels, views = torch.randn(shape), torch.zeros(studies, 1, dtype=torch.long)

    def run(name: str, decoder: KIAModel) -> None:
        written[name] = decoder.generate(pixels, views, **options)

    return {
        "cached": partial(run, "cached", model),
        "uncached": partial(run, "uncached", uncached),
    }


def _blip_run(
    settings: CheckpointConfig, studies: int, options: dict[str, Any]
) -> Callable[[], Any]:
    """Decoding by BLIP of the same sizes."""
    pixels = torch.randn(studies, 3, settings.image_size, settings.image_size)
    return partial(blip_like(settings).generate, pixel_values=pixels, **options)


def blip_like(settings: CheckpointConfig) -> BlipForConditionalGeneration:
    """BLIP of the same sizes with random weights; its start token is its own."""
    image, text = settings.image_tower, settings.text_tower
    config = BlipConfig(
        vision_config={
            "hidden_size": image["width"],
            "intermediate_size": image["ffn_width"],
            "num_hidden_layers": image["depth"],
            "num_attention_heads": image["heads"],
            "image_size": settings.image_size,
            "patch_size": image["patch_size"],
        },
        text_config={
            "vocab_size": settings.vocab_size,
            "hidden_size": text["width"],
            "encoder_hidden_size": image["width"],
            "intermediate_size": text["ffn_width"],
            "num_hidden_layers": text["depth"],
            "num_attention_heads": text["heads"],
            "max_position_embeddings": text["max_positions"],
            "bos_token_id": 3,
            "pad_token_id": 0,
            "eos_token_id": 2,
            "sep_token_id": 2,
        },
        projection_dim=settings.projection_width,
    )
    return cast(BlipForConditionalGeneration, BlipForConditionalGeneration(config).eval())
