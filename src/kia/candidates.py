"""Several reports for a study, and the choice of one by its matching degree or its observations.

Paper: Sec. 4.5, Fig. 12, whose error case shows that [MATCH] may rank the true report above what
beam search writes. Shape letters: B studies, R reports, T tokens, V vocabulary.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kia.agreement import label_agreement
from kia.config import GenerationConfig, Rerank
from kia.generation import image_features, report_rows, write_reports
from kia.matching import matching_degree
from kia.models.decoding import Streamer
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.processing import KIAProcessor
from kia.wording import mended

TOP_P = 0.9
"""Share of the probability from which a drawn token comes (nucleus sampling, Holtzman 2020)."""
_ROWS = 64  # whose scores of all words are held in memory together


@dataclass(frozen=True)
class Candidate:
    """A report that the decoder may write.

    Attributes:
        text: As the decoder writes it.
        match: Matching degree, 0 to 1; None of a model without image-report matching.
        log_probability: Natural logarithm, of the whole report and its end.
        tokens: Word pieces and the end.
        agreement: Of its observations with the image (`kia.agreement`), nats; None unless
            candidates are ordered by it.
    """

    text: str
    match: float | None
    log_probability: float
    tokens: int
    agreement: float | None = None

    def score(self, rerank: Rerank) -> float:
        """What candidates are ordered by; the highest is chosen."""
        per_token = self.log_probability / self.tokens
        match = self.match or 0.0
        return {
            "none": 0.0,
            "match": match,
            "labels": self.agreement or 0.0,
            "likelihood": per_token,
            "match+likelihood": math.log(max(match, 1e-30)) + per_token,
        }[rerank]


@torch.no_grad()
def report_candidates(
    model: KIAModel,
    processor: KIAProcessor,
    inputs: ImageFeatures | Mapping[str, Tensor | None],
    config: GenerationConfig,
    *,
    seed: int = 0,
    streamer: Streamer | None = None,
) -> list[list[Candidate]]:
    """At most `config.candidates` reports a study, the one chosen by `config.rerank` first.

    The beam's best ones, then drawn ones, without doubles. A study's candidates do not depend on
    its batch: the same random numbers serve every study.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: B studies, encoded (once, for all candidates) or as `encode_images` takes them.
        config: Decoding settings.
        seed: Of the drawn ones.
        streamer: Told of the word pieces of the decoder's own report; needs `beams` 1 and one
            study.

    Raises:
        ModelError: `rerank` needs [MATCH] or labels, and the model was trained without them.
    """
    images = image_features(model, inputs)
    texts = _texts(model, processor, images, config, seed, streamer)
    flat = [text for own in texts for text in own]
    studies = [study for study, own in enumerate(texts) for _ in own]
    match: list[float] | list[None] = [None] * len(flat)
    if model.trained_on("irm") or config.rerank.startswith("match"):
        match = matching_degree(model, processor, images, flat, studies).tolist()
    chances = log_probabilities(model, processor, images, flat, studies)
    agreement: list[float] | list[None] = [None] * len(flat)
    if config.rerank == "labels":
        agreement = label_agreement(model, processor, images, flat, studies).tolist()
    each = iter(
        Candidate(text, degree, *chance, agrees)
        for text, degree, chance, agrees in zip(flat, match, chances, agreement, strict=True)
    )
    found = [[next(each) for _ in own] for own in texts]
    return [sorted(own, key=lambda one: -one.score(config.rerank)) for own in found]


def chosen_reports(
    model: KIAModel,
    processor: KIAProcessor,
    inputs: ImageFeatures | Mapping[str, Tensor | None],
    config: GenerationConfig,
    *,
    seed: int = 0,
    whole_sentences: bool = False,
) -> list[str]:
    """The first of `report_candidates` for each study; with one candidate, `write_reports`.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: As above.
        config: Decoding settings.
        seed: Of the drawn ones.
        whole_sentences: Mend them (`kia.wording`), if the model has what that needs.
    """
    if config.candidates == 1:
        texts = [[text] for text in write_reports(model, processor, inputs, config)]
    else:
        found = report_candidates(model, processor, inputs, config, seed=seed)
        texts = [[one.text for one in own] for own in found]
    return final_texts(processor, texts, whole_sentences)


def final_texts(
    processor: KIAProcessor, texts: Sequence[Sequence[str]], whole_sentences: bool
) -> list[str]:
    """The report of each study.

    Args:
        processor: Of the model.
        texts: A study's candidates, the chosen one first.
        whole_sentences: Mend that one by the others (`kia.wording`), if the model has what that
            needs.
    """
    seen = processor.seen if whole_sentences else None
    return [mended(own, seen) if seen else own[0] for own in texts]


def _texts(
    model: KIAModel,
    processor: KIAProcessor,
    images: ImageFeatures,
    config: GenerationConfig,
    seed: int,
    streamer: Streamer | None,
) -> list[list[str]]:
    """Different reports for each study: the beam's, best first, then drawn ones."""
    studies, wanted = len(images.sequence), config.candidates
    beams = min(config.beams, wanted)
    best = write_reports(
        model, processor, images, config, num_return_sequences=beams, streamer=streamer
    )
    found = [best[study * beams : (study + 1) * beams] for study in range(studies)]
    if wanted > beams:  # so many are drawn that doubles may be left out
        draw = _Nucleus(seed, wanted)
        drawn = write_reports(
            model,
            processor,
            images,
            config,
            rows=wanted,
            num_beams=1,
            logits_processor=[draw],
        )
        for study, own in enumerate(found):
            own += drawn[study * wanted : (study + 1) * wanted]
    return [list(dict.fromkeys(own))[:wanted] for own in found]


