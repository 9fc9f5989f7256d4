"""Eq. 7: [MATCH] of right and wrong pairs, and how wrong pairs are drawn."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.models.outputs import ImageFeatures
from kia.tasks.matching import Negatives, draw_negatives, matching_loss, matching_rows
from kia.tasks.shared_features import SharedFeatures
from kia.tasks.text_rows import encode_rows

NONE = ImageFeatures(torch.empty(0), None, torch.empty(0))


def draw(report_ids, image_embeds=None, text_embeds=None, tau=0.1, seed=0) -> Negatives:
    torch.manual_seed(seed)
    ids = torch.as_tensor(report_ids)
    embeds = image_embeds, text_embeds
    shared = SharedFeatures(NONE, ids, 0, None, *embeds, *embeds)
    batch = SimpleNamespace(report_ids=ids)
    return draw_negatives(batch, shared, torch.tensor(tau))


@settings(max_examples=40, deadline=None)
@given(
    ids=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    seed=st.integers(0, 1000),
    similar=st.booleans(),
)
def test_a_negative_never_has_an_equal_report(ids, seed, similar):
    embeds = torch.nn.functional.one_hot(torch.tensor(ids), 4).float() if similar else None
    negatives = draw(ids, embeds, embeds, tau=0.001, seed=seed)
    for b, own in enumerate(ids):
        assert negatives.exist[b] == any(other != own for other in ids)
        if negatives.exist[b]:
            assert ids[negatives.reports[b]] != own
            assert ids[negatives.images[b]] != own


def test_negatives_follow_the_similarity_in_both_directions():
    # studies 0 to 3; image 0 is near reports 1 and 2, report 0 is near image 3
    tau, draws = 0.5, 2000
    similarity = np.array(
        [[1.0, 0.8, 0.3, -0.5], [0.1, 1.0, 0.0, 0.6], [-0.2, 0.4, 1.0, 0.2], [0.9, 0.0, 0.1, 1.0]]
    )
    # ALBEF: a study's own feature against the momentum features of the others
    images, reports = torch.eye(4), torch.eye(4)
    slow_reports = torch.tensor(similarity.T, dtype=torch.float32)
    slow_images = torch.tensor(similarity, dtype=torch.float32)
    ids = torch.arange(4)
    counts = np.zeros((2, 4, 4))
    torch.manual_seed(0)
    shared = SharedFeatures(NONE, ids, 0, None, images, reports, slow_images, slow_reports)
    batch = SimpleNamespace(report_ids=ids)
    for _ in range(draws):
        negatives = draw_negatives(batch, shared, torch.tensor(tau))
        counts[0, ids, negatives.reports] += 1
        counts[1, ids, negatives.images] += 1
    for direction, scores in enumerate((similarity, similarity.T)):
        p = np.exp(scores / tau) * (1 - np.eye(4))
        p /= p.sum(1, keepdims=True)
        bound = 5 * np.sqrt(p * (1 - p) / draws)  # five standard deviations
        assert (np.abs(counts[direction] / draws - p) <= bound).all()


def test_without_similarities_wrong_pairs_are_equally_likely():
    torch.manual_seed(0)
    negatives = draw(np.arange(1000))
    each = np.bincount(negatives.reports, minlength=1000)
    assert (negatives.reports != torch.arange(1000)).all()
    # how often a report is chosen is Poisson(1): e⁻¹ of them never
    assert np.mean(each == 0) == pytest.approx(np.exp(-1), abs=0.05)


def paid(model, batch, alone, log_softmax, pairs):
    """Mean of −ln p over (image, report, label) pairs, each alone through T-CMEnc."""
    images = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
    each = []
    for image, report, label in pairs:
        ids, mask = batch.input_ids[report].clone(), batch.attention_mask[report]
        ids[0] = 3
        features = alone(model, model.text_cross_encoder, images, image, ids, mask)
        each.append(-log_softmax(model.match_prediction(features[0]).detach().numpy())[label])
    return np.mean(each)


def loss(model, batch, negatives):
    images = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
    features = encode_rows(model, images, matching_rows(model, batch, negatives))
    return matching_loss(model, features, negatives)


@pytest.mark.parametrize("share", [True, False], ids=["shared", "separate"])
def test_equals_eq_7_pair_by_pair(make_model, make_batch, alone, log_softmax, share):
    model, batch = make_model(share=share), make_batch(4, reports=(0, 1, 0, 2), absent=((3, 1),))
    negatives = draw(batch.report_ids)
    pairs = [(b, b, 1) for b in range(4)]
    pairs += [(b, int(r), 0) for b, r in enumerate(negatives.reports)]
    pairs += [(int(i), b, 0) for b, i in enumerate(negatives.images)]
    result = loss(model, batch, negatives)
    assert result.count == 12
    assert result.mean.item() == pytest.approx(
        paid(model, batch, alone, log_softmax, pairs), rel=1e-5
    )


@pytest.mark.parametrize("reports", [(0,), (5, 5, 5)], ids=["one study", "equal reports"])
def test_without_any_wrong_pair_only_right_ones_count(
    make_model, make_batch, alone, log_softmax, reports
):
    model, batch = make_model(), make_batch(len(reports), reports=reports)
    negatives = draw(batch.report_ids)
    result = loss(model, batch, negatives)
    result.mean.backward()
    assert result.count == len(reports)
    pairs = [(b, b, 1) for b in range(len(reports))]
    assert result.mean.item() == pytest.approx(
        paid(model, batch, alone, log_softmax, pairs), rel=1e-5
    )
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert model.match_prediction.classifier.weight.grad.any()
