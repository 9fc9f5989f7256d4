"""Which tokens of a report are hidden (Paper: Sec. 3.2, Eq. 5, Fig. 4).

General masking is BERT's. Graph masking hides, sentence by sentence, everything that is observed
or everything about where. Label masking hides every "present" and "absent" of the label report.
Shape letters: B reports, T word pieces, S sentences.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kia.knowledge.alignment import align
from kia.knowledge.radgraph import ReportGraph

NEITHER, OBSERVATION, ANATOMY = 0, 1, 2
"""Sides of a sentence that a word piece may belong to."""

_ENDS_SENTENCE = re.compile(r"[.!?]")


def general_text_mask(
    input_ids: NDArray[np.int64],
    maskable: NDArray[np.bool_],
    draws: NDArray[np.float64],
    *,
    p_mask: float,
    mask_id: int,
    ordinary_ids: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Hides tokens as BERT does: 80 % become [MASK], 10 % another token, 10 % stay.

    Args:
        input_ids: (B, T).
        maskable: (B, T), False on special tokens and padding.
        draws: (3, B, T) uniform numbers in [0, 1): whether, how, and by which token.
        p_mask: Share of maskable tokens that are predicted.
        mask_id: Id of [MASK].
        ordinary_ids: Ids of the vocabulary without its special tokens.

    Returns:
        The masked ids (B, T), and (B, T) True where the original is to be predicted.
    """
    chosen = maskable & (draws[0] < p_mask)
    random_ids = ordinary_ids[(draws[2] * len(ordinary_ids)).astype(np.int64)]
    masked = np.where(chosen & (draws[1] < 0.8), mask_id, input_ids)
    masked = np.where(chosen & (draws[1] >= 0.8) & (draws[1] < 0.9), random_ids, masked)
    return masked, chosen


def graph_text_mask(
    input_ids: NDArray[np.int64],
    maskable: NDArray[np.bool_],
    sides: NDArray[np.int8],
    sentences: NDArray[np.int64],
    side_draws: NDArray[np.float64],
    draws: NDArray[np.float64],
    *,
    p_mask: float,
    mask_id: int,
    ordinary_ids: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Graph-MLM: of each sentence the observation side or the anatomy side becomes [MASK].

    Where a sentence has both sides, a fair coin decides; where it has one, that one is hidden;
    where it has none, `general_text_mask` hides its words (Paper: Sec. 3.2, Fig. 4a).

    Args:
        input_ids: (B, T).
        maskable: (B, T), False on special tokens and padding.
        sides: (B, T) OBSERVATION, ANATOMY or NEITHER, from `piece_sides`.
        sentences: (B, T) sentence of each token, below S.
        side_draws: (B, S) uniform numbers in [0, 1): which side.
        draws: (3, B, T), for sentences without entities.
        p_mask, mask_id, ordinary_ids: As for `general_text_mask`.

    Returns:
        The masked ids (B, T), and (B, T) True where the original is to be predicted.
    """
    hidden = sides_to_hide(np.where(maskable, sides, NEITHER), sentences, side_draws)
    guided = maskable & (hidden == sides) & (hidden != NEITHER)
    masked, chosen = general_text_mask(
        input_ids,
        maskable & (hidden == NEITHER),
        draws,
        p_mask=p_mask,
        mask_id=mask_id,
        ordinary_ids=ordinary_ids,
    )
    return np.where(guided, mask_id, masked), chosen | guided


def sides_to_hide(
    sides: NDArray[np.int8], sentences: NDArray[np.int64], side_draws: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(B, T) the side that each token's sentence hides; NEITHER if it has no entity."""
    rows = np.arange(len(sides))[:, None]
    has = np.zeros((3, *side_draws.shape), bool)
    has[sides, rows, sentences] = True
    coin = np.where(side_draws < 0.5, OBSERVATION, ANATOMY)
    only = np.where(has[OBSERVATION], OBSERVATION, np.where(has[ANATOMY], ANATOMY, NEITHER))
    return np.where(has[OBSERVATION] & has[ANATOMY], coin, only)[rows, sentences]


def token_sides(
    graph: ReportGraph,
) -> tuple[list[str], NDArray[np.int8], NDArray[np.int64], int]:
    """The tokens of a graph, the side and the sentence of each, and the number of sentences."""
    tokens = graph.text.split()
    sides = np.zeros(len(tokens), np.int8)
    for entity in graph.entities.values():
        side = OBSERVATION if entity.label.startswith("OBS") else ANATOMY
        sides[entity.start_ix : entity.end_ix + 1] = side
    ends = np.array(
        [not token.isalnum() and bool(_ENDS_SENTENCE.search(token)) for token in tokens]
    )
    starts = np.concatenate([[False], ends[:-1]]) if tokens else np.zeros(0, bool)
    sentences = np.cumsum(starts)
    return tokens, sides, sentences, int(sentences[-1]) + 1 if tokens else 0


def piece_sides(
    graph: ReportGraph, text: str, offsets: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Side and sentence of each word piece of a report.

    Args:
        graph: Of the whole report; its tokens may be spelt in another case or spacing.
        text: The report, or its beginning, as the tokenizer read it.
        offsets: First character of each piece in `text`, and the one after its last.

    Returns:
        (T,) sides, and (T,) sentences counted from 0. A piece outside all tokens of the graph
        has no side and the sentence of the token before it.
    """
    tokens, sides, sentences, _ = token_sides(graph)
    spans = align(tokens, text)
    found = [index for index, span in enumerate(spans) if span is not None]
    pieces = np.array([start for start, _ in offsets], np.int64)
    if not found:
        return np.zeros(len(pieces), np.int8), np.zeros(len(pieces), np.int64)
    bounds = np.array([spans[index] for index in found], np.int64)
    nearest = np.searchsorted(bounds[:, 0], pieces, side="right") - 1
    inside = (nearest >= 0) & (pieces < bounds[nearest, 1])
    token = np.array(found)[nearest.clip(0)]
    return np.where(inside, sides[token], NEITHER).astype(np.int8), sentences[token]
