"""The model card: what a model was trained on, how it scores, and what it is not for.

Everything comes from the run folder. No path, no report and no study's name gets into the card.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import Field, StringConstraints

import kia
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError, ModelError
from kia.files.plain import read_json, read_yaml
from kia.files.records import Record
from kia.files.tensors import read_header
from kia.generation import model_folder
from kia.models.configuration import CheckpointConfig
from kia.readable import NOTICE
from kia.studies import Split

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
        "library_name": "kia",  # transformers has no pipeline "image-to-text" any more
        **({"license": licence} if licence else {}),
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
from kia import KIA

model = KIA(".")  # the folder of this file, or its name on the hub
print(model(["frontal.png", "lateral.png"]).report)
```

In transformers' classes:

```python
from kia import KIAForReportGeneration, KIAProcessor

model = KIAForReportGeneration.from_pretrained(".")
processor = KIAProcessor.from_pretrained(".")
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
        config = CheckpointConfig.from_file(folder / "config.json")
        tensors = read_header(folder / "model.safetensors").values()
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} has no usable model: {error}") from error
    count = sum(math.prod(tensor.shape) for tensor in tensors)
    size, tasks = config.image_size, ", ".join(config.tasks or ())
    return (
        f"It writes a report in English from one or two views of a chest X-ray study, as described "
        f"in {PAPER}, by another implementation, "
        f"kia {kia.__version__}. {count / 1e6:.1f} million parameters; images of {size} × {size} "
        f"pixels; trained tasks: {tasks}."
    )


Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 48)]


class _Data(Record):
    path: str
    hash: Hash


class _Run(Record):
    """What the card needs of run.yaml."""

    data: _Data


class _Scored(Record):
    source: str | None = None
    split: Split | None = None
    hash: Hash | None = None


class _Results(Record):
    """What `kia evaluate --json` writes beside measures."""

    n: Count
    protocols: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    dataset: _Scored | None
    diversity: dict[str, Any]
    runs: list[Any] | None = None


class _Origin(NamedTuple):
    source: str
    counts: Mapping[str, int] | None
    hash: str | None


def _origin(run: Path, scores: Mapping[str, Any] | None) -> _Origin:
    """The data set of a run: by its own dataset.json, if it is still there, else by the scores."""
    try:
        data = _Run.of(read_yaml(run / "run.yaml")).data
    except (OSError, ValueError):
        return _Origin("", None, None)
    path, content = data.path, data.hash
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
            found = read_json(file)
            if "r2gen" not in _Results.of(found).protocols:
                raise ValueError("no protocol r2gen")
        except (OSError, ValueError) as error:
            raise DataError(f"{file} is not what `kia evaluate --json` writes ({error})") from None
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
    path = "graph_f1_kia.partial"
    rows.append(("Graph-F1 by kia's extractor, partial", path, path))
    lines = [_split(scores), "", "| measure | model | 95 % interval | one constant report |"]
    lines.append("|---|---:|---:|---:|")
    for name, path, inner in rows:
        interval = _at(scores, f"confidence.{inner}")
        sides = interval if isinstance(interval, list) and len(interval) == 2 else ()
        shown = " – ".join(map(_number, sides)) or "–"
        constant = _number(_at(scores, f"baselines.best_constant.{inner}"))
        lines.append(f"| {name} | {_number(_at(scores, path))} | {shown} | {constant} |")
    unique = scores["diversity"].get("unique_reports")
    if isinstance(unique, int | float):
        lines += ["", f"{unique:,.0f} different reports for {scores['n']:,} studies."]
    return "\n".join(lines)


def _split(scores: Mapping[str, Any]) -> str:
    """Of what the scores are."""
    data = scores["dataset"] or {}
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
