"""What a log says is wrong with a run: warnings, each with advice.

Pure functions of the lines of log.jsonl. The thresholds come from runs whose outcome is known
(docs/results.md, docs/training.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kia.evaluation.board.summary import has_collapsed
from kia.training.run_log import Line, lines_of

MATURE = 5
"""Validations before collapse is judged: at first every decoder writes a few reports."""

LOW_IMAGE_GAIN = 0.05
"""Nats a token. Collapsed runs ended at .017 to .037; where reports differ, .065 and more."""

SIMILAR_IMAGES = 0.9
"""Mean cosine between the embeddings of different images."""

EVEN_ATTENTION = 0.98
"""Entropy of cross-attention over that of attention to all places alike."""

LONG_WAIT = 0.25
"""Share of the time of training steps spent waiting for data."""

RISING = 3
"""Validations for which the loss has stayed above its lowest value."""

WIDER_GAP = 0.05
"""By how much validation and training loss part meanwhile, as a share of the lowest loss."""


@dataclass(frozen=True)
class HealthWarning:
    """Something that is wrong with a run.

    Attributes:
        rule: Its name; a rule speaks once in a run.
        text: What was seen.
        advice: What to try.
    """

    rule: str
    text: str
    advice: str


def health_warnings(log: Sequence[Line], *, finished: bool = False) -> list[HealthWarning]:
    """What is wrong as things stand at the end of a log.

    Args:
        log: Lines of log.jsonl; lines written by earlier versions may lack some values.
        finished: Whether the run is over; collapse is then judged however few validations it had.
    """
    found = [*_not_finite(log), *_starved(log), *_over_fitted(log)]
    validations = lines_of(log, "validation")
    if validations and (finished or len(validations) >= MATURE):
        found += [*_few_reports(validations), *_image_unused(validations)]
        found += _saturated(validations)
    return found


def _not_finite(log: Sequence[Line]) -> Iterator[HealthWarning]:
    skipped = lines_of(log, "skipped")
    if skipped:
        last = skipped[-1]
        yield HealthWarning(
            "not_finite",
            f"{len(skipped)} of {last['step']} steps were left out because a loss or gradient was "
            f"not finite, the last one with studies {', '.join(last['studies'])}",
            "look at those studies if the same ones come again; else lower the learning rate, add "
            "train.warmup_steps, or use train.precision=float32",
        )


def _starved(log: Sequence[Line]) -> Iterator[HealthWarning]:
    epoch = [line for line in lines_of(log, "train") if "data_wait" in line]
    epoch = [line for line in epoch if line["epoch"] == epoch[-1]["epoch"]]
    wait = _mean(line["data_wait"] for line in epoch) if epoch else 0.0
    if wait > LONG_WAIT:
        yield HealthWarning(
            "starved",
            f"{wait:.0%} of the time of training steps is spent waiting for data",
            "more loader processes (data.workers), or the data set on a faster disk",
        )


def _over_fitted(log: Sequence[Line]) -> Iterator[HealthWarning]:
    """The gap to training grows while the validation loss of a stage stays above its lowest."""
    found = _training_and_validation(log)
    if len(found) <= RISING:
        return
    lowest = min(range(len(found)), key=lambda place: found[place][2])
    epoch, before, low = found[lowest]
    _, training, now = found[-1]
    wider = (now - training) - (low - before)
    if len(found) - 1 - lowest >= RISING and wider > WIDER_GAP * low:
        yield HealthWarning(
            "over_fitted",
            f"the validation loss was lowest at epoch {epoch} ({low:.3f}, now {now:.3f}) while "
            f"the training loss went from {before:.3f} to {training:.3f}",
            "more data, more dropout, fewer epochs (train.patience); no harm yet while CIDEr and "
            "image gain still grow",
        )


def _training_and_validation(log: Sequence[Line]) -> list[tuple[int, float, float]]:
    """Epoch, mean training and validation loss of generation, for validations of the last stage."""
    found: list[tuple[int, float, float]] = []
    stage, since = None, []
    for line in log:
        if line["kind"] == "train" and "rg" in line:
            since.append(line["rg"])
        elif line["kind"] == "validation" and since:
            if line["stage"] != stage:
                found, stage = [], line["stage"]
            found.append((line["epoch"], _mean(since), line["loss"]))
            since = []
    return found


def _few_reports(validations: Sequence[Line]) -> Iterator[HealthWarning]:
    kept = [line for line in validations if line["best"]][-1:]
    for line in [validations[-1], *kept]:
        if has_collapsed(line["unique_reports"], line["studies"]):
            yield HealthWarning(
                "few_reports",
                f"{line['unique_reports']} different reports for {line['studies']} studies at "
                f"epoch {line['epoch']}{' (the model that is kept)' if line['best'] else ''}: the "
                "model has collapsed",
                "see whether the image gain grows; longer training, image weights that were "
                "trained before (model.image_encoder.pretrained), train.select_by=image_gain",
            )
            return


def _image_unused(validations: Sequence[Line]) -> Iterator[HealthWarning]:
    gain = validations[-1]["image_gain"]
    if gain < LOW_IMAGE_GAIN:
        yield HealthWarning(
            "image_unused",
            f"the image gain is {gain:.3f} nats a token: the decoder hardly uses the image",
            "longer training of the joint stage, masked tasks with knowledge (tasks.mim.masking, "
            "tasks.mlm.masking), model.image_encoder.standardise=true, more studies",
        )


def _saturated(validations: Sequence[Line]) -> Iterator[HealthWarning]:
    last = validations[-1]
    joint = [line for line in validations if line["stage"] == "joint"]
    likeness = joint[-1].get("image_similarity", 0.0) if joint else 0.0
    if likeness > SIMILAR_IMAGES:
        yield HealthWarning(
            "images_alike",
            f"the contrastive embeddings of different images are alike (mean cosine "
            f"{likeness:.3f})",
            "model.standardise_projections=true (docs/decisions/0010), a longer queue",
        )
    entropy = last.get("attention_entropy", 0.0)
    if entropy > EVEN_ATTENTION:
        yield HealthWarning(
            "attention_even",
            f"the decoder looks everywhere alike (entropy of cross-attention {entropy:.3f} of 1)",
            "longer training, a larger model.initializer_range, a higher learning rate",
        )


def _mean(values: Any) -> float:
    values = list(values)
    return float(sum(values) / len(values))