class _Nucleus:
    """Draws the next token from the nucleus (Gumbel-max), with counted random numbers.

    The n-th row of every study gets the same numbers, so that a study does not depend on those
    beside it.
    """

    def __init__(self, seed: int, rows: int) -> None:
        self._random = torch.Generator().manual_seed(seed)
        self._rows = rows

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B·rows, V) scores → 0 at the drawn token, −∞ elsewhere."""
        uniform = torch.rand(self._rows, scores.shape[1], generator=self._random).clamp_min(1e-20)
        gumbel = -(-uniform.log()).clamp_min(1e-20).log()
        noise = gumbel.to(scores.device).repeat(len(scores) // self._rows, 1)
        drawn = _highest_in_nucleus(scores.float().softmax(-1), noise)
        return torch.full_like(scores, -math.inf).scatter_(-1, drawn, 0.0)


def _highest_in_nucleus(chances: Tensor, noise: Tensor) -> Tensor:
    """Where log probability plus noise is highest in the nucleus, the fewest words with TOP_P.

    Without sorting V words, which takes longer than the decoder: the highest of all words is in
    the nucleus if those likelier than it have less than TOP_P; if not, neither it nor anything
    less likely is.

    Args:
        chances: (R, V) probabilities.
        noise: (R, V).

    Returns:
        (R, 1) numbers of words.
    """
    scores = chances.log() + noise
    while True:
        drawn = scores.argmax(-1, keepdim=True)
        chance = chances.gather(-1, drawn)
        outside = chances.where(chances > chance, 0.0).sum(-1, keepdim=True) >= TOP_P
        if not outside.any():
            return drawn
        scores.masked_fill_(outside & (chances <= chance), -math.inf)


@torch.no_grad()
def log_probabilities(
    model: KIAModel,
    processor: KIAProcessor,
    images: ImageFeatures,
    reports: Sequence[str],
    studies: Sequence[int],
) -> list[tuple[float, int]]:
    """Of each report and its end: the log probability that T-Dec writes it, and its tokens.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        images: B studies.
        reports: R texts; what the model cannot hold is cut off.
        studies: (R,) number of the study that each report is written for.
    """
    longest = model.config.max_tokens - 1  # [SEP] is written, and not read
    found = []
    for start in range(0, len(reports), _ROWS):
        rows = reports[start : start + _ROWS]
        ids, real = report_rows(model, processor, rows, "[START]", longest)
        chosen = torch.tensor(studies[start : start + _ROWS], device=model.device)
        context = model.text_decoder.stack.context(images.sequence, images.mask, chosen)
        logits = model(ids[:, :-1], context).logits.float()
        written = logits.gather(-1, ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)
        sums = (written * real[:, 1:]).sum(1).tolist()
        found += list(zip(sums, real[:, 1:].sum(1).tolist(), strict=True))
    return found
