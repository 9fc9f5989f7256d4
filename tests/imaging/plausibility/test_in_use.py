"""The processor flags files; training and the model folder keep what it needs for that."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file

from kia.config import load_config
from kia.data.readers.phantoms import write_phantoms
from kia.data.reference import add_reference
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import DataError, ImageError
from kia.imaging.plausibility import Reference
from kia.imaging.plausibility import reference as module
from kia.processing import KIAProcessor, train_tokenizer
from kia.training.build import build_processor


@pytest.fixture
def processor(reference) -> KIAProcessor:
    tokenizer = train_tokenizer(["the lungs are clear"] * 3, 300)
    return KIAProcessor(tokenizer, image_size=32, reference=reference)


def test_files_are_read_once_and_flagged(processor, draw, tmp_path):
    frontal, lateral = draw("frontal", 1, 5)[0], draw("lateral", 1, 5)[0]
    pair = [tmp_path / "a.png", tmp_path / "b.png"]
    Image.fromarray(frontal).save(pair[0])
    Image.fromarray(np.rot90(lateral, 2)).save(pair[1])
    inputs, flags = processor.checked(pair)
    for name, expected in processor(pair).items():
        assert torch.equal(inputs[name], expected)
    message = "This picture seems to be upside down."
    assert flags == [{"view": 1, "kind": "rotated", "message": message}]
    assert processor.checked([frontal, lateral])[1] == []  # arrays, upright


def test_what_reading_warns_of_is_a_flag_instead(processor, tmp_path, dicom):
    red = tmp_path / "red.png"
    Image.new("RGB", (90, 30), (200, 40, 40)).save(red)
    rib, leg = tmp_path / "rib", get_testdata_file("RG3_J2KI.dcm", download=False)
    rib.write_bytes(dicom(np.arange(900, dtype=np.uint16).reshape(30, 30), BodyPartExamined="RIB"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        colour = processor.checked([red])[1]
        found = processor.checked([rib])[1]
    assert [flag["kind"] for flag in colour] == ["colour", "shape", "empty"]
    assert {"body part"} <= {flag["kind"] for flag in found} and len(found) > 1
    with pytest.warns(match="coloured"):
        processor([red])
    with pytest.raises(ImageError, match="EXTREMITY"):
        processor.checked([leg])


def test_nothing_is_said_of_the_looks_without_a_reference(processor, draw):
    processor.reference = None
    assert processor.checked([np.rot90(draw("frontal", 1, 5)[0])])[1] == []


def test_the_reference_travels_with_the_processor(processor, draw, tmp_path):
    processor.save_pretrained(tmp_path)
    loaded = KIAProcessor.from_pretrained(tmp_path)
    (flag,) = loaded.checked([255 - draw("frontal", 1, 5)[0]])[1]
    assert flag["kind"] == "inverted"


def test_training_learns_it_from_the_training_images(tmp_path, monkeypatch):
    with DatasetWriter(tmp_path / "data", image_size=32, source="phantom") as writer:
        write_phantoms(writer, 30, seed=0)
    dataset = PreparedDataset.open(tmp_path / "data")
    config = load_config("tiny", ["model.image_size=32"])
    reports = dataset.reports("train")
    few = build_processor(config, reports, tmp_path / "few", dataset=dataset)
    assert few.reference is None and not (tmp_path / "few" / Reference.FILE).exists()
    with pytest.raises(DataError, match="too few training images"):
        add_reference(dataset.path, tmp_path / "few")
    monkeypatch.setattr(module, "FEWEST", 20)
    made = build_processor(config, reports, tmp_path / "made", dataset=dataset)
    assert made.reference and set(made.reference.models) == {"frontal", "lateral"}
    assert KIAProcessor.from_pretrained(tmp_path / "made").reference
    add_reference(dataset.path, tmp_path / "few")  # a model that was trained without
    one, other = (tmp_path / name / Reference.FILE for name in ("few", "made"))
    assert one.read_bytes() == other.read_bytes()
