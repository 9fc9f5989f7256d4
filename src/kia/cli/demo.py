"""`kia demo`: a real X-ray to a report; then phantoms in, a trained model out, and its scores."""

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from kia.cli import console
from kia.errors import UsageError

STUDIES = 1600
MODEL = "kia-small-iu-xray"
EXAMPLE = "pneumocystis-1.jpg"


def demo(
    out: Annotated[Path, typer.Option(help="folder for everything the demo makes")] = Path("demo"),
    studies: Annotated[int, typer.Option(min=100, help="phantom studies to make")] = STUDIES,
    epochs: Annotated[int, typer.Option(min=1, help="of generation, after one of all tasks")] = 7,
) -> None:
    """Make phantom X-rays, train a tiny model on them, score it, and show a report."""
    from kia.cli.data.command import phantom
    from kia.cli.evaluate.command import evaluate
    from kia.cli.generate.command import generate
    from kia.cli.train import train

    if (out / "run" / "run.yaml").exists():
        raise UsageError(f"{out} holds a demo; remove it, or choose another folder with --out")
    data, run = out / "data", out / "run"
    _real_xray(out)
    _say(1, f"{studies} phantom chest X-rays, each with its report, in {data}")
    phantom(studies=studies, seed=0, out=data, size=128, overwrite=True)
    _say(2, "train: five tasks together, then report generation alone")
    overrides = [
        "train.joint.epochs=1",
        f"train.generation.epochs={epochs}",
        "train.batch_size=8",
        "train.decay_per_epoch=0.92",
        "train.validate_every=3",
    ]
    train(configuration="tiny", data=data, out=run, overrides=overrides, resume=False)
    _say(3, "write reports for the test studies and score them, beside the baselines")
    predictions = run / "predictions-test.jsonl"
    generate(str(run), data=data, split="test", out=predictions)
    evaluate([predictions], data=data, split="test", json_file=run / "results.json")
    _say(4, "one unseen X-ray and its report")
    _show(run, data, out)


def _real_xray(out: Path) -> None:
    """The first act: what the installed model writes of a published X-ray, and where it looked."""
    from kia.cli.explain.attention import draw_sentences
    from kia.cli.generate.images import Asked, write_image_reports
    from kia.cli.image_input import given_studies
    from kia.cli.trained import open_model
    from kia.installed import installed_models
    from kia.reporting.model import KIA

    if MODEL not in installed_models():
        console.out.print(f"{MODEL} is not installed: on to phantoms", soft_wrap=True)
        return
    image = resources.files("kia") / "serving" / "assets" / "examples" / EXAMPLE
    console.say(
        "First",
        f"a real X-ray ({EXAMPLE}, CC BY: Assoc Prof Frank Gaillard, "
        f"Radiopaedia.org, rID 9171), read by {MODEL}",
    )
    model, processor = open_model(MODEL)
    with resources.as_file(image) as path:
        studies = given_studies([str(path)], None)
        kia = KIA.of(model, processor, name=MODEL)
        (told,) = write_image_reports(kia, studies, Asked(evidence=True, anyway=True))
        draw_sentences(model, processor, [path], told.raw or "", out / "evidence.png")


def _say(number: int, text: str) -> None:
    console.say(f"\n{number} of 4", text)


def _show(run: Path, data: Path, out: Path) -> None:
    from kia.data.picture import study_picture
    from kia.data.store.dataset import PreparedDataset
    from kia.generation import dataset_inputs, generation_settings, load_model, write_reports

    model, processor = load_model(run)
    dataset = PreparedDataset.open(data)
    chosen = dataset.indices("test")[:1]
    settings = generation_settings(model)
    report = write_reports(model, processor, dataset_inputs(dataset, processor, chosen), settings)[
        0
    ]
    study = dataset.study(int(chosen[0]))
    picture = out / "report.png"
    study_picture(study, dataset.pixels(int(chosen[0]))).save(picture)
    console.out.print(f"picture    {picture}", soft_wrap=True)
    console.out.print(f"the model  {report}", soft_wrap=True)
    console.out.print(f"the truth  {study.report}", soft_wrap=True)
