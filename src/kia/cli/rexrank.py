"""`kia rexrank`: the inference script that the leaderboard ReXrank asks for."""

from pathlib import Path
from typing import Annotated

import typer

from kia.cli import console
from kia.cli.trained import Model, open_model

InputFile = Annotated[
    Path,
    typer.Option("--input_json_file", "--input-json-file", help="ReXrank's file of studies"),
]
SaveFile = Annotated[
    Path,
    typer.Option(
        "--save_json_file", "--save-json-file",
        help="the same with model_prediction; studies that have one are kept",
    ),
]  # fmt: skip
ImageRoot = Annotated[
    Path,
    typer.Option(
        "--img_root_dir", "--img-root-dir",
        help="folder of the images, by ReXrank's names or by Kaggle's or Open-i's",
    ),
]  # fmt: skip
Projections = Annotated[
    Path | None,
    typer.Option(help="indiana_projections.csv: the views of images under Kaggle's names"),
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="studies decoded together")]


def rexrank(
    model: Model,
    input_json_file: InputFile,
    save_json_file: SaveFile,
    img_root_dir: ImageRoot,
    projections: Projections = None,
    batch_size: BatchSize = None,
) -> None:
    """Write reports for the leaderboard ReXrank, from its input file into its form."""
    from kia.generation import generation_settings
    from kia.rexrank import write_submission

    loaded, processor = open_model(model)
    settings = generation_settings(loaded, batch_size=batch_size)
    with console.progress() as bar:
        task = bar.add_task("reports", total=None)
        written = write_submission(
            *(loaded, processor, input_json_file, save_json_file, img_root_dir, settings),
            projections=projections,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console.out.print(f"{written} reports: {save_json_file}", soft_wrap=True)
