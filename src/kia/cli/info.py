"""`kia info`: parameters by component; with --batch or --data, whether a training will fit."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli import console
from kia.errors import UsageError

if TYPE_CHECKING:
    from kia.config import RunConfig
    from kia.models.configuration import CheckpointConfig
    from kia.training.estimate import Estimate

GB = 1e9


def info(
    what: Annotated[str, typer.Argument(help="preset, YAML file, run folder or model folder")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="change a value of a preset")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="estimate a training with so many studies a step")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="estimate a training on this prepared data set")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write what is shown")] = None,
) -> None:
    """Show parameters by component, and estimate memory and time of a training."""
    from kia.config import load_config
    from kia.models.sizes import model_sizes, preset_configuration

    configuration: CheckpointConfig
    changes = [*(overrides or []), *([f"train.batch_size={batch}"] if batch else [])]
    config: RunConfig | None = None
    folder = Path(what)
    if (folder / "run.yaml").is_file() or (folder / "config.json").is_file():
        configuration = _trained(what)
    else:
        config = load_config(what, changes)
        configuration = preset_configuration(config)
    if batch is not None or data is not None:
        if config is None:
            raise UsageError(f"{what} is trained already; name a preset or YAML file to estimate")
        found = _estimated(config, data)
    else:
        found = None
    shared, separate = (model_sizes(configuration, shared=value) for value in (True, False))
    _print_sizes(what, configuration, shared, separate)
    content: dict[str, Any] = {"shared": shared, "separate": separate}
    if config is not None and found is not None:
        content["training"] = _print_estimate(config, found)
    if json_file:
        console.write_json(json_file, content)


def _trained(what: str) -> "CheckpointConfig":
    from kia.generation import load_model

    console.quiet_libraries()
    return load_model(what)[0].config


def _print_sizes(
    what: str, configuration: "CheckpointConfig", shared: dict[str, int], separate: dict[str, int]
) -> None:
    names = [*dict.fromkeys([*shared, *separate])]
    console.table(
        ["component", "shared", "separate towers"],
        [[name, shared.get(name), separate.get(name)] for name in names],
        title=f"parameters of {what}",
    )
    image, text = configuration.image_tower, configuration.text_tower
    console.out.print(
        f"image tower: {image['depth']} layers, width {image['width']}, "
        f"{configuration.grid}×{configuration.grid} patches; text tower: {text['depth']} layers, "
        f"width {text['width']}, {configuration.vocab_size} word pieces. A layer of width D, "
        "context C and hidden F has 4D²+4D (self) + 2D²+2CD+4D (cross) + 2DF+D+F (feed-forward) "
        "+ 6D (norms) parameters.",
        soft_wrap=True,
    )


def _estimated(config: "RunConfig", data: Path | None) -> "Estimate":
    from kia.data.store.dataset import PreparedDataset
    from kia.training.build import check_fit
    from kia.training.estimate import estimate

    console.quiet_libraries()
    if data is None:
        return estimate(config)
    dataset = PreparedDataset.open(data)
    check_fit(config, dataset)
    return estimate(config, dataset)


def _print_estimate(config: "RunConfig", found: "Estimate") -> dict[str, Any]:
    """Prints what a training needs; returns it for the JSON file."""
    console.out.print()
    parts = f", {found.at_once} at once" if found.at_once != found.batch_size else ""
    console.table(
        ["memory for", "GB"],
        [*([name, size / GB] for name, size in found.memory.items()), ["all", found.needed / GB]],
        title=f"training with {found.batch_size} studies a step{parts}",
    )
    console.out.print(_verdict(found), soft_wrap=True)
    studies = found.studies or 1000
    seconds = found.epoch_seconds(studies)
    epochs = {stage: getattr(config.train, stage).epochs for stage in seconds}
    console.out.print()
    console.table(
        ["stage", "seconds a step", "studies a second", "minutes an epoch", "epochs", "hours"],
        [
            [
                stage,
                found.step_seconds[stage],
                found.batch_size / found.step_seconds[stage],
                each / 60,
                epochs[stage],
                each * epochs[stage] / 3600,
            ]
            for stage, each in seconds.items()
        ],
        title=f"{studies} studies an epoch, validation not counted",
    )
    if found.studies is None:
        console.out.print("sizes of phantoms; name yours with --data", soft_wrap=True)
    return {
        "batch_size": found.batch_size,
        "at_once": found.at_once,
        "memory_bytes": found.memory | {"all": found.needed},
        "available_bytes": found.available,
        "fits": found.fits,
        "largest_at_once": found.largest,
        "longest_report_tokens": found.tokens,
        "studies": studies,
        "step_seconds": found.step_seconds,
        "epoch_seconds": seconds,
    }


def _verdict(found: "Estimate") -> str:
    """One line: whether it fits, and if not, what to change."""
    available = f"{found.available / GB:.1f} GB available"
    if found.fits:
        return f"fits in {available}; up to {found.largest} studies at once would"
    if found.largest:
        parts = math.ceil(found.batch_size / found.largest)
        return (
            f"does not fit in {available}: {found.largest} studies at once would; compute the "
            f"batch in parts with --set train.accumulate={parts}, keep less with --set "
            f"train.activation_checkpointing=true, or choose --batch {found.largest}"
        )
    return (
        f"does not fit in {available}, not even with one study at once: choose a smaller preset, "
        "a smaller model.image_size or --set train.activation_checkpointing=true"
    )
