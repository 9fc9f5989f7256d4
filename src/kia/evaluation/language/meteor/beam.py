"""METEOR's aligner: a beam of 40 over the words of the reference, for many pairs at a time.

The states of all pairs lie in common arrays, sorted by pair and rank. What is odd is METEOR's own:
a word weighs 1 if exact and else ½, whatever the weights of the score, and each side of a match is
cut to a whole number (a stem alone weighs 0); the distance of a match is added to the state that it
came from, not to its own.
"""

from typing import NamedTuple

import numpy as np

from kia.evaluation.language.meteor.matches import Matches
from kia.evaluation.language.meteor.ordering import order_by, spread

_BEAM = 40
_NONE = -1  # no match ended at the word before
_NOWHERE = -2  # where a step without a match leads: no word
_HALVES = np.array([2, 1, 1, 1])  # what a word weighs: exact, stem, synonym, paraphrase
_WORD_BITS = 64


class _Steps(NamedTuple):
    """What a state may do at each word of the reference: a match of `matches`, or none.

    Attributes:
        begins, counts: Of the steps at a word, (pairs · width).
        match: Number of the match, -1 for none.
        other: First word of the report, `_NOWHERE` for none.
        last: Behind its last word, `_NONE` for none.
        distance: Between the two sides.
        weight: Of both sides together.
        following: Word of the reference where the search goes on.
        masks: Words of the report that others want too, as bits; one array for each 64 of them.
    """

    begins: np.ndarray
    counts: np.ndarray
    match: np.ndarray
    other: np.ndarray
    last: np.ndarray
    distance: np.ndarray
    weight: np.ndarray
    following: np.ndarray
    masks: list[np.ndarray]


class _States(NamedTuple):
    pair: np.ndarray
    last: np.ndarray
    chunks: np.ndarray
    weight: np.ndarray
    distance: np.ndarray
    word: np.ndarray
    used: list[np.ndarray]


