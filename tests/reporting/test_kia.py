"""Three lines of Python: every form of images in, a Report out."""

import copy
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from tests.random_model import random_model

import kia
from kia.data.reference import learn_seen
from kia.errors import DataError, ImageError, ModelError
from kia.explain.describe import describe
from kia.imaging.plausibility import Reference
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.organs import ORGANS
from kia.processing import Seen
from kia.reporting.model import ModelWarning, name_of
from kia.reporting.pointing import NOT_MEASURED

SIDE = 64


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of random weights with what its training has seen, and its data set."""
    config, dataset, processor, model = random_model(
        tmp_path_factory.mktemp("reporting"), positions=240
    )
    processor.seen = learn_seen(dataset)
    model.config.generation_defaults = config.generation.model_dump() | {"max_tokens": 12}
    return kia.KIA.of(model, processor, name="random"), dataset


@pytest.fixture(scope="module")
def squares() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 255, (2, SIDE, SIDE), np.uint8)


@pytest.fixture
def files(squares: np.ndarray, tmp_path: Path) -> list[str]:
    names = [str(tmp_path / name) for name in ("frontal.png", "lateral.png")]
    for name, square in zip(names, squares, strict=True):
        Image.fromarray(square).save(name)
    return names


def test_a_report_holds_what_the_library_says(made: Any, files: list[str]) -> None:
    model, _ = made
    report = model(files)
    inputs = model.processor(files)
    (told,) = describe(model.model, model.processor, inputs, model.settings)
    assert (report.report, report.raw) == (told["report"], told["raw"])
    assert report.findings == told["findings"] and list(report.findings) == list(OBSERVATIONS)
    assert list(report.evidence) == told["sentences"]
    assert list(report.structured) == list(ORGANS)
    assert report.views == ["frontal", "lateral"] and report.study_uid is None
    assert report.claims == () and report.not_assessed == ()
    assert (report.writer.name, report.writer.kia) == ("random", kia.__version__)
    assert report.written.tzinfo is not None
    record = report.to_record()
    assert json.loads(json.dumps(record)) == record
    assert str(report) == report.report


def test_every_form_of_an_image_gives_the_same_report(
    made: Any, squares: np.ndarray, files: list[str]
) -> None:
    """Reference: its PNG."""
    model, _ = made
    square = squares[0]
    expected = model(files[0]).raw
    forms = [
        [files[0]],
        Path(files[0]),
        Path(files[0]).read_bytes(),
        io.BytesIO(Path(files[0]).read_bytes()),
        Image.fromarray(square),
        square,
        square.astype(np.float32) / 255,
        data_set(square),
        kia.read_studies([files[0]])[0],
    ]
    assert [model(one).raw for one in forms] == [expected] * len(forms)


def data_set(square: np.ndarray) -> pydicom.Dataset:
    """As a network hands it over: no file, no preamble, no transfer syntax."""
    one = pydicom.Dataset()
    one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID = "1.2", "1.2.3", "1.2.3.4"
    one.SOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    one.Modality, one.PatientID = "DX", "p"
    one.Rows, one.Columns = square.shape
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated = one.BitsStored = 8
    one.HighBit, one.PixelRepresentation = 7, 0
    one.WindowCenter, one.WindowWidth = 127.5, 256
    one.PixelData = square.tobytes()
    return one


def test_a_data_set_of_pydicom_says_where_it_is_from_and_stays_as_it_is(
    made: Any, squares: np.ndarray
) -> None:
    model, _ = made
    given = data_set(squares[0])
    before = copy.deepcopy(given)
    report = model(given)
    (facts,) = report.facts
    assert report.study_uid == facts.study == "1.2"
    assert (facts.series, facts.instance) == ("1.2.3", "1.2.3.4")
    assert facts.patient not in (None, "p")
    assert given == before and not hasattr(given, "file_meta")


def test_studies_may_have_unequal_views_and_a_report_is_that_of_its_study_alone(
    made: Any, files: list[str]
) -> None:
    model, _ = made
    studies = [files[:1], files, files[1:]]
    found = model(studies, [None, None, ["lateral"]])
    assert [one.views for one in found] == [["frontal"], ["frontal", "lateral"], ["lateral"]]
    alone = [model(studies[0]), model(studies[1]), model(studies[2], ["lateral"])]
    assert [one.raw for one in found] == [one.raw for one in alone]
    read = kia.read_studies(files)
    assert [one.raw for one in model(read)] == [model(study).raw for study in read]


@pytest.mark.parametrize(
    ("images", "error", "said"),
    [
        ([], DataError, "at least one image"),
        ("absent.png", ImageError, "absent.png: no such image"),
        ([pydicom.Dataset()], ImageError, "image 1"),
    ],
)
def test_what_cannot_be_read_is_one_line(made: Any, images: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        made[0](images)
    assert "\n" not in str(caught.value)


def test_a_training_image_and_a_frequent_report_are_marked(made: Any, monkeypatch: Any) -> None:
    model, dataset = made
    square = dataset.pixels(dataset.indices("train").tolist()[0])[0]
    reports = ["Clear lungs. No effusion.", "Clear lungs; no effusion!", "Heart is large."]
    knowing = copy.copy(model.processor)
    knowing.seen = Seen.learn([square], reports)
    model = kia.KIA.of(model.model, knowing)
    wrote = "kia.candidates.write_reports"
    monkeypatch.setattr(wrote, lambda *_, **__: ["clear lungs . no effusion ."])
    kinds = [flag["kind"] for flag in model(square).flags]
    assert kinds[-2:] == ["training image", "frequent report"]
    monkeypatch.setattr(wrote, lambda *_, **__: ["heart is large ."])  # it was there once
    other = square.copy()
    other[0, 0] ^= 1
    assert not {"training image", "frequent report"} & {f["kind"] for f in model(other).flags}


def test_the_ten_most_frequent_reports_are_known() -> None:
    """By hand: report n of 12 occurs 13 - n times; the last one once, the one before it twice."""
    reports = [f"report {n}" for n in range(1, 13) for _ in range(13 - n)]
    seen = Seen.learn([], reports)
    known = [
        n for n in range(1, 13) if [*seen.flags(np.zeros((0, 8, 8), np.uint8), f"Report {n}.")]
    ]
    assert known == list(range(1, 11))


def test_what_is_no_chest_x_ray_gets_no_report_unless_asked(made: Any, squares: Any) -> None:
    model, _ = made
    known = copy.copy(model.processor)
    noise = np.random.default_rng(0).integers(0, 255, (200, 16, 16), np.uint8)
    known.reference = Reference.learn({"frontal": noise})
    careful = kia.KIA.of(model.model, known)
    grey = np.full((SIDE, SIDE), 90, np.uint8)
    declined, written = careful([[grey], [squares[0]]])
    assert declined.report is declined.raw is declined.structured is None
    assert declined.not_assessed == OBSERVATIONS and len(declined.findings) == 14
    assert [flag["kind"] for flag in declined.flags] == ["empty"]
    assert str(declined).startswith("No report") and "No report" in declined._repr_html_()
    assert written.report and written.raw == model(squares[0]).raw
    assert careful(grey, anyway=True).report == model(grey).report


def test_a_notebook_shows_text_and_runs_nothing(made: Any, squares: Any, monkeypatch: Any) -> None:
    evil = "the heart <script>alert(1)</script> is large ."
    monkeypatch.setattr("kia.candidates.write_reports", lambda *_, **__: [evil])
    shown = made[0](squares[0])._repr_html_()
    assert "&lt;script&gt;" in shown and "<script" not in shown
    assert "Research only" in shown and "heart and mediastinum" in shown


def test_a_model_of_an_earlier_kia_says_once_what_it_lacks(made: Any, squares: Any) -> None:
    model, _ = made
    old = copy.copy(model.processor)
    old.seen = None
    with pytest.warns(ModelWarning, match="training images") as told:
        early = kia.KIA.of(model.model, old)
        early(squares[0])
        early(squares[0])
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kia.KIA.of(model.model, model.processor)


def test_a_folder_and_its_name(made: Any, tmp_path: Path, squares: Any) -> None:
    model, _ = made
    folder = tmp_path / "run" / "model"
    model.model.save_pretrained(folder)
    model.processor.save_pretrained(folder)
    loaded = kia.KIA(folder, device="cpu", max_tokens=12)
    assert loaded(squares[0]).raw == model(squares[0]).raw
    assert loaded.writer.name == "run" and loaded.processor.seen.images
    assert loaded.pointing == NOT_MEASURED
    systems = {"attention": {"mean": {"pointing": 0.186}}, "random": {"mean": {"pointing": 0.05}}}
    scores = folder / "localisation.json"
    scores.write_text(json.dumps({"findings": 568, "systems": systems}))
    told = kia.KIA(folder, device="cpu").pointing
    assert "19% of 568 findings" in told and "by chance in 5%" in told
    scores.write_text('{"findings": 0}')
    with pytest.raises(ModelError, match="not what kia evaluate --localisation writes"):
        kia.KIA(folder)
    scores.unlink()
    (folder / "seen.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"seen.safetensors is damaged .*; remove it"):
        kia.KIA(folder)
    assert name_of("/a/b/c") == "c"
