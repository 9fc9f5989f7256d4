"""Eq. 6 with momentum features and queues, against NumPy; the queue and the moving averages."""

import copy
from collections import deque

import numpy as np
import pytest
import torch

from kia.config import ContrastiveConfig, TasksConfig
from kia.models.momentum import FeatureQueue, MomentumEncoders
from kia.models.outputs import ImageFeatures
from kia.tasks.contrastive import ContrastiveTask
from kia.tasks.joint import queue_length
from kia.tasks.shared_features import SharedFeatures

P, Q = 8, 7


def sphere(random, rows):
    x = random.normal(size=(rows, P))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def features(studies, seed=0, scale=0.5):
    """Image, report, momentum image and momentum report embeddings (studies, P)."""
    random = np.random.default_rng(seed)
    base = sphere(random, studies)
    near = [base + scale * random.normal(size=base.shape) for _ in range(4)]
    return [x / np.linalg.norm(x, axis=1, keepdims=True) for x in near]


def filled(pushes):
    """A queue after batches of the given sizes, and what a deque of the last Q says of it."""
    queue, kept, number = FeatureQueue(Q, P), deque(maxlen=Q), 100
    for seed, size in enumerate(pushes):
        _, _, images, reports = features(size, seed=50 + seed)
        ids = np.arange(number, number + size)
        number += size
        queue.push(*map(torch.from_numpy, (images, reports, ids)))
        kept.extend(zip(images, reports, ids, strict=True))
    return queue, kept


def expected_loss(embeds, own, kept, tau, *, soft=0.0, same=False, soft_tau=None):
    """Eq. 6 study by study: −Σ target · ln softmax, half for each direction.

    Reports equal to the own one, older copies of the same study among them, are positive or no
    candidates: they fit the image, so they may not be called wrong.
    """
    image, text, slow_image, slow_text = embeds
    ids = [*own, *(report for _, _, report in kept)]
    images = np.array([*slow_image, *(i for i, _, _ in kept)])
    reports = np.array([*slow_text, *(r for _, r, _ in kept)])
    total = 0.0
    for ours, slow, candidates in ((image, slow_image, reports), (text, slow_text, images)):
        for b in range(len(own)):
            p, q = candidates @ ours[b] / tau, candidates @ slow[b] / (soft_tau or tau)
            p, q = (np.exp(x - x.max()) for x in (p, q))
            if not same:
                other = np.array([k == b or report != own[b] for k, report in enumerate(ids)])
                p, q = p * other, q * other
            target = np.array([float(k == b) for k in range(len(ids))])
            if same:
                target = np.array([float(report == own[b]) for report in ids])
            target = (1 - soft) * target / target.sum() + soft * q / q.sum()
            total -= 0.5 * sum(t * np.log(x) for t, x in zip(target, p / p.sum(), strict=True) if t)
    return total / len(own)


def run(embeds, own, queue, **config):
    tensors = [torch.from_numpy(x).float().requires_grad_() for x in embeds]
    none = ImageFeatures(torch.empty(0), None, torch.empty(0))
    task = ContrastiveTask(ContrastiveConfig(**config))
    ids = torch.as_tensor(own)
    batch = type("Ids", (), {"report_ids": ids, "reported": None})()
    return task(batch, SharedFeatures(none, ids, 0, None, *tensors), queue).mean, task, tensors


@pytest.mark.parametrize("same", [False, True], ids=["one-hot", "equal reports positive"])
@pytest.mark.parametrize("soft", [0.0, 0.4])
@pytest.mark.parametrize("pushes", [[], [3], [3, 3], [4, 4, 4], [9]], ids=str)
def test_equals_eq_6_for_empty_part_filled_and_wrapped_queues(pushes, soft, same):
    embeds, (queue, kept) = features(4), filled(pushes)
    own = [1, 2, 1, 101]  # two equal reports; one may equal a report of the queue
    loss, _, _ = run(embeds, own, queue, soft_targets=soft, same_report_is_positive=same)
    assert loss.item() == pytest.approx(
        expected_loss(embeds, own, kept, 0.07, soft=soft, same=same), rel=1e-4
    )


@pytest.mark.parametrize("pushes", [[], [3], [9]], ids=str)
def test_gradients_are_finite(pushes):
    loss, task, tensors = run(features(3), [1, 2, 3], filled(pushes)[0], soft_targets=0.4)
    loss.backward()
    assert all(torch.isfinite(x.grad).all() and x.grad.any() for x in tensors)
    assert torch.isfinite(task.log_temperature.grad)


@pytest.mark.parametrize("soft", [0.0, 0.4])
def test_the_gradient_of_the_temperature_is_the_slope_of_eq_6_with_its_targets_held(soft):
    embeds, (queue, kept) = features(4), filled([5])
    own = [1, 2, 3, 4]
    loss, task, _ = run(embeds, own, queue, soft_targets=soft)
    loss.backward()
    up, down = (
        expected_loss(embeds, own, kept, 0.07 * np.exp(step), soft=soft, soft_tau=0.07)
        for step in (1e-5, -1e-5)
    )  # what is learnt is ln τ
    assert task.log_temperature.grad.item() == pytest.approx((up - down) / 2e-5, rel=1e-3)


