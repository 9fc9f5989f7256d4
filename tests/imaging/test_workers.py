"""Worker processes: the same pixels as without them, and no damaged file stops the run."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
import warnings
import zlib
from contextlib import closing

import numpy as np
import psutil
import pytest
from PIL import Image

from kia.imaging import workers as decoding
from kia.imaging.workers import decode_studies, load_study
from kia.studies import Study, StudyImage

slow = pytest.mark.slow
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and process groups of Linux")


def study(number: int, *paths) -> Study:
    images = tuple(StudyImage(str(path), "frontal") for path in paths)
    return Study(f"s{number}", "train", images, "report")


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 30), np.uint8)).save(path)
    return paths


@pytest.fixture
def stub(stub_decoder, monkeypatch):
    """Decoders that do what the name of the file says, and little time for them."""
    monkeypatch.setattr(decoding, "MAX_WAIT", 2.0)


def reasons(loaded) -> list[str]:
    return [reject.why for one in loaded for reject in one.rejects]


def test_studies_come_in_order_with_the_pixels_of_this_process(pictures):
    studies = [study(n, *pictures[n : n + n % 4]) for n in range(36)]
    studies.insert(5, study(99, pictures[0], pictures[0].with_name("none.png"), pictures[1]))
    for one, same in zip(decode_studies(studies, 32, "pad", 2), studies, strict=True):
        expected = load_study(same, 32, "pad")
        assert (one.study, one.rejects) == (expected.study, expected.rejects)
        if expected.pixels is None:
            assert one.pixels is None
        else:
            np.testing.assert_array_equal(one.pixels, expected.pixels)
        if same.id == "s99":
            assert one.study.images == (same.images[0], same.images[2])
            assert one.pixels.shape == (2, 32, 32)
            assert [r.what for r in one.rejects] == ["s99 (frontal)"]
            assert "none.png: no such image" in one.rejects[0].why


def test_doubts_about_an_image_arrive_and_the_image_stays(tmp_path, dicom):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(np.arange(1024, dtype=np.uint16).reshape(32, 32), Modality="MR"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (loaded,) = decode_studies([study(1, path)], 32, "squash", 1)
    assert loaded.pixels is not None
    assert loaded.rejects == ()
    assert [doubt.what for doubt in loaded.doubts] == ["s1 (frontal)"]
    assert str(path) in loaded.doubts[0].why


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("crash", "crashes with -11"),
        ("hang", "takes too long to decode"),
        ("stall", "not read and decoded within"),
        ("noise", "answers nonsense"),
        pytest.param("killed", "out of memory", marks=slow),
        pytest.param("stop", "not read and decoded within", marks=slow),
        pytest.param("no pixels", "answers nonsense", marks=slow),
    ],
)
@linux
def test_an_image_that_ruins_its_worker_is_the_only_one_lost(stub, monkeypatch, kind, reason):
    if kind == "hang":  # it is the processor time that counts
        monkeypatch.setattr(decoding, "MAX_WAIT", 100.0)
    studies = [study(n, "fine", kind if n == 2 else "fine") for n in range(8)]
    loaded = list(decode_studies(studies, 32, "squash", 2))
    assert [one.study.id for one in loaded] == [f"s{n}" for n in range(8)]
    assert [len(one.study.images) for one in loaded] == [1 if n == 2 else 2 for n in range(8)]
    (why,) = reasons(loaded)
    assert why.startswith(f"{kind}: ") and reason in why


@linux
@pytest.mark.parametrize(
    "kind", ["crash", "stop", *(pytest.param(k, marks=slow) for k in ("killed", "stall", "noise"))]
)
def test_an_image_gets_a_second_worker(stub, tmp_path, kind):
    """The first one may have died, or been killed, of something else."""
    loaded = list(
        decode_studies([study(n, f"once:{kind}:{tmp_path / str(n)}") for n in range(2)], 32)
    )
    assert not reasons(loaded)
    assert len(list(tmp_path.iterdir())) == 2


@linux
def test_when_every_image_crashes(stub):
    loaded = list(decode_studies([study(n, "crash") for n in range(5)], 32, "squash", 3))
    assert len(reasons(loaded)) == 5
    assert all(one.pixels is None for one in loaded)


@linux
def test_waiting_for_the_consumer_is_not_counted(stub):
    decoded = decode_studies((study(n, "slow") for n in range(5)), 256, "squash", 1)
    with closing(decoded):
        for loaded in decoded:
            assert not loaded.rejects
            if loaded.study.id == "s1":
                time.sleep(decoding.MAX_WAIT + 0.5)


def test_few_studies_are_read_ahead(stub, pictures):
    read = []

    def studies():
        for number in range(1000):
            read.append(number)
            yield study(number, "fine")

    with closing(decode_studies(studies(), 32, "squash", 2)) as decoded:
        for number, _ in zip(range(100), decoded, strict=False):
            assert len(read) <= number + 1 + 16


def test_no_more_workers_than_images(stub):
    before = len(psutil.Process().children())
    with closing(decode_studies([study(1, "fine")] * 2, 32, "squash", 8)) as decoded:
        next(decoded)
        assert len(psutil.Process().children()) - before <= 2


@linux
def test_an_image_that_needs_too_much_memory(tmp_path):
    """The header of a PNG with 99 million pixels of four bytes."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 9900, 10_000, 8, 6, 0, 0, 0)
    content = b"IDAT" + zlib.compress(bytes(1000))
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for chunk in (header, content, b"IEND"):
            length, check = len(chunk) - 4, zlib.crc32(chunk)
            file.write(struct.pack(">I", length) + chunk + struct.pack(">I", check))
    (loaded,) = decode_studies([study(1, path)], 32, "squash", 1)
    assert reasons([loaded]) == [f"{path}: needs too much memory to decode"]


ENDLESS = """
import sys
from itertools import count
from kia.imaging.workers import decode_studies
from kia.studies import Study, StudyImage
studies = (Study(f"s{n}", "train", (StudyImage(sys.argv[1], "frontal"),), "") for n in count())
for number, loaded in enumerate(decode_studies(studies, 32, "squash", 2)):
    assert not loaded.rejects
    if number == 20:
        print("running", flush=True)
"""


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@linux
def test_no_process_outlives_the_run(tmp_path, pictures, kill):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    run = subprocess.Popen(
        [sys.executable, script, pictures[0]], stdout=subprocess.PIPE, start_new_session=True
    )
    assert run.stdout is not None
    assert run.stdout.readline() == b"running\n"
    family = psutil.Process(run.pid).children(recursive=True)
    assert len(family) == 2
    os.killpg(run.pid, kill)
    run.stdout.close()
    run.wait(timeout=20)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def test_workers_import_no_torch():
    modules = "kia.imaging.workers, kia.imaging.dicom.decode"
    code = f"import sys, json, {modules}; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"torch", "transformers", "pyarrow"}


@pytest.mark.iu_xray
@pytest.mark.slow
def test_real_images_read_alike_and_none_is_rejected(iu_xray):
    paths = sorted((iu_xray / "images").iterdir())[::20]
    studies = [study(number, path) for number, path in enumerate(paths)]
    assert len(studies) > 300
    for one, same in zip(decode_studies(studies, 256, "squash", 2), studies, strict=True):
        assert not one.rejects
        np.testing.assert_array_equal(one.pixels, load_study(same, 256).pixels)
