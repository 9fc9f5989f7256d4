"""`kia data` as its user meets it."""

import json
import re
import sys
import types

import numpy as np
import pytest
from PIL import Image

from kia.cli.data.command import app
from kia.data.readers.phantoms import read_truth, unpack_mask
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError, KIAError, UsageError
from kia.studies import Study, StudyImage


def kia_data(*words: object) -> None:
    app([str(word) for word in words], standalone_mode=False)


def prepare(fake, *words: object):
    out = fake.folder.parent / "out"
    names = ("--images", "--annotation", "--reports", "--projections")
    files = zip(names, fake.write().files(), strict=True)
    options = [word for pair in files for word in pair]
    kia_data("iu-xray", *options, "--out", out, "--size", 32, *words)
    return out


def test_prepares_iu_xray(fake, capfd):
    out = prepare(fake)
    printed = capfd.readouterr().out
    assert re.search(r"train\s+8\s+val\s+2\s+test\s+2", printed)
    assert "12 frontal, 12 lateral images of 32 × 32 pixels" in printed
    dataset = PreparedDataset.open(out)
    assert dataset.info["source"] == "IU X-Ray"
    assert dataset.pixels(0)[:, 5, 5].tolist() == [11, 12]
    assert sorted(path.name for path in out.parent.iterdir()) == ["iu", "out"]


def test_prepares_iu_xray_from_xml_with_a_split_and_a_section(fake, tmp_path):
    fake.write()
    words = ("iu-xray", "--images", fake.folder / "images", "--reports", fake.write_archive())
    options = ("--split", "random", "--ratio", "2:1:1", "--section", "both", "--size", 32)
    kia_data(*words, *options, "--out", tmp_path / "out")
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.info["section"] == "both"
    assert dataset.info["counts"] == {"train": 6, "val": 3, "test": 3}
    assert dataset.study(1).report == "Heart size normal. Report 2.\nNormal."
    for ratio in ("2:1", "1:-1:1", "0:0:0", "nan:1:1", "x"):
        with pytest.raises(UsageError, match=f"--ratio {ratio}"):
            kia_data(*words, "--split", "random", "--ratio", ratio, "--out", tmp_path / "other")


def test_undecodable_image_is_a_reject_and_its_study_stays(fake):
    fake.image("1_IM-0001-1001.dcm.png").write_bytes(b"no image")
    dataset = PreparedDataset.open(prepare(fake))
    assert dataset.views(0) == ("lateral",)
    (reject,) = dataset.rejects()
    assert reject["what"] == "CXR1_IM-0001 (frontal)"
    assert reject["why"].endswith("not a PNG, JPEG or DICOM image")


