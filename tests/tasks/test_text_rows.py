"""Rows of several tasks in one pass equal each row alone."""

import pytest
import torch

from kia.models.outputs import ImageFeatures
from kia.tasks.text_rows import TextRows, encode_rows, with_first_token

WRONG_IMAGE = torch.tensor([2, 0, 1, 1])


@pytest.fixture(scope="module", params=[True, False], ids=["shared", "separate"])
def model(make_model, request):
    return make_model(share=request.param)


def mixed(batch) -> dict[str, TextRows]:
    ids, mask = batch.input_ids, batch.attention_mask
    wrong_report = torch.tensor([1, 2, 3, 0])
    padding = torch.zeros_like(ids[:, :2])
    return {
        "longer": TextRows(torch.cat([ids, padding], 1), torch.cat([mask, padding.bool()], 1)),
        "rg": TextRows(with_first_token(ids, 2), mask, causal=True),
        "mlm": TextRows(batch.masked_input_ids, mask),
        "match": TextRows(with_first_token(ids, 3), mask),
        "wrong_report": TextRows(ids[wrong_report], mask[wrong_report]),
        "wrong_image": TextRows(ids, mask, images=WRONG_IMAGE),
    }


@pytest.mark.parametrize("absent", [(), ((0, 1), (2, 1))], ids=["all views", "absent views"])
def test_one_pass_equals_every_row_alone(model, make_batch, alone, absent):
    batch = make_batch(4, absent=absent)
    images = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
    rows = mixed(batch)
    together = encode_rows(model, images, rows)
    assert set(together) == set(rows)
    for name, kind in rows.items():
        tower = model.text_decoder if kind.causal else model.text_cross_encoder
        for row in range(4):
            study = row if kind.images is None else int(kind.images[row])
            ids, mask = kind.input_ids[row], kind.attention_mask[row]
            expected = alone(model, tower, images, study, ids, mask, causal=kind.causal)
            torch.testing.assert_close(
                together[name][row][mask], expected, rtol=1e-4, atol=1e-5, msg=f"{name} {row}"
            )


def test_rows_of_one_tower_and_length_make_one_pass(model, make_batch, monkeypatch):
    batch, passes = make_batch(4), []
    images = model.encode_images(batch.pixel_values, batch.view_ids)
    forward = type(model.text_decoder).forward
    monkeypatch.setattr(
        type(model.text_decoder),
        "forward",
        lambda tower, ids, *a, **k: passes.append(len(ids)) or forward(tower, ids, *a, **k),
    )
    encode_rows(model, images, mixed(batch))
    assert sorted(passes) == ([4, 20] if model.config.share_parameters else [4, 4, 16])


def test_a_wrong_image_row_reads_the_chosen_image_only(model, make_batch):
    batch = make_batch(4)
    images = model.encode_images(batch.pixel_values, batch.view_ids)
    rows = {"match": mixed(batch)["match"], "wrong_image": mixed(batch)["wrong_image"]}
    changed = images.sequence.clone()
    changed[2] += torch.randn(changed.shape[1:], generator=torch.Generator().manual_seed(0))
    before = encode_rows(model, images, rows)
    after = encode_rows(model, ImageFeatures(changed, None, images.pooled), rows)

    def moved(name):
        return ((after[name] - before[name]).abs().amax((1, 2)) > 1e-4).tolist()

    assert moved("wrong_image") == (WRONG_IMAGE == 2).tolist()
    assert moved("match") == [False, False, True, False]


def test_the_first_token_is_replaced_and_the_input_kept():
    ids = torch.tensor([[4, 7, 1], [4, 1, 0]])
    assert with_first_token(ids, 3).tolist() == [[3, 7, 1], [3, 1, 0]]
    assert ids[:, 0].tolist() == [4, 4]
