"""`kia explain attention`: where the text tower looks, as heat maps (Paper: Fig. 7)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli import console
from kia.errors import UsageError

if TYPE_CHECKING:
    from kia.explain.evidence import SentenceEvidence
    from kia.explain.heat_maps import HeatMap

GENERATED = "generated"


def attention(
    model: Annotated[str, typer.Argument(help="run folder or model folder")],
    images: Annotated[list[Path], typer.Argument(help="the views of one study: frontal, lateral")],
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
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers")] = None,
) -> None:
    """Draw where [MASK] of each observation, or each sentence, looks (Figure 7)."""
    from kia.explain.heat_maps import draw_heat_maps
    from kia.generation import load_model
    from kia.studies import VIEWS

    console.check_picture(file)
    if report and observation:
        raise UsageError("--observation goes with [MASK], not with --report")
    wanted = _observations(observation)
    text = None if report in (None, GENERATED) else _text(Path(str(report)))
    console.quiet_libraries()
    loaded, processor = load_model(model)
    inputs = dict(processor(images))
    if report:
        text = text if text is not None else _written(loaded, processor, inputs)
        maps, numbers = _sentences(loaded, processor, inputs, text)
        title = "decoder's attention to the image, by sentence"
    else:
        maps, numbers = _masks(loaded, processor, inputs, wanted)
        title = "attention of [MASK] in the label report"
    # what the model saw: square, of its size
    views = processor.grey(inputs["pixel_values"][0]).numpy()
    names = [VIEWS[number] for number in inputs["view_ids"][0].tolist()]
    file.parent.mkdir(parents=True, exist_ok=True)
    draw_heat_maps(views, names, maps, file, title=f"{title}. Not for clinical use.")
    console.out.print(f"wrote {file}")
    if json_file:
        console.write_json(json_file, numbers)


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


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"--report {path}: {reason}") from None
    if not text:
        raise UsageError(f"--report {path}: is empty")
    return text


def _written(model: Any, processor: Any, inputs: dict[str, Any]) -> str:
    from kia.config import GenerationConfig
    from kia.generation import write_reports

    settings = GenerationConfig(**(model.config.generation_defaults or {}))
    text = write_reports(model, processor, inputs, settings)[0]
    console.out.print(text, markup=False, soft_wrap=True)
    return text


def _sentences(
    model: Any, processor: Any, inputs: dict[str, Any], text: str
) -> "tuple[list[HeatMap], list[dict[str, Any]]]":
    from kia.explain.evidence import report_evidence
    from kia.explain.heat_maps import HeatMap

    found = report_evidence(model, processor, inputs, [text])[0]
    if not found:
        raise UsageError("the report has no sentence that the model can read")
    maps = [HeatMap(one.text, one.attention) for one in found]
    return maps, [_sentence_json(one) for one in found]


def _sentence_json(one: "SentenceEvidence") -> dict[str, Any]:
    return {
        "text": one.text,
        "finding_words": one.finding_words,
        "probability": one.probability,
        "opinions": [vars(opinion) for opinion in one.opinions],
        "attention": one.attention.tolist(),
    }


def _masks(
    model: Any, processor: Any, inputs: dict[str, Any], wanted: list[str]
) -> "tuple[list[HeatMap], list[dict[str, Any]]]":
    from kia.explain.attention import label_attention
    from kia.explain.findings import check_answers
    from kia.explain.heat_maps import HeatMap
    from kia.knowledge.chexpert import OBSERVATIONS

    check_answers(model)
    found = label_attention(model, processor, inputs)
    maps, numbers = [], []
    for name in wanted:
        place = OBSERVATIONS.index(name)
        present, patches = found.present[0, place].item(), found.patches[0, place].numpy()
        state = "present" if present > 0.5 else "absent"
        maps.append(
            HeatMap(f"{name.lower()} is {state} ({max(present, 1 - present):.2f})", patches)
        )
        numbers.append({"observation": name, "present": present, "attention": patches.tolist()})
    return maps, numbers