def align(matches: Matches, hyps: np.ndarray, refs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The matches that METEOR keeps.

    Args:
        matches: Of a batch of pairs.
        hyps: Words of the reports, (n,).
        refs: Words of the references, (n,).

    Returns:
        Numbers of the matches, by pair; chunks that they form, (n,).
    """
    pairs, width = len(refs), int(refs.max(initial=0)) + 1  # one more: there the last chunk ends
    steps = _steps(matches, pairs, width, int(hyps.max(initial=0)))
    zeros = np.zeros(pairs, np.int64)
    states = _States(
        np.arange(pairs), zeros + _NONE, zeros, zeros, zeros, zeros,
        [np.zeros(pairs, np.uint64) for _ in steps.masks],
    )  # fmt: skip
    trace = []
    for word in range(width):
        states, parent, match = _advance(states, steps, word, width)
        trace.append((parent, match))
    best = np.searchsorted(states.pair, np.arange(pairs))
    chunks, kept = states.chunks[best], []
    for parent, match in reversed(trace):
        kept.append(match[best])
        best = parent[best]
    numbers = np.concatenate(kept) if kept else zeros
    return np.sort(numbers[numbers >= 0]), chunks


def _advance(
    states: _States, steps: _Steps, word: int, width: int
) -> tuple[_States, np.ndarray, np.ndarray]:
    """The best states behind a word; of each the state it came from, and its match."""
    slot = states.pair * width + word
    counts = steps.counts[slot]
    inside = states.word > word  # of a phrase that was matched: nothing happens
    within = bool(inside.any())
    if within:
        counts = np.where(inside, 1, counts)
    ends = np.cumsum(counts)
    rows, step = spread(steps.begins[slot], counts)
    free = _free(states, steps, rows, step)
    moved = np.where(free, steps.distance[step], 0)
    if within:
        inside = inside[rows]
        free |= inside
        moved[inside] = 0
    before = np.cumsum(moved) - moved
    distance = states.distance[rows] + before - before[(ends - counts)[rows]]
    last = states.last[rows]
    breaks = (last != _NONE) & (steps.other[step] != last)
    if within:
        breaks &= ~inside
    # a lone step is a match that nobody contests: its distance is its own
    distance += np.where((counts == 1)[rows], moved, 0)
    chunks = states.chunks[rows] + breaks
    weight = states.weight[rows] + steps.weight[step]
    if within:
        weight[inside] = states.weight[rows[inside]]
    kept = np.flatnonzero(free)
    kept = kept[_best(states.pair[rows[kept]], weight[kept], chunks[kept], distance[kept])]
    rows, step = rows[kept], step[kept]
    last, following, match = steps.last[step], steps.following[step], steps.match[step]
    used = [mine[rows] for mine in states.used]
    taken = [mask[step] for mask in steps.masks]
    if within:
        inside = inside[kept]
        last = np.where(inside, states.last[rows], last)
        following = np.where(inside, states.word[rows], following)
        match = np.where(inside, -1, match)
        taken = [np.where(inside, np.uint64(0), mask) for mask in taken]
    used = [mine | mask for mine, mask in zip(used, taken, strict=True)]
    found = _States(
        states.pair[rows], last, chunks[kept], weight[kept], distance[kept], following, used
    )
    return found, rows, match


def _free(states: _States, steps: _Steps, rows: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Whether a state has not yet used the words that a step takes."""
    clash = np.zeros(len(rows), np.uint64)
    for used, mask in zip(states.used, steps.masks, strict=True):
        clash |= used[rows] & mask[step]
    return clash == 0


def _best(
    pair: np.ndarray, weight: np.ndarray, chunks: np.ndarray, distance: np.ndarray
) -> np.ndarray:
    """The states that stay, by pair: heavy first, then of few chunks, then of little distance."""
    order = order_by([pair, weight.max(initial=0) - weight, chunks, distance])
    pair = pair[order]
    rank = np.arange(len(pair)) - np.searchsorted(pair, pair)
    return order[rank < _BEAM]


def _steps(matches: Matches, pairs: int, width: int, other_width: int) -> _Steps:
    slot = matches.pair * width + matches.start
    found = np.bincount(slot, minlength=pairs * width)
    fixed = _uncontested(matches, slot, found, width, other_width)
    only = np.zeros(pairs * width, bool)
    only[slot[fixed]] = True
    counts = found + 1 - only
    begins = np.cumsum(counts) - counts
    place = np.arange(len(slot)) + (begins - (np.cumsum(found) - found))[slot]
    none = (begins + found)[~only]
    size = int(counts.sum())

    def column(of_match: np.ndarray, of_none: np.ndarray | int) -> np.ndarray:
        values = np.empty(size, np.int64)
        values[place] = of_match
        values[none] = of_none
        return values

    halves = _HALVES[matches.module]
    whole = matches.length * halves // 2 + matches.other_length * halves // 2
    masks = []
    for bits in _bits(matches, fixed, pairs, other_width):
        mask = np.zeros(size, np.uint64)
        mask[place] = bits
        masks.append(mask)
    return _Steps(
        begins,
        counts,
        column(np.arange(len(slot)), -1),
        column(matches.other, _NOWHERE),
        column(matches.other + matches.other_length, _NONE),
        column(np.abs(matches.start - matches.other), 0),
        column(whole, 0),
        column(matches.start + matches.length, np.flatnonzero(~only) % width + 1),
        masks,
    )


def _uncontested(
    matches: Matches, slot: np.ndarray, found: np.ndarray, width: int, other_width: int
) -> np.ndarray:
    """Whether nothing else wants any word of a match."""
    other_slot = matches.pair * other_width + matches.other
    alone = found[slot] == 1
    for begin, length in ((slot, matches.length), (other_slot, matches.other_length)):
        rows, word = spread(begin, length)
        wanted = np.bincount(word)
        alone[rows[wanted[word] > 1]] = False
    return alone


def _bits(matches: Matches, fixed: np.ndarray, pairs: int, other_width: int) -> list[np.ndarray]:
    """The words of the report that a contested match takes, 64 contested words at a time."""
    rows, word = spread(matches.pair * other_width + matches.other, matches.other_length)
    rows, word = rows[~fixed[rows]], word[~fixed[rows]]
    contested = np.zeros((pairs, max(other_width, 1)), bool)
    contested.ravel()[word] = True
    number = (np.cumsum(contested, axis=1) - 1).ravel()[word]
    masks = []
    for begin in range(0, int(number.max(initial=0)) + 1, _WORD_BITS):
        mask = np.zeros(len(fixed), np.uint64)
        here = (number >= begin) & (number < begin + _WORD_BITS)
        bit = np.uint64(1) << (number[here] - begin).astype(np.uint64)
        np.bitwise_or.at(mask, rows[here], bit)
        masks.append(mask)
    return masks
