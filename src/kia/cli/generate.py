"""`kia generate`: reports for image files or for a split of a prepared data set."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli import console
from kia.cli.image_input import (
    Data,
    Images,
    SplitOf,
    StudyViews,
    check_source,
    given_studies,
    split_studies,
)
from kia.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kia.config import GenerationConfig
    from kia.data.store import PreparedDataset
    from kia.models.kia import KIAForReportGeneration
    from kia.processing import KIAProcessor


def generate(
    model: Annotated[str, typer.Argument(help="run folder or model folder")],
    images: Images = None,
    study: StudyViews = None,
    data: Data = None,
    split: SplitOf = "test",
    out: Annotated[
        Path | None, typer.Option(help="predictions file to write (JSON lines), with --data")
    ] = None,
    beams: Annotated[
        int | None, typer.Option(min=1, help="beam width; the model's default")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="longest report, tokens")] = None,
    length_penalty: Annotated[float | None, typer.Option(help="exponent of the length")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="studies decoded together")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the reports of images as JSON")
    ] = None,
) -> None:
    """Write reports for chest X-rays. Research only; not for clinical use."""
    studies = given_studies(images, study)
    check_source(studies, data, split)
    if data and not out:
        raise UsageError("--data needs --out, the predictions file to write")
    if out and not data:
        raise UsageError("--out goes with --data; the reports of images go to --json FILE")
    if json_file and data:
        raise UsageError("--json goes with images; the reports of a data set go to --out FILE")
    from kia.config import GenerationConfig
    from kia.generation import load_model

    console.quiet_libraries()
    from kia.training.distributed import join

    loaded, processor = load_model(model)
    loaded.to(join())  # type: ignore[arg-type]
    given = {
        "beams": beams,
        "max_tokens": max_tokens,
        "length_penalty": length_penalty,
        "batch_size": batch_size,
    }
    defaults = dict(loaded.config.generation_defaults or {})
    settings = GenerationConfig(
        **(defaults | {name: value for name, value in given.items() if value is not None})
    )
    if data and out:
        count = write_predictions(loaded, processor, data, split, out, settings)
        console.out.print(f"{count} reports: {out}", soft_wrap=True)
    else:
        _images(loaded, processor, studies, settings, json_file)


def _images(
    model: "KIAForReportGeneration",
    processor: "KIAProcessor",
    studies: list[list[Path]],
    settings: "GenerationConfig",
    json_file: Path | None,
) -> None:
    from kia.generation import write_reports

    # every image is read before anything is generated, so that a bad file costs no time
    inputs = [processor(paths) for paths in studies]
    written: list[dict[str, Any]] = []
    with console.progress() as bar:
        task = bar.add_task("reports", total=len(studies))
        for paths, one in zip(studies, inputs, strict=True):
            report = write_reports(model, processor, dict(one), settings)[0]
            written.append({"images": [str(path) for path in paths], "report": report})
            bar.advance(task)
    for entry in written:
        if len(written) > 1:
            console.out.print(", ".join(entry["images"]), style="bold", markup=False)
        console.out.print(entry["report"], markup=False, soft_wrap=True)
    if json_file:
        console.write_json(json_file, written)


def write_predictions(
    model: "KIAForReportGeneration",
    processor: "KIAProcessor",
    data: Path,
    split: str,
    out: Path,
    settings: "GenerationConfig",
) -> int:
    """Predictions, and the image features that the nearest-neighbour baseline needs.

    Several processes share the studies; the first writes the files, in the order of studies.

    Returns:
        How many reports were written.
    """
    import numpy as np

    from kia.data.store import PreparedDataset
    from kia.evaluation.predictions import TRAIN_EMBEDDINGS
    from kia.generation import check_image_size, write_dataset_reports
    from kia.models import ranks

    dataset = PreparedDataset.open(data)
    check_image_size(dataset, processor)
    studies = split_studies(dataset, split)
    out.parent.mkdir(parents=True, exist_ok=True)
    mine = ranks.share(studies)
    with console.progress() as bar:
        task = bar.add_task("reports", total=len(mine))
        written = write_dataset_reports(
            model, processor, dataset, mine, settings, lambda n: bar.advance(task, n)
        )
        lines = [json.dumps({"id": id, "report": r}, ensure_ascii=False) for id, r in written]
    lines = ranks.gathered_texts(lines)
    chosen = {
        out.with_name(f"{out.stem}.embeddings.npy"): studies,
        out.with_name(TRAIN_EMBEDDINGS): dataset.indices("train"),
    }
    features = {path: _features(model, processor, dataset, each) for path, each in chosen.items()}
    if ranks.own():
        return len(studies)
    with _whole_files() as whole:
        whole(out).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for path, rows in features.items():
            with whole(path).open("wb") as file:
                np.save(file, rows, allow_pickle=False)
    return len(studies)


def _features(
    model: "KIAForReportGeneration",
    processor: "KIAProcessor",
    dataset: "PreparedDataset",
    studies: "NDArray[np.int64]",
) -> "NDArray[np.float32]":
    """Image features of all studies, computed by all processes."""
    import torch

    from kia.generation import image_embeddings
    from kia.models import ranks

    mine = ranks.share(studies)
    with console.err.status("image features"):
        # a process without a study must know the width all the same
        rows = image_embeddings(model, processor, dataset, mine if len(mine) else studies[:1])
    return ranks.gathered(torch.from_numpy(rows[: len(mine)])).numpy()


@contextmanager
def _whole_files() -> Iterator[Callable[[Path], Path]]:
    """Gives hidden names to write under; the files get their own names together, at the end."""
    hidden: dict[Path, Path] = {}

    def whole(path: Path) -> Path:
        hidden[path] = path.with_name(f".{path.name}.{os.getpid()}")
        return hidden[path]

    try:
        yield whole
        for path, partial in hidden.items():
            partial.replace(path)
    finally:
        for partial in hidden.values():
            partial.unlink(missing_ok=True)
