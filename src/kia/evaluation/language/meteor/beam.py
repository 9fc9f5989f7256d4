"""METEOR's aligner: a beam of 40 over the words of the reference, for many pairs at a time.

The states of all pairs lie in common arrays, sorted by pair and rank. What METEOR ranks them by is
one number, so that a step adds to it: weight first, then chunks, then distance. What is odd is
METEOR's own: a word weighs 1 if exact and else ½, whatever the weights of the score, and each side
of a match is cut to a whole number (a stem alone weighs 0); the distance of a match is added to the
state that it came from, and so to its later children, not to its own.

Where all states of a pair stand at the same word and can only do the same, none gains on another:
such words are left out.
"""

from typing import NamedTuple

import numpy as np

from kia.evaluation.language.meteor.matches import Matches
from kia.evaluation.language.meteor.ordering import spread

_BEAM = 40
_NONE = -1  # no match ended at the word before
_NOWHERE = -2  # where a step without a match leads: no word
_HALVES = np.array([2, 1, 1, 1])  # what a word weighs: exact, stem, synonym, paraphrase
_WORD_BITS = 64
_KEY_BITS = 63
_OVER = -1  # in the place of a word: the pair has no more of them
_ANY = -3  # in the place of a report's word: the states' own


class _Steps(NamedTuple):
    """What a state may do at each word of the reference: a match, or none; the last does nothing.

    Attributes:
        begins, counts: Of the steps at a word, (pairs · width).
        match: Number of the match, -1 for none.
        other: First word of the report, `_NOWHERE` for none.
        last: Behind its last word, `_NONE` for none.
        following: Word of the reference where the search goes on.
        price: What it adds to the cost of the state behind it, but for a chunk.
        moved: What it adds to the cost of the state that it came from.
        masks: Words of the report that others want too, as bits; one array for each 64 of them.
        chunk: What a chunk costs.
        most: More than any state costs; where all begin is half of it.
    """

    begins: np.ndarray
    counts: np.ndarray
    match: np.ndarray
    other: np.ndarray
    last: np.ndarray
    following: np.ndarray
    price: np.ndarray
    moved: np.ndarray
    masks: list[np.ndarray]
    chunk: int
    most: int


