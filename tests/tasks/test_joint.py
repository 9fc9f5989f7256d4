"""Eq. 9: the weighted sum, from features computed once, and nothing for tasks that are off."""

import itertools
from collections import Counter
from dataclasses import fields, replace

import pytest
import torch

import kia.tasks.joint as joint
from kia.models.image_encoder import ImageEncoder
from kia.models.text_transformer import TextTransformer
from kia.tasks.joint import TASKS, active_tasks


@pytest.fixture
def calls(monkeypatch) -> Counter:
    """How often towers and the parts of the tasks are called."""
    counted: Counter = Counter()

    def count(owner, name, key):
        original = getattr(owner, name)

        def wrapper(*args, **kwargs):
            counted[key] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, wrapper)

    count(ImageEncoder, "forward", "image tower")
    count(TextTransformer, "forward", "text tower")
    for name in ("masked_image_loss", "masked_language_rows", "masked_language_loss"):
        count(joint, name, name)
    for name in ("draw_negatives", "matching_rows", "matching_loss"):
        count(joint, name, name)
    count(joint.ContrastiveTask, "forward", "contrast")
    count(joint.MomentumEncoders, "embed", "momentum")
    return counted


@pytest.mark.parametrize("share", [True, False], ids=["shared", "separate"])
def test_a_step_encodes_everything_once(make_objective, make_batch, calls, share):
    objective = make_objective(share=share)
    calls.clear()
    objective(make_batch(3))
    # images: for all tasks, momentum, MIM; text: T-Enc, momentum, and one pass a tower of rows
    assert calls["image tower"] == 3
    assert calls["text tower"] == (3 if share else 4)
    assert {key: n for key, n in calls.items() if "tower" not in key} == dict.fromkeys(
        (
            "masked_image_loss",
            "masked_language_rows",
            "masked_language_loss",
            "draw_negatives",
            "matching_rows",
            "matching_loss",
            "contrast",
            "momentum",
        ),
        1,
    )


def test_the_total_is_the_weighted_sum(make_objective, make_batch):
    weights = dict(zip(TASKS, (0.5, 2.0, 3.0, 0.25, 1.5), strict=True))
    result = make_objective(**weights)(make_batch(4))
    assert list(result.losses) == list(TASKS)
    expected = sum(weights[name] * loss.item() for name, loss in result.losses.items())
    assert result.total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "off", [c for n in range(1, 5) for c in itertools.combinations(TASKS[:4], n)], ids="-".join
)
def test_a_task_of_weight_0_is_neither_built_nor_computed(make_objective, make_batch, calls, off):
    batch = make_batch(3)
    absent = {"mim": ("image_mask", "hidden_patches"), "mlm": ("masked_input_ids",)}
    names = [name for task in off for name in absent.get(task, ())]
    objective = make_objective(**dict.fromkeys(off, 0.0))
    assert active_tasks(objective.config) == [name for name in TASKS if name not in off]
    result = objective(replace(batch, **dict.fromkeys(names)))
    assert list(result.losses) == [name for name in TASKS if name not in off]
    on = set(TASKS) - set(off)
    assert calls["image tower"] == 1 + ("mim" in on) + ("irc" in on)
    assert calls["text tower"] == 1 + ("irc" in on) + bool({"mim", "irc"} & on)
    for task, parts in {
        "mim": ("masked_image_loss",),
        "mlm": ("masked_language_rows", "masked_language_loss"),
        "irc": ("contrast", "momentum"),
        "irm": ("draw_negatives", "matching_rows", "matching_loss"),
    }.items():
        assert [calls[part] for part in parts] == [int(task in on)] * len(parts)
    modules = {name.split(".")[0] for name, _ in objective.named_modules()}
    inner = {name.split(".")[0] for name, _ in objective.model.named_modules()}
    assert ("contrastive" in modules) == ("momentum" in modules) == ("irc" in on)
    assert ("image_projection" in inner) == ("text_projection" in inner) == ("irc" in on)
    assert ("pixel_prediction" in inner) == ("mim" in on)
    assert ("match_prediction" in inner) == ("irm" in on)
    objective.after_step()


def test_stage_2_computes_report_generation_alone(make_objective, make_batch, calls):
    objective, batch = make_objective(rg=2.0), make_batch(3)
    stage_1 = objective.eval()(batch).losses["rg"]
    calls.clear()
    result = objective.train()(batch, joint=False)
    assert list(result.losses) == ["rg"]
    torch.testing.assert_close(result.losses["rg"], stage_1)
    torch.testing.assert_close(result.total, 2 * stage_1)
    assert calls == {"image tower": 1, "text tower": 1}
    assert (objective.momentum.queue.report_ids == -1).all()


