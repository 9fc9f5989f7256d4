"""Which tokens are hidden and what stands in their place: BERT's 15 %, 80/10/10, and graphs."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.knowledge.masks.text import (
    ANATOMY,
    NEITHER,
    OBSERVATION,
    general_text_mask,
    graph_text_mask,
    piece_sides,
    sides_to_hide,
)
from kia.knowledge.radgraph import Entity, ReportGraph

MASK_ID, SPECIAL, VOCABULARY = 4, 7, 200
ORDINARY = np.arange(SPECIAL, VOCABULARY)


def mask(ids, draws, p_mask=0.15, ordinary=ORDINARY):
    maskable = ids >= SPECIAL
    masked, chosen = general_text_mask(
        ids, maskable, draws, p_mask=p_mask, mask_id=MASK_ID, ordinary_ids=ordinary
    )
    return masked, chosen, maskable


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), p_mask=st.floats(0.05, 0.95))
def test_special_tokens_stay_and_words_are_chosen_at_the_given_rate(seed, p_mask):
    random = np.random.default_rng(seed)
    ids = random.integers(0, VOCABULARY, (40, 60))
    masked, chosen, maskable = mask(ids, random.random((3, 40, 60)), p_mask)
    assert not chosen[~maskable].any()
    assert (masked == ids)[~chosen].all()
    bound = 6 * np.sqrt(p_mask * (1 - p_mask) / maskable.sum())
    assert abs(chosen[maskable].mean() - p_mask) < bound


def test_80_percent_become_mask_10_another_word_10_stay():
    random = np.random.default_rng(0)
    ids = np.full((300, 100), 11)
    masked, chosen, _ = mask(ids, random.random((3, 300, 100)), 0.5)
    now, n = masked[chosen], chosen.sum()
    # another word is drawn from the whole vocabulary, the old one included
    again = 0.1 / len(ORDINARY)
    for share, p in (
        ((now == MASK_ID).mean(), 0.8),
        ((now == 11).mean(), 0.1 + again),
        (((now != MASK_ID) & (now != 11)).mean(), 0.1 - again),
    ):
        assert abs(share - p) < 5 * np.sqrt(p * (1 - p) / n)
    others = now[(now != MASK_ID) & (now != 11)]
    assert others.min() == ORDINARY[0] and others.max() == ORDINARY[-1]
    assert len(np.unique(others)) > 0.99 * (len(ORDINARY) - 1)


def test_the_largest_draw_is_the_last_word():
    draws = np.stack([np.zeros((1, 1)), np.full((1, 1), 0.85), np.full((1, 1), 1 - 2.0**-53)])
    for size in (1, 3, 1000, 1024, 30522):
        masked, _, _ = mask(np.full((1, 1), 11), draws, ordinary=np.arange(size))
        assert masked.item() == size - 1


def test_the_input_is_not_changed():
    ids = np.full((2, 5), 11)
    mask(ids, np.zeros((3, 2, 5)))
    assert (ids == 11).all()


# graph masking

WORDS = [
    "mild",
    "edema",
    "left",
    "base",
    "heart",
    "normal",
    "is",
    "no",
    "effusion",
    ".",
    "!",
    "the",
]


@st.composite
def graphs(draw):
    """A graph over random words, whose entities do not overlap."""
    tokens = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=40))
    entities, position = {}, 0
    while position < len(tokens):
        length = draw(st.integers(1, 3))
        label = draw(st.sampled_from(["ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA", None]))
        end = min(position + length, len(tokens)) - 1
        if label is not None:
            words = " ".join(tokens[position : end + 1])
            entities[str(len(entities) + 1)] = Entity(words, label, position, end)
        position = end + 1
    return ReportGraph(" ".join(tokens), entities)


def word_pieces(text):
    """Every word in pieces of two letters, as (start, end) in the text."""
    return [
        (at, min(at + 2, match.end()))
        for match in re.finditer(r"\S+", text)
        for at in range(match.start(), match.end(), 2)
    ]


@settings(max_examples=200, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 2**32 - 1))
def test_graph_masking_hides_one_whole_side_of_each_sentence(graph, seed):
    random = np.random.default_rng(seed)
    spans = word_pieces(graph.text)
    sides, sentences = piece_sides(graph, graph.text, spans)
    # [CLS] pieces [SEP] [PAD]: special tokens carry ids below SPECIAL
    ids = np.concatenate([[2], np.arange(SPECIAL, SPECIAL + len(spans)) % 150 + SPECIAL, [3, 0]])
    pad = lambda x: np.concatenate([[0], x, [0, 0]])[None]  # noqa: E731
    ids, sides, sentences = ids[None], pad(sides).astype(np.int8), pad(sentences)
    maskable = ids >= SPECIAL
    masked, chosen = graph_text_mask(
        ids,
        maskable,
        sides,
        sentences,
        random.random((1, sentences.max() + 1)),
        np.ones((3, *ids.shape)) * 0.999,  # nothing by chance
        p_mask=0.5,
        mask_id=MASK_ID,
        ordinary_ids=ORDINARY,
    )
    assert not chosen[~maskable].any()
    assert (masked == ids)[~chosen].all() and (masked[chosen] == MASK_ID).all()
    for sentence in np.unique(sentences[maskable]):
        inside = maskable & (sentences == sentence)
        present = set(sides[inside].tolist()) - {NEITHER}
        hidden = set(sides[inside & chosen].tolist())
        assert len(hidden) == min(1, len(present)) and hidden <= present
        for side in hidden:  # all of it: whole words, all their pieces
            assert chosen[inside & (sides == side)].all()


@settings(max_examples=200, deadline=None)
@given(graph=graphs())
def test_a_piece_has_the_side_of_the_entity_it_is_part_of(graph):
    spans = word_pieces(graph.text)
    sides, sentences = piece_sides(graph, graph.text, spans)
    starts = [match.start() for match in re.finditer(r"\S+", graph.text)]
    token = [max(i for i, start in enumerate(starts) if start <= a) for a, _ in spans]
    expected = np.zeros(len(starts), int)
    for entity in graph.entities.values():
        side = ANATOMY if entity.label == "ANAT-DP" else OBSERVATION
        expected[entity.start_ix : entity.end_ix + 1] = side
    assert sides.tolist() == [expected[t] for t in token]
    ends = [graph.text.split()[i] in ".!" for i in range(len(starts))]
    assert sentences.tolist() == [sum(ends[:t]) for t in token]


def test_the_coin_is_fair():
    sides = np.tile(np.array([OBSERVATION, ANATOMY], np.int8), (4000, 1))
    coins = np.random.default_rng(0).random((4000, 1))
    hidden = sides_to_hide(sides, np.zeros(sides.shape, np.int64), coins)
    assert abs((hidden[:, 0] == OBSERVATION).mean() - 0.5) < 5 * np.sqrt(0.25 / 4000)


def test_sentences_without_entities_are_masked_by_chance():
    random = np.random.default_rng(0)
    ids = np.full((200, 50), 11)
    nothing = np.zeros(ids.shape, np.int8)
    draws = random.random((3, *ids.shape))
    where = np.zeros(ids.shape, np.int64)
    masked, chosen = graph_text_mask(
        ids,
        ids > 0,
        nothing,
        where,
        random.random((200, 1)),
        draws,
        p_mask=0.3,
        mask_id=MASK_ID,
        ordinary_ids=ORDINARY,
    )
    expected = mask(ids, draws, 0.3)
    assert (masked == expected[0]).all() and (chosen == expected[1]).all()
