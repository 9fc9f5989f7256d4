"""The runs of an ablation: trained, their reports written and scored, each of it once.

    OUT/ablation.yaml                            the preset and the data that all runs have
    OUT/runs/<setting>/seed-N/                   a run folder, as kia train writes it
        predictions-<split>.jsonl, *.npy         as kia generate writes them
        scores-<split>.json, scores-<split>.npz  as kia evaluate --json, and bootstrap resamples

Scores are bound to the weights, the configuration and the data by their hashes.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from kia.errors import KIAError, RunError
from kia.files.writing import write_json

if TYPE_CHECKING:
    from kia.ablations.results import ScoredRun
    from kia.config import RunConfig
    from kia.evaluation.language.protocols import DatasetStyle
    from kia.studies import Split
    from kia.training.reporter import Reporter

RECORD = "ablation.yaml"
HALF = ".ablation.yaml"  # the record while it is written


@dataclass(frozen=True)
class PlannedRun:
    """A setting with a seed, and the folder that its run is in."""

    setting: str
    seed: int
    config: "RunConfig"
    folder: Path

    @property
    def name(self) -> str:
        """What is said of it on the screen."""
        return f"{self.setting}, seed {self.seed}"


@dataclass(frozen=True)
class Target:
    """Where an ablation is, and what its runs are trained and scored on.

    Attributes:
        out: Folder of the ablation.
        base: The preset with the overrides of all settings.
        data: Prepared data set.
        hash: Of its content.
        split: That is scored.
        cleaning: "iu" or "mimic".
        labels: File of labels of the references, instead of kia's labeler.
    """

    out: Path
    base: "RunConfig"
    data: Path
    hash: str
    split: str
    cleaning: str
    labels: Path | None = None

    def record(self) -> dict[str, Any]:
        """What all runs of the folder have; seeds may be added later."""
        config = self.base.model_dump(mode="json")
        del config["train"]["seed"]
        return {"config": config, "data": {"path": str(self.data), "hash": self.hash}}


def check_folder(target: Target) -> None:
    """Refuses a folder of another preset or other data.

    Raises:
        RunError: It holds something else.
    """
    from kia.ablations.stored import AblationRecord
    from kia.files.plain import read_yaml
    from kia.training.run_folder import first_difference

    out, now = target.out, target.record()
    file = out / RECORD
    if not file.is_file():
        # a process killed before it wrote the record may leave the half of it
        if out.exists() and (not out.is_dir() or {p.name for p in out.iterdir()} - {HALF}):
            raise RunError(f"{out} is not empty and no ablation; choose another --out")
        return
    try:
        before = AblationRecord.of(read_yaml(file))
        different = first_difference(before.config, now["config"])
        path, other_data = before.data.path, before.data.hash != target.hash
    except (OSError, ValueError) as error:
        raise RunError(f"{file} is damaged ({error}); choose another --out") from None
    if different:
        raise RunError(
            f"{out} holds ablations with {different}; give the --preset and --set that they have, "
            "or choose another --out"
        )
    if other_data:
        raise RunError(
            f"{out} holds ablations on other data ({path}); give those, or choose another --out"
        )


def _write_record(target: Target) -> None:
    import yaml

    target.out.mkdir(parents=True, exist_ok=True)
    if not (target.out / RECORD).is_file():
        partial = target.out / HALF
        partial.write_text(yaml.safe_dump(target.record(), sort_keys=False), encoding="utf-8")
        partial.replace(target.out / RECORD)


class Watcher(Protocol):
    """Whoever is told how far an ablation is."""

    def note(self, text: str) -> None:
        """A line."""

    def training(self) -> "AbstractContextManager[Reporter]":
        """What a training reports to."""

    def writing(self) -> AbstractContextManager[Callable[[str, int], Callable[[int], None]]]:
        """What `kia.predictions.write_predictions` is tracked by."""

    def scoring(self, runs: int) -> AbstractContextManager[object]:
        """Shown while runs are scored."""


def scored_runs(
    plan: Sequence[PlannedRun], target: Target, watcher: Watcher
) -> "dict[Path, ScoredRun] | None":
    """Trains and scores what is missing.

    Under `accelerate launch` all processes train and write reports together; the first scores.

    Args:
        plan: Runs of different folders.
        target: Data set and split.
        watcher: Told how far it is.

    Returns:
        Folder → its scores; None in all processes but the first.

    Raises:
        KIAError: The folder holds something else, or a run failed; the line names it, and the same
            command continues.
    """
    from kia.models import ranks
    from kia.training.distributed import join, on_first

    join()
    missing = on_first(lambda: _prepare(plan, target, watcher), lambda: _missing(plan, target))
    for number, run in enumerate(missing, 1):
        watcher.note(f"run {number} of {len(missing)}: {run.name}")
        try:
            _train_and_generate(run, target, watcher)
        except KIAError as error:
            raise type(error)(
                f"{run.name}: {error} (the same kia ablate command continues)"
            ) from error
    if ranks.own():
        return None
    if missing:
        with watcher.scoring(len(missing)):
            _score(missing, target)
    return {run.folder: _scores_of(run, target) for run in plan}


def _prepare(plan: Sequence[PlannedRun], target: Target, watcher: Watcher) -> list[PlannedRun]:
    """The runs that are missing; nothing is written unless all of them can be trained."""
    check_folder(target)
    missing = _missing(plan, target)
    if done := len(plan) - len(missing):
        watcher.note(f"{done} of {len(plan)} runs are scored already")
    _check(missing, target)
    _write_record(target)
    return missing


def _missing(plan: Sequence[PlannedRun], target: Target) -> list[PlannedRun]:
    return [run for run in plan if read_scores(run, target) is None]


def _check(missing: Sequence[PlannedRun], target: Target) -> None:
    """What cannot be trained or scored is refused before the first run."""
    from tempfile import TemporaryDirectory

    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.language.scores import LanguageScorer
    from kia.training.build import build_processor, check_fit, knowledge_shares
    from kia.training.loop import check_epochs

    if not missing:
        return
    LanguageScorer([""], metrics=()).close()  # is pycocoevalcap here?
    dataset = PreparedDataset.open(target.data)
    for run in {run.setting: run for run in missing}.values():
        check_epochs(run.config.train)
        check_fit(run.config, dataset)
        knowledge_shares(run.config, dataset)
        if run.config.tasks.mlm.weight and "label" in run.config.tasks.mlm.masking:
            with TemporaryDirectory() as name:  # does the text tower hold the label report?
                build_processor(run.config, dataset.reports("train"), Path(name) / "processor")


def _train_and_generate(run: PlannedRun, target: Target, watcher: Watcher) -> None:
    from kia.data.store.dataset import PreparedDataset
    from kia.generation import generation_settings, load_model
    from kia.predictions import write_predictions
    from kia.training import train
    from kia.training.distributed import join

    with watcher.training() as reporter:
        train(run.config, target.data, run.folder, resume=True, reporter=reporter)
    model, processor = load_model(run.folder)
    model.to(join())
    settings = generation_settings(model)
    dataset, predictions = PreparedDataset.open(target.data), _predictions(run, target)
    studies = dataset.indices(target.split)  # type: ignore[arg-type]
    with watcher.writing() as track:
        how: Any = {"source": run.folder, "resume": True, "track": track}
        write_predictions(model, processor, dataset, studies, predictions, settings, **how)


def _predictions(run: PlannedRun, target: Target) -> Path:
    return run.folder / f"predictions-{target.split}.jsonl"


def _scores_file(run: PlannedRun, target: Target) -> Path:
    return run.folder / f"scores-{target.split}.json"


def _identity(run: PlannedRun, target: Target) -> dict[str, str]:
    """What scores depend on."""
    from kia import __version__
    from kia.files.regular import sha256

    weights = run.folder / "model" / "model.safetensors"
    return {
        "model": sha256(weights) if weights.is_file() else "",
        "config": hashlib.sha256(run.config.model_dump_json().encode()).hexdigest(),
        "data": target.hash,
        "cleaning": target.cleaning,
        **({"labels": sha256(target.labels)} if target.labels else {}),
        "version": __version__,
    }


def read_scores(run: PlannedRun, target: Target) -> "ScoredRun | None":
    """The scores of a run, if it has any that are still true."""
    from kia.ablations import stored
    from kia.ablations.results import ScoredRun

    found = stored.read_scores(_scores_file(run, target), _identity(run, target))
    if found is None:
        return None
    return ScoredRun(run.seed, str(run.folder), found.result, found.resampled, found.parameters)


def _scores_of(run: PlannedRun, target: Target) -> "ScoredRun":
    scores = read_scores(run, target)
    if scores is None:
        raise RunError(f"{_scores_file(run, target)} was changed while it was made")
    return scores


def _score(runs: Sequence[PlannedRun], target: Target) -> None:
    """All at once: METEOR scores them together, and the constant baselines are scored once."""
    from kia.evaluation.board.entries import Settings
    from kia.evaluation.board.scoreboard import Evaluation
    from kia.evaluation.evaluate import Setup, read_sides
    from kia.evaluation.prepared import phantom_findings

    setup = Setup(
        [_predictions(run, target) for run in runs],
        data=target.data,
        split=cast("Split", target.split),
        dataset=cast("DatasetStyle", target.cleaning),
        reference_labels=target.labels,
    )
    read, refs, _ = read_sides(setup)
    systems = [replace(system, name=run.name) for system, run in zip(read, runs, strict=True)]
    settings = Settings()
    evaluation = Evaluation(systems, refs, settings)
    for run, result in zip(runs, evaluation.results, strict=True):
        pairs = evaluation.pairs(run.name)
        findings = phantom_findings(target.data, *pairs, evaluation.ids)
        if findings is not None:
            result["phantom_findings"] = findings
        resampled = {
            f"{path}.{name}": values
            for path, measure in evaluation.measures(run.name).items()
            for name, values in measure.resampled(
                resamples=settings.resamples, seed=settings.seed
            ).items()
        }
        _write_scores(run, target, result, resampled)


def _write_scores(
    run: PlannedRun, target: Target, result: dict[str, Any], resampled: dict[str, Any]
) -> None:
    from kia.ablations.results import RESAMPLED
    from kia.ablations.stored import content_hash, write_resampled
    from kia.files.plain import read_json
    from kia.files.regular import MOST_TABLE

    file = _scores_file(run, target)
    kept = {name: resampled[name] for name in RESAMPLED if name in resampled}
    write_resampled(file, kept)
    content = {"of": _identity(run, target), "parameters": _parameters(run), "result": result}
    write_json(file, content)
    said = read_json(file, MOST_TABLE)  # without what JSON cannot hold
    write_json(file, said | {"sha256": content_hash(said, file)})


def _parameters(run: PlannedRun) -> int:
    from kia.models.configuration import CheckpointConfig
    from kia.models.sizes import model_sizes

    configuration = CheckpointConfig.from_file(run.folder / "model" / "config.json")
    return model_sizes(configuration, shared=run.config.model.share_parameters)["total"]