def test_negatives_are_drawn_by_the_contrastive_similarities(
    make_objective, make_batch, monkeypatch
):
    seen = []
    draw = joint.draw_negatives
    monkeypatch.setattr(joint, "draw_negatives", lambda *args: seen.append(args) or draw(*args))
    batch = make_batch(4)
    objective = make_objective(irc={"temperature": 0.2})
    objective(batch)
    make_objective(irc=0.0)(batch)
    (_, shared, tau), (_, without, no_tau) = seen
    assert tau == pytest.approx(0.2) and not tau.requires_grad
    model = objective.model
    images = model.encode_images(batch.pixel_values, batch.view_ids)
    torch.testing.assert_close(shared.image_embeds, model.image_projection(images.pooled))
    assert no_tau is None and without.image_embeds is None


def test_after_a_step_the_momentum_encoders_move_by_their_share(make_objective):
    objective = make_objective(irc={"momentum": 0.75})
    word = objective.model.text_tower.word.weight
    before = word.detach().clone()
    with torch.no_grad():
        word.add_(1.0)
    objective.after_step()
    torch.testing.assert_close(objective.momentum.text_tower.word.weight, before + 0.25)


def test_label_smoothing_is_that_of_the_configuration(make_objective, make_batch):
    batch = make_batch(3)
    plain = make_objective()(batch, joint=False).losses["rg"]
    smooth = make_objective(rg={"label_smoothing": 0.2})(batch, joint=False).losses["rg"]
    even = make_objective(rg={"label_smoothing": 0.99})(batch, joint=False).losses["rg"]
    # linear in the smoothing share: at 0.99 nearly the cross-entropy with an even distribution
    torch.testing.assert_close(smooth - plain, (even - plain) * (0.2 / 0.99))
    assert abs(smooth - plain) > 1e-2


@pytest.mark.parametrize("share", [True, False], ids=["shared", "separate"])
def test_every_parameter_gets_a_gradient(make_objective, make_batch, share):
    objective = make_objective(share=share)
    objective(make_batch(4)).total.backward()
    trained = {n: p for n, p in objective.named_parameters() if p.requires_grad}
    assert not any(name.startswith("momentum.") for name in trained)
    without = [name for name, p in trained.items() if p.grad is None or not p.grad.any()]
    # I-Enc never hides a patch; as a tower of its own it has a mask token all the same
    assert without == ([] if share else ["model.image_tower.mask_token"])
    assert all(torch.isfinite(p.grad).all() for p in trained.values() if p.grad is not None)
    assert not any(p.grad is not None for p in objective.momentum.parameters())


@pytest.mark.parametrize("studies", [4, 1], ids=["four studies", "one study"])
def test_nothing_masked_gives_connected_zeros_and_finite_gradients(
    make_objective, make_batch, studies
):
    objective = make_objective()
    result = objective(make_batch(studies, hidden=0, masked=0))
    assert result.losses["mim"] == 0
    assert result.losses["mlm"] == 0
    result.total.backward()
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_all_equal_reports_stay_finite(make_objective, make_batch):
    objective = make_objective(irc={"same_report_is_positive": True, "soft_targets": 0.4})
    for _ in range(3):  # the queue wraps around
        result = objective(make_batch(4, reports=(1, 1, 1, 1)))
    result.total.backward()
    assert all(torch.isfinite(loss) for loss in result.losses.values())
    assert all(torch.isfinite(p.grad).all() for p in objective.parameters() if p.grad is not None)


def test_losses_do_not_depend_on_an_absent_view(make_objective, make_batch):
    batch = make_batch(4, absent=((1, 1), (3, 1)))
    pixels = batch.pixel_values.clone()
    pixels[~batch.view_mask] = 5.0
    changed = replace(batch, pixel_values=pixels, view_ids=batch.view_ids * batch.view_mask)
    results = []
    for given in (batch, changed):
        objective = make_objective()
        torch.manual_seed(0)
        results.append(objective(given).losses)
        assert objective.momentum.queue.images.isfinite().all()
    for name in TASKS:
        torch.testing.assert_close(results[0][name], results[1][name])


def test_a_study_with_an_absent_view_costs_what_it_costs_with_that_view_left_out(
    make_objective, make_batch
):
    two = make_batch(3, absent=((0, 1), (1, 1), (2, 1)), hidden=0)
    one = replace(
        two, pixel_values=two.pixel_values[:, :1], view_ids=two.view_ids[:, :1], view_mask=None
    )
    losses = []
    for given in (two, one):
        objective = make_objective(mim=0.0)
        torch.manual_seed(0)
        losses.append(objective(given).losses)
    for name, loss in losses[0].items():
        torch.testing.assert_close(loss, losses[1][name], msg=name)


def test_a_batch_moves_whole(make_batch):
    batch = make_batch(2)
    moved = batch.to("meta")
    for field in fields(batch):
        value = getattr(batch, field.name)
        assert (value is None) == (getattr(moved, field.name) is None)
        assert value is None or getattr(moved, field.name).is_meta
