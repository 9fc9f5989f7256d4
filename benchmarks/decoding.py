"""What the caches of decoding are worth: the same reports with and without them.

    python benchmarks/decoding.py [--preset small] [--studies 16] [--beams 3] [--tokens 60]

Self-attention keys and values are cached by transformers' GenerationMixin; those of the image are
computed once per study whatever the flags. A random model is forced to write all tokens.
"""

import argparse
import time

import torch

from kia.config import load_config
from kia.models import KIAForReportGeneration
from kia.models.sizes import preset_configuration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--studies", type=int, default=16)
    parser.add_argument("--beams", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=60)
    given = parser.parse_args()
    torch.manual_seed(0)
    config = preset_configuration(load_config(given.preset))
    model = KIAForReportGeneration(config).eval()
    channels = (config.image_tower or {})["channels"]
    images = torch.randn(given.studies, 2, channels, config.image_size, config.image_size)
    views = torch.tensor([[0, 1]]).expand(given.studies, 2)
    seconds, written = {}, {}
    for cached in (True, False):
        since = time.perf_counter()
        written[cached] = model.generate(
            images,
            views,
            num_beams=given.beams,
            min_new_tokens=given.tokens,
            max_new_tokens=given.tokens,
            do_sample=False,
            use_cache=cached,
        )
        seconds[cached] = time.perf_counter() - since
    assert torch.equal(written[True], written[False]), "the cache changed a report"
    print(
        f"{given.preset}, {given.studies} studies, beam {given.beams}, {given.tokens} tokens: "
        f"{seconds[True]:.1f} s with the cache, {seconds[False]:.1f} s without, "
        f"ratio {seconds[False] / seconds[True]:.1f}, equal tokens"
    )


if __name__ == "__main__":
    main()
