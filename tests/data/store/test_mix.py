"""`kia data mix`: several sources in one data set, and nothing that is held out in training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kia.config import DataConfig, TasksConfig
from kia.data.batches.batch import BatchBuilder, EpochBatches, mixed_batches
from kia.data.store.check import check_dataset
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.data.store.mix import mix_datasets, source_shares
from kia.errors import ConfigError, DataError, UsageError
from kia.processing import KIAProcessor, train_tokenizer
from kia.studies import Study, StudyImage

SIZE = 32
Make = Callable[..., Path]


def grey(level: int) -> Any:
    return np.random.default_rng(level).integers(0, 255, (1, SIZE, SIZE)).astype(np.uint8)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A data set: its name, and its studies as (id, split, number of its image, patient)."""

    def written(name: str, studies: list[tuple], report: str = "", **labels: int | None) -> Path:
        with DatasetWriter(tmp_path / name, image_size=SIZE, source=name) as writer:
            for id, split, level, patient in studies:
                image = (StudyImage(f"{id}.png", "frontal"),)
                study = Study(id, split, image, report, labels=labels or None, patient=patient)
                writer.add(study, grey(level))
        return tmp_path / name

    return written


def two(make: Make) -> list[Path]:
    """Eight studies with reports and five with labels alone, both with a patient "1"."""
    reports = [(f"r{n}", "train" if n < 6 else "val", n, str(n)) for n in range(8)]
    labels = [(f"l{n}", "train" if n < 4 else "test", 100 + n, str(n)) for n in range(5)]
    return [make("reports", reports, "Clear lungs."), make("labels", labels, Edema=1)]


def test_a_mix_holds_all_studies_and_says_of_what_it_is(make: Make, tmp_path: Path) -> None:
    folders = two(make)
    mixed = mix_datasets(folders, tmp_path / "mix", ratio=(2, 1))
    assert mixed.info["counts"] == {"train": 10, "val": 2, "test": 1}
    parts = [PreparedDataset.open(folder) for folder in folders]
    assert mixed.info["settings"]["mix"] == [
        {
            "name": part.path.name,
            "source": part.info["source"],
            "content_hash": part.info["content_hash"],
            "studies": len(part),
            "share": share,
        }
        for part, share in zip(parts, (2, 1), strict=True)
    ]
    for part in parts:
        for index, study in enumerate(part.studies()):
            place = mixed.index_of(study.id)
            assert np.array_equal(mixed.pixels(place), part.pixels(index))
            assert mixed.study(place).patient == f"{part.path.name}/{study.patient}"
            assert mixed.study(place).labels == study.labels
    checked = check_dataset(mixed, lambda: None)
    assert not checked["patients_in_two_splits"]
    assert [mixed.study(int(n)).id for n in mixed.reported("train")] == [f"r{n}" for n in range(6)]
    assert len(mixed.reported("test")) == 0


@pytest.mark.parametrize(
    ("second", "labels", "message"),
    [
        ([("x", "train", 7, "9")], {}, r"r7 of a \(val\) and x of b \(train\) have an equal image"),
        ([("r7", "train", 50, "9")], {}, r"r7 of a \(val\) and r7 of b \(train\) are one study"),
        ([("x", "train", 0, "9")], {"Edema": 0}, "disagree on Edema"),
        (
            [("x", "train", 50, "9"), ("y", "val", 51, "9")],
            {},
            r"x of b \(train\) and y of b \(val\) are of one patient",
        ),
        ([("x", "test", 50, "9")], {}, "has no training studies to mix"),
    ],
)
def test_what_is_held_out_of_a_source_trains_in_none(
    make: Make, tmp_path: Path, second: list[tuple], labels: dict[str, int], message: str
) -> None:
    first = [(f"r{n}", "train" if n < 6 else "val", n, str(n)) for n in range(8)]
    folders = [make("a", first, "Clear.", Edema=1), make("b", second, **labels)]
    with pytest.raises(DataError, match=message):
        mix_datasets(folders, tmp_path / "mix")
    assert not (tmp_path / "mix").exists()


