"""Which tokens are hidden and what stands in their place: BERT's 15 %, 80/10/10."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.knowledge.text_masking import general_text_mask

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