class _States(NamedTuple):
    pair: np.ndarray
    last: np.ndarray
    cost: np.ndarray
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
    words, arriving, alike = _turns(matches, steps, pairs, width)
    start = np.full(pairs, steps.most // 2)
    nothing = np.zeros(pairs, np.int64)
    used = [np.zeros(pairs, np.uint64) for _ in steps.masks]
    states = _States(np.arange(pairs), nothing + _NONE, start, nothing, used)
    trace = []
    for turn in range(words.shape[1]):
        states, parent, match = _advance(states, steps, words[:, turn], arriving[:, turn], width)
        trace.append((parent, match))
    best = np.searchsorted(states.pair, np.arange(pairs))
    kept = [alike]
    for parent, match in reversed(trace):
        kept.append(match[best])
        best = parent[best]
    numbers = np.concatenate(kept)
    numbers = np.sort(numbers[numbers >= 0])
    return numbers, _chunks(matches, numbers, pairs)


def _turns(
    matches: Matches, steps: _Steps, pairs: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The words at which states of a pair can part.

    Returns:
        Those words, (pairs, turns), `_OVER` behind the last; what all states have as the end of
        their last match there, `_ANY` where they differ; matches at the other words.
    """
    lone = (steps.counts == 1).reshape(pairs, width)
    slot = matches.pair * width + matches.start
    phrases = np.flatnonzero((matches.length > 1) & (steps.counts[slot] > 1))
    _, spanned = spread(slot[phrases] + 1, matches.length[phrases] - 1)
    free = np.ones(pairs * width, bool)
    free[spanned] = False
    alike = lone.copy()  # all come from a word where all did the same, and do the same
    alike[:, 1:] &= lone[:, :-1] & free.reshape(pairs, width)[:, :-1]
    behind = np.where(lone.ravel(), steps.last[steps.begins], _ANY)
    inside = np.flatnonzero((matches.length > 1) & (steps.counts[slot] == 1))
    rows, word = spread(slot[inside] + 1, matches.length[inside] - 1)
    behind[word] = behind[slot[inside][rows]]
    arriving = np.full((pairs, width), _ANY)
    arriving[:, 1:] = np.where(alike[:, :-1], behind.reshape(pairs, width)[:, :-1], _ANY)
    count = (~alike).sum(axis=1)
    pair, word = np.nonzero(~alike)
    turn = np.arange(len(pair)) - (np.cumsum(count) - count)[pair]
    words = np.full((2, pairs, int(count.max(initial=0))), _OVER)
    words[0, pair, turn], words[1, pair, turn] = word, arriving[pair, word]
    fixed = alike.ravel()[slot] & lone.ravel()[slot]
    return words[0], words[1], np.flatnonzero(fixed)


def _chunks(matches: Matches, numbers: np.ndarray, pairs: int) -> np.ndarray:
    """Runs of matches that follow one another on both sides, by pair."""
    pair, start, other = (
        column[numbers] for column in (matches.pair, matches.start, matches.other)
    )
    ends = start + matches.length[numbers], other + matches.other_length[numbers]
    follows = (pair[1:] == pair[:-1]) & (start[1:] == ends[0][:-1]) & (other[1:] == ends[1][:-1])
    return np.bincount(pair, minlength=pairs) - np.bincount(pair[1:][follows], minlength=pairs)


def _advance(
    states: _States, steps: _Steps, words: np.ndarray, arriving: np.ndarray, width: int
) -> tuple[_States, np.ndarray, np.ndarray]:
    """The best states behind a word of each pair; of each where it came from, and its match."""
    word, came = words[states.pair], arriving[states.pair]
    came = np.where(came == _ANY, states.last, came)
    idle = states.word > word  # inside of a phrase that was matched, or behind all words
    slot = np.where(word == _OVER, 0, states.pair * width + word)
    wait = len(steps.match) - 1  # the step that changes nothing
    rows, step = spread(
        np.where(idle, wait, steps.begins[slot]), np.where(idle, 1, steps.counts[slot])
    )
    free = _free(states, steps, rows, step)
    rows, step = rows[free], step[free]
    last, moved = came[rows], steps.moved[step]
    breaks = (last != _NONE) & (steps.other[step] != last) & (step != wait)
    before = np.cumsum(moved) - moved
    before -= before[np.searchsorted(rows, np.arange(len(slot)))][rows]  # of this parent alone
    cost = states.cost[rows] + steps.price[step] + before + breaks * steps.chunk
    beam = np.where(words == _OVER, 1, _BEAM)
    pair, cost, kept = _best(states.pair[rows], cost, steps.most, beam)
    rows, step = rows[kept], step[kept]
    idle = step == wait
    last = np.where(idle, states.last[rows], steps.last[step])
    following = np.where(idle, states.word[rows], steps.following[step])
    used = [mine[rows] | mask[step] for mine, mask in zip(states.used, steps.masks, strict=True)]
    return _States(pair, last, cost, following, used), rows, steps.match[step]


def _free(states: _States, steps: _Steps, rows: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Whether a state has not yet used the words that a step takes."""
    clash = np.zeros(len(rows), np.uint64)
    for used, mask in zip(states.used, steps.masks, strict=True):
        clash |= used[rows] & mask[step]
    return clash == 0


def _best(
    pair: np.ndarray, cost: np.ndarray, most: int, beam: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cheapest states of each pair, as many as its beam: their pairs, costs and rows."""
    counts = np.bincount(pair)
    place, depth = (len(pair) - 1).bit_length(), most.bit_length()
    if len(counts).bit_length() + depth + place > _KEY_BITS:
        rows = np.lexsort((cost, pair))
        pair, cost = pair[rows], cost[rows]
    else:
        key = (((pair << depth) | cost) << place) | np.arange(len(pair))
        key.sort()
        rows = key & ((1 << place) - 1)
        key >>= place
        pair, cost = key >> depth, key & ((1 << depth) - 1)
    if (counts <= beam).all():
        return pair, cost, rows
    rank = np.arange(len(pair)) - (np.cumsum(counts) - counts)[pair]
    stay = rank < beam[pair]
    return pair[stay], cost[stay], rows[stay]


def _steps(matches: Matches, pairs: int, width: int, other_width: int) -> _Steps:
    slot = matches.pair * width + matches.start
    found = np.bincount(slot, minlength=pairs * width)
    fixed = _uncontested(matches, slot, found, width, other_width)
    none = np.ones(pairs * width, bool)  # where a state may go on without a match
    none[slot[fixed]] = False
    counts = found + none
    begins = np.cumsum(counts) - counts
    place = np.arange(len(slot)) + (begins - (np.cumsum(found) - found))[slot]
    size = int(counts.sum()) + 1  # one more, that changes nothing

    def column(of_match: np.ndarray, otherwise: int, kind: type = np.int64) -> np.ndarray:
        values: np.ndarray = np.full(size, otherwise, kind)
        values[place] = of_match
        return values

    halves = _HALVES[matches.module]
    weight = matches.length * halves // 2 + matches.other_length * halves // 2
    distance = np.abs(matches.start - matches.other)
    chunk = 1 << int(np.bincount(matches.pair, distance, pairs).max(initial=0)).bit_length()
    heavier = chunk << (width + 1).bit_length()
    following = column(matches.start + matches.length, 0)
    following[(begins + found)[none]] = np.flatnonzero(none) % width + 1
    return _Steps(
        begins,
        counts,
        column(np.arange(len(slot)), -1),
        column(matches.other, _NOWHERE),
        column(matches.other + matches.other_length, _NONE),
        following,
        column(np.where(fixed, distance, 0) - weight * heavier, 0),
        column(np.where(fixed, 0, distance), 0),
        [column(bits, 0, np.uint64) for bits in _bits(matches, fixed, pairs, other_width)],
        chunk,
        heavier << ((width + other_width + 1).bit_length() + 1),
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
