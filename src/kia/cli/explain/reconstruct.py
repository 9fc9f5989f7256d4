"""`kia explain reconstruct`: hidden patches rebuilt under different reports (Paper: Fig. 9a)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kia.cli import console
from kia.cli.image_input import Data, SplitOf, check_split, split_studies
from kia.cli.trained import Model, open_model
from kia.errors import DataError, UsageError
from kia.tables.reports import read_one_report

if TYPE_CHECKING:
    from torch import Tensor

    from kia.models.kia import KIAModel
    from kia.processing import KIAProcessor

_FEWEST = 20  # exchanges of a landmark for a line of the table; the JSON has all

_COLUMNS = {
    "own": "own",
    "edited": "edited",
    "other": "another's",
    "empty": "none",
    "mean_image": "mean image",
}


def reconstruct(
    model: Model,
    image: Annotated[Path | None, typer.Argument(help="a frontal chest X-ray")] = None,
    report: Annotated[
        list[Path] | None,
        typer.Option("--report", help="text files to rebuild IMAGE with, its own first"),
    ] = None,
    data: Data = None,
    split: SplitOf = "test",
    study_id: Annotated[
        str | None, typer.Option("--id", help="draw this study of --data, with three reports")
    ] = None,
    landmark: Annotated[
        str | None,
        typer.Option("--landmark", help="one of the 34; the heart in pictures, all in numbers"),
    ] = None,
    file: Annotated[Path | None, typer.Option("--out", help="the picture, a PNG")] = None,
    json_file: console.NumbersFile = None,
) -> None:
    """Rebuild hidden parts of an image under different reports (Figure 9a).

    A picture of one image; or, over a split of a data set, what the right report is worth.
    """
    _check_mode(image, report, data, split, study_id)
    _check_outputs(bool(image or study_id), file, json_file)
    name = _landmark(landmark)
    texts = [read_one_report(path) for path in report or []]
    from kia.explain.reconstruction.measure import HEART, check_pixels, draw_reports
    from kia.imaging.one_study import check_frontal

    loaded, processor = open_model(model)
    check_pixels(loaded)
    if data and not study_id:
        _numbers(loaded, processor, data, split, name, json_file)
        return
    if data:
        pixels, reports = _of_study(processor, data, str(study_id), name or HEART)
    else:
        assert image is not None
        check_frontal(image)
        pixels = processor([image])["pixel_values"][0, 0]
        reports = {path.name: text for path, text in zip(report or [], texts, strict=True)}
    assert file is not None
    file.parent.mkdir(parents=True, exist_ok=True)
    title = f"{name or HEART}, rebuilt under different reports. Not for clinical use."
    draw_reports(loaded, processor, pixels, name or HEART, reports, file, title=title)
    console.out.print(f"wrote {file}")


def _check_mode(
    image: Path | None,
    report: list[Path] | None,
    data: Path | None,
    split: str,
    study_id: str | None,
) -> None:
    if bool(image) == bool(data):
        raise UsageError("name an image with --report files, or a data set with --data")
    if bool(image) != bool(report):
        raise UsageError("--report FILE goes with an image, which needs at least one")
    if study_id and not data:
        raise UsageError("--id names a study of a data set: add --data")
    check_split(split)


def _check_outputs(picture: bool, file: Path | None, json_file: Path | None) -> None:
    if picture and not file:
        raise UsageError("a picture needs its name: --out FILE.png")
    if picture and json_file:
        raise UsageError("--json holds the numbers over a split: leave out the image or --id")
    if file and not picture:
        raise UsageError("--out draws one study: name it by --id")
    if file:
        console.check_picture(file)


def _landmark(name: str | None) -> str | None:
    import difflib

    from kia.knowledge.atlas.landmarks import LANDMARKS

    if name is None or name.lower() in LANDMARKS:
        return name and name.lower()
    near = difflib.get_close_matches(name.lower(), LANDMARKS, 1)
    hint = f"; did you mean '{near[0]}'?" if near else f": {', '.join(LANDMARKS)}"
    raise UsageError(f"--landmark {name}: none of the 34{hint}")


def _of_study(
    processor: "KIAProcessor", data: Path, study_id: str, landmark: str
) -> "tuple[Tensor, dict[str, str]]":
    """The frontal image of a study, and the three reports to rebuild it with."""
    import numpy as np

    from kia.data.store.dataset import PreparedDataset
    from kia.explain.reconstruction.exchanges import exchange_of
    from kia.generation import dataset_inputs

    dataset = PreparedDataset.open(data)
    number = dataset.index_of(study_id)
    same_split = dataset.indices(dataset.study(number).split)
    one = exchange_of(dataset, same_split, number, landmark)
    pixels = dataset_inputs(dataset, processor, np.array([number]))["pixel_values"]
    assert pixels is not None
    return pixels[0, 0], one.named_reports(dataset.study(one.donor).id)


def _numbers(
    model: "KIAModel",
    processor: "KIAProcessor",
    data: Path,
    split: str,
    landmark: str | None,
    json_file: Path | None,
) -> None:
    from kia.data.store.dataset import PreparedDataset
    from kia.explain.reconstruction.exchanges import exchanges
    from kia.explain.reconstruction.measure import compare_reports, landmark_errors
    from kia.generation import check_image_size

    dataset = PreparedDataset.open(data)
    check_image_size(dataset, processor)
    chosen = exchanges(dataset, split_studies(dataset, split), landmark)
    if not chosen:
        raise DataError(
            f"{data}: no two {split} studies with frontal images say something different about "
            f"{landmark or 'the same landmark'}"
        )
    with console.progress() as bar:
        task = bar.add_task("reconstructions", total=len(chosen))
        errors = landmark_errors(
            model, processor, dataset, chosen, lambda count: bar.advance(task, count)
        )
    found = compare_reports(chosen, errors)
    rows = []
    for name, one in found.items():
        if one["exchanges"] < _FEWEST and name not in ("all", landmark):
            continue
        worth = one["difference"]["edited"]
        interval = "{:+.2f} to {:+.2f}".format(*worth["interval"])
        errors_of = map(one["error"].get, _COLUMNS)
        rows.append([name, one["studies"], *errors_of, worth["difference"], interval])
    console.table(
        ["landmark", "studies", *_COLUMNS.values(), "cost", "95 % interval"],
        rows,
        title=f"mean error on the landmark's hidden patches by report, grey levels of 0 to 255, "
        f"{split} of {data}\ncost: edited report − own",
    )
    if json_file:
        console.write_json(json_file, {"split": split, "landmarks": found})