def test_sources_must_be_prepared_alike(make: Make, tmp_path: Path) -> None:
    first = make("a", [("x", "train", 0, None)])
    with DatasetWriter(tmp_path / "b", image_size=64, source="b") as writer:
        image = (StudyImage("y.png", "frontal"),)
        writer.add(Study("y", "train", image, ""), np.zeros((1, 64, 64), np.uint8))
    with pytest.raises(DataError, match="do not mix: image_size is 64 and 32"):
        mix_datasets([first, tmp_path / "b"], tmp_path / "mix")
    with pytest.raises(UsageError, match="3 numbers for 2 data sets"):
        mix_datasets([first, first], tmp_path / "mix", ratio=(1, 2, 3))


def test_the_command_mixes(make: Make, tmp_path: Path, kia_command) -> None:
    folders = [str(folder) for folder in two(make)]
    out = str(tmp_path / "mix")
    code, said, error = kia_command("data", "mix", *folders, "--ratio", "2:1", "--out", out)
    assert code == 0, error
    assert "labels: 5 studies, 1 parts of a batch" in said
    code, _, error = kia_command("data", "mix", *folders, "--ratio", "2:x", "--out", out)
    assert code == 2 and "whole numbers from 1 to 999" in error


def drawn(epoch: int, sizes: tuple[int, int], shares: tuple[int, int], batch: int) -> list[Any]:
    sources = [
        (np.arange(sizes[0]), shares[0]),
        (np.arange(sizes[0], sum(sizes)), shares[1]),
    ]
    return mixed_batches(sources, lambda studies: np.ones(len(studies)), batch, (0, epoch))


def test_each_batch_has_the_ratio_and_the_first_source_comes_once() -> None:
    batches = drawn(0, (20, 7), (2, 1), 6)
    assert [len(batch) for batch in batches] == [6] * 5
    assert all((batch < 20).sum() == 4 for batch in batches)
    first = np.concatenate([batch[batch < 20] for batch in batches])
    assert sorted(first.tolist()) == list(range(20))


def test_a_small_source_begins_again_and_a_large_one_goes_on() -> None:
    def others(epoch: int, size: int) -> list[int]:
        return [int(n) for batch in drawn(epoch, (20, size), (1, 1), 4) for n in batch if n >= 20]

    small = others(0, 7)  # 20 places: two rounds of 7, and 6 of the third
    assert sorted(small[:7]) == sorted(small[7:14]) == list(range(20, 27))
    # 50 studies in epochs of 20 places: each comes once in the first 50 places
    large = [*others(0, 50), *others(1, 50), *others(2, 50)[:10]]
    assert sorted(large) == list(range(20, 70))


def test_a_batch_too_small_for_the_ratio_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"make train\.batch_size larger"):
        drawn(0, (20, 7), (99, 1), 6)


def test_epochs_of_a_mix_are_batches_in_the_ratio(make: Make, tmp_path: Path) -> None:
    mixed = mix_datasets(two(make), tmp_path / "mix", ratio=(2, 1))
    builder = BatchBuilder(
        mixed,
        KIAProcessor(train_tokenizer(["Clear lungs."], 150), image_size=SIZE),
        DataConfig(),
        TasksConfig.model_validate({"mlm": {"masking": "label"}}),
        patch_size=8,
        max_tokens=80,
        seed=0,
    )
    order = EpochBatches(builder, mixed.indices("train"), batch_size=3, epoch=0)
    assert len(order) == 3
    for number in range(3):
        batch = order[number]
        assert (batch.report_ids >= 0).tolist() == [True, True, False]
        assert batch.masked_targets is not None and len(batch.masked_targets) >= 1
    alone = EpochBatches(builder, mixed.reported("train"), batch_size=3, epoch=0, joint=False)
    assert [len(studies) for studies in alone.batches] == [3, 3]
    shares = source_shares(mixed, mixed.indices("train"))
    assert [(len(studies), share) for studies, share in shares] == [(6, 2), (4, 1)]
