"""`kia generate`: reports for image files or for a split of a prepared data set."""

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
from kia.cli.trained import Model
from kia.errors import UsageError

if TYPE_CHECKING:
    from kia.config import GenerationConfig
    from kia.models.kia import KIAModel


Out = Annotated[
    Path | None, typer.Option(help="predictions file to write (JSON lines), with --data")
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="write the reports of images, and what backs them, as JSON"),
]
JsonLines = Annotated[
    str | None,
    typer.Option(
        "--jsonl",
        metavar="FILE|-",
        help="the same, a line a study as soon as it is ready, instead of text; - for stdout",
    ),
]
Evidence = Annotated[bool, typer.Option("--evidence", help="show what stands behind each sentence")]
Beams = Annotated[
    int | None, typer.Option(min=1, help="beam width; 1 is greedy; the model's default")
]
MaxTokens = Annotated[int | None, typer.Option(min=1, help="longest report, tokens")]
LengthPenalty = Annotated[
    float | None, typer.Option(help="above 0 favours long reports, below 0 short ones")
]
RepetitionPenalty = Annotated[
    float | None, typer.Option(min=0.01, help="above 1 avoids words that were written")
]
NoRepeatNgram = Annotated[
    int | None, typer.Option(min=0, help="never write so many tokens in a row twice; 0: off")
]
ShowCandidates = Annotated[
    bool, typer.Option("--show-candidates", help="print the reports of which one was chosen, too")
]
WholeSentences = Annotated[
    bool | None,
    typer.Option(
        "--whole-sentences/--as-decoded",
        help="keep sentences that are worded as training reports word them; by default of images, "
        "but not with --data",
    ),
]
FormOf = Annotated[
    str,
    typer.Option("--form", metavar="prose|structured", help="of the text; structured: by organ"),
]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="report on what is probably no chest X-ray, too")
]
Candidates = Annotated[
    int | None, typer.Option(min=1, help="reports of which one is chosen (--rerank)")
]
Choice = Annotated[
    str | None,
    typer.Option(
        metavar="none|match|labels|likelihood|match+likelihood",
        help="what chooses among candidates; none: the decoder's own choice",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="of the candidates that are drawn")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="studies decoded together")]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="go on with --out where a run that did not end has stopped"),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps …; the best there is")]


def generate(
    model: Model,
    images: Images = None,
    study: StudyViews = None,
    data: Data = None,
    split: SplitOf = "test",
    out: Out = None,
    json_file: JsonFile = None,
    json_lines: JsonLines = None,
    form: FormOf = "prose",
    evidence: Evidence = False,
    show_candidates: ShowCandidates = False,
    anyway: Anyway = False,
    whole_sentences: WholeSentences = None,
    beams: Beams = None,
    max_tokens: MaxTokens = None,
    length_penalty: LengthPenalty = None,
    repetition_penalty: RepetitionPenalty = None,
    no_repeat_ngram: NoRepeatNgram = None,
    candidates: Candidates = None,
    rerank: Choice = None,
    seed: Seed = 0,
    batch_size: BatchSize = None,
    device: Device = None,
    resume: Resume = False,
) -> None:
    """Write reports for chest X-rays. Research only; not for clinical use."""
    studies = given_studies(images, study)
    check_source(studies, data, split)
    _check_outputs(data, out, json_file, json_lines, evidence)
    _check_text(data, json_lines, form, show_candidates)
    if anyway and data:
        raise UsageError("--anyway goes with images; those of a data set are not looked at")
    if resume and not out:
        raise UsageError("--resume goes with --data and --out: images are written at once")
    from kia.generation import load_model, model_folder

    console.quiet_libraries()
    folder = model_folder(model)
    loaded, processor = load_model(folder)
    settings = _settings(
        loaded,
        beams=beams,
        max_tokens=max_tokens,
        length_penalty=length_penalty,
        repetition_penalty=repetition_penalty,
        no_repeat_ngram=no_repeat_ngram,
        candidates=candidates,
        rerank=rerank,
        batch_size=batch_size,
    )
    _move(loaded, device)
    if data and out:
        from kia.data.store.dataset import PreparedDataset
        from kia.predictions import write_predictions

        dataset = PreparedDataset.open(data)
        numbers = split_studies(dataset, split)
        with console.tracked() as track:
            options: Any = {"seed": seed, "source": model, "resume": resume, "track": track}
            options["whole_sentences"] = bool(whole_sentences)
            before = write_predictions(
                loaded, processor, dataset, numbers, out, settings, **options
            )
        resumed = f", {before} of them from before" if before else ""
        console.out.print(f"{len(numbers)} reports: {out}{resumed}", soft_wrap=True)
        return
    from kia.cli.generate.images import Asked, write_image_reports, write_report_lines
    from kia.reporting.model import KIA, name_of

    kia = KIA.of(
        loaded,
        processor,
        settings,
        name_of(model),
        folder,
        whole_sentences=whole_sentences is not False,
    )
    asked = Asked(form, evidence, show_candidates, seed, anyway)
    if json_lines:
        write_report_lines(kia, studies, asked, json_lines)
    else:
        write_image_reports(kia, studies, asked, json_file)


def _check_outputs(
    data: Path | None,
    out: Path | None,
    json_file: Path | None,
    json_lines: str | None,
    evidence: bool,
) -> None:
    if data and not out:
        raise UsageError("--data needs --out, the predictions file to write")
    if out and not data:
        raise UsageError("--out goes with --data; the reports of images go to --json FILE")
    if (json_file or json_lines) and data:
        raise UsageError(
            "--json and --jsonl go with images; the reports of a data set go to --out FILE"
        )
    if json_file and json_lines:
        raise UsageError("--json and --jsonl say the same; use one of them")
    if evidence and (data or json_lines):
        raise UsageError("--evidence goes with the text of images; JSON holds the evidence anyway")


def _check_text(
    data: Path | None, json_lines: str | None, form: str, show_candidates: bool
) -> None:
    from kia.reporting.forms import FORMS

    if form not in FORMS:
        raise UsageError(f"--form {form}: use {' or '.join(FORMS)}")
    given = "--form" if form != "prose" else "--show-candidates" if show_candidates else ""
    if given and (data or json_lines):
        raise UsageError(f"{given} goes with the text of images; JSON holds both anyway")


def _settings(model: "KIAModel", **given: Any) -> "GenerationConfig":
    """The model's defaults under the options that were given."""
    from typing import get_args

    from kia.config import Rerank
    from kia.generation import generation_settings

    if given["rerank"] not in (None, *get_args(Rerank)):
        raise UsageError(f"--rerank {given['rerank']}: use {', '.join(get_args(Rerank))}")
    settings = generation_settings(model, **given)
    if settings.rerank != "none" and settings.candidates == 1:
        raise UsageError(f"--rerank {settings.rerank} chooses among several: add --candidates 8")
    if settings.rerank.startswith("match") and not model.trained_on("irm"):
        raise UsageError(
            f"--rerank {settings.rerank}: this model was trained without image-report matching "
            "(tasks.irm.weight); use --rerank likelihood"
        )
    if settings.rerank == "labels" and model.config.label_shares is None:
        raise UsageError(
            "--rerank labels: this model was trained without labels "
            "(tasks.mlm.masking=label), or by a kia that did not count them; "
            "use --rerank likelihood"
        )
    return settings


def _move(model: "KIAModel", device: str | None) -> None:
    """To the device that was asked for, else to the one that this process gets."""
    from kia.generation import chosen_device
    from kia.training.distributed import join

    own = join()
    model.to(chosen_device(device) if device else own)
