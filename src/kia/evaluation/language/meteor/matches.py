"""Every match between words of reports and references, in the order in which METEOR finds them."""

from typing import NamedTuple

import numpy as np

from kia.evaluation.language.meteor.ordering import order_by, spread
from kia.evaluation.language.meteor.texts import (
    EXACT,
    PARAPHRASE,
    SYNONYM,
    Phrases,
    Relation,
    Texts,
)

_REPORTS_PARAPHRASE = PARAPHRASE + 1  # found from the report's side, behind those of the reference


class Matches(NamedTuple):
    """Matches of a batch of pairs, by pair, first word of the reference, and METEOR's order.

    Attributes:
        pair: Number of the pair in its batch.
        start, length: Words of the reference.
        other, other_length: Words of the report.
        module: What found it.
    """

    pair: np.ndarray
    start: np.ndarray
    length: np.ndarray
    other: np.ndarray
    other_length: np.ndarray
    module: np.ndarray


def find_matches(texts: Texts, hyps: np.ndarray, refs: np.ndarray) -> Matches:
    """The matches of some pairs.

    Args:
        texts: All texts.
        hyps: Numbers of the generated reports, (n,).
        refs: Numbers of their references, (n,).
    """
    pair, said, module, rank, heard = _joined(texts.said, texts.relation, texts.heard, refs, hyps)
    first = Matches(
        pair,
        texts.said.place[said],
        texts.said.length[said],
        texts.heard.place[heard],
        texts.heard.length[heard],
        module,
    )
    pair, said, module, back, heard = _joined(
        texts.phrases_said, texts.paraphrases, texts.heard, hyps, refs
    )
    second = Matches(
        pair,
        texts.heard.place[heard],
        texts.heard.length[heard],
        texts.phrases_said.place[said],
        texts.phrases_said.length[said],
        module + 1,
    )
    together = Matches(*(np.concatenate(both) for both in zip(first, second, strict=True)))
    found, ranks = _without_needless(texts, hyps, refs, together, np.concatenate([rank, back]))
    order = _meteor_order(found, ranks)
    kept = Matches(*(column[order] for column in found))
    return kept._replace(module=np.minimum(kept.module, PARAPHRASE))


def _joined(
    said: Phrases, relation: Relation, heard: Phrases, speakers: np.ndarray, hearers: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pair, phrase said, module, rank among its entries and phrase heard, of all that fit."""
    pair, spoken = spread(said.begins[speakers], said.counts[speakers])
    phrase = said.phrase[spoken]
    rows, entry = spread(relation.begins[phrase], relation.counts[phrase])
    pair_heard, listened = spread(heard.begins[hearers], heard.counts[hearers])
    count = len(relation.counts)
    code = pair_heard * count + heard.phrase[listened]
    order = np.argsort(code, kind="stable")
    code = code[order]
    wanted = pair[rows] * count + relation.other[entry]
    left = np.searchsorted(code, wanted, "left")
    fits = np.flatnonzero(np.append(code, -1)[left] == wanted)
    left, right = left[fits], np.searchsorted(code, wanted[fits], "right")
    again, at = spread(left, right - left)
    rows, entry = rows[fits][again], entry[fits][again]
    rank = entry - relation.begins[phrase[rows]]
    return pair[rows], spoken[rows], relation.module[entry], rank, listened[order[at]]


def _without_needless(
    texts: Texts, hyps: np.ndarray, refs: np.ndarray, found: Matches, ranks: np.ndarray
) -> tuple[Matches, np.ndarray]:
    """Equal texts are compared word by word alone."""
    same = texts.same_words[hyps] == texts.same_words[refs]
    if not same.any():
        return found, ranks
    kept = ~same[found.pair] | (found.module == EXACT)
    return Matches(*(column[kept] for column in found)), ranks[kept]


def _meteor_order(found: Matches, rank: np.ndarray) -> np.ndarray:
    """By module and report for words; paraphrases by phrase and file, each side by its own."""
    words = found.module <= SYNONYM
    back = found.module == _REPORTS_PARAPHRASE
    nothing = np.zeros_like(rank)
    first = np.where(words | back, found.other, found.length)
    second = np.where(words, nothing, np.where(back, found.other_length, rank))
    third = np.where(words, nothing, np.where(back, rank, found.other))
    return order_by([found.pair, found.start, found.module, first, second, third])
