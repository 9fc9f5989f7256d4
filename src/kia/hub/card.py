"""The model card: what a model was trained on, how it scores, and what it is not for.

Everything comes from the run folder. No path, no report and no study's name gets into the card.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from safetensors import SafetensorError, safe_open

import kia
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError, ModelError
from kia.generation import model_folder
from kia.readable import NOTICE

RESULTS = "results.json"
"""What `kia evaluate --json` wrote, where a run or model folder has it."""
PAPER = (
    "Yin, Zhou, Wang, Wu, Hao: *KIA: Knowledge-Guided Implicit Vision-Language Alignment for Chest "
    "X-Ray Report Generation*, COLING 2025"
)


class KnownData(NamedTuple):
    """What is known of a collection, whoever prepared it.

    Attributes:
        about: What it is and whence.
        licence: Of the data.
        limit: What follows for a model.
    """

    about: str
    licence: str
    limit: str


KNOWN = {
    "IU X-Ray": KnownData(
        "IU X-Ray, the chest X-rays of Indiana University at Open-i",
        "CC BY-NC-ND 4.0. Whether it binds weights is for whoever shares or uses them to find out.",
        "IU X-Ray has some 3,000 studies, and many word-for-word equal normal reports.",
    ),
    "MIMIC-CXR": KnownData(
        "MIMIC-CXR-JPG, the chest X-rays of the Beth Israel Deaconess Medical Center at PhysioNet",
        "PhysioNet Credentialed Health Data License. Its agreement also concerns what is made "
        "from the data: read it before you share weights.",
        "MIMIC-CXR is of one hospital's emergency department.",
    ),
    "phantom": KnownData(
        "phantoms: X-rays drawn by kia, with reports written by rule",
        "None: no patient's data.",
        "The model has seen drawings alone. It knows nothing of patients.",
    ),
}
"""First words of a data set's `source` → what is known of it."""
OWN = KnownData(
    "a data set of whoever trained it",
    "Not known to kia: ask whoever trained the model.",
    "Nobody has checked here what its data set stands for.",
)

_MEASURES = (
    ("BLEU-1", "r2gen", "bleu_1"),
    ("BLEU-4", "r2gen", "bleu_4"),
    ("METEOR", "r2gen", "meteor"),
    ("ROUGE-L", "r2gen", "rouge_l"),
    ("CIDEr", "r2gen", "cider"),
    ("BLEU-4", "coco", "bleu_4"),
    ("CIDEr", "coco", "cider"),
)
_CLINICAL = "clinical.uncertain_negative"


def model_card(
    source: str | Path, *, results: Path | None = None, licence: str | None = None
) -> str:
    """The text of README.md for a model.

    Args:
        source: Run folder or model folder.
        results: Of `kia evaluate --json`; by default results.json of the run or the model, if any.
        licence: Of the weights, as the hub names it ("apache-2.0", "cc-by-nc-4.0", "other").

    Raises:
        ModelError: There is no model, or its weights are damaged.
        DataError: `results` is not what `kia evaluate` writes.
    """
    folder = model_folder(source)
    run = folder.parent if (folder.parent / "run.yaml").is_file() else folder
    scores = _read_results([results] if results else [run / RESULTS, folder / RESULTS])
    origin = _origin(run, scores)
    known = next((about for name, about in KNOWN.items() if origin.source.startswith(name)), OWN)
    head = {
        "library_name": "transformers",
        **({"license": licence} if licence else {}),
        "pipeline_tag": "image-to-text",
        "tags": ["kia", "chest-x-ray", "report-generation", "medical"],
    }
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        "# A chest X-ray report generator",
        f"**{NOTICE}** A report it writes may be fluent and wrong.",
        _about(folder),
        f"## How to load it\n\n{_LOADING}",
        f"## Training data\n\n{_data(origin, known)}",
        f"## Scores\n\n{_scores(scores)}",
        f"## Limits\n\n{_LIMITS}\n- {known.limit}",
        f"## Licence\n\n{_licence(licence)}",
        f"## Citation\n\n{PAPER}.",
    ]
    return "\n\n".join(parts) + "\n"


_LOADING = """\
```python
from kia import KIAForReportGeneration, KIAProcessor

source = "."  # the folder of this file, or its name on the hub
model = KIAForReportGeneration.from_pretrained(source)
processor = KIAProcessor.from_pretrained(source)
tokens = model.generate(**processor(images=["frontal.png", "lateral.png"]))
print(processor.batch_decode(tokens)[0])
```

The weights are safetensors. Nothing in this folder is code, and kia runs none that is put there."""

