"""How well a report's observations fit an image, by [MASK] of the label report.

Label-MLM (Paper: Sec. 3.2, Fig. 4b) learns to answer present or absent for each observation; here
its answers choose among reports, as [MATCH] does in `kia.matching`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kia.config import MaskedLanguageConfig
from kia.data.batches.masked_text import TextMasker
from kia.errors import ModelError
from kia.generation import image_features
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.labels.rules import label_reports
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.processing import EncodedReport, KIAProcessor
from kia.studies import Study

_LEAST = 1e-6  # of a probability, whose logarithm is taken


@torch.no_grad()
def label_agreement(
    model: KIAModel,
    processor: KIAProcessor,
    images: ImageFeatures | Mapping[str, Tensor | None],
    reports: Sequence[str],
    studies: Sequence[int],
) -> Tensor:
    """How much likelier an image makes the observations of a report than they are without it.

    With y_k what the built-in labeler reads of observation k in the report (uncertain as present,
    unmentioned as absent), p_k(y) the probability that [MASK] gives it and q_k(y) its share of the
    training reports: Σ_k log p_k(y_k) / q_k(y_k), the pointwise mutual information of image and
    observations if these are independent. Without q_k the commonest report would nearly always
    win.

    Args:
        model: In evaluation mode, trained with tasks.mlm.masking: label.
        processor: Of the same model.
        images: B studies, encoded (`model.encode_images`) or as `encode_images` takes them.
        reports: R texts.
        studies: (R,) number of the study, from 0, that each report is compared with.

    Returns:
        (R,) in nats, on the model's device.

    Raises:
        ModelError: The model was not trained on labels, or by a kia that did not count them.
    """
    shares = model.config.label_shares
    if shares is None:
        raise ModelError(
            "this model does not know the training shares of the 14 observations, by which labels "
            "choose; train with tasks.mlm.masking=label (preset kia-label) and this version of kia"
        )
    answers = label_probabilities(model, processor, images)
    chosen = torch.as_tensor(studies, device=answers.device)
    return information(answers[chosen], reports, shares)


def information(answers: Tensor, reports: Sequence[str], shares: Sequence[float]) -> Tensor:
    """The formula of `label_agreement`, whoever answers.

    Args:
        answers: (R, 14) probabilities of "present".
        reports: R texts.
        shares: (14,) of the training reports that have each observation.

    Returns:
        (R,) in nats.
    """
    answers = answers.double()
    read = [[labels[name] in (1, -1) for name in OBSERVATIONS] for labels in label_reports(reports)]
    present = torch.tensor(read, device=answers.device).view(-1, len(OBSERVATIONS))
    usual = torch.tensor(shares, dtype=torch.float64, device=answers.device)
    return (_chance(answers, present).log() - _chance(usual, present).log()).sum(1)


def _chance(of_present: Tensor, present: Tensor) -> Tensor:
    """(R, 14) probability of what is said."""
    return torch.where(present, of_present, 1 - of_present).clamp_min(_LEAST)


@torch.no_grad()
def label_probabilities(
    model: KIAModel,
    processor: KIAProcessor,
    images: ImageFeatures | Mapping[str, Tensor | None],
) -> Tensor:
    """(B, 14) probability of "present" against "absent" at each [MASK], in OBSERVATIONS' order.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        images: B studies, encoded or as `encode_images` takes them.

    Raises:
        ModelError: As `masked_label_report`.
    """
    masker, row, places = masked_label_report(model, processor)
    images = image_features(model, images)
    tower = model.text_cross_encoder
    context = tower.stack.context(images.sequence, images.mask)
    features = tower(row.expand(len(images.sequence), -1), context=context)[:, places]
    return model.word_logits(features, tower)[..., masker.states].float().softmax(-1)[..., 0]


def label_answers(
    model: KIAModel,
    processor: KIAProcessor,
    images: ImageFeatures | Mapping[str, Tensor | None],
) -> Tensor | None:
    """`label_probabilities`, or None of a model that cannot fill in the label report.

    It was trained without masked language modelling, cannot read so long a text, or does not know
    the two words.
    """
    if not model.trained_on("mlm"):
        return None
    try:
        return label_probabilities(model, processor, images)
    except ModelError:
        return None


def masked_label_report(
    model: KIAModel, processor: KIAProcessor
) -> tuple[TextMasker, Tensor, Tensor]:
    """Label-MLM's masker, its row (T,) as in training, and the 14 places of [MASK] in it.

    Raises:
        ModelError: "present" or "absent" is not one word piece of the model's tokenizer, or the
            model cannot read a text as long as the label report.
    """
    masker = TextMasker(processor, MaskedLanguageConfig(masking="label"), seed=0)
    annotated = dict.fromkeys(OBSERVATIONS, 0)  # "absent", as what is not mentioned
    study = Study(id="", split="val", images=(), report="", labels=annotated)
    rows = masker.rows([study], np.zeros(1, np.int64), [EncodedReport("", [], [])], epoch=0)
    places = np.flatnonzero(rows.chosen[0])
    if len(places) != len(OBSERVATIONS):
        raise ModelError(
            f"the tokenizer reads {len(places)} present/absent words in the label report instead "
            f"of {len(OBSERVATIONS)}: its vocabulary needs both words"
        )
    row = torch.from_numpy(rows.input_ids[0]).to(model.device)
    if len(row) > model.config.max_tokens:
        raise ModelError(
            f"the label report has {len(row)} word pieces and the model reads "
            f"{model.config.max_tokens}: train it with a larger model.text_encoder.max_positions"
        )
    return masker, row, torch.from_numpy(places)
