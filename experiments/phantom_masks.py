"""What each kind of masking does, measured on phantoms, whose truth is known.

    python experiments/phantom_masks.py OUT --data DATA [--epochs N] [--seeds 0 1 2]
    python experiments/phantom_masks.py OUT --table

DATA is a phantom data set (`kia data phantom --size 128`). For each seed and masking (MLM/MIM) the
preset `tiny` is trained in OUT; what is finished is skipped, so the command may be stopped and
given again. Numbers go to OUT/results.jsonl, a line a run, and --table prints them as Markdown.

Runs end with the joint stage: stage 2 trains the same weights on generation alone, and they forget
what [MASK] means. Measured are the studies of --split of --measure, other phantoms (of another
seed than DATA), or of DATA itself. The columns of the table:

label accuracy    mean of sensitivity and specificity at [MASK] of the label report, by observation,
                  then over the nine that phantoms can have. Only label masking shows that report in
                  training, and no phantom report says "absent": for the others this is what
                  carries over.
label AUROC       the same without a threshold
CIDEr, image gain as in training; finding F1: findings that written reports call present
attention inside  share of the frontal attention at a drawn finding's [MASK] on its pixels, mean
                  over heads, layers and findings; lift: over the pixels' share of the image
pointing hits     share of findings that hold the centre of the patch with most attention

Below the models stand uniform attention, the atlas prior (key patches of the landmarks in the
sentence that states the finding; uniform where it names none), and the best that patches allow.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phantom_measures import measure

from kia.cli import console
from kia.cli.train import ProgressReporter
from kia.config import RunConfig, load_config
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError, KIAError, UsageError
from kia.studies import SPLITS
from kia.training.loop import train

MASKINGS = (
    "general/general",
    *("graph/general", "label/general", "graph+label/general"),
    "general/anatomy",
)
COLUMNS = {
    "label_accuracy": "label accuracy",
    "label_auroc": "label AUROC",
    "cider": "CIDEr",
    "image_gain": "image gain",
    "finding_f1": "finding F1",
    "inside": "attention inside",
    "lift": "lift",
    "hit": "pointing hits",
}


def main() -> None:
    """Trains and measures what is missing, or prints the table."""
    given = _arguments()
    file = given.out / "results.jsonl"
    try:
        if given.table:
            print(table(_read(file)))
            return
        if given.data is None:
            raise UsageError("--data DATA is missing: the phantoms to train on")
        console.quiet_libraries()
        _run_all(given, file)
    except KIAError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def _arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    usual = load_config("tiny").train.joint.epochs
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of runs and results")
    parser.add_argument("--data", type=Path, help="phantoms to train on")
    parser.add_argument("--measure", type=Path, help="phantoms to measure on; DATA if absent")
    parser.add_argument("--split", choices=SPLITS, default="val", help="of --measure")
    parser.add_argument("--epochs", type=int, default=usual, help="of the joint stage")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--maskings", nargs="+", default=MASKINGS, metavar="MLM/MIM")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="as kia train")
    parser.add_argument("--table", action="store_true", help="print the results so far")
    return parser.parse_args()


def _run_all(given: argparse.Namespace, file: Path) -> None:
    data = PreparedDataset.open(given.data)
    measured = PreparedDataset.open(given.measure or given.data)
    for dataset in (data, measured):
        if not (dataset.path / "truth.jsonl").is_file():
            raise DataError(f"{dataset.path} holds no phantoms; make some by kia data phantom")
    if measured.image_size != data.image_size:
        raise DataError(f"{measured.path}: its images have another size than those of {data.path}")
    setting = {
        "epochs": given.epochs,
        "set": given.set,
        "data": data.info["content_hash"],
        "measured": measured.info["content_hash"],
        "split": given.split,
    }
    runs = [(masking, seed) for seed in given.seeds for masking in given.maskings]
    configs = [_config(*run, given.epochs, given.set) for run in runs]  # all wrong ones fail now
    for (masking, seed), config in zip(runs, configs, strict=True):
        key = {"masking": masking, "seed": seed, **setting}
        if any(all(line.get(k) == v for k, v in key.items()) for line in _read(file)):
            continue
        print(f"{masking}, seed {seed}", flush=True)
        folder = given.out / f"{masking.replace('/', '-')}-{seed}"
        with console.progress() as bar:
            train(config, data.path, folder, resume=True, reporter=ProgressReporter(bar))
        numbers = measure(folder, config, data, measured, given.split)
        with file.open("a", encoding="utf-8") as results:
            results.write(json.dumps(key | numbers) + "\n")


def _config(masking: str, seed: int, epochs: int, more: Sequence[str]) -> RunConfig:
    mlm, slash, mim = masking.partition("/")
    if not slash:
        raise UsageError(f"--maskings {masking}: write it as MLM/MIM, such as {MASKINGS[1]}")
    own = [f"tasks.mlm.masking={mlm}", f"tasks.mim.masking={mim}", f"train.seed={seed}"]
    length = [f"train.joint.epochs={epochs}", "train.generation.epochs=0"]
    return load_config("tiny", [*more, *own, *length])


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Results as Markdown: mean ± standard deviation (n − 1) over seeds, a table a setting.

    Raises:
        DataError: There are no results.
    """
    if not lines:
        raise DataError("no results yet; run without --table first")
    settings: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        what = f"{line['epochs']} joint epochs{''.join(f', {s}' for s in line['set'])}"
        where = f"{line['studies']} {line['split']} studies, {line['findings']} findings"
        hashes = f"trained on {line['data'][:8]}, measured on {line['measured'][:8]}"
        settings.setdefault(f"{what}; {where}; {hashes}", []).append(line)
    return "\n\n".join(_one_table(title, runs) for title, runs in settings.items())


def _one_table(title: str, lines: Sequence[Mapping[str, Any]]) -> str:
    rows = [["masking (MLM/MIM)", "seeds", *COLUMNS.values()], ["---"] * (len(COLUMNS) + 2)]
    for masking in dict.fromkeys(line["masking"] for line in lines):
        runs = [line for line in lines if line["masking"] == masking]
        cells = [_mean_sd([run[name] for run in runs]) for name in COLUMNS]
        rows.append([masking, str(len(runs)), *cells])
    for name, prior in lines[0]["priors"].items():
        cells = [f"{prior[column]:.3f}" if column in prior else "–" for column in COLUMNS]
        rows.append([name, "–", *cells])
    return "\n".join([f"{title}:", "", *(f"| {' | '.join(row)} |" for row in rows)])


def _mean_sd(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    spread = f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.3f}{spread}"


def _read(file: Path) -> list[dict[str, Any]]:
    """The lines of the results so far."""
    if not file.is_file():
        return []
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise DataError(f"{file}: a line is no JSON ({error}); remove it") from None


if __name__ == "__main__":
    main()