def test_study_without_any_decodable_image(fake):
    for number in (1001, 2001):
        fake.image(f"1_IM-0001-{number}.dcm.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"7/2/2 .* CXR1_IM-0001: no image could be decoded"):
        prepare(fake)
    assert [path.name for path in fake.folder.parent.iterdir()] == ["iu"]
    dataset = PreparedDataset.open(prepare(fake, "--incomplete"))
    assert dataset.info["counts"] == {"train": 7, "val": 2, "test": 2}
    assert dataset.info["rejects"] == 1


def test_result_does_not_depend_on_the_number_of_threads(fake):
    one = PreparedDataset.open(prepare(fake, "--workers", 1)).info["content_hash"]
    many = prepare(fake, "--workers", 4, "--overwrite")
    assert PreparedDataset.open(many).info["content_hash"] == one


def test_existing_folder_is_refused_in_one_line(fake):
    prepare(fake)
    with pytest.raises(KIAError, match="--overwrite"):
        prepare(fake)


def test_check_prints_and_writes_the_table(fake, capfd):
    fake.annotation["test"][0]["report"] = fake.annotation["train"][0]["report"]
    fake.annotation["train"][1]["report"] = fake.annotation["train"][0]["report"]
    duplicate = fake.image("9_IM-0009-2001.dcm.png")
    duplicate.write_bytes(fake.image("3_IM-0003-2001.dcm.png").read_bytes())
    out = prepare(fake)
    file = out.parent / "check.json"
    kia_data("check", out, "--json", file)
    printed = capfd.readouterr().out
    assert "content verified" in printed
    assert "1 images occur in more than one split" in printed
    splits = json.loads(file.read_text())["splits"]
    assert splits["train"]["repeated_reports"] == 2
    assert splits["test"]["reports_in_train"] == 1
    assert splits["train"]["mean_words"] == 7  # "heart size normal . report 1 ."


def test_check_finds_a_changed_pixel(fake):
    out = prepare(fake)
    shard = out / "images-00000.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match="study CXR12_IM-0012 is not as it was prepared"):
        kia_data("check", out)


def test_show_draws_a_picture(fake, tmp_path):
    out = prepare(fake)
    kia_data("show", out, "CXR3_IM-0003", "--out", tmp_path / "new" / "picture.png")
    with Image.open(tmp_path / "new" / "picture.png") as picture:
        assert picture.width > 2 * 320
        assert picture.height > 320 + 40
    with pytest.raises(DataError, match="no study 'CXR3'; nearest: CXR3_IM-0003"):
        kia_data("show", out, "CXR3")
    with pytest.raises(UsageError, match=r"ends in \.png"):
        kia_data("show", out, "CXR3_IM-0003", "--out", "a.jpg")


@pytest.fixture
def phantom_module(monkeypatch):
    """A stand-in for the generator: what matters here is how its studies are stored."""

    def phantom_study(seed, index, *, size, split):
        mask = np.zeros((size, size), bool)
        mask[index, seed] = True
        finding = types.SimpleNamespace(
            observation="Edema",
            kind="edema",
            side="left",
            location="left lung",
            severity="mild",
            masks={"frontal": mask, "lateral": ~mask},
        )
        images = (StudyImage("f", "frontal"), StudyImage("l", "lateral"))
        return types.SimpleNamespace(
            study=Study(f"p{index}", split, images, f"Report {index}."),
            pixels=np.full((2, size, size), index, np.uint8),
            findings=[finding] * (index % 3),
            landmarks={"left lung": (0.5, 0.1, 0.9, 0.8)},
        )

    module = types.ModuleType("kia.phantoms.studies")
    module.phantom_study = phantom_study
    module.split_of = lambda index, studies: ("train", "val", "test")[index % 3]
    monkeypatch.setitem(sys.modules, "kia.phantoms.studies", module)


def test_phantoms_keep_their_truth(tmp_path, phantom_module):
    out = tmp_path / "out"
    kia_data("phantom", "--studies", 20, "--seed", 3, "--size", 36, "--out", out)
    dataset = PreparedDataset.open(out)
    truth = read_truth(dataset)
    masks = np.load(out / "masks.npy", mmap_mode="r", allow_pickle=False)
    assert [study.id for study in dataset.studies()] == list(truth)
    assert masks.shape == (sum(2 * (index % 3) for index in range(20)), 36, 5)
    for index in range(20):
        findings = truth[f"p{index}"]["findings"]
        assert len(findings) == index % 3
        for finding in findings:
            assert finding["location"] == "left lung"
            frontal = unpack_mask(masks[finding["masks"]["frontal"]], 36)
            lateral = unpack_mask(masks[finding["masks"]["lateral"]], 36)
            assert np.argwhere(frontal).tolist() == [[index, 3]]
            np.testing.assert_array_equal(lateral, ~frontal)
    assert truth["p0"]["landmarks"] == {"left lung": [0.5, 0.1, 0.9, 0.8]}


def test_failing_generator_leaves_nothing(tmp_path, phantom_module):
    with pytest.raises(IndexError):  # the stand-in has no row 40
        kia_data("phantom", "--studies", 60, "--size", 40, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_real_phantoms_do_not_depend_on_the_number_of_processes(tmp_path):
    pytest.importorskip("kia.phantoms.studies")
    contents = []
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        kia_data("phantom", "--studies", 20, "--size", 48, "--workers", workers, "--out", out)
        names = ("studies.arrow", "images-00000.npy", "masks.npy", "truth.jsonl")
        contents.append([(out / name).read_bytes() for name in names])
    assert contents[0] == contents[1]
