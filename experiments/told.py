"""What a decoder writes that is told the observations before it begins.

    python experiments/told.py DATA MODEL [--epochs 20] [--out FILE]

The text tower and the word head of a trained model are trained anew, alone, to write [START],
fourteen words "present" or "absent" (the observations of the report, uncertain as present) and then
the report; the loss is that of the report. Each word is unknown, [MASK], with probability .15, and
all fourteen of a report with .1. The image features are the model's own, half of them dropped at
each step: they know the training images by heart, and the decoder would not listen. On validation,
greedy, it is told what a judge answers: the model's own [MASK], a linear layer on the frozen stem
(`linear_probe.py`), the mean of both; the true labels; those of another study; and nothing (all
unknown). A judge says present where its probability is above twice the training share or .5. Seed
0, the last epoch.

Scores by protocol r2gen; macro F1 over 13 observations, uncertain as absent; findings a report are
those of the 13 that the labeler reads as present.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from linear_probe import features, linear_answers, macro_13, states
from torch import Tensor
from torch.nn.functional import cross_entropy, dropout

from kia.agreement import masked_label_report
from kia.data.store.dataset import PreparedDataset
from kia.evaluation.language.scores import LanguageScorer
from kia.explain.findings import dataset_findings
from kia.generation import dataset_inputs, image_features, load_model, report_rows
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.labels.rules import label_reports
from kia.models.decoding import Search
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.processing import KIAProcessor

METRICS = ("bleu_1", "bleu_4", "rouge_l", "cider")
BATCH, RATE, DROPOUT, LONGEST = 32, 1e-3, 0.5, 100
UNKNOWN, UNTOLD, TIMES = 0.15, 0.1, 2.0


@torch.no_grad()
def encoded(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: np.ndarray,
) -> ImageFeatures:
    """Features of these studies' images."""
    return image_features(model, dataset_inputs(dataset, processor, studies))


def told_rows(model: KIAModel, states: Tensor, words: Tensor, ids: Tensor) -> Tensor:
    """(B, 1 + 14 + T − 1): [START], the states as words, and the report without its first token.

    Args:
        model: For [START].
        states: (B, 14), 0 present, 1 absent, 2 unknown.
        words: (3,) ids of the three words.
        ids: (B, T), any first token.
    """
    start = torch.full((len(ids), 1), model.config.start_token_id)
    return torch.cat([start, words[states], ids[:, 1:]], 1)


def train(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    words: Tensor,
    epochs: int,
) -> None:
    """Trains the text tower in place."""
    torch.manual_seed(0)
    model.requires_grad_(False)
    tower = model.text_decoder.requires_grad_(True)
    fresh = KIAModel(model.config)
    tower.load_state_dict(fresh.text_decoder.state_dict())
    model.word_prediction.requires_grad_(True).load_state_dict(fresh.word_prediction.state_dict())
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.05)
    studies = dataset.indices("train")
    steps = epochs * -(-len(studies) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    present = states(dataset, "train").bool()
    reports = dataset.reports("train")
    memo = {
        int(study): encoded(model, processor, dataset, studies[place : place + 1]).sequence[0]
        for place, study in enumerate(studies)
    }
    for epoch in range(epochs):
        model.train()
        losses = []
        for chosen in torch.randperm(len(studies)).split(BATCH):
            rows = [memo[int(studies[place])] for place in chosen.tolist()]
            sequence = dropout(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), DROPOUT)
            exists = torch.nn.utils.rnn.pad_sequence(
                [torch.ones(len(row), dtype=torch.bool) for row in rows], batch_first=True
            )
            ids, real = report_rows(
                model, processor, [reports[place] for place in chosen.tolist()], longest=LONGEST
            )
            state = torch.where(present[chosen], 0, 1)
            state[torch.rand(state.shape) < UNKNOWN] = 2
            state[torch.rand(len(state)) < UNTOLD] = 2
            whole = told_rows(model, state, words, ids)
            with torch.autocast("cpu", torch.bfloat16):
                context = tower.stack.context(sequence, exists)
                ahead = tower(whole, causal=True, context=context)[:, len(OBSERVATIONS) : -1]
                logits = model.word_logits(ahead[real[:, 1:]], tower)
            loss = cross_entropy(logits.float(), ids[:, 1:][real[:, 1:]])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        print(f"epoch {epoch + 1}: loss {torch.stack(losses).mean():.3f}", flush=True)
    model.eval()


@torch.no_grad()
def greedy(
    model: KIAModel, processor: KIAProcessor, images: ImageFeatures, begun: Tensor
) -> list[str]:
    """Reports that begin with (B, P) tokens, which are left out of them."""
    context = model.text_decoder.stack.context(images.sequence, images.mask)
    config = model.config
    search = Search(config.pad_token_id, config.eos_token_id, LONGEST)
    written = search.write(lambda ids, cache: model(ids, context, cache).logits[:, -1], begun)
    return processor.decode(written[:, begun.shape[1] :])


def reports_told(
    model: KIAModel,
    processor: KIAProcessor,
    batches: Sequence[ImageFeatures],
    words: Tensor,
    told: Tensor,
) -> list[str]:
    """A report for each study of batches of `BATCH`, with the (n, 14) states that it is told."""
    written: list[str] = []
    for images, own in zip(batches, told.split(BATCH), strict=True):
        begun = told_rows(model, own, words, torch.zeros(len(own), 1, dtype=torch.long))
        written += greedy(model, processor, images, begun)
    return written


def main() -> None:
    """Prints a row for each judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("model")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, help="write the reports, by judge")
    given = parser.parse_args()
    dataset = PreparedDataset.open(given.data)
    model, processor = load_model(given.model)
    shares = torch.tensor(model.config.label_shares)
    masker, _, _ = masked_label_report(model, processor)
    words = torch.tensor([*masker.states, processor.token_id("[MASK]")])
    known, rows = features(dataset, "train"), features(dataset, "val")
    linear = linear_answers(known, states(dataset, "train"), rows)
    own = torch.from_numpy(dataset_findings(model, processor, dataset, dataset.indices("val")))
    answers = {"[MASK]": own, "linear": linear, "both": (own + linear) / 2}
    bar = (TIMES * shares).clamp_max(0.5)
    told = {name: torch.where(chance > bar, 0, 1) for name, chance in answers.items()}
    told["labels"] = torch.where(states(dataset, "val").bool(), 0, 1)
    told["labels of another study"] = told["labels"].roll(1, 0)
    told["nothing"] = torch.full_like(told["labels"], 2)
    train(model, processor, dataset, words, given.epochs)
    val = dataset.indices("val")
    images = [
        encoded(model, processor, dataset, val[place : place + BATCH])
        for place in range(0, len(val), BATCH)
    ]
    reports = {
        name: reports_told(model, processor, images, words, state) for name, state in told.items()
    }
    if given.out:
        given.out.write_text(json.dumps(reports), encoding="utf-8")
    train_reports: Sequence[str] = dataset.reports("train")
    with LanguageScorer(dataset.reports("val"), train_reports, metrics=METRICS) as scorer:
        for name, texts in reports.items():
            language = scorer.score(texts, "r2gen").values
            read = label_reports(texts)
            findings = [sum(one[o] == 1 for o in OBSERVATIONS if o != "No Finding") for one in read]
            row = ", ".join(f"{metric} {language[metric]:.3f}" for metric in METRICS)
            print(
                f"told {name}: {len({*texts})} different, {row}, "
                f"macro-13 F1 {macro_13(read, dataset):.3f}, "
                f"{np.mean(findings):.2f} findings a report"
            )


if __name__ == "__main__":
    main()
