"""Damaged files of every format: each is a reject or an image, and the run goes on to its end."""

import csv
import io
import json
import struct
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from kia.data.prepare import SHOWN_DOUBTS
from kia.data.store.dataset import PreparedDataset
from kia.errors import ImageError
from kia.imaging.reading import read_image
from kia.imaging.resize import resize_square

SIZE = 64
DICOM_SYNTAXES = (
    "JPEGBaselineProcess1",
    "JPEGLosslessProcess14",
    "JPEGLosslessProcess14_1",
    "JPEGLSLossless",
    "JPEG2000Lossless",
    "JPEG2000",
    "RLELossless",
    "DeflatedExplicitVRLittleEndian",
    "ImplicitVRLittleEndian",
)


def encode(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def originals(dicom, compress) -> dict[str, bytes]:
    """File name ending → a sound file."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:120, :90] / 100
    deep = (2000 * (1 + np.sin(9 * x) * np.cos(7 * y)) + rng.integers(0, 60, y.shape)).astype(
        np.uint16
    )
    grey = Image.fromarray((deep >> 4).astype(np.uint8))
    files = {
        "16.png": encode(Image.fromarray(deep), "PNG"),
        "1.png": encode(grey.convert("1"), "PNG"),
    }
    for mode in ("L", "RGB", "RGBA", "LA", "P"):
        files[f"{mode}.png"] = encode(grey.convert(mode), "PNG")
    for mode in ("L", "RGB", "CMYK"):
        files[f"{mode}.jpg"] = encode(grey.convert(mode), "JPEG")
    files["progressive.jpg"] = encode(grey.convert("RGB"), "JPEG", progressive=True)
    window = {"WindowCenter": 2000, "WindowWidth": 3500, "Modality": "DX"}
    files["12.dcm"] = dicom(deep, BitsStored=12, **window)
    files["inverted.dcm"] = dicom(deep, "MONOCHROME1", BitsStored=15, RescaleSlope=1)
    files["signed.dcm"] = dicom(deep.astype(np.int16) - 2000, RescaleIntercept=-5)
    files["colour.dcm"] = dicom(np.asarray(grey.convert("RGB")), "RGB")
    for syntax in DICOM_SYNTAXES:
        plain = dicom(np.asarray(grey)) if "Baseline" in syntax else files["12.dcm"]
        files[f"{syntax}.dcm"] = compress(plain, syntax)
    return files


def truncated(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(0, len(data))]


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    # half of them in the first bytes, where the headers are
    reach = len(data) if rng.random() < 0.5 else min(len(data), 800)
    for position in rng.integers(0, reach, rng.integers(1, 20)):
        damaged[position] ^= 1 << rng.integers(0, 8)
    return bytes(damaged)


def zeroed(data: bytes, rng: np.random.Generator) -> bytes:
    start, length = rng.integers(0, len(data)), rng.integers(1, 400)
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


def overwritten(data: bytes, rng: np.random.Generator) -> bytes:
    start, length = rng.integers(0, len(data)), rng.integers(1, 200)
    return data[:start] + rng.bytes(length) + data[start + length :]


def torn(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes are missing in the middle."""
    start = rng.integers(0, len(data))
    return data[:start] + data[start + rng.integers(1, 200) :]


def huge(data: bytes, rng: np.random.Generator) -> bytes:
    """The same file that claims to be much larger, wherever it states its size."""
    side = int(rng.choice([5_000, 9_900, 30_000, 65_535]))
    for form in (">II", ">HH"):
        for sides in ((90, 120), (120, 90)):
            data = data.replace(struct.pack(form, *sides), struct.pack(form, side, side))
    for tag in (0x10, 0x11):
        at = data.find(struct.pack("<HH", 0x28, tag) + b"US\2\0")
        if at >= 0:
            data = data[: at + 8] + struct.pack("<H", side) + data[at + 10 :]
    return data


def empty(data: bytes, rng: np.random.Generator) -> bytes:
    return bytes(rng.integers(0, 3) * 100)


def noise(data: bytes, rng: np.random.Generator) -> bytes:
    """A sound beginning, then random bytes; or these alone."""
    return data[: rng.choice([0, 4, 132, 200])] + rng.bytes(rng.integers(1, 5_000))


DAMAGE = (truncated, flipped, zeroed, overwritten, torn, huge, empty, noise)


def write_damaged(folder: Path, originals: dict[str, bytes], count: int) -> Path:
    """A manifest of `count` damaged files, and of the sound ones (id "sound-…")."""
    rng = np.random.default_rng(0)
    names = list(originals)
    (folder / "files").mkdir()
    with (folder / "studies.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["id", "image"])
        for name in names:
            (folder / "files" / name).write_bytes(originals[name])
            writer.writerow([f"sound-{name}", f"files/{name}"])
        for number in range(count):
            name = names[number % len(names)]
            damage = DAMAGE[number // len(names) % len(DAMAGE)]
            ending = "dcm" if number % 11 == 0 else name  # a wrong extension now and then
            path = folder / "files" / f"{number}-{damage.__name__}.{ending}"
            path.write_bytes(damage(originals[name], rng))
            writer.writerow([f"{number}", f"files/{path.name}"])
    return folder / "studies.csv"


def prepare(manifest: Path, *options: str) -> tuple[int, str, str, int]:
    """Exit code, output, errors, and the most memory that all its processes had at once."""
    command = [sys.executable, "-m", "kia.cli.main", "data", "manifest", str(manifest)]
    command += ["--size", str(SIZE), "--workers", "2", *options]
    out, err = manifest.with_name("out.txt"), manifest.with_name("err.txt")
    with out.open("w") as stdout, err.open("w") as stderr:
        run = psutil.Popen(command, stdout=stdout, stderr=stderr)
        peak = 0
        while run.poll() is None:
            peak = max(peak, memory(run))
            time.sleep(0.1)
    return run.returncode, out.read_text(), err.read_text(), peak


def memory(process: psutil.Process) -> int:
    """Bytes of a process and its offspring; pages that they share count once."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            info = one.memory_full_info()
            total += getattr(info, "pss", info.rss)
    except psutil.Error:  # it has just ended
        pass
    return total


def check(folder: Path, originals: dict[str, bytes], count: int) -> Counter[str]:
    """Prepare `count` damaged files; gives the number of rejects and of images by damage."""
    manifest = write_damaged(folder, originals, count)
    code, out, err, peak = prepare(manifest, "--out", str(folder / "set"))
    assert code == 0, err
    assert "Traceback" not in err
    print(f"peak {peak >> 20} MiB")
    assert peak < 1 << 30
    lines = (folder / "set" / "rejects.jsonl").read_text().splitlines()
    rejects = [json.loads(line) for line in lines]
    assert all("\n" not in r["why"] and len(r["why"]) > 20 for r in rejects)
    assert f"{len(rejects)} inputs were left out: see" in " ".join(out.split())
    assert not [r for r in rejects if "too long" in r["why"]]

    dataset = PreparedDataset.open(folder / "set")
    stored = {dataset.study(index).id: dataset.pixels(index) for index in range(len(dataset))}
    lost = {r["what"].removesuffix(" (frontal)") for r in rejects}
    ids = {f"sound-{name}" for name in originals} | {str(number) for number in range(count)}
    assert stored.keys() | lost == ids
    assert not stored.keys() & lost
    for name, data in originals.items():
        expected = resize_square(read_image(data, name=name), SIZE)
        np.testing.assert_array_equal(stored[f"sound-{name}"][0], expected)
    found: Counter[str] = Counter()
    for path in (folder / "files").iterdir():
        number, _, rest = path.name.partition("-")
        if rest:
            found[f"{rest.partition('.')[0]} {'stored' if number in stored else 'rejected'}"] += 1
    assert not found["empty stored"] + found["noise stored"]
    return found


def test_a_hundred_damaged_files(tmp_path, originals):
    found = check(tmp_path, originals, 104)
    assert sum(found.values()) == 104


def test_strict_fails_and_says_where_the_rejects_are(tmp_path, originals):
    few = {name: originals[name] for name in ("L.png", "12.dcm")}
    manifest = write_damaged(tmp_path, few, 4)
    code, _, err, _ = prepare(manifest, "--out", str(tmp_path / "set"), "--strict")
    assert code == 1
    assert "rejects.jsonl" in err
    assert "Traceback" not in err
    PreparedDataset.open(tmp_path / "set")


def test_doubtful_images_are_named_on_the_console_and_patients_are_not(tmp_path, dicom):
    pixels = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    for number in range(SHOWN_DOUBTS + 3):
        data = dicom(pixels, Modality="OT", PatientName="Doe^Jane", PatientID="12345")
        (tmp_path / f"{number}.dcm").write_bytes(data if number else data[:-1200])
    code, out, err, _ = prepare(tmp_path, "--out", str(tmp_path.parent / "set"))
    warned = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert code == 0, err
    assert len(warned) == SHOWN_DOUBTS + 1
    assert f"{tmp_path / '1.dcm'}: no radiograph? Its DICOM Modality" in warned[0]
    assert warned[-1] == "warning: 2 more such images"
    said = out + err + (tmp_path.parent / "set" / "rejects.jsonl").read_text()
    assert "0.dcm: damaged DICOM file" in said
    assert not [word for word in ("Doe", "Jane", "12345") if word in said]


@pytest.mark.slow
def test_two_thousand_damaged_files(tmp_path, originals):
    found = check(tmp_path, originals, 2000)
    print(dict(found))
    assert sum(found.values()) == 2000


def test_no_truncated_file_is_read_as_if_it_were_whole(originals):
    for name, data in originals.items():
        for part in (0.3, 0.6, 0.9):
            with pytest.raises(ImageError):
                print(name, part, read_image(data[: int(len(data) * part)], name=name).shape)