_LIMITS = """\
- Not a medical device. Do not use it for diagnosis, triage, or any decision about a patient.
- It misses findings, invents normal ones, and speaks of earlier images that it has not seen.
- It reads the frontal and lateral images of one study. It knows no history and no earlier study.
- It was not tested on images of other hospitals, devices or age groups than those of its data.
- Scores of words do not say that a report is right. Compare them with the constant report."""


def _licence(licence: str | None) -> str:
    if licence:
        return f"Weights: {licence}. The data have their own licence (above)."
    return "Not stated for the weights: ask whoever shares them. The data have their own (above)."


def _about(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        with safe_open(folder / "model.safetensors", framework="numpy") as weights:
            shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{folder} has no usable model: {error}") from error
    count = sum(math.prod(shape) for shape in shapes)
    size, tasks = config.get("image_size"), ", ".join(config.get("tasks") or ())
    return (
        f"It writes a report in English from one or two views of a chest X-ray study, as described "
        f"in {PAPER}, by another implementation, "
        f"kia {kia.__version__}. {count / 1e6:.1f} million parameters; images of {size} × {size} "
        f"pixels; trained tasks: {tasks}."
    )


class _Origin(NamedTuple):
    source: str
    counts: Mapping[str, int] | None
    hash: str | None


def _origin(run: Path, scores: Mapping[str, Any] | None) -> _Origin:
    """The data set of a run: by its own dataset.json, if it is still there, else by the scores."""
    try:
        record = yaml.safe_load((run / "run.yaml").read_text(encoding="utf-8"))["data"]
        path, content = record["path"], record["hash"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return _Origin("", None, None)
    scored = (scores or {}).get("dataset") or {}
    source = str(scored.get("source") or "") if scored.get("hash") == content else ""
    try:
        info = PreparedDataset.open(path).info
    except (DataError, OSError):
        return _Origin(source, None, content)
    if info["content_hash"] != content:
        return _Origin(source, None, content)
    return _Origin(str(info["source"]), info["counts"], content)


def _data(origin: _Origin, known: KnownData) -> str:
    lines = [f"- Trained on {known.about}."]
    if origin.counts:
        counts = ", ".join(f"{count:,} {split}" for split, count in origin.counts.items())
        lines.append(f"- Studies: {counts}.")
    if origin.hash:
        lines.append(f"- Content hash of the prepared data set: `{origin.hash}`.")
    return "\n".join([*lines, f"- Licence of the data: {known.licence}"])


def _read_results(files: list[Path]) -> dict[str, Any] | None:
    """The first file that is there; None if none is, of those that need not be."""
    for file in files:
        if not file.is_file() and len(files) > 1:
            continue
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            found["n"], found["protocols"]["r2gen"], found["dataset"], found["diversity"]
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(f"{file} is not what `kia evaluate --json` writes") from None
        return dict(found)
    return None


def _scores(scores: Mapping[str, Any] | None) -> str:
    if scores is None:
        return (
            "Not scored. `kia evaluate PREDICTIONS --data DATA --json RUN/results.json`, then the "
            "card again, puts them here."
        )
    rows = [
        (f"{name} (`{protocol}`)", f"protocols.{protocol}.{key}", f"{protocol}.{key}")
        for name, protocol, key in _MEASURES
    ]
    for name, cell in (("micro", "micro_14"), ("macro", "macro_14")):
        path = f"{_CLINICAL}.{cell}.f1"
        rows.append((f"F1 of 14 observations, {name}", path, path))
    rows.append(("RadGraph-F1, partial", "radgraph_f1.partial", "radgraph_f1.partial"))
    lines = [_split(scores), "", "| measure | model | 95 % interval | one constant report |"]
    lines.append("|---|---:|---:|---:|")
    for name, path, inner in rows:
        interval = _at(scores, f"confidence.{inner}")
        shown = "–" if not interval else " – ".join(_number(side) for side in interval)
        constant = _number(_at(scores, f"baselines.best_constant.{inner}"))
        lines.append(f"| {name} | {_number(_at(scores, path))} | {shown} | {constant} |")
    unique = scores["diversity"].get("unique_reports")
    if isinstance(unique, int | float):
        lines += ["", f"{unique:,.0f} different reports for {scores['n']:,} studies."]
    return "\n".join(lines)


def _split(scores: Mapping[str, Any]) -> str:
    """Of what the scores are."""
    data = scores["dataset"]
    name = next((name for name in KNOWN if str(data.get("source")).startswith(name)), "a data set")
    split = f", split {data['split']}" if data.get("split") else ""
    seeds = f"; means of {len(scores['runs'])} runs" if scores.get("runs") else ""
    content = f"; content hash `{data['hash']}`" if data.get("hash") else ""
    return f"{scores['n']:,} studies of {name}{split}{seeds}{content}. The intervals are bootstrap."


def _at(tree: Any, path: str) -> Any:
    """A value by its dotted path; None where the tree ends before."""
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "–"
