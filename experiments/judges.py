"""What choosing among a model's candidates can reach, by whoever judges them.

    python experiments/judges.py DATA MODEL [--candidates 8 16 32] [--draws 5]

On validation. In each draw (seed 0, 1, …) as many reports are written as the largest number says,
the greedy one first, and of the first 8, 16, … one is chosen:

- `[MASK]`, `linear`, `labels`: by the formula of `--rerank labels` with the answers of the model,
  of a linear layer on the frozen stem (`linear_probe.py`, another seed each draw), and of the true
  labels: about the most that a judge of these observations can reach;
- `consensus`: the one most like the others by ROUGE-L, each different report counted once;
- `reference`: the one most like the true report by ROUGE-L: the most that can be reached in it.

Scores by protocol r2gen; macro F1 over 13 observations, uncertain as absent. Mean and standard
deviation over draws.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from linear_probe import features, linear_answers, macro_13, states
from numpy.typing import NDArray
from torch import Tensor

from kia.agreement import information
from kia.candidates import report_candidates
from kia.data.store.dataset import PreparedDataset
from kia.evaluation.language.ngrams import rouge_l
from kia.evaluation.language.scores import LanguageScorer
from kia.explain.findings import dataset_findings
from kia.generation import dataset_inputs, generation_settings, image_features, load_model
from kia.knowledge.labels.rules import label_reports
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor

METRICS = ("bleu_4", "rouge_l", "cider")
BATCH = 32

Scores = list[NDArray[np.float64]]
"""For each study the scores of its candidates."""


def written(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    count: int,
    seed: int,
) -> list[list[str]]:
    """At most so many different reports for each validation study, the greedy one first."""
    settings = generation_settings(model, beams=1, candidates=count, rerank="none")
    found: list[list[str]] = []
    val = dataset.indices("val")
    for start in range(0, len(val), BATCH):
        images = image_features(
            model, dataset_inputs(dataset, processor, val[start : start + BATCH])
        )
        own = report_candidates(model, processor, images, settings, seed=seed)
        found += [[candidate.text for candidate in one] for one in own]
    return found


def by_answers(pool: list[list[str]], answers: Tensor, shares: list[float]) -> Scores:
    """How well each candidate fits the answers (n, 14) for its study."""
    return [
        information(answer.expand(len(own), -1), own, shares).numpy()
        for own, answer in zip(pool, answers, strict=True)
    ]


def likeness(own: list[str]) -> NDArray[np.float64]:
    """How like each other the candidates are, a row for each."""
    words = [" ".join(text.lower().split()) for text in own]
    return np.array([rouge_l([word] * len(words), words) for word in words])


def by_reference(own: list[str], reference: str) -> NDArray[np.float64]:
    """How like the true report each candidate is."""
    words = [" ".join(text.lower().split()) for text in (*own, reference)]
    return rouge_l(words[:-1], words[-1:] * len(own))


def choices(
    pool: list[list[str]],
    counts: Sequence[int],
    answers: dict[str, Tensor],
    shares: list[float],
    refs: Sequence[str],
) -> Iterator[tuple[int, str, list[str]]]:
    """Number, judge, and what it chooses of the first so many candidates of each study."""
    scores = {who: by_answers(pool, given, shares) for who, given in answers.items()}
    scores["reference"] = [by_reference(own, ref) for own, ref in zip(pool, refs, strict=True)]
    alike = [likeness(own) for own in pool]
    for count in counts:
        scores["consensus"] = [each[:count, :count].mean(1) for each in alike]
        for who, given in scores.items():
            best = [int(each[:count].argmax()) for each in given]
            yield count, who, [own[place] for own, place in zip(pool, best, strict=True)]


def main() -> None:
    """Prints a row for each number of candidates and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("model")
    parser.add_argument("--candidates", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--draws", type=int, default=5)
    given = parser.parse_args()
    dataset = PreparedDataset.open(given.data)
    model, processor = load_model(given.model)
    known, rows = features(dataset, "train"), features(dataset, "val")
    answers = {
        "[MASK]": torch.from_numpy(
            dataset_findings(model, processor, dataset, dataset.indices("val"))
        ),
        "labels": states(dataset, "val"),
    }
    refs = dataset.reports("val")
    found = defaultdict(list)
    with LanguageScorer(refs, dataset.reports("train"), metrics=METRICS) as scorer:

        def scored(reports: list[str]) -> list[float]:
            language = scorer.score(reports, "r2gen").values
            shown = [float(language[name] or 0) for name in METRICS]
            return [len({*reports}), *shown, macro_13(label_reports(reports), dataset)]

        for draw in range(given.draws):
            answers["linear"] = linear_answers(known, states(dataset, "train"), rows, seed=draw)
            pool = written(model, processor, dataset, max(given.candidates), draw)
            found[1, "greedy"].append(scored([own[0] for own in pool]))
            shares = model.config.label_shares or []
            for count, who, chosen in choices(pool, given.candidates, answers, shares, refs):
                found[count, who].append(scored(chosen))
            print(f"draw {draw} done", flush=True)
    for (count, who), values in sorted(found.items()):
        mean, deviation = np.mean(values, 0), np.std(values, 0, ddof=len(values) > 1)
        row = " ".join(
            f"{name} {m:.3f} ± {d:.3f}"
            for name, m, d in zip((*METRICS, "macro-13"), mean[1:], deviation[1:], strict=True)
        )
        print(f"{count} {who}: {mean[0]:.0f} different, {row}")


if __name__ == "__main__":
    main()
