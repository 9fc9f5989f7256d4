"""Studies to batches: order, images, augmentation, tokens, masks."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch.nn.functional import affine_grid, grid_sample
from torch.utils.data import DataLoader

from kia.config import DataConfig, TasksConfig
from kia.data.batches.batch import BatchBuilder, EpochBatches, report_numbers, shuffled_batches
from kia.data.counted import uniforms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.processing import KIAProcessor, train_tokenizer
from kia.studies import Study, StudyImage

STUDIES, SIZE, PATCH = 27, 32, 8
SENTENCES = (
    "The heart is normal in size.",
    "No pleural effusion or pneumothorax.",
    "The lungs are clear.",
    "There is a small left pleural effusion with adjacent atelectasis.",
    "Degenerative changes of the thoracic spine.",
)
REPORTS = [" ".join(SENTENCES[n % 5] for n in range(i % 7, i % 7 + 1 + i % 4)) for i in range(27)]
ONE_VIEW = {2, 5, 11}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> PreparedDataset:
    """27 studies, three of them with one view; each image has a bright top left corner."""
    folder = tmp_path_factory.mktemp("batches") / "data"
    random = np.random.default_rng(0)
    with DatasetWriter(folder, image_size=SIZE, source="test") as writer:
        for i, report in enumerate(REPORTS):
            views = ("frontal",) if i in ONE_VIEW else ("frontal", "lateral")
            images = tuple(StudyImage(f"{i}/{view}.png", view) for view in views)
            pixels = random.integers(60, 120, (len(views), SIZE, SIZE)).astype(np.uint8)
            pixels[:, :10, :10] = 240
            writer.add(Study(f"s{i}", "train", images, report), pixels)
    return PreparedDataset.open(folder)


@pytest.fixture(scope="module")
def make_builder(dataset):
    processor = KIAProcessor(train_tokenizer(REPORTS, 150), image_size=SIZE)

    def make(*, seed=0, max_tokens=80, tasks=None, **data) -> BatchBuilder:
        settings = {"mlm": {"p_mask": 0.4}} | (tasks or {})
        return BatchBuilder(
            dataset,
            processor,
            DataConfig(**data),
            TasksConfig.model_validate(settings),
            patch_size=PATCH,
            max_tokens=max_tokens,
            seed=seed,
        )

    return make


@pytest.fixture(scope="module")
def builder(make_builder) -> BatchBuilder:
    return make_builder()


def build(builder, studies, epoch=0, *, augment=True, **options):
    return builder.build(np.asarray(studies, np.int64), epoch, augment=augment, **options)


def order(builder, epoch, **options):
    studies = np.arange(STUDIES)
    return [b.tolist() for b in EpochBatches(builder, studies, epoch=epoch, **options).batches]


def same(a, b) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all(x is y is None or torch.equal(x, y) for x, y in pairs)


def study_of(batch, row):
    """All that a batch says of one study, without padding."""
    real, tokens = batch.attention_mask[row], batch.input_ids.shape[1]
    views = 1 if batch.view_mask is not None and not batch.view_mask[row, -1] else 2
    chosen = torch.zeros(batch.input_ids.numel(), dtype=torch.bool)
    chosen[batch.masked_positions] = True
    ahead = (batch.next_positions // tokens) == row
    return {
        "pixels": batch.pixel_values[row, :views],
        "views": batch.view_ids[row, :views],
        "hidden": batch.image_mask[row, :views],
        "ids": batch.input_ids[row][real],
        "masked": batch.masked_input_ids[row][real],
        "chosen": chosen.view(-1, tokens)[row][real],
        "targets": batch.masked_targets[(batch.masked_positions // tokens) == row],
        "next": batch.next_targets[ahead],
        "next positions": batch.next_positions[ahead] % tokens,
        "report": batch.report_ids[row],
    }


# order


@pytest.mark.parametrize("size", [1, 4, 26, 27, 40])
def test_every_study_comes_once_an_epoch_and_one_batch_is_odd(builder, size):
    batches = order(builder, 0, batch_size=size)
    assert sorted(study for batch in batches for study in batch) == list(range(STUDIES))
    odd = STUDIES % size
    assert sorted(map(len, batches)) == sorted([size] * (STUDIES // size) + [odd] * bool(odd))


def test_the_order_depends_on_seed_and_epoch_alone(builder, make_builder):
    first = order(builder, 3, batch_size=4)
    assert first == order(make_builder(), 3, batch_size=4)
    assert first != order(builder, 4, batch_size=4)
    assert first != order(make_builder(seed=1), 3, batch_size=4)


@pytest.mark.parametrize("first", [0, 1, 6, 7])
def test_a_restart_skips_exactly_the_first_batches(builder, first):
    whole = EpochBatches(builder, np.arange(STUDIES), batch_size=4, epoch=2)
    rest = EpochBatches(builder, np.arange(STUDIES), batch_size=4, epoch=2, first=first)
    assert len(rest) == len(whole) - first
    assert all(same(rest[i], whole[first + i]) for i in range(len(rest)))


def test_every_third_batch_of_an_epoch_is_rehearsed_also_after_a_restart(builder):
    settings = {"batch_size": 4, "epoch": 2, "joint": False, "rehearse_every": 3}
    for first in (0, 2):
        rest = EpochBatches(builder, np.arange(STUDIES), first=first, **settings)
        masked = [first + i for i in range(len(rest)) if rest[i].masked_targets is not None]
        assert masked == [n for n in range(first, first + len(rest)) if n % 3 == 0]
        assert [first + i for i in range(len(rest)) if rest.is_joint(i)] == masked


def test_validation_keeps_the_order_given_and_changes_no_pixel(builder, dataset):
    studies = np.array([9, 3, 20])
    batches = EpochBatches(builder, studies, batch_size=2, epoch=0, train=False, joint=False)
    assert [b.tolist() for b in batches.batches] == [[9, 3], [20]]
    grey = (batches[1].pixel_values[0, :, 0] + 1) * 127.5
    np.testing.assert_allclose(grey, dataset.pixels(20), atol=1e-3)


def test_reports_of_similar_length_come_together():
    lengths = np.random.default_rng(0).integers(5, 60, 320)
    batches = shuffled_batches(np.arange(320), lengths, 10, (0, 0))
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    assert spread < 0.5 * np.mean([np.ptp(lengths[i : i + 10]) for i in range(0, 320, 10)])


# what a study looks like depends on (seed, epoch, study) alone


def test_a_study_does_not_depend_on_its_batch(builder):
    studies = [4, 2, 17, 3, 11]
    together = build(builder, studies, 5)
    assert len({len(study_of(together, row)["ids"]) for row in range(5)}) > 2
    for row, study in enumerate(studies):
        for others in ([study], [study, 26, 25, 24], [study, *studies[:row]]):
            alone = study_of(build(builder, others, 5), 0)
            for name, value in study_of(together, row).items():
                assert torch.equal(value, alone[name]), (name, study, others)


def test_another_epoch_or_seed_gives_other_masks_and_pixels(builder, make_builder):
    first = build(builder, [1, 2, 3])
    for other in (build(builder, [1, 2, 3], 1), build(make_builder(seed=1), [1, 2, 3])):
        assert not torch.equal(first.image_mask, other.image_mask)
        assert not torch.equal(first.pixel_values, other.pixel_values)
        assert not torch.equal(first.masked_input_ids, other.masked_input_ids)
        assert torch.equal(first.input_ids, other.input_ids)


def test_augmentation_and_masks_use_numbers_of_their_own(builder, monkeypatch):
    drawn = []
    for module in ("batch", "masked_text"):
        monkeypatch.setattr(
            f"kia.data.batches.{module}.uniforms",
            lambda *args: drawn.append(args) or uniforms(*args),
        )
    build(builder, [1, 2], 6)
    assert len({purpose for _, _, _, purpose, _ in drawn}) == len(drawn) == 3
    assert {(seed, epoch) for seed, epoch, *_ in drawn} == {(builder.seed, 6)}


def test_loader_processes_change_nothing(builder):
    batches = EpochBatches(builder, np.arange(STUDIES), batch_size=8, epoch=1)
    loaded = {n: list(DataLoader(batches, batch_size=None, num_workers=n)) for n in (0, 2)}
    assert len(loaded[0]) == 4
    assert all(same(a, b) for a, b in zip(loaded[0], loaded[2], strict=True))


# images


def test_an_absent_view_is_blank_and_never_hidden(make_builder):
    builder = make_builder(tasks={"mim": {"p_total": 0.95}})
    batch = build(builder, [2, 3, 5])
    assert batch.view_mask.tolist() == [[True, False], [True, True], [True, False]]
    for row in (0, 2):
        assert not batch.pixel_values[row, 1].any()
        assert not batch.image_mask[row, 1].any()
    assert torch.equal(batch.hidden_patches, batch.image_mask.flatten().nonzero()[:, 0])
    assert batch.view_ids[1].tolist() == [0, 1]
    assert build(builder, [1, 3]).view_mask is None
    assert build(builder, [2, 5]).pixel_values.shape == (2, 1, 1, SIZE, SIZE)


def test_hidden_patches_are_as_many_as_p_total_says(make_builder):
    builder = make_builder(tasks={"mim": {"p_total": 0.6}})
    studies = [i for i in range(STUDIES) if i not in ONE_VIEW]
    masks = [build(builder, studies, epoch).image_mask for epoch in range(20)]
    hidden = torch.cat(masks).double().mean().item()
    n = 20 * len(studies) * 2 * 16
    assert abs(hidden - 0.6) < 5 * np.sqrt(0.24 / n)


def test_without_augmentation_settings_pixels_stay(make_builder, dataset):
    builder = make_builder(shift=0, scale=0, brightness=0, contrast=0)
    grey = (build(builder, [0, 1]).pixel_values[:, :, 0] + 1) * 127.5
    for row in range(2):
        assert np.abs(grey[row].numpy() - dataset.pixels(row)).max() <= 1


def test_augmentation_is_that_of_torchs_affine_grid(make_builder, dataset):
    settings = {"shift": 0.1, "scale": 0.2, "brightness": 0.1, "contrast": 0.3}
    builder, studies = make_builder(**settings), np.array([0, 1, 3])
    draws = uniforms(builder.seed, 4, studies, "augment", 10).reshape(6, 5)
    zoom, across, down, contrast, brightness = torch.from_numpy(2 * draws - 1).float().T
    theta = torch.zeros(6, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + settings["scale"] * zoom
    # coordinates run from -1 to 1: a share of the side is twice as much
    theta[:, :, 2] = 2 * settings["shift"] * torch.stack([across, down], 1)
    pixels = torch.stack([torch.tensor(dataset.pixels(int(study))) for study in studies])
    images = pixels.float().reshape(6, 1, SIZE, SIZE)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    moved = grid_sample(images, grid, padding_mode="border", align_corners=False)[:, 0]
    lit = (moved - 128) * (1 + settings["contrast"] * contrast[:, None, None]) + 128
    lit = (lit + 255 * settings["brightness"] * brightness[:, None, None]).clamp(0, 255)
    found = (build(builder, studies, 4).pixel_values[:, :, 0].flatten(0, 1) + 1) * 127.5
    torch.testing.assert_close(found, lit, atol=0.01, rtol=0)


def test_augmentation_never_flips(make_builder):
    builder = make_builder(shift=0.1, scale=0.2, brightness=0.1, contrast=0.2)
    half, seen = SIZE // 2, set()
    for epoch in range(15):
        images = build(builder, [0, 1, 3, 4], epoch).pixel_values[:, :, 0].flatten(0, 1)
        quarters = images.unflatten(1, (2, half)).unflatten(3, (2, half)).amax((2, 4))
        brightest = quarters.flatten(1).argmax(1)
        assert (brightest == 0).all()
        seen |= {round(float(image.mean()), 4) for image in images}
    assert len(seen) > 100  # every image of every epoch is another


def test_a_shift_moves_by_at_most_its_share_of_the_side(make_builder):
    builder = make_builder(shift=0.125, scale=0, brightness=0, contrast=0)  # 4 of 32 pixels
    edges = []
    for epoch in range(30):
        bright = (build(builder, [0, 1], epoch).pixel_values[:, :, 0] + 1) * 127.5 > 180
        edges += bright.any(2).sum(-1).flatten().tolist()  # rows of the corner, 10 unmoved
    assert min(edges) >= 6 and max(edges) <= 14
    assert min(edges) <= 7 and max(edges) >= 13


# text


def test_tokens_are_the_report_between_cls_and_sep(builder):
    studies = [0, 1, 2, 3]
    batch, processor = build(builder, studies), builder.processor
    assert torch.equal(batch.attention_mask, batch.input_ids != processor.token_id("[PAD]"))
    for row, study in enumerate(studies):
        ids = batch.input_ids[row][batch.attention_mask[row]]
        assert ids[0] == processor.token_id("[CLS]") and ids[-1] == processor.token_id("[SEP]")
        words = processor.decode(ids[None])[0]
        assert words.replace(" .", ".") == REPORTS[study].lower().replace(" .", ".")


def test_the_next_token_follows_each_token_but_the_last(builder):
    batch = build(builder, [3, 0, 12])
    expected = [
        (row * batch.input_ids.shape[1] + place, int(ids[place + 1]))
        for row, ids in enumerate(batch.input_ids)
        for place in range(int(batch.attention_mask[row].sum()) - 1)
    ]
    given = zip(batch.next_positions.tolist(), batch.next_targets.tolist(), strict=True)
    assert list(given) == expected


def test_long_reports_are_cut_by_words_and_by_tokens(make_builder):
    words = build(make_builder(max_words=3), [3]).input_ids
    assert make_builder().processor.decode(words[:, 1:])[0].split() == ["there", "is", "a"]
    pieces = build(make_builder(max_tokens=6), [3]).input_ids
    assert pieces.shape[1] == 6
    assert pieces[0, -1] == make_builder().processor.token_id("[SEP]")


@pytest.mark.parametrize("limits", [{"max_words": 3}, {"max_tokens": 6}], ids=str)
def test_a_report_that_is_cut_does_not_end_there(make_builder, limits):
    """[SEP] says that a report ends; behind half of one it would teach to stop anywhere."""
    builder = make_builder(**limits)
    batch = build(builder, [3, 0])
    end = builder.processor.token_id("[SEP]")
    rows = batch.next_positions // batch.input_ids.shape[1]
    for row, study in enumerate([3, 0]):
        pieces = make_builder().processor.encode([REPORTS[study]], max_words=99, max_tokens=99)[0]
        kept = int(batch.attention_mask[row].sum()) - 2
        targets = batch.next_targets[rows == row].tolist()
        assert targets == pieces[:kept] + ([end] if kept == len(pieces) else [])
    assert any(len(REPORTS[s].split()) > 3 for s in (3, 0))


def test_masks_spare_special_tokens_and_hide_the_given_share(builder):
    special = torch.tensor(builder.processor.tokenizer.all_special_ids)
    mask_id, words, hidden, kinds = builder.processor.token_id("[MASK]"), 0, 0, [0, 0, 0]
    for epoch in range(30):
        batch = build(builder, np.arange(STUDIES), epoch, augment=False)
        ids, masked = batch.input_ids.flatten(), batch.masked_input_ids.flatten()
        positions = batch.masked_positions
        assert not torch.isin(ids[positions], special).any()
        assert torch.equal(ids[positions], batch.masked_targets)
        rest = torch.ones_like(ids, dtype=torch.bool)
        rest[positions] = False
        assert torch.equal(ids[rest], masked[rest])
        now, before = masked[positions], ids[positions]
        assert not torch.isin(now[now != mask_id], special).any()
        for kind, what in enumerate((now == mask_id, (now != before) & (now != mask_id))):
            kinds[kind] += int(what.sum())
        words += int((~torch.isin(ids, special)).sum())
        hidden += len(positions)
    assert abs(hidden / words - 0.4) < 5 * np.sqrt(0.24 / words)
    assert abs(kinds[0] / hidden - 0.8) < 5 * np.sqrt(0.16 / hidden)
    # another word, now and then the same one again
    assert abs(kinds[1] / hidden - 0.1) < 5 * np.sqrt(0.09 / hidden) + 0.1 / 50


def test_equal_reports_have_equal_numbers(builder):
    batch = build(builder, np.arange(STUDIES))
    numbers = batch.report_ids.tolist()
    assert min(numbers) >= 0
    for i in range(STUDIES):
        assert [n == numbers[i] for n in numbers] == [r == REPORTS[i] for r in REPORTS]
    a, b, c = report_numbers(["No  effusion. ", "no effusion.", "no effusion"])
    assert a == b != c


# what is not needed is not made


def test_masks_are_made_only_for_tasks_that_read_them(builder, make_builder):
    mim, mlm = ("image_mask", "hidden_patches"), ("masked_input_ids", "masked_positions")
    mlm = (*mlm, "masked_targets")
    off = make_builder(tasks={"mim": {"weight": 0}, "mlm": {"weight": 0}})
    for batch in (build(builder, [0, 1], joint=False), build(off, [0, 1])):
        assert all(getattr(batch, name) is None for name in (*mim, *mlm))
    batch = build(make_builder(tasks={"mim": {"weight": 0}}), [0, 1])
    assert all(getattr(batch, name) is None for name in mim)
    assert all(getattr(batch, name) is not None for name in mlm)


def test_a_batch_of_one(builder):
    batch = build(builder, [26])
    assert batch.pixel_values.shape == (1, 2, 1, SIZE, SIZE)
    assert batch.image_mask.shape == (1, 2, 16)
    assert batch.attention_mask.all()


def test_a_batch_may_have_more_views_than_its_studies(builder):
    """As the share of a larger batch has."""
    batch = build(builder, sorted(ONE_VIEW), views=2)
    alone = build(builder, sorted(ONE_VIEW))
    assert alone.pixel_values.shape[1] == 1 and alone.view_mask is None
    assert torch.equal(batch.pixel_values[:, :1], alone.pixel_values)
    assert not batch.pixel_values[:, 1].any() and batch.view_mask.tolist() == [[True, False]] * 3


def test_a_batch_without_studies_keeps_its_types(builder):
    batch = build(builder, [0, 1, 3])
    empty = batch.without_studies()
    for field in fields(batch):
        before, after = getattr(batch, field.name), getattr(empty, field.name)
        assert (before is None) == (after is None)
        if before is not None:
            assert len(after) == 0 and after.dtype == before.dtype
            assert after.shape[1:] == before.shape[1:]
