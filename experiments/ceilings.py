"""The ceiling of every protocol on IU X-Ray: references as word pieces give them back.

    python experiments/ceilings.py IU_XRAY [--split test] [--tokenizer MODEL]

IU_XRAY is the folder with R2Gen's annotation.json. Without a model, a vocabulary of 2,000 pieces is
trained on the training reports, as a new run does. No model writes anything here: what is measured
is the tokenizer alone.
"""

import argparse
import json
from pathlib import Path

from kia.ceilings import ceilings
from kia.evaluation.language.scores import METRICS
from kia.processing import KIAProcessor, train_tokenizer


def main() -> None:
    """Prints a table: protocol by metric, as a share of what the lower-cased references reach."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--tokenizer", help="a model folder or an installed model")
    options = parser.parse_args()
    splits = json.loads((options.folder / "annotation.json").read_text(encoding="utf-8"))
    train, reports = ([study["report"] for study in splits[s]] for s in ("train", options.split))
    if options.tokenizer:
        processor = KIAProcessor.from_pretrained(options.tokenizer)
    else:
        processor = KIAProcessor(train_tokenizer(train, 2000), image_size=32)
    found = ceilings(processor, reports, train)
    for protocol, most in found["lower_case"].items():
        for metric in METRICS:
            here, best = found["tokenizer"][protocol][metric], most[metric]
            share = here / best if here is not None and best else float("nan")
            print(f"{protocol:12} {metric:8} {here:.4f} of {best:.4f}: {share:.4f}")


if __name__ == "__main__":
    main()
