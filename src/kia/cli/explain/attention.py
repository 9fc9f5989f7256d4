"""`kia explain attention`: where the text tower looks, and what counts there (Paper: Fig. 7)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli import console
from kia.cli.trained import Model, open_model
from kia.errors import UsageError
from kia.tables.reports import read_one_report

if TYPE_CHECKING:
    from kia.explain.evidence import SentenceEvidence
    from kia.explain.heat_maps import HeatMap

GENERATED = "generated"
TITLES = {
    ("attention", False): "attention of [MASK] in the label report",
    ("gradient", False): "what speaks for 'present' at [MASK] of the label report",
    ("attention", True): "decoder's attention to the image, by sentence",
    ("gradient", True): "what speaks for the words of each sentence",
}
"""Of the picture, by kind of map and whether it is of sentences."""


def attention(
    model: Model,
    images: Annotated[
        list[Path],
        typer.Argument(
            help="the views of one study: by their DICOM headers, else frontal, lateral"
        ),
    ],
    file: Annotated[Path, typer.Option("--out", help="the picture, a PNG")],
    observation: Annotated[
        list[str] | None,
        typer.Option("--observation", help="only these of the 14 [MASK]; repeatable"),
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(
            "--report",
            metavar="FILE|generated",
            help="instead of [MASK], the sentences of this text or of the model's own report",
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--map",
            metavar="attention|gradient",
            help="cross-attention, or what raises the answer: integrated gradients",
        ),
    ] = "attention",
    data: Annotated[
        Path | None,
        typer.Option(help="prepared data set, whose mean image --map gradient compares with"),
    ] = None,
    json_file: console.NumbersFile = None,
) -> None:
    """Draw where [MASK] of each observation, or each sentence, looks (Figure 7)."""
    if (kind, False) not in TITLES:
        raise UsageError(f"--map {kind}: use attention or gradient")
    if data and kind != "gradient":
        raise UsageError("--data goes with --map gradient")
    console.check_picture(file)
    if report and observation:
        raise UsageError("--observation goes with [MASK], not with --report")
    wanted = _observations(observation)
    text = None if report in (None, GENERATED) else read_one_report(Path(str(report)))
    loaded, processor = open_model(model)
    inputs = dict(processor(images))
    reference = _reference(processor, data) if data else None
    if report:
        text = text if text is not None else _written(loaded, processor, inputs)
        maps, numbers = _sentences(loaded, processor, inputs, text, kind, reference)
    else:
        maps, numbers = _masks(loaded, processor, inputs, wanted, kind, reference)
    _draw(processor, inputs, maps, file, kind, of_sentences=bool(report))
    if json_file:
        console.write_json(json_file, numbers)


def draw_sentences(model: Any, processor: Any, images: list[Path], text: str, file: Path) -> None:
    """Draws where the decoder looks at each sentence of a report, as --report does.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        images: The views of one study: frontal, lateral.
        text: The report.
        file: The picture, a PNG.
    """
    inputs = dict(processor(images))
    maps, _ = _sentences(model, processor, inputs, text, "attention", None)
    _draw(processor, inputs, maps, file, "attention", of_sentences=True)


def _draw(
    processor: Any,
    inputs: dict[str, Any],
    maps: "list[HeatMap]",
    file: Path,
    kind: str,
    *,
    of_sentences: bool,
) -> None:
    from kia.explain.heat_maps import COLOUR_BARS, draw_heat_maps
    from kia.studies import VIEWS

    # what the model saw: square, of its size
    views = processor.grey(inputs["pixel_values"][0]).numpy()
    names = [VIEWS[number] for number in inputs["view_ids"][0].tolist()]
    file.parent.mkdir(parents=True, exist_ok=True)
    title = f"{TITLES[kind, of_sentences]}. Not for clinical use."
    draw_heat_maps(views, names, maps, file, title=title, bar=COLOUR_BARS[kind])
    console.out.print(f"wrote {file}")


def _observations(wanted: list[str] | None) -> list[str]:
    import difflib

    from kia.knowledge.chexpert import OBSERVATIONS

    names = {name.lower(): name for name in OBSERVATIONS}
    for name in wanted or []:
        if name.lower() not in names:
            near = difflib.get_close_matches(name.lower(), names, 1)
            hint = f"; did you mean '{near[0]}'?" if near else f": {', '.join(names)}"
            raise UsageError(f"--observation {name}: none of the 14{hint}")
    return [names[name.lower()] for name in wanted or names]


def _written(model: Any, processor: Any, inputs: dict[str, Any]) -> str:
    from kia.candidates import chosen_reports
    from kia.generation import generation_settings

    settings = generation_settings(model)
    # as `kia generate` shows it
    text = chosen_reports(model, processor, inputs, settings, whole_sentences=True)[0]
    console.out.print(text, soft_wrap=True)
    return text


def _reference(processor: Any, data: Path) -> Any:
    from kia.data.store.dataset import PreparedDataset
    from kia.explain.attention.gradient import mean_images
    from kia.generation import check_image_size

    dataset = PreparedDataset.open(data)
    check_image_size(dataset, processor)
    return mean_images(processor, dataset)


def _sentences(
    model: Any, processor: Any, inputs: dict[str, Any], text: str, kind: str, reference: Any
) -> "tuple[list[HeatMap], list[dict[str, Any]]]":
    from kia.agreement import label_answers
    from kia.explain.evidence import report_evidence
    from kia.explain.heat_maps import HeatMap

    answers = label_answers(model, processor, inputs)
    found = report_evidence(model, processor, inputs, [text], answers, kind, reference)[0]
    if not found:
        raise UsageError("the report has no sentence that the model can read")
    maps = [HeatMap(one.text, one.map) for one in found]
    return maps, [_sentence_json(one) for one in found]


def _sentence_json(one: "SentenceEvidence") -> dict[str, Any]:
    return {
        "text": one.text,
        "finding_words": one.finding_words,
        "probability": one.probability,
        "opinions": [vars(opinion) for opinion in one.opinions],
        one.kind: one.map.tolist(),
    }


def _masks(
    model: Any, processor: Any, inputs: dict[str, Any], wanted: list[str], kind: str, reference: Any
) -> "tuple[list[HeatMap], list[dict[str, Any]]]":
    import torch

    from kia.explain.attention.gradient import label_gradient
    from kia.explain.attention.weights import label_attention
    from kia.explain.findings import check_answers
    from kia.explain.heat_maps import HeatMap
    from kia.knowledge.chexpert import OBSERVATIONS

    check_answers(model)
    places = [OBSERVATIONS.index(name) for name in wanted]
    if kind == "attention":
        found = label_attention(model, processor, inputs)
        present, every = found.present[0, places], found.maps[0, places]
    else:
        asked = torch.tensor([places], device=model.device)
        found = label_gradient(model, processor, inputs, reference, asked)
        present, every = found.present[0], found.maps[0]
    maps, numbers = [], []
    for name, chance, one in zip(wanted, present.tolist(), every.cpu().numpy(), strict=True):
        state = "present" if chance > 0.5 else "absent"
        maps.append(HeatMap(f"{name.lower()} is {state} ({max(chance, 1 - chance):.2f})", one))
        numbers.append({"observation": name, "present": chance, kind: one.tolist()})
    return maps, numbers
