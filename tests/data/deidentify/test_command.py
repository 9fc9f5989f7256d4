"""`kia data … --deidentify`: what a stranger finds in the data set."""

import csv
import hashlib
import json
import secrets
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kia.cli.main import main
from kia.data.deidentify import Pseudonyms
from kia.data.store import npy_writer
from kia.data.store import writer as store_writer
from kia.data.store.dataset import PreparedDataset
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.radgraph import Entity, ReportGraph, tokenise, write_graphs

CANARIES = ("okonkwo", "zzpatient", "zzstudy", "4471829", "03/14/2021", "5550143", "555-0143")
LABELS = {**dict.fromkeys(OBSERVATIONS, ""), "Edema": "1.0", "Fracture": "0.0"}
STUDIES = 14


class Collection:
    """A table of studies with personal details wherever they can be, and their key."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "set"
        self.key = secrets.token_hex(32)
        (folder / "kia.key").write_text(f"{self.key}\n")
        (folder / "Okonkwo, Jane").mkdir()
        graphs, rows = {}, []
        for number in range(STUDIES):
            image = f"Okonkwo, Jane/zzstudy {number}.png"
            pixels = np.full((24, 20), 10 * number, np.uint8)
            pixels[3:9, 4:7] = 255
            Image.fromarray(pixels).save(folder / image)
            report = (
                f"Edema {number} at the left base. Dr. Okonkwo was called on 03/14/2021 at "
                "617-555-0143, MRN 4471829."
            )
            split = ("train", "val", "test")[number % 3]
            rows.append((f"zzstudy{number}", image, report, split, f"zzpatient{number % 3}"))
            tokens = tokenise(report)
            place = tokens.index("left")
            entities = {"1": Entity("left", "ANAT-DP", place, place)}
            graphs[f"zzstudy{number}"] = ReportGraph(" ".join(tokens), entities)
        (folder / "Okonkwo, Jane" / "zzstudy 3.png").write_bytes(b"no image")
        rows.append(("zzstudy98", "Okonkwo, Jane/none.png", "Dr. Okonkwo.", "train", "zzpatient0"))
        rows.append(("zzstudy99", "", "", "train", "zzpatient0"))
        self.table = self._csv("Okonkwo.csv", ("id", "image", "report", "split", "patient"), rows)
        self.labels = self._csv(
            "labels.csv", ("study_id", *LABELS), [(row[0], *LABELS.values()) for row in rows]
        )
        self.graphs = folder / "graphs.json"
        write_graphs(self.graphs, graphs)

    def _csv(self, name: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
        with (self.folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
        return self.folder / name

    def prepare(self, *words: object, out: Path | None = None, deidentify: bool = True) -> int:
        key = ("--deidentify", "--deidentify-key", self.folder / "kia.key") if deidentify else ()
        files = ("--labels", self.labels, "--graphs", self.graphs)
        place = ("--out", out or self.out, "--size", 32, "--workers", 1)
        return main(
            [str(word) for word in ("data", "manifest", self.table, *files, *place, *key, *words)]
        )


@pytest.fixture
def collection(tmp_path) -> Collection:
    return Collection(tmp_path)


def interrupt(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A preparation that Ctrl-C ends after six images; some chunks are finished."""
    monkeypatch.setattr(store_writer, "CHUNK_INPUTS", 4)
    append, left = npy_writer.NpyWriter.append, iter(range(6))

    def fail(self, rows):
        if next(left, None) is None:
            raise KeyboardInterrupt
        append(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(npy_writer.NpyWriter, "append", fail)
        assert collection.prepare() == 130


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_nothing_personal_is_in_any_file_nor_on_the_screen(collection, capfd):
    assert collection.prepare() == 0
    printed = capfd.readouterr()
    everything = {**contents(collection.out), "stdout": printed.out.encode()}
    for name, content in everything.items():
        for canary in CANARIES:
            assert canary.encode() not in content.lower(), f"{canary} in {name}"
    assert "14 names" in printed.out
    assert "14 dates" in printed.out
    assert "in 14 of 14 studies" in printed.out.replace("\n", " ")


def test_the_key_and_its_digests_are_nowhere(collection):
    collection.prepare()
    key = collection.key.encode()
    secret = [
        key,
        *(hashlib.new(name, key).hexdigest().encode() for name in ("sha256", "sha1", "md5")),
    ]
    for content in contents(collection.out).values():
        for trace in secret:
            assert trace not in content
            assert bytes.fromhex(trace.decode()) not in content


def test_labels_graphs_splits_and_images_stay_with_their_studies(collection, capfd):
    collection.prepare()
    collection.prepare(out=collection.folder / "open", deidentify=False)
    hidden = PreparedDataset.open(collection.out)
    plain = PreparedDataset.open(collection.folder / "open")
    names = Pseudonyms(collection.key.encode())
    assert len(hidden) == len(plain) == STUDIES - 1
    for index in range(len(plain)):
        study, known = plain.study(index), hidden.study(index)
        assert known.id == names.of("study", study.id)
        assert known.patient == names.of("patient", study.patient or "")
        assert (known.split, known.labels) == (study.split, study.labels)
        assert known.labels is not None
        assert known.labels["Edema"] == 1
        assert known.landmarks == study.landmarks
        assert known.report.startswith(study.report[:20])
        assert known.report.endswith("Dr. ___ was called on ___ at ___, MRN ___.")
        assert known.graph is not None
        graph = ReportGraph.from_record(dict(known.graph))
        assert graph.entities["1"].tokens == "left"
        assert graph.text == " ".join(tokenise(known.report))
        assert (hidden.pixels(index) == plain.pixels(index)).all()


def test_built_in_tools_read_the_clean_text(collection):
    collection.graphs = collection.labels = None
    words = (
        "data",
        "manifest",
        str(collection.table),
        "--out",
        str(collection.out),
        "--size",
        "32",
    )
    key = ("--deidentify", "--deidentify-key", str(collection.folder / "kia.key"))
    assert main([*words, *key]) == 0
    study = PreparedDataset.open(collection.out).study(0)
    assert study.graph is not None
    assert study.graph["text"] == " ".join(tokenise(study.report))
    assert study.labels is not None
    assert study.labels["Edema"] == 1


def test_a_random_split_is_drawn_before_names_are_hashed(collection):
    splits = []
    for out, deidentify in ((collection.out, True), (collection.folder / "open", False)):
        collection.prepare("--split", "random", "--ratio", "1:1:1", out=out, deidentify=deidentify)
        splits.append([study.split for study in PreparedDataset.open(out).studies()])
    assert splits[0] == splits[1]
    assert len(set(splits[0])) == 3


def test_rejects_tell_why_and_not_who(collection):
    collection.prepare()
    names = Pseudonyms(collection.key.encode())
    rejects = PreparedDataset.open(collection.out).rejects()
    assert [(r["what"].split(" ")[0], r["why"]) for r in rejects] == [
        (names.of("study", "zzstudy3"), rejects[0]["why"]),
        (names.of("study", "zzstudy98"), "no such image"),
        (names.of("study", "zzstudy98"), "no image"),
        (names.of("study", "zzstudy99"), "empty report"),
    ]
    assert rejects[0]["why"].startswith("no image could be decoded: ___: ")


def test_interrupted_it_goes_on_and_ends_bit_for_bit_the_same(collection, monkeypatch, capfd):
    whole = collection.folder / "whole"
    monkeypatch.setattr(store_writer, "CHUNK_INPUTS", 4)
    assert collection.prepare(out=whole) == 0
    told = capfd.readouterr().out
    interrupt(collection, monkeypatch)
    unfinished = collection.folder / ".set.preparing"
    for path in unfinished.rglob("*"):
        if path.is_file():
            assert not any(c.encode() in path.read_bytes().lower() for c in CANARIES), path
    capfd.readouterr()
    assert collection.prepare() == 0
    assert contents(collection.out) == contents(whole)
    assert capfd.readouterr().out.replace("set", "whole")[-200:] == told[-200:]  # the same counts


def test_another_key_does_not_go_on_with_the_ids_of_the_first(collection, monkeypatch, capfd):
    interrupt(collection, monkeypatch)
    (collection.folder / "kia.key").write_text(secrets.token_hex(32))
    assert collection.prepare() == 1
    assert "or other ids" in capfd.readouterr().err
    assert collection.prepare(deidentify=False) == 1
    assert "unfinished preparation" in capfd.readouterr().err.replace("\n", " ")


def test_parts_merge_to_the_same_data_set(collection):
    collection.prepare()
    parts = [collection.folder / f"part{number}" for number in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        assert collection.prepare("--part", f"{number}/3", out=part) == 0
    merged = collection.folder / "merged"
    assert main(["data", "merge", *map(str, parts), "--out", str(merged)]) == 0
    one, many = PreparedDataset.open(collection.out), PreparedDataset.open(merged)
    assert one.info["content_hash"] == many.info["content_hash"]
    assert [study.id for study in one.studies()] == [study.id for study in many.studies()]
    assert one.rejects() == many.rejects()
    (collection.folder / "kia.key").write_text(secrets.token_hex(32))
    assert collection.prepare("--part", "3/3", "--overwrite", out=parts[2]) == 0
    assert main(["data", "merge", *map(str, parts), "--out", str(merged), "--overwrite"]) == 1


def test_check_tells_that_a_set_is_deidentified(collection, capfd):
    collection.prepare()
    collection.prepare(out=collection.folder / "open", deidentify=False)
    file = collection.folder / "check.json"
    for out, expected in ((collection.out, True), (collection.folder / "open", False)):
        capfd.readouterr()
        assert main(["data", "check", str(out), "--json", str(file)]) == 0
        assert ("de-identified" in capfd.readouterr().out) is expected
        assert json.loads(file.read_text())["deidentified"] is expected
    assert "deidentified" not in PreparedDataset.open(collection.folder / "open").info["settings"]


def test_without_the_option_it_warns_in_numbers_alone(collection, capfd):
    assert collection.prepare(deidentify=False) == 0
    told = capfd.readouterr()
    warning = " ".join(told.err.split())
    assert "reports hold what looks personal: 14 names, 14 dates" in warning.replace(
        "14 dates, 14 names", "14 names, 14 dates"
    )
    assert "--deidentify takes it out" in warning
    assert not any(canary in (told.err + told.out).lower() for canary in CANARIES[3:])


def test_without_personal_details_it_says_nothing(tmp_path, capfd):
    Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(tmp_path / "x.png")
    (tmp_path / "t.csv").write_text("id,image,report,split\n1,x.png,Kerley B lines at T11.,train\n")
    words = ("data", "manifest", tmp_path / "t.csv", "--out", tmp_path / "set", "--size", 32)
    assert main([str(word) for word in words]) == 0
    assert "personal" not in capfd.readouterr().err


@pytest.mark.parametrize("given", [("--deidentify",), ("--deidentify-key", "kia.key")])
def test_option_and_key_go_together(collection, capfd, given):
    assert collection.prepare(*given, deidentify=False) == 2
    error = capfd.readouterr().err
    assert "go together" in error
    assert "secrets.token_hex(32)" in error
    assert not collection.out.exists()


def test_a_short_key_is_refused_before_anything_is_written(collection, capfd):
    (collection.folder / "kia.key").write_text("secret\n")
    assert collection.prepare() == 1
    assert "has 6 bytes instead of 32" in capfd.readouterr().err
    assert not collection.out.exists()


def test_iu_xray_is_deidentified_too(fake, tmp_path, capfd):
    for entries in (*fake.annotation.values(), fake.reports):
        for entry in entries:
            key = "report" if "report" in entry else "findings"
            entry[key] += " Dr. Okonkwo was told."
    for entry in fake.reports:
        entry["indication"] = "Jane Okonkwo, 93-year-old."
    (tmp_path / "kia.key").write_text(secrets.token_hex(32))
    names = ("--images", "--annotation", "--reports", "--projections")
    files = [word for pair in zip(names, fake.write().files(), strict=True) for word in pair]
    key = ("--deidentify", "--deidentify-key", tmp_path / "kia.key")
    words = ("data", "iu-xray", *files, "--out", tmp_path / "out", "--size", 32, *key)
    assert main([str(word) for word in words]) == 0
    study = PreparedDataset.open(tmp_path / "out").study(0)
    assert study.report == "Heart size normal. Report 1. Dr. ___ was told."
    assert study.sections["indication"] == "___, ___-year-old."
    assert "CXR" not in study.id
    for content in contents(tmp_path / "out").values():
        assert b"Okonkwo" not in content
        assert b"CXR1" not in content
