"""Studies that have labels alone: what the tasks skip of them, and that nothing else moves."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from kia.data.batches.batch import Batch
from kia.tasks.matching import draw_negatives
from kia.tasks.shared_features import shared_features

PLACES = ("next_positions", "masked_positions", "hidden_patches")


def parted(batch: Batch, kept: list[int]) -> Batch:
    """Some studies of a batch, in their order."""
    rows = torch.tensor(kept)
    tokens, patches = batch.input_ids.shape[1], batch.image_mask[0].numel()
    found = {"next_targets": None, "masked_targets": None}
    for name, width in zip(PLACES, (tokens, tokens, patches), strict=True):
        flat = getattr(batch, name)
        among = torch.isin(flat // width, rows)
        place = torch.searchsorted(rows, flat[among] // width)
        found[name] = place * width + flat[among] % width
        if name != "hidden_patches":
            target = name.replace("positions", "targets")
            found[target] = getattr(batch, target)[among]
    left = batch.report_ids[rows] >= 0
    found["reported"] = None if left.all() else left.nonzero()[:, 0]
    flat_fields = {*PLACES, "next_targets", "masked_targets", "reported"}
    for name, value in vars(batch).items():
        if name not in flat_fields:
            found[name] = None if value is None else value[rows]
    return Batch(**found)


def without_reports(batch: Batch, studies: list[int]) -> Batch:
    """The batch as it would be if these studies had labels alone."""
    width = batch.input_ids.shape[1]
    kept = ~torch.isin(batch.next_positions // width, torch.tensor(studies))
    numbers = batch.report_ids.clone()
    numbers[studies] = -1
    return replace(
        batch,
        report_ids=numbers,
        reported=(numbers >= 0).nonzero()[:, 0],
        next_positions=batch.next_positions[kept],
        next_targets=batch.next_targets[kept],
    )


def test_contrast_and_generation_are_those_of_the_reports_alone(make_objective, make_batch):
    objective = make_objective(mim=0, irm=0)
    whole = make_batch(6)
    mixed, alone = without_reports(whole, [1, 4]), parted(whole, [0, 2, 3, 5])
    one, other = deepcopy(objective)(mixed), deepcopy(objective)(alone)
    for task in ("irc", "rg"):
        torch.testing.assert_close(one.losses[task], other.losses[task])
    counts = objective.counts(mixed)
    assert counts["irc"] == 4 == objective.counts(alone)["irc"]
    assert counts["rg"] == objective.counts(alone)["rg"] == len(alone.next_targets)
    assert counts["mlm"] == objective.counts(whole)["mlm"]  # of labels, which all may have


def test_the_queue_remembers_reports_alone(make_objective, make_batch):
    objective = make_objective(mim=0, mlm=0, irm=0)
    objective(without_reports(make_batch(4), [0, 3]))
    assert objective.momentum.queue.report_ids.tolist() == [1, 2, -1, -1, -1]
    assert objective.momentum.queue.position == 2


def test_matching_pairs_no_study_without_a_report(make_objective, make_batch):
    objective = make_objective(mim=0, mlm=0, irc=0)
    batch = without_reports(make_batch(5), [1, 3])
    shared = shared_features(objective.model, None, batch, text=False)
    for seed in range(20):
        torch.manual_seed(seed)
        drawn = draw_negatives(batch, shared, None)
        assert drawn.exist.tolist() == [True, False, True, False, True]
        real = drawn.exist
        assert not {1, 3} & {*drawn.reports[real].tolist(), *drawn.images[real].tolist()}
    # three right pairs, three wrong reports, three wrong images
    assert objective.counts(batch)["irm"] == 9
    objective(batch).losses["irm"].backward()


def test_parts_add_up_to_the_whole(make_objective, make_batch):
    """As with accumulation and on several ranks: each sum over the count of all parts."""
    objective = make_objective(irc=0, irm=0)
    batch = without_reports(make_batch(6), [0, 1, 2])
    counts = objective.counts(batch)
    whole = deepcopy(objective)(batch)
    parts = [deepcopy(objective)(parted(batch, k), counts=counts) for k in ([0, 1, 2], [3, 4, 5])]
    for task, loss in whole.losses.items():
        torch.testing.assert_close(sum(part.losses[task] for part in parts), loss)


def test_a_batch_without_any_report_has_no_loss_but_those_of_labels_and_pixels(
    make_objective, make_batch
):
    objective = make_objective()
    losses = objective(without_reports(make_batch(3), [0, 1, 2])).losses
    assert [losses[task].item() for task in ("irc", "irm", "rg")] == [0, 0, 0]
    assert losses["mim"] > 0 and losses["mlm"] > 0
    sum(losses.values()).backward()
    gradients = [p.grad for p in objective.model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("masking", ["label", "graph+label"])
def test_unknown_labels_are_hidden_and_not_asked_for(masking):
    """By hand: of the 14, NIH annotates 11 beside "No Finding", and 10 beside a hernia."""
    import numpy as np

    from kia.config import MaskedLanguageConfig
    from kia.data.batches.masked_text import TextMasker
    from kia.data.readers.nih import nih_labels
    from kia.processing import KIAProcessor, train_tokenizer
    from kia.studies import Study

    report = "The heart is normal."
    processor = KIAProcessor(train_tokenizer([report] * 3, 140), image_size=32)
    studies = [
        Study("a", "train", (), "", labels=nih_labels("No Finding")),
        Study("b", "train", (), "", labels=nih_labels("Hernia")),
        Study("c", "train", (), "", labels=None),
        Study("d", "train", (), report, labels=nih_labels("Hernia")),
    ]
    masker = TextMasker(processor, MaskedLanguageConfig(masking=masking), seed=0)
    encoded = processor.encode_spans([s.report for s in studies], max_words=99, max_tokens=99)
    made = masker.rows(studies, np.arange(4), encoded, epoch=0)
    assert made.chosen.sum(1).tolist()[:3] == [11, 10, 0]
    hidden = (made.input_ids == processor.token_id("[MASK]")).sum(1)
    assert hidden.tolist()[:3] == [14, 14, 0]
    if masking == "label":
        assert made.chosen[3].sum() == 14  # of a report: what it does not mention is absent