@pytest.mark.parametrize(("given", "used"), [(3.0, 0.5), (0.0001, 0.001)])
def test_the_temperature_is_clamped(given, used):
    embeds = features(3)
    loss, _, _ = run(embeds, [1, 2, 3], FeatureQueue(Q, P), temperature=given)
    scores = expected_loss(embeds, [1, 2, 3], [], used)
    assert loss.item() == pytest.approx(scores, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("outside", [0.6, 0.0005])
def test_a_temperature_that_a_step_carried_out_of_its_range_still_learns(
    make_objective, make_batch, outside
):
    objective = make_objective()
    with torch.no_grad():
        objective.contrastive.log_temperature.fill_(np.log(outside))
    objective.after_step()
    objective(make_batch(4)).losses["irc"].backward()
    assert objective.contrastive.log_temperature.grad.abs() > 0


def test_a_batch_of_one_with_an_empty_queue_costs_nothing():
    loss, _, tensors = run(features(1), [1], FeatureQueue(Q, P))
    loss.backward()
    assert loss == 0
    assert torch.isfinite(tensors[0].grad).all()


@pytest.mark.parametrize("pushes", [[1], [7], [3, 3, 3], [2] * 9, [8], [3, 20], [6, 1, 1]], ids=str)
def test_the_queue_keeps_the_newest_in_order(pushes):
    queue, kept = filled(pushes)
    assert queue.report_ids.shape == (Q,)
    order = (int(queue.position) + np.arange(Q)) % Q  # oldest first, empty slots before them
    ids = queue.report_ids.numpy()[order]
    assert ids[ids >= 0].tolist() == [report for _, _, report in kept]
    assert (ids[: Q - len(kept)] == -1).all()
    for mine, theirs in ((queue.images, 0), (queue.reports, 1)):
        expected = np.array([entry[theirs] for entry in kept])
        np.testing.assert_allclose(mine.numpy()[order][Q - len(kept) :], expected, rtol=1e-6)


def test_momentum_weights_are_the_exponential_moving_average(make_model):
    model = make_model()
    momentum = MomentumEncoders(model, 0.9, 4)
    start = copy.deepcopy(momentum.state_dict())
    names = ["image_tower", "text_tower", "view_embedding", "image_projection", "text_projection"]
    weights = []
    for step in range(3):
        torch.manual_seed(step)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        weights.append(copy.deepcopy(model.state_dict()))
        momentum.update(model)
    followed = [name for name in start if name.split(".")[0] in names]
    assert followed and set(start) - set(followed) == {n for n in start if n.startswith("queue.")}
    for name in followed:
        average = start[name].double().numpy()
        for newest in weights:
            average = 0.9 * average + 0.1 * newest[name].double().numpy()
        np.testing.assert_allclose(momentum.state_dict()[name], average, rtol=1e-4, atol=1e-5)


def test_momentum_features_equal_the_model_s_at_first_and_carry_no_dropout(make_model, make_batch):
    model, batch = make_model(dropout=0.5), make_batch(3, absent=((0, 1),))
    momentum = MomentumEncoders(model, 0.9, 4).train()
    given = (batch.pixel_values, batch.view_ids, batch.view_mask)
    images, reports = momentum.embed(*given, batch.input_ids, batch.attention_mask)
    assert not images.requires_grad and not reports.requires_grad
    assert not any(parameter.requires_grad for parameter in momentum.parameters())
    text = model.text_encoder(batch.input_ids, batch.attention_mask[:, None, None, :])
    torch.testing.assert_close(images, model.image_projection(model.encode_images(*given).pooled))
    torch.testing.assert_close(reports, model.text_projection(text[:, 0]))


def test_training_fills_the_queue_after_the_loss_and_evaluation_does_not(
    make_objective, make_batch
):
    objective = make_objective(irc={"queue_length": 5})
    first, second = make_batch(3, seed=1), make_batch(3, seed=2, reports=(7, 8, 9))
    objective.eval()(first)
    assert (objective.momentum.queue.report_ids == -1).all()
    objective.train()(first)
    objective(second)
    assert objective.momentum.queue.report_ids.tolist() == [9, 1, 2, 7, 8]


@pytest.mark.parametrize(("wanted", "studies", "kept"), [(4096, 2069, 1034), (64, 2069, 64)])
def test_the_queue_is_never_longer_than_half_an_epoch(wanted, studies, kept):
    config = TasksConfig.model_validate({"irc": {"queue_length": wanted}})
    assert queue_length(config, studies) == kept


@pytest.mark.parametrize("same", [False, True])
def test_an_older_copy_of_the_own_study_in_the_queue_is_never_a_negative(same):
    """Its pair is right: making it less similar must not lower the loss."""
    embeds = features(3)
    queue = FeatureQueue(Q, P)
    copies = [torch.from_numpy(x) for x in embeds[2:]]
    queue.push(*copies, torch.tensor([1, 2, 3]))
    near, _, _ = run(embeds, [1, 2, 3], queue, same_report_is_positive=same)
    far_queue = FeatureQueue(Q, P)
    far_queue.push(-copies[0], -copies[1], torch.tensor([1, 2, 3]))
    far, _, _ = run(embeds, [1, 2, 3], far_queue, same_report_is_positive=same)
    assert far.item() >= near.item() - 1e-6
